//! What sets up a stage: both stages as the product has them, over what is shipped.

use std::sync::{Arc, OnceLock};

use grapevine_enrichment::{ChainStage, ClassifyStage};
use grapevine_inference::{Classifier, Model};
use grapevine_signals::Signals;

/// A browser that says of no app.
pub(crate) const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

/// Built once: it takes a while.
pub(crate) fn classifier() -> Arc<Classifier> {
    static CLASSIFIER: OnceLock<Arc<Classifier>> = OnceLock::new();
    let build = || {
        Arc::new(Classifier::new(
            Arc::new(Signals::builtin()),
            Model::builtin(),
        ))
    };
    CLASSIFIER.get_or_init(build).clone()
}

/// The classify stage, new.
pub(crate) fn classify() -> ClassifyStage {
    ClassifyStage::new(classifier())
}

/// The chain stage, new.
pub(crate) fn chain() -> ChainStage {
    ChainStage::new(classifier())
}
