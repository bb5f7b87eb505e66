//! Thinning the share tokens of a simulation, so that a wanted part of privately passed links
//! arrives with one.

use std::sync::Arc;

use grapevine_event::Channel;
use grapevine_simulator::Event;

use crate::drive::Tokens;
use crate::measures::share;

/// Takes tokens off links until `rate` of the privately passed landings have one, the link of one
/// share whole or not at all, its preview with it. At rate 0 no link has one. Gives the rate that
/// came about, which is lower where too few links had one; `None` where nothing was passed privately.
pub(super) fn thin(events: &mut [Event], rate: f64, seed: u64) -> Option<f64> {
    let marked = |event: &Event| token_of(&event.request.target).is_some() || in_fragment(event);
    let part_with = |events: &[Event]| {
        let dark =
            |event: &&Event| event.is_landing() && event.truth.channel == Channel::DarkSocial;
        share(events.iter().filter(dark).map(marked))
    };
    let kept = match part_with(events) {
        None | Some(0.0) => 0.0,
        Some(part) => (rate / part).min(1.0),
    };
    let dice = Tokens { rate: kept, seed };
    for event in events.iter_mut() {
        let keep = match event.truth.share {
            Some(share) => dice.reveal(0, share as usize),
            // A reader's own address, kept in the history.
            None => rate > 0.0,
        };
        if !keep {
            strip(event);
        }
    }
    part_with(events)
}

fn in_fragment(event: &Event) -> bool {
    let fragment = event
        .client
        .as_ref()
        .and_then(|client| client.fragment.as_deref());
    fragment.is_some_and(|fragment| fragment.starts_with("gv="))
}

fn strip(event: &mut Event) {
    if let Some(stripped) = token_of(&event.request.target) {
        event.request.target = stripped;
    }
    if in_fragment(event)
        && let Some(client) = &mut event.client
    {
        client.fragment = None;
    }
}

/// The target without its token; `None` where it has none.
fn token_of(target: &str) -> Option<Arc<str>> {
    let (path, query) = target.split_once('?')?;
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| !parameter.starts_with("gv="))
        .collect();
    let text = match kept.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", kept.join("&")),
    };
    (text.len() < target.len()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use grapevine_simulator::{Scenario, simulate};

    use super::*;

    #[test]
    fn a_wanted_part_of_links_keeps_its_token() {
        let scenario = Scenario::default().scaled(0.1);
        let events: Vec<Event> = simulate(&scenario).expect("valid").collect();
        for rate in [0.0, 0.05, 0.2, 0.5] {
            let mut thinned = events.clone();
            let found = thin(&mut thinned, rate, 3).expect("links are passed privately");
            assert!(
                (found - rate).abs() < 0.05,
                "{rate}: {found} of {} hits",
                events.len()
            );
            let tokens = |events: &[Event]| {
                let with = events
                    .iter()
                    .filter(|event| token_of(&event.request.target).is_some());
                with.count()
            };
            assert!(tokens(&thinned) < tokens(&events));
            assert!(rate > 0.0 || tokens(&thinned) == 0);
        }
    }

    #[test]
    fn nothing_passed_privately_has_no_rate() {
        assert_eq!(thin(&mut [], 0.5, 3), None);
    }

    #[test]
    fn only_the_token_goes() {
        let stripped = |target| token_of(target).as_deref().map(str::to_owned);
        assert_eq!(stripped("/a?gv=x").as_deref(), Some("/a"));
        assert_eq!(stripped("/a?b=1&gv=x&c=2").as_deref(), Some("/a?b=1&c=2"));
        assert_eq!(stripped("/a?b=1"), None);
        assert_eq!(stripped("/gv=x"), None);
    }
}
