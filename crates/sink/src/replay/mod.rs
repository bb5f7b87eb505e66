//! Dead letters that go back to where they came from.
//!
//! A letter goes back whole: the bytes that could not be processed, to the topic and partition
//! that they were read from, so that what a hit is known by stays the same. In the same commit a
//! mark goes to the dead letters, a record of stage `replay` that names the place the letter came
//! from. A letter whose mark is there was sent, and is not sent again.
//!
//! Letters are read twice. The first time it is only noted which there are and where they lie; what
//! is in them is read again in windows, of which one is in memory at a time.

mod kafka;
mod table;
mod window;

use std::collections::{BTreeMap, BTreeSet};

use grapevine_event::{DeadLetter, Id, Record, topic};
use serde::Serialize;

pub use kafka::replay_on_kafka;
pub use table::add_table;
use window::Window;

/// Stage that a mark names: no stage has it.
pub const REPLAY: &str = "replay";
/// Why a letter was not sent that was there at first.
const GONE: &str = "the log had let go of it by the time it was to be sent";

/// Which letters to send. What is `None` is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Stage that failed.
    pub stage: Option<String>,
    /// Reason that it gave.
    pub reason: Option<String>,
    /// Site; empty for letters whose site is not known.
    pub site: Option<String>,
    /// Event time from which on, milliseconds since 1970.
    pub from: Option<i64>,
    /// Event time before which, milliseconds since 1970.
    pub to: Option<i64>,
}

impl Filter {
    fn takes(&self, letter: &DeadLetter<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        is(&self.stage, letter.stage)
            && is(&self.reason, letter.reason)
            && is(&self.site, letter.site)
            && self.from.is_none_or(|from| letter.time >= from)
            && self.to.is_none_or(|to| letter.time < to)
    }
}

/// Where a letter came from, and its mark. In this order letters go back: as they were on their
/// partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    source: &'static str,
    partition: i32,
    position: i64,
    mark: Id,
}

impl Origin {
    /// `None` where it came from no topic.
    fn of(letter: &DeadLetter<'_>) -> Option<Origin> {
        let source = topic::ALL
            .into_iter()
            .find(|topic| *topic == letter.source)?;
        Some(Origin {
            source,
            partition: letter.partition?,
            position: letter.position,
            mark: mark_of(letter),
        })
    }
}

/// Where a letter lies in the topic of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    partition: i32,
    offset: u64,
}

/// What is noted of a letter that can go back.
#[derive(Clone, Copy, Debug)]
struct Noted {
    place: Place,
    /// Length of what goes back.
    bytes: usize,
}

/// What was found, by what can be done with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Letters to be sent, by topic that they go to.
    pub sendable: BTreeMap<&'static str, u64>,
    /// Letters that were sent before.
    pub sent_before: u64,
    /// Letters that cannot go back, by why.
    pub unsendable: BTreeMap<&'static str, u64>,
}

impl Found {
    /// A letter that was to be sent is not there any more.
    fn lost(&mut self, source: &'static str) {
        if let Some(letters) = self.sendable.get_mut(source) {
            *letters = letters.saturating_sub(1);
            if *letters == 0 {
                self.sendable.remove(source);
            }
        }
        *self.unsendable.entry(GONE).or_default() += 1;
    }
}

/// Letters that the filter takes and that were not sent yet. Letters and marks may be added in any
/// order, and more than once. About a hundred bytes of memory each, whatever is in them.
#[derive(Debug, Default)]
pub struct Replay {
    filter: Filter,
    letters: BTreeMap<Origin, Noted>,
    unsendable: BTreeMap<Id, &'static str>,
    marks: BTreeSet<Id>,
}

impl Replay {
    /// Nothing yet.
    pub fn new(filter: Filter) -> Replay {
        Replay {
            filter,
            ..Replay::default()
        }
    }

    /// Adds a record of the dead letters' topic. What is no letter is none to be sent.
    fn add(&mut self, place: Place, record: &[u8]) {
        if let Ok(Record::DeadLetter(letter)) = Record::decode(record) {
            self.add_letter(place, &letter, letter.payload.len());
        }
    }

    /// Adds a letter of which so many bytes were kept; they need not be in it.
    fn add_letter(&mut self, place: Place, letter: &DeadLetter<'_>, bytes: usize) {
        if letter.stage == REPLAY {
            self.marks.insert(letter.letter_id);
            return;
        }
        if !self.filter.takes(letter) {
            return;
        }
        let why_not = match Origin::of(letter) {
            Some(origin) => {
                if i64::try_from(bytes) == Ok(letter.payload_length) {
                    self.letters.insert(origin, Noted { place, bytes });
                    return;
                }
                "only its first 65536 bytes were kept"
            }
            None if letter.stage == "import" => {
                "a line of a log file: correct the file, and import it again"
            }
            None => "it came over HTTP: its sender was told, and can send it again",
        };
        self.unsendable.insert(mark_of(letter), why_not);
    }

    /// What there is to send.
    pub fn found(&self) -> Found {
        let mut found = Found::default();
        for origin in self.letters.keys() {
            if self.marks.contains(&origin.mark) {
                found.sent_before += 1;
            } else {
                *found.sendable.entry(origin.source).or_default() += 1;
            }
        }
        for why_not in self.unsendable.values() {
            *found.unsendable.entry(why_not).or_default() += 1;
        }
        found
    }

    /// The letters to be sent next, which are forgotten here; `None` where none is left.
    fn next_window(&mut self) -> Option<Window> {
        let mut window = Window::default();
        while !window.is_full()
            && let Some((origin, noted)) = self.letters.pop_first()
        {
            if !self.marks.contains(&origin.mark) {
                window.want(origin, noted);
            }
        }
        (!window.is_empty()).then_some(window)
    }
}

/// Identity of a letter's mark: a function of where the letter came from and of why.
fn mark_of(letter: &DeadLetter<'_>) -> Id {
    let partition = letter
        .partition
        .map_or(u64::MAX, |partition| u64::from(partition.unsigned_abs()));
    let mut mark = Id::builder("replayed dead letter")
        .bytes(letter.source.as_bytes())
        .number(partition)
        .number(letter.position.cast_unsigned())
        .bytes(letter.stage.as_bytes())
        .bytes(letter.reason.as_bytes());
    if letter.partition.is_none() {
        // A line of one file is not that of another by the same name.
        mark = mark.bytes(&letter.letter_id.0);
    }
    mark.finish()
}

#[cfg(test)]
mod tests {
    use grapevine_log::Commit;

    use super::window::{Batch, WINDOW_BYTES, WINDOW_LETTERS};
    use super::*;

    const FIRST: Place = Place {
        partition: 0,
        offset: 0,
    };

    fn letter<'a>(position: i64, reason: &'a str, payload: &'a [u8]) -> DeadLetter<'a> {
        DeadLetter {
            letter_id: Id([7; 16]),
            time: 1_000 + position,
            site: "example.org",
            stage: "classify",
            reason,
            detail: "why".into(),
            source: topic::HITS_RAW,
            partition: Some(2),
            position,
            payload,
            payload_length: payload.len() as i64,
        }
    }

    fn added(replay: &mut Replay, letter: &DeadLetter<'_>) {
        let mut record = Vec::new();
        letter.encode(&mut record).expect("fits its schema");
        replay.add(FIRST, &record);
    }

    /// What goes out where those letters are still there.
    fn batches(mut replay: Replay, there: &[DeadLetter<'_>]) -> Vec<Batch> {
        let mut batches = Vec::new();
        while let Some(mut window) = replay.next_window() {
            for letter in there {
                window.take_letter(letter);
            }
            batches.extend(window.into_batches());
        }
        batches
    }

    fn commits(batches: &[Batch]) -> Vec<Commit> {
        let commits = batches.iter().map(|batch| batch.commit().expect("encodes"));
        commits.collect()
    }

    #[test]
    fn a_filter_takes_what_it_names() {
        let found = |filter: Filter| {
            let mut replay = Replay::new(filter);
            added(&mut replay, &letter(1, "undecodable", b"a"));
            added(&mut replay, &letter(2, "too_old", b"b"));
            replay.add(FIRST, b"no letter");
            replay.found().sendable.get(topic::HITS_RAW).copied()
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(found(Filter::default()), Some(2));
        for (filter, count) in [
            (
                Filter {
                    reason: some("too_old"),
                    ..Filter::default()
                },
                Some(1),
            ),
            (
                Filter {
                    stage: some("chain"),
                    ..Filter::default()
                },
                None,
            ),
            (
                Filter {
                    site: some("example.org"),
                    ..Filter::default()
                },
                Some(2),
            ),
            (
                Filter {
                    site: some(""),
                    ..Filter::default()
                },
                None,
            ),
            (
                Filter {
                    from: Some(1_002),
                    ..Filter::default()
                },
                Some(1),
            ),
            (
                Filter {
                    to: Some(1_002),
                    ..Filter::default()
                },
                Some(1),
            ),
        ] {
            assert_eq!(found(filter.clone()), count, "{filter:?}");
        }
    }

    #[test]
    fn a_letter_goes_once_and_what_cannot_go_is_said() {
        let letters = [
            letter(5, "undecodable", b"five"),
            letter(3, "undecodable", b"three"),
        ];
        let cut = DeadLetter {
            payload_length: 70_000,
            ..letter(9, "undecodable", b"cut")
        };
        let line = DeadLetter {
            stage: "import",
            source: "access.log",
            partition: None,
            ..letter(4, "not_a_log_line", b"line")
        };
        let add_all = |replay: &mut Replay| {
            for letter in letters.iter().chain([&cut, &line]) {
                added(replay, letter);
                added(replay, letter);
            }
        };
        let mut replay = Replay::new(Filter::default());
        add_all(&mut replay);
        let found = replay.found();
        assert_eq!(found.sendable, BTreeMap::from([(topic::HITS_RAW, 2)]));
        assert_eq!(found.unsendable.len(), 2, "{found:?}");
        let commits = commits(&batches(replay, &letters));
        assert_eq!(commits.len(), 1);
        assert_eq!(commits[0].appended_records(topic::HITS_RAW), 2);
        assert_eq!(commits[0].appended_records(topic::DEAD_LETTERS), 2);

        let mut again = Replay::new(Filter::default());
        add_all(&mut again);
        for letter in &letters {
            let mark = DeadLetter {
                letter_id: mark_of(letter),
                stage: REPLAY,
                ..letter.clone()
            };
            added(&mut again, &mark);
        }
        let found = again.found();
        assert_eq!((found.sent_before, found.sendable.len()), (2, 0));
        assert!(batches(again, &letters).is_empty());
    }

    #[test]
    fn many_letters_are_many_commits() {
        let mut replay = Replay::new(Filter::default());
        // In another order than they had on their partition.
        let letters: Vec<DeadLetter<'_>> = (0..2_500)
            .rev()
            .map(|position| letter(position, "undecodable", b"x"))
            .collect();
        for letter in &letters {
            added(&mut replay, letter);
        }
        let batches = batches(replay, &letters);
        let sizes: Vec<usize> = commits(&batches)
            .iter()
            .map(|commit| commit.appended_records(topic::HITS_RAW))
            .collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        let positions: Vec<i64> = batches.iter().flat_map(Batch::positions).collect();
        assert_eq!(positions, (0..2_500).collect::<Vec<i64>>());
    }

    /// A commit that changed nothing of the group's position could not be told from one that was
    /// aborted: each has a metadata of its own, wherever the group stands.
    #[test]
    fn every_commit_moves_the_group() {
        let mut replay = Replay::new(Filter::default());
        let letters: Vec<DeadLetter<'_>> = (0..3_000)
            .map(|position| letter(position, "undecodable", b"x"))
            .collect();
        for letter in &letters {
            added(&mut replay, letter);
        }
        let batches = batches(replay, &letters);
        let mut stands = vec![Vec::new()];
        for batch in &batches {
            let to = batch.metadata(&stands[stands.len() - 1]);
            assert!(std::str::from_utf8(&to).is_ok_and(|text| text.len() < 100));
            assert!(!stands.contains(&to));
            stands.push(to);
        }
        // The same letters from where they were sent before are a move too, and the same batch from
        // the same place is the same move: it is made until it has come through.
        let first = &batches[0];
        assert_ne!(first.metadata(&stands[1]), stands[1]);
        assert_eq!(first.metadata(b""), stands[1]);
    }

    #[test]
    fn a_window_is_bounded_whatever_there_is_to_send() {
        for (bytes, letters) in [(0, 70_000), (1_000, 70_000), (65_536, 2_000)] {
            let mut replay = Replay::new(Filter::default());
            for position in 0..letters {
                let letter = DeadLetter {
                    payload_length: bytes,
                    ..letter(position, "undecodable", b"")
                };
                let kept = usize::try_from(bytes).expect("fits");
                replay.add_letter(FIRST, &letter, kept);
            }
            let wanted = replay.found().sendable[topic::HITS_RAW];
            assert_eq!(wanted, letters as u64);
            let (mut windows, mut left) = (0, 0);
            while let Some(window) = replay.next_window() {
                assert!(window.letters() <= WINDOW_LETTERS);
                assert!(window.letters() as i64 * bytes <= (WINDOW_BYTES + 65_536) as i64);
                windows += 1;
                left += window.gone().count();
            }
            assert!(windows > 1, "{bytes} {letters}");
            assert_eq!(left as i64, letters, "each is in one of them");
        }
    }

    #[test]
    fn what_is_not_there_any_more_is_said_and_not_counted_as_sent() {
        let mut replay = Replay::new(Filter::default());
        let letters = [1, 2, 3].map(|position| letter(position, "undecodable", b"x"));
        for letter in &letters {
            added(&mut replay, letter);
        }
        let mut found = replay.found();
        let mut window = replay.next_window().expect("three letters");
        window.take_letter(&letters[1]);
        for source in window.gone() {
            found.lost(source);
        }
        assert_eq!(found.sendable, BTreeMap::from([(topic::HITS_RAW, 1)]));
        assert_eq!(found.unsendable, BTreeMap::from([(GONE, 2)]));
        let sent = commits(&window.into_batches());
        assert_eq!(sent[0].appended_records(topic::HITS_RAW), 1);
        found.lost(topic::HITS_RAW);
        assert!(found.sendable.is_empty(), "nothing is sent: {found:?}");
    }
}
