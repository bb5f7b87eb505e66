//! Hits that came before: sent again by a client, or by a collector that did not learn whether Kafka
//! had taken them.

use grapevine_event::{Hit, Protocol};
use grapevine_inference::Recent;
use serde::{Deserialize, Serialize};

/// Ids of clients remembered: 40 bytes each at most.
pub(super) const OF_CLIENTS_MAX: u32 = 57_344;
/// Ids that a collector gave, remembered: 40 bytes each at most. More than those of clients: the copy
/// from a spool comes behind all that other collectors have sent meanwhile.
const OF_COLLECTORS_MAX: u32 = 262_144;

/// Which hits were here already, among the last ones of a partition.
#[derive(Serialize, Deserialize)]
pub(super) struct Repeats {
    of_clients: Recent<()>,
    /// Apart from those of clients, which would have to go for every hit without one.
    of_collectors: Recent<()>,
}

impl Default for Repeats {
    fn default() -> Self {
        Repeats::after(Recent::new(OF_CLIENTS_MAX))
    }
}

impl Repeats {
    /// With the ids of clients that are known, and none of collectors.
    pub(super) fn after(of_clients: Recent<()>) -> Repeats {
        Repeats {
            of_clients,
            of_collectors: Recent::new(OF_COLLECTORS_MAX),
        }
    }

    /// True where the hit is new, and remembers it.
    ///
    /// An imported log is not asked: its hits come by commits that are there once or not at all, and
    /// years of them at once would leave no room for anything else.
    pub(super) fn is_new(&mut self, hit: &Hit<'_>) -> bool {
        let known = match (hit.client_id_given, hit.protocol) {
            (true, _) => &mut self.of_clients,
            (false, Protocol::Log) => return true,
            (false, Protocol::Native | Protocol::Pixel | Protocol::Unknown) => {
                &mut self.of_collectors
            }
        };
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = hit.hit_id.0;
        let id = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        // A repetition does not make the first one younger: what is forgotten depends on new hits only.
        if known.peek(id).is_some() {
            return false;
        }
        known.set(id, ());
        true
    }

    /// How many ids are remembered.
    pub(super) fn len(&self) -> usize {
        self.of_clients.len() + self.of_collectors.len()
    }
}

#[cfg(test)]
mod tests {
    use grapevine_event::Id;

    use super::*;

    fn hit(number: u64, protocol: Protocol, client_id_given: bool) -> Hit<'static> {
        let id = Id::builder("repeats").number(number).finish();
        Hit {
            protocol,
            client_id_given,
            ..Hit::page_view(id, "example.org", 0, "https://example.org/")
        }
    }

    #[test]
    fn each_kind_of_id_is_remembered_among_its_own() {
        let mut repeats = Repeats::default();
        let client = |number| hit(number, Protocol::Native, true);
        let collector = |number| hit(number, Protocol::Pixel, false);
        assert!(repeats.is_new(&client(0)) && repeats.is_new(&collector(1)));
        for number in 2..u64::from(OF_COLLECTORS_MAX) + 1 {
            assert!(repeats.is_new(&collector(number)), "{number}");
        }
        assert!(!repeats.is_new(&client(0)), "others do not drive it out");
        assert!(
            !repeats.is_new(&collector(1)),
            "as many as there is room for"
        );
        assert!(repeats.is_new(&collector(u64::from(OF_COLLECTORS_MAX) + 1)));
        assert!(repeats.is_new(&collector(1)), "the oldest was forgotten");
        assert_eq!(repeats.len(), OF_COLLECTORS_MAX as usize + 1);
    }

    #[test]
    fn lines_of_a_log_are_never_repetitions() {
        let mut repeats = Repeats::default();
        for _ in 0..2 {
            assert!(repeats.is_new(&hit(1, Protocol::Log, false)));
        }
        assert_eq!(repeats.len(), 0);
    }
}
