//! Waiting for rows to be there to query.

use std::time::{Duration, Instant};

use super::Failed;
use super::hits::TABLES;
use super::world::{PATIENCE, Service};
use crate::clickhouse::Asked;

/// Between two looks: what times of rows are exact to.
const LOOK: Duration = Duration::from_millis(50);

/// When rows were there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    /// A look before the first were.
    pub(super) first: Instant,
    /// All were.
    pub(super) last: Instant,
}

/// Waits until every table of [`TABLES`] has as many rows as expected.
///
/// # Errors
/// More rows than that, none for too long, or a service that ended.
pub(super) fn wait(
    asked: &Asked,
    expected: [u64; 3],
    services: &mut [&mut Service],
) -> Result<Came, Failed> {
    let counts = TABLES.map(|table| format!("(SELECT count() FROM grapevine.{table})"));
    let sql = format!("SELECT {}", counts.join(", "));
    let (mut first, mut before) = (Instant::now(), Instant::now());
    let (mut seen, mut moved) = ([0; 3], Instant::now());
    loop {
        let began = Instant::now();
        let rows = asked.rows(&sql).map_err(Failed)?;
        let numbers = rows.first().map_or(&[][..], Vec::as_slice);
        let mut found = [0; 3];
        for (at, number) in numbers.iter().enumerate().take(3) {
            found[at] = number.parse().unwrap_or(0);
        }
        if seen == [0; 3] && found != [0; 3] {
            first = before;
        }
        before = began;
        if found == expected {
            let last = Instant::now();
            return Ok(Came { first, last });
        }
        if (0..3).any(|at| found[at] > expected[at]) {
            return Err(Failed(format!(
                "{TABLES:?} have {found:?} rows, more than the {expected:?} there should be"
            )));
        }
        if found != seen {
            (seen, moved) = (found, Instant::now());
        }
        if moved.elapsed() > PATIENCE {
            return Err(Failed(format!(
                "{TABLES:?} have {found:?} rows of {expected:?}, and no more come"
            )));
        }
        for service in services.iter_mut() {
            service.lives()?;
        }
        std::thread::sleep(LOOK);
    }
}
