//! Cascade files: `cascade_id,node_id,parent_id,t_seconds`, plain, gzip or zstd.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use thiserror::Error;

/// Nodes of a cascade that are used: the first, root included, as the published baselines do.
pub const NODES_MAX: usize = 2_000;
/// A line longer than this is no cascade's.
const LINE_MAX: u64 = 4_096;
const HEADER: &str = "cascade_id,node_id,parent_id,t_seconds";

/// A cascade. Node 0 is the root; a parent comes before its children.
#[derive(Clone, Debug, PartialEq)]
pub struct Cascade {
    /// Its name in the file.
    pub name: String,
    /// Milliseconds since the root, by node; never falling.
    pub times: Vec<i64>,
    /// Parent by node; 0 for the root itself.
    pub parents: Vec<u32>,
}

/// Why a file is no cascade file.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Cannot be opened.
    #[error("cannot open {name}: {source}")]
    Open {
        /// The file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// Reading or unpacking failed.
    #[error("cannot read {name} after line {line}: {source}; is it whole?")]
    Read {
        /// The file.
        name: String,
        /// Last line that was read.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{name}, line {line}: {problem}")]
    Line {
        /// The file.
        name: String,
        /// Which, from 1.
        line: u64,
        /// What is wrong, and what it should be.
        problem: String,
    },
}

/// Reads a cascade file, each cascade cut to its first [`NODES_MAX`] nodes.
///
/// # Errors
/// Cannot be opened or unpacked; or a line is not what it should be, with its number.
pub fn read(path: &Path) -> Result<Vec<Cascade>, ReadError> {
    let name = path.to_string_lossy();
    let file = File::open(path).map_err(|source| ReadError::Open {
        name: name.to_string(),
        source,
    })?;
    read_from(&name, BufReader::new(file))
}

/// Reads what a cascade file holds from wherever it comes; `name` is what errors call it.
///
/// # Errors
/// Cannot be read or unpacked; or a line is not what it should be, with its number.
pub fn read_from(name: &str, mut source: impl BufRead) -> Result<Vec<Cascade>, ReadError> {
    let open = |source| ReadError::Open {
        name: name.to_owned(),
        source,
    };
    let head = source.fill_buf().map_err(open)?;
    // Magic numbers of RFC 1952 and RFC 8878.
    let reader: Box<dyn Read + '_> = match head {
        [0x1F, 0x8B, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            Box::new(zstd::stream::read::Decoder::with_buffer(source).map_err(open)?)
        }
        _ => Box::new(source),
    };
    parse(name, BufReader::new(reader))
}

fn parse(name: &str, mut reader: impl BufRead) -> Result<Vec<Cascade>, ReadError> {
    let mut cascades: Vec<Cascade> = Vec::new();
    let mut nodes = 0usize;
    let mut finished = std::collections::HashSet::new();
    let mut bytes = Vec::new();
    for line in 1u64.. {
        bytes.clear();
        let read = (&mut reader).take(LINE_MAX).read_until(b'\n', &mut bytes);
        let wrong = |problem: String| ReadError::Line {
            name: name.to_owned(),
            line,
            problem,
        };
        match read {
            Ok(0) if line == 1 => return Err(wrong(format!("is empty; should be {HEADER}"))),
            Ok(0) => break,
            Ok(_) => {}
            Err(source) => {
                return Err(ReadError::Read {
                    name: name.to_owned(),
                    line: line - 1,
                    source,
                });
            }
        }
        if bytes.len() as u64 == LINE_MAX {
            return Err(wrong(format!("is longer than {LINE_MAX} bytes")));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is no UTF-8".to_owned()))?;
        let text = text.trim_end_matches(['\n', '\r']);
        if line == 1 {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            if text != HEADER {
                return Err(wrong(format!("is {text:?}, should be {HEADER}")));
            }
            continue;
        }
        if text.is_empty() {
            continue;
        }
        let row = row(text).map_err(wrong)?;
        let same = cascades.last().is_some_and(|last| last.name == row.cascade);
        if !same {
            if let Some(before) = cascades.last() {
                finished.insert(before.name.clone());
            }
            if finished.contains(row.cascade) {
                let cascade = row.cascade;
                return Err(wrong(format!(
                    "cascade {cascade} goes on after another; its lines should be together"
                )));
            }
            cascades.push(Cascade {
                name: row.cascade.to_owned(),
                times: Vec::new(),
                parents: Vec::new(),
            });
            nodes = 0;
        }
        let cascade = cascades.last_mut().expect("one was pushed");
        if row.node != nodes as u64 {
            return Err(wrong(format!(
                "node {} where {nodes} is next; nodes should be numbered from 0 without gaps",
                row.node
            )));
        }
        let parent = match (nodes, row.parent) {
            (0, None) => 0,
            (0, Some(_)) => {
                return Err(wrong("the root (node 0) should have no parent".to_owned()));
            }
            (_, Some(parent)) if parent < row.node => parent,
            (_, parent) => {
                let found = parent.map_or("none".to_owned(), |parent| parent.to_string());
                return Err(wrong(format!(
                    "parent of node {nodes} is {found}; should be an earlier node"
                )));
            }
        };
        if cascade.times.last().is_some_and(|last| row.time < *last) {
            return Err(wrong(
                "is earlier than the line before; a cascade's lines should be in order of time"
                    .to_owned(),
            ));
        }
        nodes += 1;
        if nodes <= NODES_MAX {
            cascade.times.push(row.time);
            cascade.parents.push(parent as u32);
        }
    }
    if cascades.is_empty() {
        return Err(ReadError::Line {
            name: name.to_owned(),
            line: 2,
            problem: "no cascade follows the header".to_owned(),
        });
    }
    Ok(cascades)
}

struct Row<'a> {
    cascade: &'a str,
    node: u64,
    parent: Option<u64>,
    time: i64,
}

fn row(text: &str) -> Result<Row<'_>, String> {
    let mut fields = text.split(',');
    let four = [(); 4].map(|()| fields.next());
    let ([Some(cascade), Some(node), Some(parent), Some(time)], None) = (four, fields.next())
    else {
        let found = text.split(',').count();
        return Err(format!("has {found} fields, should have 4: {HEADER}"));
    };
    let number = |what: &str, field: &str| {
        field
            .parse::<u64>()
            .map_err(|_| format!("{what} is {field:?}, should be a whole number"))
    };
    let seconds = time
        .parse::<f64>()
        .ok()
        .filter(|seconds| seconds.abs() < 1e12)
        .ok_or_else(|| format!("t_seconds is {time:?}, should be a number of seconds"))?;
    Ok(Row {
        cascade,
        node: number("node_id", node)?,
        parent: match parent {
            "" => None,
            parent => Some(number("parent_id", parent)?),
        },
        time: (seconds * 1_000.0).round() as i64,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<Cascade>, String> {
        parse("x.csv", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn cascades_are_read_and_cut() {
        let mut text = format!("{HEADER}\na,0,,0\na,1,0,1.5\na,2,1,2\r\n\nb,0,,0\n");
        for node in 1..=NODES_MAX + 5 {
            text += &format!("b,{node},{},{node}\n", node - 1);
        }
        let cascades = parsed(&text).expect("whole");
        assert_eq!(cascades[0].times, [0, 1_500, 2_000]);
        assert_eq!(cascades[0].parents, [0, 0, 1]);
        assert_eq!((cascades.len(), cascades[1].times.len()), (2, NODES_MAX));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (rows, line, said) in [
            ("a,0,,0\na,1,0\n", 3, "3 fields"),
            ("a,0,,0\na,1,x,2\n", 3, "parent_id is \"x\""),
            ("a,0,,0\na,1,1,2\n", 3, "earlier node"),
            ("a,0,,0\na,1,,2\n", 3, "parent of node 1 is none"),
            ("a,0,0,0\n", 2, "root"),
            ("a,0,,0\na,2,0,2\n", 3, "where 1 is next"),
            ("a,0,,5\na,1,0,2\n", 3, "order of time"),
            ("a,0,,NaN\n", 2, "t_seconds"),
            ("a,0,,0\nb,0,,0\na,1,0,2\n", 4, "goes on"),
            ("", 2, "no cascade"),
        ] {
            let error = parsed(&format!("{HEADER}\n{rows}")).expect_err(rows);
            assert!(error.contains(&format!("line {line}:")), "{error}");
            assert!(error.contains(said), "{error}");
        }
        assert!(parsed("a,b\n").expect_err("header").contains("line 1"));
        assert!(parsed("").expect_err("empty").contains("line 1"));
        let long = format!("{HEADER}\n{}", "a".repeat(5_000));
        assert!(parsed(&long).expect_err("long").contains("longer"));
    }

    /// What every cascade that is read holds to.
    fn is_whole(cascade: &Cascade) -> bool {
        let (times, parents) = (&cascade.times, &cascade.parents);
        let mut after_root = parents.iter().enumerate().skip(1);
        (1..=NODES_MAX).contains(&times.len())
            && parents.len() == times.len()
            && times.is_sorted()
            && parents.first() == Some(&0)
            && after_root.all(|(node, parent)| (*parent as usize) < node)
    }

    /// The bytes plain, by gzip and by zstd.
    fn packings(bytes: &[u8]) -> [Vec<u8>; 3] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, bytes).expect("packs");
        [
            bytes.to_vec(),
            gzip.finish().expect("packs"),
            zstd::encode_all(bytes, 1).expect("packs"),
        ]
    }

    /// Cascades, each node with the milliseconds since the one before and a choice of parent.
    fn any_cascades() -> impl Strategy<Value = Vec<Cascade>> {
        let nodes = prop::collection::vec((0i64..100_000, any::<u32>()), 1..20);
        let cascade = nodes.prop_map(|nodes| {
            let mut cascade = Cascade {
                name: String::new(),
                times: Vec::new(),
                parents: Vec::new(),
            };
            let mut time = 0;
            for (node, (wait, choice)) in (0u32..).zip(nodes) {
                time += wait;
                cascade.times.push(time);
                cascade
                    .parents
                    .push(choice.checked_rem(node).unwrap_or_default());
            }
            cascade
        });
        let named = |mut cascades: Vec<Cascade>| {
            for (number, cascade) in cascades.iter_mut().enumerate() {
                cascade.name = number.to_string();
            }
            cascades
        };
        prop::collection::vec(cascade, 1..5).prop_map(named)
    }

    fn written(cascades: &[Cascade]) -> String {
        let mut text = format!("{HEADER}\n");
        for cascade in cascades {
            let name = &cascade.name;
            let nodes = cascade.times.iter().zip(&cascade.parents);
            for (node, (time, parent)) in nodes.enumerate() {
                let parent = if node == 0 {
                    String::new()
                } else {
                    parent.to_string()
                };
                let seconds = *time as f64 / 1_000.0;
                text += &format!("{name},{node},{parent},{seconds}\n");
            }
        }
        text
    }

    proptest! {
        #[test]
        fn cascades_read_as_they_were_written_and_damaged_ones_are_whole_or_refused(
            cascades in any_cascades(),
            at in any::<Index>(),
            with in 1u8..=255,
        ) {
            for mut bytes in packings(written(&cascades).as_bytes()) {
                let read = read_from("x", &bytes[..]).map_err(|error| error.to_string());
                prop_assert_eq!(read.as_ref(), Ok(&cascades));
                let at = at.index(bytes.len());
                let cut = read_from("x", &bytes[..at]).unwrap_or_default();
                prop_assert!(cut.iter().all(is_whole), "cut at {}: {:?}", at, cut);
                bytes[at] ^= with;
                let flipped = read_from("x", &bytes[..]).unwrap_or_default();
                prop_assert!(flipped.iter().all(is_whole), "{} at {}: {:?}", with, at, flipped);
            }
        }

        #[test]
        fn arbitrary_bytes_are_no_cascades(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            magic in prop::sample::select(vec![
                &b""[..],
                &[0x1F, 0x8B, 8],
                &[0x28, 0xB5, 0x2F, 0xFD],
            ]),
        ) {
            let bytes = [magic, &bytes[..]].concat();
            prop_assert!(read_from("x", &bytes[..]).is_err());
        }

        /// Behind the header, of what lines are made of: refused, or cascades that are whole.
        #[test]
        fn arbitrary_lines_are_refused_or_whole(
            lines in prop::collection::vec(
                (0u8..2, 0u64..3, prop::option::of(0u64..3), -2i8..5),
                1..6,
            ),
            scraps in prop::collection::vec(
                prop::sample::select(b"01-.e,,,\n\n\r\xFF".to_vec()),
                0..40,
            ),
        ) {
            let mut bytes = format!("{HEADER}\n").into_bytes();
            for (cascade, node, parent, time) in lines {
                let parent = parent.map_or(String::new(), |parent| parent.to_string());
                bytes.extend(format!("{cascade},{node},{parent},{time}\n").into_bytes());
            }
            let [lines, mixed] = [bytes.clone(), [bytes, scraps].concat()];
            for bytes in [lines, mixed] {
                if let Ok(cascades) = read_from("x", &bytes[..]) {
                    prop_assert!(!cascades.is_empty());
                    prop_assert!(cascades.iter().all(is_whole), "{:?}", cascades);
                }
            }
        }
    }
}
