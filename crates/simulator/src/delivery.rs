//! How hits reach a collector: late, out of order, and by clocks that are wrong.
//!
//! What happens on the site stays the same: delays and clocks are drawn from the identity of a hit
//! and of its sender, not from the simulation's own draws.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::arithmetic::{ln, mix};
use crate::event::Event;
use crate::scenario::Delivery;

/// Nothing is delivered later than this after it happened.
const DELAY_MS_MAX: f64 = 86_400_000.0;

/// Puts events into the order in which a collector gets their hits, and sets the clocks of their
/// senders ([`Event::clock_ms`]). Events without a hit stay in their place. Memory: what is under
/// way, at most a day of it.
pub fn deliver<I: Iterator<Item = Event>>(
    events: I,
    delivery: &Delivery,
    seed: u64,
) -> Delivered<I> {
    Delivered {
        events,
        delivery: delivery.clone(),
        seed,
        waiting: BinaryHeap::new(),
        ended: false,
    }
}

/// See [`deliver`].
#[derive(Debug)]
pub struct Delivered<I> {
    events: I,
    delivery: Delivery,
    seed: u64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    due: i64,
    id: u64,
    event: Box<Event>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.id) == (other.due, other.id)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.id).cmp(&(other.due, other.id))
    }
}

/// Uniform in [0, 1), a function of what it is drawn for.
fn unit(of: u64) -> f64 {
    (mix(of) >> 11) as f64 / (1u64 << 53) as f64
}

fn exponential(mean: f64, of: u64) -> f64 {
    -mean * ln(1.0 - unit(of))
}

impl<I: Iterator<Item = Event>> Delivered<I> {
    fn delay_ms(&self, event: &Event) -> i64 {
        let draw = |what: u64| mix(self.seed ^ (what << 56)) ^ event.id;
        let mut seconds = exponential(self.delivery.jitter_seconds, draw(0x71));
        if unit(draw(0x72)) < self.delivery.late {
            seconds += exponential(60.0 * self.delivery.late_minutes, draw(0x73));
        }
        (seconds * 1_000.0).min(DELAY_MS_MAX) as i64
    }

    /// How far the clock of the sender is ahead; a device keeps its error.
    fn clock_ms(&self, event: &Event) -> i64 {
        let Some(client) = &event.client else {
            return 0;
        };
        let sender = client
            .visitor
            .bytes()
            .fold(self.seed, |hash, byte| mix(hash ^ u64::from(byte)));
        if unit(sender ^ 0x74) >= self.delivery.skewed {
            return 0;
        }
        let ahead = exponential(60.0 * self.delivery.skew_minutes, sender ^ 0x75);
        let sign = if unit(sender ^ 0x76) < 0.5 { -1.0 } else { 1.0 };
        (sign * ahead * 1_000.0) as i64
    }
}

impl<I: Iterator<Item = Event>> Iterator for Delivered<I> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while !self.ended {
            let Some(mut event) = self.events.next() else {
                self.ended = true;
                break;
            };
            let now = event.time;
            let mut due = now;
            if event.is_hit() {
                event.clock_ms = self.clock_ms(&event);
                due += self.delay_ms(&event);
            }
            self.waiting.push(Reverse(Waiting {
                due,
                id: event.id,
                event: Box::new(event),
            }));
            // What comes later happens later, and so is due later.
            if self.waiting.peek().is_some_and(|next| next.0.due <= now) {
                break;
            }
        }
        self.waiting.pop().map(|next| *next.0.event)
    }
}
