//! A landing as the stage hands it to its classifier.

use std::sync::{Arc, OnceLock};

use grapevine_event::{Hit, Id, VisitorBasis};
use grapevine_inference::{Classification, Classifier, Model, VisitorContext};
use grapevine_signals::Signals;

pub(crate) const ARTICLE: &str =
    "https://www.example.org/politics/2026/11/the-long-story-of-a-small-town";
pub(crate) const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";
pub(crate) const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";

/// Built once: it takes a while.
pub(crate) fn signals() -> Arc<Signals> {
    static SIGNALS: OnceLock<Arc<Signals>> = OnceLock::new();
    SIGNALS.get_or_init(|| Arc::new(Signals::builtin())).clone()
}

pub(crate) fn classifier() -> &'static Classifier {
    static CLASSIFIER: OnceLock<Classifier> = OnceLock::new();
    CLASSIFIER.get_or_init(|| Classifier::new(signals(), Model::builtin()))
}

pub(crate) const NEW: VisitorContext = VisitorContext {
    returning: false,
    basis: VisitorBasis::Client,
    token_again: false,
};

pub(crate) fn landing<'a>(url: &'a str, referrer: &'a str, user_agent: &'a str) -> Hit<'a> {
    Hit {
        referrer: Some(referrer).filter(|referrer| !referrer.is_empty()),
        user_agent,
        ..Hit::page_view(Id::default(), "example.org", 0, url)
    }
}

pub(crate) fn judge<'a>(hit: &Hit<'a>, visitor: &VisitorContext) -> Classification<'a> {
    judge_by(classifier(), hit, visitor)
}

pub(crate) fn judge_by<'a>(
    classifier: &'a Classifier,
    hit: &Hit<'a>,
    visitor: &VisitorContext,
) -> Classification<'a> {
    let signals = classifier.signals();
    let agent = signals.agent(hit.user_agent);
    let referrer = signals.referrer(hit.referrer.unwrap_or_default());
    let link = signals.link(hit.url).expect("an address");
    classifier.classify(hit, &agent, &referrer, &link, visitor)
}
