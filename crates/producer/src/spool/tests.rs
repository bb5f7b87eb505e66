//! The spool against a queue in memory, through reopening and kills inside a write.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn open(directory: &Path) -> Spool {
    Spool::open(directory, 1 << 30).expect("opens")
}

fn waiting(spool: &mut Spool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(entries) = spool.next(64).expect("reads") {
        all.extend(entries.iter().map(<[u8]>::to_vec));
        spool.release(&entries).expect("lets go");
    }
    all
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<u8>),
    /// Read about so many bytes, and let them go.
    Take(usize),
    /// Read and not let go: they come again.
    Look(usize),
    Reopen,
    /// Killed inside the write of an entry, after so many thousandths of it.
    Kill(Vec<u8>, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entry = || prop::collection::vec(any::<u8>(), 0..60);
    let step = prop_oneof![
        4 => entry().prop_map(Step::Append),
        2 => (0usize..200).prop_map(Step::Take),
        1 => (0usize..200).prop_map(Step::Look),
        1 => Just(Step::Reopen),
        1 => (entry(), 0usize..1000).prop_map(|(entry, part)| Step::Kill(entry, part)),
    ];
    prop::collection::vec(step, 0..40)
}

fn highest(directory: &Path) -> Option<PathBuf> {
    let number = numbers(directory).expect("lists").into_iter().max()?;
    Some(Segment { number, length: 0 }.path(directory))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_is_a_queue_whatever_happens(steps in steps()) {
        let directory = tempfile::tempdir().expect("tempdir");
        let mut spool = open(directory.path());
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        for step in steps {
            match step {
                Step::Append(entry) => {
                    spool.append(&entry).expect("appends");
                    model.push_back(entry);
                }
                Step::Take(bytes) => {
                    if let Some(entries) = spool.next(bytes).expect("reads") {
                        for entry in entries.iter() {
                            prop_assert_eq!(Some(entry.to_vec()), model.pop_front());
                        }
                        spool.release(&entries).expect("lets go");
                    } else {
                        prop_assert!(model.is_empty());
                    }
                }
                Step::Look(bytes) => {
                    let entries = spool.next(bytes).expect("reads");
                    let first = entries.as_ref().and_then(|entries| entries.iter().next());
                    prop_assert_eq!(first, model.front().map(Vec::as_slice));
                }
                Step::Reopen => {
                    drop(spool);
                    spool = open(directory.path());
                }
                Step::Kill(entry, part) => {
                    drop(spool);
                    if let Some(path) = highest(directory.path()) {
                        let mut whole = Vec::new();
                        segment::encode(&entry, &mut whole);
                        whole.truncate(whole.len() * part / 1000);
                        let mut file = File::options().append(true).open(path).expect("opens");
                        file.write_all(&whole).expect("writes");
                    }
                    spool = open(directory.path());
                }
            }
            prop_assert_eq!(spool.is_empty(), model.is_empty());
        }
        prop_assert_eq!(waiting(&mut spool), Vec::from(model));
        prop_assert_eq!(spool.bytes(), 0);
    }
}

#[test]
fn a_full_spool_says_so_and_takes_again_when_it_drains() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut spool = Spool::open(directory.path(), 100).expect("opens");
    spool.append(&[1; 50]).expect("there is room");
    let full = spool.append(&[2; 50]).expect_err("no room");
    assert!(matches!(full, SpoolError::Full { bytes: 62, .. }), "{full}");
    let entries = spool.next(1000).expect("reads").expect("one");
    spool.release(&entries).expect("lets go");
    spool.append(&[2; 50]).expect("room again");
    assert_eq!(waiting(&mut spool), [vec![2; 50]]);
}

#[test]
fn many_segments_drain_in_order_and_leave_no_file() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut spool = open(directory.path());
    let entry = |number: u8| vec![number; 6 * 1024 * 1024];
    for number in 0..9 {
        spool.append(&entry(number)).expect("appends");
    }
    assert!(numbers(directory.path()).expect("lists").len() >= 3);
    drop(spool);
    let mut spool = open(directory.path());
    spool.append(&entry(9)).expect("appends");
    let all = waiting(&mut spool);
    assert!(all == (0..10).map(entry).collect::<Vec<_>>());
    assert!(numbers(directory.path()).expect("lists").is_empty());
    spool.append(b"and on").expect("appends");
    assert_eq!(waiting(&mut spool), [b"and on".to_vec()]);
}

#[test]
fn damage_is_refused_with_its_place() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut spool = open(directory.path());
    for entry in [b"one", b"two", b"six"] {
        spool.append(entry).expect("appends");
    }
    drop(spool);
    let path = highest(directory.path()).expect("a segment");
    let mut bytes = fs::read(&path).expect("reads");
    // In the middle of the second entry's content: no crash of ours leaves that.
    bytes[15 + 13] ^= 1;
    fs::write(&path, &bytes).expect("writes");
    let refused = Spool::open(directory.path(), 1 << 30).expect_err("refused");
    assert!(
        matches!(&refused, SpoolError::Damaged { offset: 15, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("truncate -s 15"));
    // Done as it says, what is before it is there.
    fs::write(&path, &bytes[..15]).expect("writes");
    assert_eq!(waiting(&mut open(directory.path())), [b"one".to_vec()]);
}

#[test]
fn room_that_was_given_and_not_written_is_cut_off() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut spool = open(directory.path());
    spool.append(b"one").expect("appends");
    drop(spool);
    let path = highest(directory.path()).expect("a segment");
    let file = File::options().append(true).open(&path).expect("opens");
    file.set_len(4096).expect("grows");
    let mut spool = open(directory.path());
    spool.append(b"two").expect("appends");
    assert_eq!(waiting(&mut spool), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_mark_that_is_not_whole_brings_entries_again_and_loses_none() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut spool = open(directory.path());
    spool.append(b"one").expect("appends");
    spool.append(b"two").expect("appends");
    let entries = spool.next(1).expect("reads").expect("one");
    spool.release(&entries).expect("lets go");
    drop(spool);
    let path = directory.path().join(READ);
    let mut bytes = fs::read(&path).expect("reads");
    bytes[10] ^= 1;
    fs::write(&path, bytes).expect("writes");
    assert_eq!(
        waiting(&mut open(directory.path())),
        [b"one".to_vec(), b"two".to_vec()]
    );
}

#[test]
fn one_process_at_a_time_and_no_strange_files() {
    let directory = tempfile::tempdir().expect("tempdir");
    let spool = open(directory.path());
    let second = Spool::open(directory.path(), 1).expect_err("held");
    assert!(matches!(second, SpoolError::InUse(_)), "{second}");
    drop(spool);
    fs::write(directory.path().join("notes.txt"), "x").expect("writes");
    let foreign = Spool::open(directory.path(), 1).expect_err("foreign");
    assert!(foreign.to_string().contains("notes.txt"), "{foreign}");
}
