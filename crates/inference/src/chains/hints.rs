//! What a content's history says about a landing, and how it is told.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

use grapevine_event::{Evidence, Visit};

use super::company::is_crowd;
use crate::calibration::PrivateReaders;
use crate::evidence;
use crate::model::{Model, Weight};

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// What a content's history says about a landing: five things at the most.
#[derive(Clone, Debug)]
pub struct Hints<'m> {
    /// Of an act of sharing shortly before.
    pub(super) act: Option<Hint<'m>>,
    /// Of the content's age.
    pub(super) age: Option<Hint<'m>>,
    /// Of others whom private links brought there of late.
    pub(super) private: Option<Hint<'m>>,
    /// Of others who came there by public ways of late.
    pub(super) public: Option<Hint<'m>>,
    /// Of how many others came there without a trace of late, against those by public ways.
    pub(super) traceless: Option<Hint<'m>>,
    /// That the visitor read it before; where this is said, readers of late say nothing.
    pub(super) read_before: Option<Hint<'m>>,
    /// Whether others of late are looked at.
    pub(super) others_count: bool,
}

impl<'m> Hints<'m> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Hint<'m>> {
        self.each().into_iter().flatten()
    }

    fn each(&self) -> [Option<&Hint<'m>>; 6] {
        [
            &self.act,
            &self.age,
            &self.private,
            &self.public,
            &self.traceless,
            &self.read_before,
        ]
        .map(Option::as_ref)
    }

    /// What readers of late whose way is known say, log-odds; 0 where they say nothing. By how much less others say
    /// beside them is part of it.
    pub fn company(&self) -> f64 {
        let likely = |hint: &Hint<'_>| hint.weight.dark.likely;
        let both = [&self.private, &self.public].into_iter().flatten();
        let beside = self.private.as_ref().and(self.traceless.as_ref());
        let lost = beside.filter(|hint| !is_crowd(hint.name));
        // Half of it is left.
        both.map(likely).sum::<f64>() - lost.map_or(0.0, likely)
    }

    /// How many others came by private links of late, as far as that says something; `None` where others are not
    /// looked at.
    pub fn private_readers(&self) -> Option<PrivateReaders> {
        self.others_count
            .then(|| match self.private.as_ref().map(|hint| hint.name) {
                None => PrivateReaders::None,
                Some(evidence::MANY_PRIVATE_READERS) => PrivateReaders::Many,
                Some(_) => PrivateReaders::Few,
            })
    }

    /// The same of a visitor who read the content before: he may be one of the readers of late, who say nothing of
    /// him then.
    #[must_use]
    pub(super) fn of_a_reader(self, model: &'m Model) -> Hints<'m> {
        Hints {
            read_before: Some(Hint {
                name: evidence::READ_BEFORE,
                words: Words::ReadBefore,
                weight: Cow::Borrowed(&model.weight.read_before),
            }),
            ..self.without_others()
        }
    }

    /// The same where others are not looked at.
    #[must_use]
    pub(super) fn without_others(self) -> Hints<'m> {
        Hints {
            private: None,
            public: None,
            traceless: None,
            others_count: false,
            ..self
        }
    }

    /// The same of a home page or a section's front, which everybody opens, and again and again: others say nothing
    /// there, nor that the visitor read it before.
    #[must_use]
    pub fn on_front(self) -> Hints<'m> {
        Hints {
            read_before: None,
            ..self.without_others()
        }
    }

    /// The same of a visitor whom the site knows by an id: that he was here before stands in his visit's evidence
    /// already.
    #[must_use]
    pub fn of_a_visitor_with_id(self) -> Hints<'m> {
        Hints {
            read_before: None,
            ..self
        }
    }

    /// The hints as evidence, told in `words`, whatever was in them; `name_of` gives the name for
    /// people of an app.
    pub fn evidence<'w, 'n>(
        &self,
        name_of: &dyn Fn(u16) -> Cow<'n, str>,
        words: &'w mut String,
    ) -> impl Iterator<Item = Evidence<'w>> {
        words.clear();
        let told = self.each().map(|hint| {
            let from = words.len();
            if let Some(hint) = hint {
                hint.tell(name_of, words);
            }
            (hint, from..words.len())
        });
        let words: &'w str = words;
        told.into_iter()
            .filter_map(move |(hint, place)| Some(hint?.evidence(&words[place])))
    }
}

/// One thing that a content's history says about a landing.
#[derive(Clone, Debug)]
pub struct Hint<'m> {
    pub(super) name: &'static str,
    pub(super) words: Words,
    pub(super) weight: Cow<'m, Weight>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Words {
    Act {
        /// The app that fetched the link; none where the act was on the page.
        fetched_by: Option<u16>,
        before_ms: i64,
        same_network: bool,
    },
    Fresh {
        age_ms: i64,
    },
    Old {
        age_ms: i64,
    },
    Company {
        by: &'static str,
        readers: f32,
    },
    Traceless {
        traceless: f32,
        public: f32,
    },
    Crowd {
        traceless: f32,
        signs: f32,
    },
    ReadBefore,
}

impl Hint<'_> {
    fn tell<'n>(&self, name_of: &dyn Fn(u16) -> Cow<'n, str>, words: &mut String) {
        // A string takes whatever is written.
        let _ = match self.words {
            Words::Act {
                fetched_by,
                before_ms,
                same_network,
            } => {
                let network = match same_network {
                    true => " from the same network",
                    false => "",
                };
                let before = InWords(before_ms);
                match fetched_by.map(name_of) {
                    Some(app) => write!(words, "{app} fetched this link {before} before{network}"),
                    None => write!(
                        words,
                        "a reader copied this link or pressed a share button {before} before{network}"
                    ),
                }
            }
            Words::Fresh { age_ms } | Words::Old { age_ms } => {
                write!(words, "content first seen {} ago", InWords(age_ms))
            }
            Words::Company { by, readers } => {
                write!(
                    words,
                    "readers came to this content by {by} of late: {readers:.1}, each counting half after 12 h"
                )
            }
            Words::ReadBefore => words
                .write_str("a visitor of the same address and browser read this content before"),
            Words::Traceless { traceless, public } => {
                write!(
                    words,
                    "readers came to this content of late without a trace: {traceless:.1}, by public ways: \
                     {public:.1}, each counting half after 12 h"
                )
            }
            Words::Crowd { traceless, signs } => {
                write!(
                    words,
                    "{traceless:.0} readers came to this content without a trace within the hour; signs that it was passed \
                     on: {signs:.0}; what a site sends without tags looks so"
                )
            }
        };
    }

    fn evidence<'w>(&self, detail: &'w str) -> Evidence<'w> {
        Evidence {
            name: self.name,
            detail: detail.into(),
            log_odds: self.weight.dark.likely as f32,
            search_log_odds: Some(self.weight.search as f32),
        }
    }

    /// Adds the hint to a judgement that was made by log-odds.
    pub fn apply(&self, visit: &mut Visit<'_>) {
        let before = [
            visit.dark_probability_low,
            visit.dark_probability,
            visit.dark_probability_high,
            visit.dark_search_probability,
        ];
        let after = crate::classification::add_to_odds(before, &self.weight);
        let [low, likely, high, search] = after;
        visit.dark_probability_low = low;
        visit.dark_probability = likely;
        visit.dark_probability_high = high;
        visit.dark_search_probability = search;
        let (channel, app) = crate::classification::most_probable(after);
        visit.channel = channel;
        visit.app = app.into();
    }
}

/// Adds hints to what the rest of a visit says whose token decided; false where it has no such rest, since
/// something besides its token decided.
pub fn add_to_rest(facts: &mut [Evidence<'_>], hints: &Hints<'_>) -> bool {
    let rest = facts
        .iter_mut()
        .find(|fact| fact.name == evidence::WITHOUT_TOKEN);
    let Some(rest) = rest else {
        return false;
    };
    let add = |sum: f64, hint: &Hint<'_>| sum + hint.weight.dark.likely;
    rest.log_odds += hints.iter().fold(0.0, add) as f32;
    if let Some(search) = &mut rest.search_log_odds {
        let add = |sum: f64, hint: &Hint<'_>| sum + hint.weight.search;
        *search += hints.iter().fold(0.0, add) as f32;
    }
    true
}

/// A duration of so many milliseconds in words, its largest unit only.
struct InWords(i64);

impl Display for InWords {
    fn fmt(&self, words: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ..0 => words.write_str("0 s"),
            ms @ 0..MINUTE_MS => write!(words, "{} s", ms / 1_000),
            ms @ MINUTE_MS..HOUR_MS => write!(words, "{} min", ms / MINUTE_MS),
            ms @ HOUR_MS..DAY_MS => write!(words, "{} h", ms / HOUR_MS),
            ms => write!(words, "{} d", ms / DAY_MS),
        }
    }
}
