//! Cascade files: who came from whom, as `grapevine evaluate chains` reads it.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use crate::event::{Cause, Event};

/// Gathers the visits of each content and writes them as one cascade a content:
/// `cascade_id,node_id,parent_id,t_seconds`.
///
/// A node is a person's first visit of a content; returns, robots and previews are none. Node 0 is
/// the outside world at the moment of the first visit, and what no reader's share brought hangs
/// below it. Where a visit that shared was no first one, its person's first is the parent. Contents
/// with a single reader are left out. Memory grows with the number of visits, since the rows of a
/// cascade stand together.
#[derive(Debug, Default)]
pub struct CascadeWriter {
    contents: HashMap<(usize, Arc<str>), usize>,
    cascades: Vec<Cascade>,
    /// Node of the person of a visit, by visit.
    nodes: HashMap<u64, u32>,
}

#[derive(Debug, Default)]
struct Cascade {
    /// Time and parent; node 0 is not among them.
    rows: Vec<(i64, u32)>,
    readers: HashMap<u64, u32>,
}

impl CascadeWriter {
    /// Takes note of an event of the site of that number. Every event must be shown, in order of
    /// time.
    pub fn add(&mut self, site: usize, event: &Event) {
        let truth = &event.truth;
        let (Some(visit), Some(person)) = (truth.visit, truth.person) else {
            return;
        };
        if !event.is_visit() || event.request.status == 404 {
            return;
        }
        let next = self.cascades.len();
        let key = (site, truth.content.clone());
        let at = *self.contents.entry(key).or_insert(next);
        if at == next {
            self.cascades.push(Cascade::default());
        }
        let cascade = &mut self.cascades[at];
        if let Some(node) = cascade.readers.get(&person) {
            self.nodes.insert(visit, *node);
            return;
        }
        let parent = match truth.cause {
            Cause::Share => truth.parent.and_then(|parent| self.nodes.get(&parent)),
            _ => None,
        };
        cascade
            .rows
            .push((event.time, parent.copied().unwrap_or(0)));
        let node = u32::try_from(cascade.rows.len()).unwrap_or(u32::MAX);
        cascade.readers.insert(person, node);
        self.nodes.insert(visit, node);
    }

    /// Writes all cascades, in the order of their first visits; gives their number.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<u64> {
        writeln!(out, "cascade_id,node_id,parent_id,t_seconds")?;
        let mut count = 0;
        for (name, cascade) in self.cascades.iter().enumerate() {
            let [(first, _), _, ..] = cascade.rows[..] else {
                continue;
            };
            count += 1;
            writeln!(out, "{name},0,,0")?;
            for (node, (time, parent)) in (1..).zip(&cascade.rows) {
                let ms = time - first;
                writeln!(out, "{name},{node},{parent},{}.{:03}", ms / 1000, ms % 1000)?;
            }
        }
        Ok(count)
    }
}
