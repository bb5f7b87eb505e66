//! Origins and shims: referrers, packages and the names that campaign tags give to places.

use super::{FIX_EXAMPLE, FIX_WORD, Missed, missed, not_empty, tags};
use crate::{AgentKind, Origin, Shim, Signals};

/// Tries each host, package and name, and the examples.
pub(super) fn origin(signals: &Signals, row: &Origin) -> Result<(), Missed> {
    let is_it = |text: &str, found: Option<&Origin>, fix| match found {
        Some(found) if found.id == row.id => Ok(()),
        Some(found) => Err(missed(text, format!("of origin `{}`", found.id), fix)),
        None => Err(missed(text, "of no origin".to_owned(), fix)),
    };
    for host in &row.hosts {
        let url = format!("https://{}/", a_host(host));
        is_it(&url, signals.referrer(&url).origin(), FIX_WORD)?;
    }
    for package in &row.packages {
        is_it(package, signals.package(package), FIX_WORD)?;
    }
    for alias in row.aliases.iter().chain([&row.id]) {
        is_it(alias, signals.campaign(alias, "").origin, FIX_WORD)?;
    }
    for example in &row.examples {
        is_it(example, of_example(signals, example), FIX_EXAMPLE)?;
    }
    Ok(())
}

/// The origin of a referrer, of campaign tags, or of a user agent.
fn of_example<'s>(signals: &'s Signals, example: &'s str) -> Option<&'s Origin> {
    if let Some(origin) = signals.referrer(example).origin() {
        return Some(origin);
    }
    if let Some(tags) = tags::read(signals, example) {
        return signals.campaign(&tags.source, &tags.medium).origin;
    }
    let agent = signals.agent(example);
    let app = match (agent.kind, agent.in_app) {
        (AgentKind::PreviewFetcher(row), _) => &row.app,
        (AgentKind::Person, Some(row)) => &row.app,
        _ => return None,
    };
    signals.origin(app)
}

/// Tries each host with each parameter, and the examples, of which it has at least one.
pub(super) fn shim(signals: &Signals, row: &Shim) -> Result<(), Missed> {
    not_empty(&row.examples)?;
    let is_it = |url: &str, fix| {
        let host = signals.referrer(url).host;
        match signals.shim_of_host(&host) {
            Some(found) if found.id != row.id => {
                return Err(missed(url, format!("of shim `{}`", found.id), fix));
            }
            _ => {}
        }
        match signals.unwrap_shim(url) {
            Some(_) => Ok(()),
            None => Err(missed(url, "an address that leads nowhere".to_owned(), fix)),
        }
    };
    for host in &row.hosts {
        for parameter in &row.parameters {
            let (host, path) = (a_host(host), &row.path);
            let url = format!("https://{host}{path}?{parameter}=https%3A%2F%2Fsite.example%2Fa");
            is_it(&url, FIX_WORD)?;
        }
    }
    let fix = "correct `hosts`, `path` or `parameters`, or the example";
    row.examples
        .iter()
        .try_for_each(|example| is_it(example, fix))
}

/// A host that a name as data files write it stands for.
fn a_host(name: &str) -> String {
    let plain = name.trim_start_matches('=');
    plain.replace(".*", ".co.uk").replace('*', "eu")
}
