//! The collector over real sockets and a real log.

mod life;
mod running;
mod senders;
mod taken;
mod web;
