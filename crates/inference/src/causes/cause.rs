//! What may have been the cause of an arrival.

/// One cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The outside world.
    Outside,
    /// The earlier arrival of this key, by a share that was not seen.
    Reader(u64),
    /// The act of sharing of this key.
    Act(u64),
    /// Somebody who is no arrival, by a share that was not seen.
    Stranger,
    /// One of the earlier arrivals that are not kept one by one, up to this ordinal.
    Gone(u32),
}

/// Some earlier arrivals that are not kept one by one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pooled {
    /// Greatest ordinal among them.
    pub last: u32,
    /// How many.
    pub count: u32,
    /// Probability that one of them is the cause.
    pub probability: f64,
}

/// An act of sharing as a cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ByAct {
    /// The act.
    pub key: u64,
    /// Probability that it is the cause.
    pub probability: f64,
    /// Who is likeliest to have shared, likeliest first: key of the arrival, and probability given
    /// the act. What is missing to one is somebody else, or somebody who never visited.
    pub sharers: [Option<(u64, f64)>; super::acts::SHARERS_MAX],
}
