//! The log that the stages read and append to, in its local home.
