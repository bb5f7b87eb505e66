//! Who truly sent each reader, among those whom the product could have named.

use std::collections::{HashMap, HashSet};

use super::truth::Truth;

/// One landing as the product booked it.
#[derive(Clone, Debug)]
pub(super) struct Landing {
    pub(super) visit: [u8; 16],
    pub(super) content: String,
    pub(super) visitor: Option<i64>,
    /// Event time, milliseconds since 1970 UTC.
    pub(super) time: i64,
    /// P(private link).
    pub(super) dark: f64,
}

/// What truly brought a landing about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrueCause {
    /// No reader of the site: search, another site, a typed address, somebody's message.
    Outside,
    /// A share of this person, who had read the content before.
    Reader {
        /// The person.
        person: u64,
        /// Whether the link was posted in public.
        public: bool,
    },
    /// A share of somebody whose reading the product never got, nor that of anybody above.
    Unseen {
        /// Whether the link was posted in public.
        public: bool,
        /// The person who shared, where the simulation has one.
        sharer: Option<u64>,
    },
    /// No new reader: the same person again, or no person.
    NoReader,
}

impl TrueCause {
    /// Whether a reader of the site passed the link on, in private, or at all.
    pub(super) fn is_share(self, in_public_too: bool) -> bool {
        match self {
            TrueCause::Reader { public, .. } | TrueCause::Unseen { public, .. } => {
                in_public_too || !public
            }
            TrueCause::Outside | TrueCause::NoReader => false,
        }
    }
}

/// One landing that the product booked, with what is true of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traced<'a> {
    pub(super) landing: &'a Landing,
    pub(super) truth: &'a Truth,
    pub(super) cause: TrueCause,
    /// Whether it is the product's first of this visitor on the content: a reader to it.
    pub(super) is_reader: bool,
}

/// Traces landings, which come in order of time with their truths, back to true parents.
///
/// A sharer whom the product has not seen read the content is replaced by whoever sent him, and so
/// on: an edge means "next reader known above".
pub(super) fn trace<'a>(
    landings: impl Iterator<Item = (&'a Landing, &'a Truth)>,
    truth: &[Truth],
) -> Vec<Traced<'a>> {
    let people = truth.iter().filter(|row| row.kind == "visit");
    let visits: HashMap<u64, &Truth> = people.filter_map(|row| Some((row.visit?, row))).collect();
    let mut persons: HashSet<(&str, u64)> = HashSet::new();
    let mut visitors: HashSet<(&str, i64)> = HashSet::new();
    let mut traced = Vec::new();
    for (landing, row) in landings {
        let content = landing.content.as_str();
        let again = row
            .person
            .is_some_and(|person| persons.contains(&(content, person)));
        let cause = match row.cause.as_str() {
            _ if row.kind != "visit" || again => TrueCause::NoReader,
            "return" => TrueCause::NoReader,
            "share" => {
                let seen = |person| persons.contains(&(content, person));
                sent_by(row, &visits, &seen)
            }
            _ => TrueCause::Outside,
        };
        if let (true, Some(person)) = (row.kind == "visit", row.person) {
            persons.insert((content, person));
        }
        let is_reader = match landing.visitor {
            Some(visitor) => visitors.insert((content, visitor)),
            None => true,
        };
        traced.push(Traced {
            landing,
            truth: row,
            cause,
            is_reader,
        });
    }
    traced
}

fn sent_by(child: &Truth, visits: &HashMap<u64, &Truth>, seen: &dyn Fn(u64) -> bool) -> TrueCause {
    let public = !child.is_dark();
    let mut at = child;
    // A parent comes before its children: the way up ends.
    while let Some(parent) = at.parent.and_then(|visit| visits.get(&visit)) {
        if let Some(person) = parent.person.filter(|person| seen(*person)) {
            return TrueCause::Reader { person, public };
        }
        at = parent;
    }
    let sharer = child.parent.and_then(|visit| visits.get(&visit));
    TrueCause::Unseen {
        public,
        sharer: sharer.and_then(|sharer| sharer.person),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use grapevine_event::Channel;

    use super::*;

    /// A visit of a person by that cause, sent by another visit.
    pub(in super::super) fn row(visit: u64, cause: &str, parent: Option<u64>) -> Truth {
        Truth {
            id: format!("sim-{visit}"),
            line: None,
            kind: "visit".to_owned(),
            landing: true,
            cause: cause.to_owned(),
            channel: match cause {
                "share" => Channel::DarkSocial,
                "public" => Channel::Social,
                _ => Channel::Search,
            },
            app: "app".to_owned(),
            token_of: None,
            person: Some(visit),
            visit: Some(visit),
            parent,
        }
    }

    pub(in super::super) fn landing(visit: u64, visitor: i64) -> Landing {
        Landing {
            visit: [visit as u8; 16],
            content: "https://a.example/x".to_owned(),
            visitor: Some(visitor),
            time: visit as i64,
            dark: 0.0,
        }
    }

    fn causes(rows: &[Truth], got: &[usize]) -> Vec<TrueCause> {
        let landings: Vec<Landing> = (got.iter())
            .map(|at| landing(rows[*at].visit.unwrap_or(99), *at as i64))
            .collect();
        let pairs = landings.iter().zip(got.iter().map(|at| &rows[*at]));
        let traced = trace(pairs, rows);
        traced.iter().map(|traced| traced.cause).collect()
    }

    #[test]
    fn a_parent_whom_the_product_never_got_is_replaced_by_the_next_above() {
        let rows = [
            row(1, "search", None),
            row(2, "share", Some(1)),
            row(3, "share", Some(2)),
        ];
        let by = |person| TrueCause::Reader {
            person,
            public: false,
        };
        assert_eq!(
            causes(&rows, &[0, 1, 2]),
            [TrueCause::Outside, by(1), by(2)]
        );
        assert_eq!(causes(&rows, &[0, 2]), [TrueCause::Outside, by(1)]);
        assert_eq!(
            causes(&rows, &[2]),
            [TrueCause::Unseen {
                public: false,
                sharer: Some(2),
            }]
        );
    }

    #[test]
    fn who_reads_again_and_who_is_no_person_are_no_readers() {
        let mut rows = [
            row(1, "search", None),
            row(2, "search", None),
            row(3, "return", None),
            row(4, "crawl", None),
            row(5, "share", Some(1)),
        ];
        rows[1].person = Some(1);
        rows[3].kind = "robot".to_owned();
        rows[4].channel = Channel::Social;
        use TrueCause::NoReader;
        let public = TrueCause::Reader {
            person: 1,
            public: true,
        };
        let found = causes(&rows, &[0, 1, 2, 3, 4]);
        assert_eq!(
            found,
            [TrueCause::Outside, NoReader, NoReader, NoReader, public]
        );
        assert!(!public.is_share(false) && public.is_share(true));
    }
}
