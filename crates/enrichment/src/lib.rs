//! The classify and chain stages: state, snapshots, and the loop that drives them over the log.
