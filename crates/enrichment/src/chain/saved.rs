//! The saved state of the stage, in the format of this version and of those before.

use grapevine_inference::chains::{Chains, SavedChains};
use grapevine_inference::shares::Acts;
use grapevine_inference::surges::Surges;
use grapevine_inference::{StateError, format_of, from_bytes, to_bytes};
use serde::Deserialize;

use super::state::{Counts, State};
use super::waiting::Waiting;
use crate::calibrating::Calibrating;

/// Format of the saved state: 17 has when the first visits of a content were, what the last hour brought, signs of
/// sharing, whose the tokens are that sites learn from, what visits show of whether anybody passed a content on, and
/// who hangs right below whom. No release wrote 2 to 16.
const FORMAT: u32 = 17;
/// That of release 0.1.0, which knew certain chains only.
const CERTAIN_ONLY: u32 = 1;

#[derive(Deserialize)]
struct CertainOnly {
    chains: SavedChains,
    due: Option<i64>,
    time: i64,
    counts: SavedCounts,
}

#[derive(Deserialize)]
struct SavedCounts {
    returns: u64,
    tokens_unknown: u64,
    dead_letters: u64,
}

pub(super) fn write(state: &State) -> Result<Vec<u8>, StateError> {
    to_bytes(FORMAT, state)
}

/// Reads a state. One of the release before goes on as it was: what spreads is followed from then
/// on, and only tokens that came before are known of what was before.
pub(super) fn read(bytes: &[u8]) -> Result<State, StateError> {
    if format_of(bytes) != Some(CERTAIN_ONLY) {
        return from_bytes(FORMAT, bytes);
    }
    let saved: CertainOnly = from_bytes(CERTAIN_ONLY, bytes)?;
    Ok(State {
        chains: Chains::from(saved.chains),
        surges: Surges::default(),
        calibrating: Calibrating::default(),
        acts: Acts::default(),
        waiting: Waiting::default(),
        due: saved.due,
        time: saved.time,
        counts: Counts {
            returns: saved.counts.returns,
            tokens_unknown: saved.counts.tokens_unknown,
            dead_letters: saved.counts.dead_letters,
            ..Counts::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[test]
    fn a_state_of_the_last_release_goes_on() {
        // As release 0.1.0 wrote one, empty but for a content: two maps of contents, starts, the forest, no
        // live clock; nothing due, the time, three counts.
        let map = |capacity: u32| (capacity, Vec::new());
        // Of a content: its first visit, its last sign, how many visits, no acts.
        type Content = (Option<i64>, i64, u32, Vec<u8>);
        #[derive(Serialize)]
        struct Old {
            contents: [(u32, Vec<(u64, Content)>); 2],
            starts: (u32, Vec<u8>),
            maps: [(u32, Vec<u8>); 4],
            changed: Vec<u64>,
            forgotten: Vec<u8>,
            apps: Vec<String>,
            live: Option<i64>,
            due: Option<i64>,
            time: i64,
            counts: [u64; 3],
        }
        let old = Old {
            contents: [
                (114_688, vec![(5, (Some(3), 7, 2, Vec::new()))]),
                (114_688, Vec::new()),
            ],
            starts: map(4_096),
            maps: [map(458_752), map(458_752), map(458_752), map(65_536)],
            changed: Vec::new(),
            forgotten: Vec::new(),
            apps: vec![String::new(), "whatsapp".to_owned()],
            live: Some(9),
            due: None,
            time: 7,
            counts: [1, 2, 3],
        };
        let bytes = to_bytes(CERTAIN_ONLY, &old).expect("writes");
        let state = read(&bytes).expect("reads");
        assert_eq!((state.time, state.counts.dead_letters), (7, 3));
        assert_eq!(state.chains.app_name(1), "whatsapp");
        assert_eq!(state.chains.entries(), 1, "the content");
        let again = read(&write(&state).expect("writes")).expect("reads");
        assert_eq!(write(&again), write(&state));
    }

    #[test]
    fn a_damaged_or_newer_state_is_refused() {
        let bytes = write(&State::default()).expect("writes");
        assert!(read(&bytes[..bytes.len() - 1]).is_err());
        assert!(read(&[]).is_err());
        let newer = [&(FORMAT + 1).to_le_bytes()[..], &bytes[4..]].concat();
        let error = read(&newer).err().expect("refused").to_string();
        assert!(error.contains("use a newer grapevine"), "{error}");
    }
}
