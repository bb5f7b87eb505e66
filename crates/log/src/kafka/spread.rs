//! How many partitions the topics have, and which of them a record of a commit goes to.

use std::collections::BTreeMap;

use crate::commit::Commit;
use crate::error::LogError;
use crate::key::{Key, Route};

/// How many partitions each topic has. It is found out once, at a start: a topic that gets more
/// while a replica runs would put a key's records into two places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions(BTreeMap<String, i32>);

impl Partitions {
    /// Of a topic, at least 1.
    ///
    /// # Errors
    /// A topic that was not asked for at the start.
    pub fn of(&self, topic: &str) -> Result<i32, LogError> {
        let found = self.0.get(topic).copied();
        found.ok_or_else(|| LogError::UnknownTopic(topic.to_owned()))
    }

    /// Topics that are known, by name.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<(String, i32)> for Partitions {
    fn from_iter<I: IntoIterator<Item = (String, i32)>>(counts: I) -> Partitions {
        Partitions(counts.into_iter().collect())
    }
}

/// Gives every record of a commit with its topic and partition to `send`, in order for each topic.
pub(crate) fn spread(
    commit: &Commit,
    partitions: &Partitions,
    mut send: impl FnMut(&'static str, i32, &[u8]) -> Result<(), LogError>,
) -> Result<(), LogError> {
    for (topic, appended) in &commit.appended {
        if appended.ends.is_empty() {
            continue;
        }
        let count = partitions.of(topic)?;
        for (route, record) in appended.iter() {
            if record.len() > crate::RECORD_BYTES_MAX {
                return Err(LogError::TooLarge(record.len()));
            }
            match route {
                Route::Own => send(topic, Key::of_record(record).partition(count), record)?,
                Route::Key(key) => send(topic, key.partition(count), record)?,
                Route::Partition(partition) => send(topic, partition, record)?,
                Route::Every => {
                    for partition in 0..count {
                        send(topic, partition, record)?;
                    }
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_go_where_they_are_told_in_order() {
        let partitions: Partitions = [("a".to_owned(), 3)].into_iter().collect();
        let mut commit = Commit::default();
        let key = Key::new("site", b"visitor");
        let write = |text: &'static [u8]| {
            move |out: &mut Vec<u8>| -> Result<(), ()> {
                out.extend_from_slice(text);
                Ok(())
            }
        };
        commit.append_keyed("a", key, write(b"1")).expect("appends");
        commit.append_to_every("a", write(b"2")).expect("appends");
        commit.append_to("a", 2, write(b"3")).expect("appends");
        commit.append("a", b"4");
        let mut sent = Vec::new();
        spread(&commit, &partitions, |topic, partition, record| {
            sent.push((topic, partition, record.to_vec()));
            Ok(())
        })
        .expect("spreads");
        let keyed = key.partition(3);
        let own = Key::of_record(b"4").partition(3);
        let expected = [
            (keyed, "1"),
            (0, "2"),
            (1, "2"),
            (2, "2"),
            (2, "3"),
            (own, "4"),
        ];
        let expected = expected.map(|(partition, text)| ("a", partition, text.as_bytes().to_vec()));
        assert_eq!(sent, expected);
        commit.append("b", b"x");
        let unknown = spread(&commit, &partitions, |_, _, _| Ok(()));
        assert!(matches!(unknown, Err(LogError::UnknownTopic(topic)) if topic == "b"));
    }
}
