//! Which preview fetches are one share act.

use std::sync::OnceLock;

use grapevine_event::{AddressOf, Id};
use grapevine_inference::shares::{Fetch, Previews, SavedPreviews, judge};
use grapevine_inference::{Clock, Model, from_bytes, to_bytes};
use grapevine_signals::{Fetcher, Signals};
use proptest::prelude::*;
use serde::Serialize;

const SITE: &str = "example.org";

fn fetcher<'s>(signals: &'s Signals, user_agent: &str) -> &'s Fetcher {
    signals
        .agent(user_agent)
        .share()
        .expect("a preview fetcher")
}

/// Built once: it takes a while.
fn signals() -> &'static Signals {
    static SIGNALS: OnceLock<Signals> = OnceLock::new();
    SIGNALS.get_or_init(Signals::builtin)
}

struct Observer {
    model: Model,
    previews: Previews,
    acts: Vec<(String, String, i64)>,
    hits: u64,
}

impl Observer {
    fn new() -> Observer {
        Observer {
            model: Model::builtin(),
            previews: Previews::default(),
            acts: Vec::new(),
            hits: 0,
        }
    }

    fn fetch(&mut self, user_agent: &str, path: &str, time: i64, network: i64) {
        let content = format!("https://example.org{path}");
        self.hits += 1;
        let fetch = Fetch {
            hit_id: Id::builder("test").number(self.hits).finish(),
            clock: Clock::Live,
            site: SITE,
            content: &content,
            address: &content,
            time,
            network: Some(network),
            token: None,
            fetcher: fetcher(signals(), user_agent),
        };
        let acts = &mut self.acts;
        let mut emit = |share: &grapevine_event::Share<'_>| {
            acts.push((share.app.to_string(), share.content.to_string(), share.time));
        };
        self.previews.pass(Clock::Live, time, &mut emit);
        self.previews.observe(&fetch, &self.model, &mut emit);
    }

    fn acts(mut self) -> Vec<(String, String, i64)> {
        let acts = &mut self.acts;
        let mut emit = |share: &grapevine_event::Share<'_>| {
            acts.push((share.app.to_string(), share.content.to_string(), share.time));
        };
        self.previews.finish(Clock::Live, i64::MAX, &mut emit);
        self.acts
    }
}

const TELEGRAM: &str = "TelegramBot (like TwitterBot)";
const SIGNAL: &str = "WhatsApp/2";
const WHATSAPP: &str = "WhatsApp/2.24.20.83 A";
const MASTODON: &str = "Mastodon/4.2.1 (http.rb/5.1.1; +https://host.example/)";

#[test]
fn a_typing_ladder_is_one_share_of_its_longest_address() {
    let mut observer = Observer::new();
    for (step, path) in ["/te", "/tele", "/teleg", "/telegr", "/telegra", "/telegram"]
        .iter()
        .enumerate()
    {
        observer.fetch(TELEGRAM, path, step as i64 * 350, 1);
    }
    assert_eq!(observer.previews.collapsed(), 5);
    let address = "https://example.org/telegram".to_owned();
    assert_eq!(observer.acts(), [("telegram".to_owned(), address, 5 * 350)]);
}

/// Thousands of these would take hundreds of megabytes while they wait.
#[test]
fn an_address_that_nobody_types_is_an_act_at_once() {
    let mut observer = Observer::new();
    let [typed, pasted] = [2_028, 2_029].map(|bytes| format!("/{}", "a".repeat(bytes)));
    for (path, acts) in [(&typed, 0), (&pasted, 1)] {
        observer.fetch(TELEGRAM, path, 0, 1);
        assert_eq!(observer.acts.len(), acts, "{}", path.len());
    }
    assert_eq!(
        observer.previews.entries(),
        2,
        "one waits, one is remembered"
    );
}

#[test]
fn what_the_last_release_left_waiting_is_a_step_of_what_follows() {
    // As release 0.1.0 wrote it: a map of repeats, what waits, how many were collapsed.
    #[derive(Serialize)]
    struct Typing {
        clock: Clock,
        share_id: Id,
        site: &'static str,
        content: &'static str,
        app: &'static str,
        private: Option<bool>,
        probability: f32,
        address_of: AddressOf,
        network: Option<i64>,
        token: Option<&'static str>,
        time: i64,
    }
    let waits = Typing {
        clock: Clock::Live,
        share_id: Id::default(),
        site: SITE,
        content: "https://example.org/si",
        app: "signal",
        private: Some(true),
        probability: 0.8,
        address_of: AddressOf::Sender,
        network: Some(1),
        token: None,
        time: 0,
    };
    let repeats: (u32, Vec<(u64, i64)>) = (16_384, Vec::new());
    let bytes = to_bytes(1, &(repeats, vec![waits], 3_u64)).expect("writes");
    let saved: SavedPreviews = from_bytes(1, &bytes).expect("reads");
    let mut observer = Observer::new();
    observer.previews = Previews::from(saved);
    observer.fetch(SIGNAL, "/signal", 500, 1);
    assert_eq!(observer.previews.collapsed(), 4);
    let address = "https://example.org/signal".to_owned();
    assert_eq!(observer.acts(), [("signal".to_owned(), address, 500)]);
}

#[test]
fn two_people_typing_are_two_shares() {
    let mut observer = Observer::new();
    observer.fetch(SIGNAL, "/si", 0, 1);
    observer.fetch(SIGNAL, "/si", 100, 2);
    observer.fetch(SIGNAL, "/signal", 600, 1);
    observer.fetch(SIGNAL, "/sister", 700, 2);
    let contents: Vec<String> = observer.acts().into_iter().map(|act| act.1).collect();
    assert_eq!(
        contents,
        ["https://example.org/signal", "https://example.org/sister"]
    );
}

#[test]
fn a_ladder_that_a_service_fetches_from_several_addresses_is_one_share() {
    let mut observer = Observer::new();
    let steps = ["/te", "/tel", "/telegr", "/teleg", "/telegra", "/telegram"];
    for (step, path) in (0..).zip(steps) {
        observer.fetch(TELEGRAM, path, step * 350, step % 3);
    }
    assert_eq!(observer.previews.collapsed(), 5);
    let address = "https://example.org/telegram".to_owned();
    assert_eq!(observer.acts(), [("telegram".to_owned(), address, 5 * 350)]);
}

/// The front page and a page below it are two pasted links where nobody could have typed what lies between: one fetch
/// from each of two addresses of a service, so far apart.
fn pasted(agent: &str, apart: i64) -> usize {
    let mut observer = Observer::new();
    observer.fetch(agent, "/", 0, 1);
    observer.fetch(agent, "/politics/the-long-story-of-a-small-town", apart, 2);
    observer.acts().len()
}

#[test]
fn what_grew_faster_than_anybody_types_is_of_two_who_share_through_one_service() {
    assert_eq!([0, 100, 1_200].map(|apart| pasted(TELEGRAM, apart)), [2; 3]);
    // What somebody may have typed meanwhile is taken for one, …
    assert_eq!([1_300, 3_000].map(|apart| pasted(TELEGRAM, apart)), [1; 2]);
    assert_eq!(pasted(TELEGRAM, 3_001), 2);
    // … but of people's own devices never.
    assert_eq!([0, 1_300, 3_000].map(|apart| pasted(SIGNAL, apart)), [2; 3]);
}

#[test]
fn two_who_type_through_one_service_are_told_apart_once_their_links_are() {
    let mut observer = Observer::new();
    let links = [
        "/the-long-story-of-a-small-town",
        "/the-long-story-of-a-large-town",
    ];
    for end in 1..=links[0].len() {
        for (who, link) in (0..).zip(links) {
            let (end, time) = (end.min(link.len()) as i64, end as i64 * 90 + who * 30);
            observer.fetch(TELEGRAM, &link[..end as usize], time, (end + who) % 4);
        }
    }
    let mut contents: Vec<String> = observer.acts().into_iter().map(|act| act.1).collect();
    contents.sort_unstable();
    let found: Vec<&str> = contents.iter().map(String::as_str).collect();
    let whole = links.map(|link| format!("https://example.org{link}"));
    assert_eq!(found, [whole[1].as_str(), whole[0].as_str()]);
}

#[test]
fn the_same_device_again_is_no_new_share_but_later_is() {
    let mut observer = Observer::new();
    for time in [0, 60_000, 700_000] {
        observer.fetch(WHATSAPP, "/a", time, 1);
    }
    observer.fetch(WHATSAPP, "/a", 700_500, 2);
    assert_eq!(observer.acts().len(), 3);
}

#[test]
fn a_herd_of_servers_is_one_post() {
    let mut observer = Observer::new();
    for server in 0..40 {
        observer.fetch(MASTODON, "/a", server * 1_400, server);
    }
    assert_eq!(observer.acts().len(), 1);
}

#[test]
fn a_fetch_says_whose_network_and_which_audience() {
    let says = |user_agent: &str| {
        let fetch = Fetch {
            hit_id: Id::default(),
            clock: Clock::Live,
            site: SITE,
            content: "https://example.org/a",
            address: "https://example.org/a",
            time: 0,
            network: None,
            token: Some("t1"),
            fetcher: fetcher(signals(), user_agent),
        };
        let share = judge(&fetch, &Model::builtin());
        assert_eq!(share.token.as_deref(), Some("t1"));
        (
            share.app.to_string(),
            share.private,
            share.address_of,
            share.probability,
        )
    };
    assert_eq!(
        says(WHATSAPP),
        ("whatsapp".to_owned(), Some(true), AddressOf::Sender, 0.8)
    );
    // Its public channels fetch the same way.
    assert_eq!(
        says(TELEGRAM),
        ("telegram".to_owned(), None, AddressOf::Server, 0.8)
    );
    assert_eq!(
        says(MASTODON),
        ("mastodon".to_owned(), Some(false), AddressOf::Server, 0.95)
    );
    let meta = "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)";
    assert_eq!(
        says(meta),
        ("meta".to_owned(), None, AddressOf::Server, 0.7)
    );
}

proptest! {
    #[test]
    fn every_fetch_is_an_act_or_collapsed_and_a_snapshot_changes_nothing(
        fetches in prop::collection::vec(
            (prop::sample::select(vec![TELEGRAM, SIGNAL, WHATSAPP, MASTODON]),
             prop::sample::select(vec!["/a", "/ab", "/abc", "/x"]), 0i64..4_000, 0i64..3), 0..40),
        cut in 0usize..40,
    ) {
        let mut observer = Observer::new();
        let mut time = 0;
        for (at, (agent, path, wait, network)) in fetches.iter().enumerate() {
            if at == cut {
                let bytes = to_bytes(1, &observer.previews).expect("writes");
                observer.previews = from_bytes(1, &bytes).expect("reads");
            }
            time += wait;
            observer.fetch(agent, path, time, *network);
        }
        let mut whole = Observer::new();
        let mut time = 0;
        for (agent, path, wait, network) in &fetches {
            time += wait;
            whole.fetch(agent, path, time, *network);
        }
        let acts = &mut observer.acts;
        observer.previews.finish(Clock::Live, i64::MAX, &mut |share| {
            acts.push((share.app.to_string(), share.content.to_string(), share.time));
        });
        let collapsed = observer.previews.collapsed() as usize;
        prop_assert_eq!(observer.acts.len() + collapsed, fetches.len());
        prop_assert_eq!(observer.acts, whole.acts());
    }
}
