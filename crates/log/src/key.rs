//! Which partition of a topic a record goes to.
//!
//! A task owns the history of what it keys by: a visitor's, a content's. So every writer must put
//! a key into the same partition, replicas of different versions and tools in other languages
//! among them. Hence the hash of Kafka's own default partitioner, over bytes that are written down
//! here; the partition number is worked out by us and told to the client, so that no setting of a
//! client can change it. The key itself is not stored beside the record: all of it is in there.

/// What a record is keyed by: a hash of site and of a thing within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(u32);

impl Key {
    /// The key of a thing of a site: Kafka's murmur2 over the site's name, a zero byte, and the
    /// thing's own bytes. The site is the same for what is to stay together, such as a
    /// visitor or a content; names hold no zero byte.
    pub fn new(site: &str, thing: &[u8]) -> Key {
        let mut hash = Murmur2::over(site.len() + 1 + thing.len());
        hash.write(site.as_bytes());
        hash.write(&[0]);
        hash.write(thing);
        Key(hash.finish())
    }

    /// The hash, for a record that waits elsewhere for its way to the log.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The key that had these [`bits`](Self::bits).
    pub fn of_bits(bits: u32) -> Key {
        Key(bits)
    }

    /// The key of a whole record that belongs to nothing in particular.
    pub(crate) fn of_record(record: &[u8]) -> Key {
        let mut hash = Murmur2::over(record.len());
        hash.write(record);
        Key(hash.finish())
    }

    /// The partition among `partitions`, which is at least 1.
    pub fn partition(self, partitions: i32) -> i32 {
        // As Kafka's `Utils.toPositive`: the sign bit is cut off.
        let positive = (self.0 & 0x7fff_ffff).cast_signed();
        positive % partitions.max(1)
    }
}

/// Where one record of a commit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// By the hash of its own bytes, worked out only where there is more than one partition.
    Own,
    /// By a key.
    Key(Key),
    /// To one partition.
    Partition(i32),
    /// A copy to each partition.
    Every,
}

/// MurmurHash2, 32 bits, seed as in Kafka's `Utils.murmur2`, of bytes that come in pieces.
struct Murmur2 {
    hash: u32,
    /// Bytes that do not make up four yet, lowest first.
    pending: u32,
    pending_bytes: u32,
}

const MIX: u32 = 0x5bd1_e995;
const SEED: u32 = 0x9747_b28c;

impl Murmur2 {
    /// `length` is that of all pieces together.
    fn over(length: usize) -> Murmur2 {
        // Kafka's length is a Java int; records are far below that.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        Murmur2 {
            hash: SEED ^ length,
            pending: 0,
            pending_bytes: 0,
        }
    }

    fn write(&mut self, mut piece: &[u8]) {
        while self.pending_bytes > 0
            && let Some((byte, rest)) = piece.split_first()
        {
            self.byte(*byte);
            piece = rest;
        }
        while let Some((four, rest)) = piece.split_first_chunk() {
            self.four(u32::from_le_bytes(*four));
            piece = rest;
        }
        for byte in piece {
            self.byte(*byte);
        }
    }

    fn byte(&mut self, byte: u8) {
        self.pending |= u32::from(byte) << (8 * self.pending_bytes);
        self.pending_bytes += 1;
        if self.pending_bytes == 4 {
            self.four(self.pending);
            (self.pending, self.pending_bytes) = (0, 0);
        }
    }

    fn four(&mut self, four: u32) {
        let mut mixed = four.wrapping_mul(MIX);
        mixed ^= mixed >> 24;
        mixed = mixed.wrapping_mul(MIX);
        self.hash = self.hash.wrapping_mul(MIX) ^ mixed;
    }

    fn finish(self) -> u32 {
        let mut hash = self.hash;
        if self.pending_bytes > 0 {
            hash = (hash ^ self.pending).wrapping_mul(MIX);
        }
        hash ^= hash >> 13;
        hash = hash.wrapping_mul(MIX);
        hash ^ (hash >> 15)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn murmur2(bytes: &[u8]) -> i32 {
        Key::of_record(bytes).0.cast_signed()
    }

    /// The cases of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn the_hash_is_that_of_kafkas_default_partitioner() {
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pieces_hash_as_the_whole(site in "[a-z.]{0,20}", thing in prop::collection::vec(any::<u8>(), 0..40)) {
            let whole = [site.as_bytes(), &[0], &thing].concat();
            prop_assert_eq!(Key::new(&site, &thing), Key::of_record(&whole));
        }

        #[test]
        fn partitions_are_in_range(bytes in prop::collection::vec(any::<u8>(), 0..20), partitions in 1..1000) {
            let partition = Key::of_record(&bytes).partition(partitions);
            prop_assert!((0..partitions).contains(&partition));
        }
    }
}
