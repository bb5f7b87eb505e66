//! The collector over real sockets and a real log.

mod life;
mod running;
mod senders;
mod slow;
mod taken;
mod web;
