//! How channels, and apps of private links, are found.

use std::collections::BTreeMap;

use grapevine_event::Channel;
use serde::Serialize;

use super::pipeline::Judged;

/// How a channel or an app is found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Visits that truly are of it.
    pub truth: usize,
    /// Visits that are stated to be of it.
    pub stated: usize,
    /// Visits that are both.
    pub right: usize,
    /// Visits of it that ordinary analytics books as such; `None` of an app, since it books none.
    pub right_conventional: Option<usize>,
    /// Of those that are of it, the mean P(private link); `None` where none is.
    pub dark: Option<f64>,
}

/// The channel that a perfect classifier gives; that of robots for what is no person's.
pub(super) fn true_channel(visit: &Judged) -> String {
    match visit.truth.kind.as_str() {
        "visit" => visit.truth.channel.to_string(),
        _ => Channel::Bot.to_string(),
    }
}

/// Whether ordinary analytics books a visit in its true channel.
pub(super) fn is_booked_right(visit: &Judged) -> bool {
    true_channel(visit) == visit.conventional.as_str()
}

/// Channels of visits.
pub(super) fn channels(visits: &[&Judged]) -> Vec<Found> {
    let mut rows = found(visits, &true_channel, &|visit| visit.channel.to_string());
    let mut booked: BTreeMap<String, usize> = BTreeMap::new();
    for visit in visits.iter().filter(|visit| is_booked_right(visit)) {
        *booked.entry(true_channel(visit)).or_default() += 1;
    }
    for row in &mut rows {
        row.right_conventional = Some(booked.get(&row.name).copied().unwrap_or_default());
    }
    rows
}

/// Apps of visits that truly are private links.
pub(super) fn apps(dark: &[&Judged]) -> Vec<Found> {
    found(
        dark,
        &|visit| visit.truth.app.clone(),
        &|visit| match visit.channel {
            Channel::DarkSocial => visit.app.clone(),
            _ => "(not dark)".to_owned(),
        },
    )
}

fn found(
    visits: &[&Judged],
    truth: &dyn Fn(&Judged) -> String,
    stated: &dyn Fn(&Judged) -> String,
) -> Vec<Found> {
    let mut rows: BTreeMap<String, (usize, usize, usize, f64)> = BTreeMap::new();
    for visit in visits {
        let (is, says) = (truth(visit), stated(visit));
        let right = is == says;
        let row = rows.entry(is).or_default();
        row.0 += 1;
        row.2 += usize::from(right);
        row.3 += visit.dark[1];
        rows.entry(says).or_default().1 += 1;
    }
    let row = |(name, (truth, stated, right, dark)): (String, (usize, usize, usize, f64))| Found {
        name,
        truth,
        stated,
        right,
        right_conventional: None,
        dark: (truth > 0).then(|| dark / truth as f64),
    };
    let mut rows: Vec<Found> = rows.into_iter().map(row).collect();
    rows.sort_by(|one, other| other.truth.cmp(&one.truth).then(one.name.cmp(&other.name)));
    rows
}

#[cfg(test)]
mod tests {
    use grapevine_event::Method;

    use super::super::lineage::tests::row;
    use super::*;

    /// A private link, with what is stated of it and what ordinary analytics books.
    fn private(channel: Channel, app: &str, conventional: Channel) -> Judged {
        Judged {
            truth: row(1, "share", None),
            time: 0,
            content: String::new(),
            conventional,
            channel,
            app: app.to_owned(),
            method: Method::Prior,
            dark: [0.0, 0.5, 1.0],
            search: 0.0,
            deep: true,
            facts: Vec::new(),
            rest: None,
        }
    }

    #[test]
    fn what_is_right_is_counted_beside_what_ordinary_analytics_books() {
        let mut searched = private(Channel::DarkSocial, "app", Channel::Search);
        searched.truth = row(2, "search", None);
        let visits = [
            private(Channel::DarkSocial, "app", Channel::Direct),
            private(Channel::DarkSocial, "other", Channel::Direct),
            private(Channel::Search, "", Channel::Direct),
            searched,
        ];
        let visits: Vec<&Judged> = visits.iter().collect();
        let of = |rows: Vec<Found>, name: &str| {
            let row = rows.into_iter().find(|row| row.name == name);
            let row = row.expect("it is among them");
            (row.truth, row.stated, row.right, row.right_conventional)
        };
        let dark = Channel::DarkSocial.as_str();
        assert_eq!(of(channels(&visits), dark), (3, 3, 2, Some(0)));
        let search = Channel::Search.as_str();
        assert_eq!(of(channels(&visits), search), (1, 1, 0, Some(1)));
        assert_eq!(of(apps(&visits[..3]), "app"), (3, 1, 1, None));
        assert_eq!(of(apps(&visits[..3]), "(not dark)"), (0, 1, 0, None));
    }
}
