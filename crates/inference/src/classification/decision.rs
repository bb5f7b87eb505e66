//! What one fact decides, and why.

use std::borrow::Cow;

use grapevine_event::{Channel, Evidence, Method};

use super::Classification;
use crate::model::Range;

/// What a fact makes of a landing.
pub(super) struct Verdict<'a> {
    pub(super) channel: Channel,
    pub(super) app: &'a str,
    pub(super) method: Method,
    pub(super) dark: Range,
    /// Name of the robot where the channel is bot.
    pub(super) robot: Option<&'a str>,
}

/// A verdict with its reason.
pub(super) struct Decision<'a> {
    pub(super) verdict: Verdict<'a>,
    pub(super) why: Evidence<'a>,
    /// What a token's last hop says beside it.
    pub(super) last_hop: Option<Evidence<'a>>,
}

/// A fact that decides, or that is noted beside one.
pub(super) fn fact<'a>(name: &'static str, detail: impl Into<Cow<'a, str>>) -> Evidence<'a> {
    Evidence {
        name,
        detail: detail.into(),
        log_odds: 0.0,
        search_log_odds: Some(0.0),
    }
}

impl<'a> Verdict<'a> {
    pub(super) fn new(channel: Channel, app: &'a str, method: Method, dark: Range) -> Self {
        Verdict {
            channel,
            app,
            method,
            dark,
            robot: None,
        }
    }

    pub(super) fn because(
        self,
        name: &'static str,
        detail: impl Into<Cow<'a, str>>,
    ) -> Decision<'a> {
        Decision {
            verdict: self,
            why: fact(name, detail),
            last_hop: None,
        }
    }
}

impl<'a> Decision<'a> {
    /// The judgement, its evidence in an empty `list`.
    pub(super) fn judged(self, mut list: Vec<Evidence<'a>>) -> Classification<'a> {
        list.push(self.why);
        list.extend(self.last_hop);
        let Verdict {
            channel,
            app,
            method,
            dark,
            robot,
        } = self.verdict;
        Classification {
            conventional_channel: channel,
            channel,
            app,
            method,
            dark_probability: dark.likely as f32,
            dark_probability_low: dark.low as f32,
            dark_probability_high: dark.high as f32,
            dark_search_probability: 0.0,
            evidence: list,
            robot,
        }
    }
}
