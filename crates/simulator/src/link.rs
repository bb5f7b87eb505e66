//! A link as it travels: page, token, and what carriers and campaigns add.

use std::sync::Arc;

use crate::arithmetic::mix;
use crate::scenario::TokenPlace;
use crate::simulation::Simulation;

/// A link as it travels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Link {
    /// Visit whose token it carries.
    pub(crate) token: Option<u64>,
    /// The rest of the query: campaign parameters and marks of earlier carriers.
    pub(crate) query: Option<Arc<str>>,
}

/// The text of the token that a visit's page was given.
pub(crate) fn token_text(seed: u64, visit: u64) -> Arc<str> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = mix(mix(seed ^ 0x70_6b6e) ^ visit);
    let mut text = String::with_capacity(11);
    for _ in 0..11 {
        text.push(char::from(LETTERS[(bits & 63) as usize]));
        bits >>= 6;
    }
    text.into()
}

/// Path and query of a link, and its fragment.
pub(crate) fn address_of(
    simulation: &Simulation,
    page: u32,
    link: &Link,
    mark: Option<&str>,
) -> (Arc<str>, Option<Arc<str>>) {
    let path = &simulation.catalogue.page(page).path;
    let token = link
        .token
        .map(|visit| token_text(simulation.own_seed(), visit));
    let place = simulation.scenario.tokens.place;
    let in_query = token.as_ref().filter(|_| place == TokenPlace::Query);
    let fragment = token.as_ref().filter(|_| place == TokenPlace::Fragment);
    let fragment = fragment.map(|token| format!("gv={token}").into());
    if link.query.is_none() && in_query.is_none() && mark.is_none() {
        return (path.clone(), fragment);
    }
    let mut target = String::with_capacity(path.len() + 96);
    target.push_str(path);
    let mut separator = '?';
    if let Some(query) = join(link.query.as_deref(), mark) {
        target.push(separator);
        target.push_str(&query);
        separator = '&';
    }
    if let Some(token) = in_query {
        target.push(separator);
        target.push_str("gv=");
        target.push_str(token);
    }
    (target.into(), fragment)
}

/// A query and a carrier's mark, which takes the place of an earlier one of the same name.
pub(crate) fn join(query: Option<&str>, mark: Option<&str>) -> Option<Arc<str>> {
    let Some(mark) = mark else {
        return query.map(Arc::from);
    };
    let names: Vec<&str> = mark.split('&').map(name_of).collect();
    match query.and_then(|query| without(query, &names)) {
        Some(query) => Some(format!("{query}&{mark}").into()),
        None => Some(mark.into()),
    }
}

fn name_of(parameter: &str) -> &str {
    parameter
        .split_once('=')
        .map_or(parameter, |(name, _)| name)
}

/// A query without some parameters; `None` where nothing is left.
pub(crate) fn without(query: &str, names: &[&str]) -> Option<Arc<str>> {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| !names.contains(&name_of(parameter)))
        .collect();
    (!kept.is_empty()).then(|| kept.join("&").into())
}
