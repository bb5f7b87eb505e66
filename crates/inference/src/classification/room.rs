//! What judging a landing needs besides the landing.

use grapevine_event::Evidence;
use grapevine_signals::Texts;

/// Room to judge in. What was large enough for the landings before is large enough for the next, so nothing is
/// allocated.
#[derive(Debug, Default)]
pub struct Room {
    /// An empty list for the evidence. A judgement takes it; whoever is done with the judgement puts it back,
    /// emptied.
    pub evidence: Vec<Evidence<'static>>,
    /// What is said of a landing where that is not the same for all.
    pub(super) texts: Texts,
}
