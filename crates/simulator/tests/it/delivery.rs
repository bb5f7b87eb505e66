use std::collections::HashMap;

use grapevine_simulator::{Delivery, Event, deliver};

use crate::SMALL;

fn delivered(delivery: &Delivery) -> Vec<Event> {
    deliver(SMALL.iter().cloned(), delivery, 7).collect()
}

#[test]
fn perfect_delivery_changes_nothing() {
    assert_eq!(delivered(&Delivery::default()), *SMALL);
}

#[test]
fn bad_delivery_moves_hits_and_clocks_and_nothing_else() {
    let delivery = Delivery {
        jitter_seconds: 2.0,
        late: 0.1,
        late_minutes: 30.0,
        skewed: 0.2,
        skew_minutes: 60.0,
    };
    let events = delivered(&delivery);
    assert_eq!(events, delivered(&delivery), "the same seed");
    assert_eq!(events.len(), SMALL.len());
    let before: HashMap<u64, &Event> = SMALL.iter().map(|event| (event.id, event)).collect();
    let mut clocks: HashMap<&str, i64> = HashMap::new();
    let (mut newest, mut overtaken, mut late, mut hits) = (0, 0, 0, 0);
    for event in &events {
        let plain = Event {
            clock_ms: 0,
            ..event.clone()
        };
        assert_eq!(&plain, before[&event.id]);
        if event.is_hit() {
            hits += 1;
            overtaken += usize::from(event.time < newest);
            late += usize::from(newest - event.time > 300_000);
        } else {
            assert_eq!(event.clock_ms, 0);
        }
        if let Some(client) = &event.client {
            let known = clocks.entry(&client.visitor).or_insert(event.clock_ms);
            assert_eq!(*known, event.clock_ms, "a device keeps its error");
        }
        newest = newest.max(event.time);
    }
    // A tenth is late, of whom e^(-5/30) by more than five minutes; nearly all others by seconds.
    let part = late as f64 / hits as f64;
    assert!((0.06..0.1).contains(&part), "{part}");
    assert!(overtaken > late, "{overtaken}");
    let skewed = clocks.values().filter(|ms| **ms != 0).count() as f64 / clocks.len() as f64;
    assert!((skewed - 0.2).abs() < 0.05, "{skewed}");
}
