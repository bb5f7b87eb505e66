//! The `grapevine` command.
fn main() {}
