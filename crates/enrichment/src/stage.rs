//! What the loop asks of a stage.

use grapevine_inference::StateError;

use crate::outputs::Outputs;

/// A stage: reads one topic, keeps state, appends what follows.
///
/// Outputs and state are a function of the input records in order and of nothing else: no clock,
/// no dice, no order of a hash map, and nothing of how the input was cut into batches. That is
/// what makes a snapshot with a replay as good as never having stopped.
pub trait Stage {
    /// Name of the consumer in the log, and of the stage in dead letters.
    const NAME: &'static str;
    /// The topic that it reads.
    const INPUT: &'static str;

    /// Takes the record at `offset` of the input. What cannot be decoded or processed becomes a
    /// dead letter through `out`; nothing stops the stage.
    fn process(&mut self, offset: u64, record: &[u8], out: &mut Outputs);

    /// The whole state. Equal histories give equal bytes.
    ///
    /// # Errors
    /// State that cannot be written, which would be a defect.
    fn snapshot(&self) -> Result<Vec<u8>, StateError>;

    /// Takes over the state of a [`snapshot`](Self::snapshot).
    ///
    /// # Errors
    /// Bytes of a newer version, or damaged ones. The state is then as it was.
    fn restore(&mut self, snapshot: &[u8]) -> Result<(), StateError>;

    /// How many things the state remembers: what a snapshot costs is proportional to it.
    fn entries(&self) -> usize;

    /// What was left out or could not be used since the beginning of the log, by name.
    fn counts(&self) -> Vec<(&'static str, u64)>;
}
