//! Where a log comes from: a file or a stream, plain, gzip or zstd, told by its first bytes.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{ImportError, Progress};

/// Something to import.
pub struct Source {
    name: String,
    reader: Box<dyn Read + Send>,
    meter: Meter,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Source({})", self.name)
    }
}

impl Source {
    /// A file.
    ///
    /// # Errors
    /// Cannot be opened, is a directory, or is empty.
    pub fn open(path: &Path) -> Result<Source, ImportError> {
        let name = path.to_string_lossy().into_owned();
        let open_error = |source| ImportError::Open {
            name: name.clone(),
            source,
        };
        let file = File::open(path).map_err(open_error)?;
        let metadata = file.metadata().map_err(open_error)?;
        if metadata.is_dir() {
            return Err(ImportError::Directory(name));
        }
        // A pipe has no length.
        let bytes_total = metadata.is_file().then_some(metadata.len());
        if bytes_total == Some(0) {
            return Err(ImportError::Empty(name));
        }
        let mut source = Source::new(&name, file);
        source.meter.bytes_total = bytes_total;
        Ok(source)
    }

    /// Anything that can be read; `name` stands in messages and dead letters.
    pub fn new(name: &str, reader: impl Read + Send + 'static) -> Source {
        Source {
            name: name.to_owned(),
            reader: Box::new(reader),
            meter: Meter::default(),
        }
    }

    /// Its name in messages and dead letters.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// A reader of the content, unpacked; whether it is packed.
    pub(super) fn unpack(self) -> Result<(Box<dyn Read + Send>, bool), UnpackError> {
        let mut raw = Metered {
            reader: self.reader,
            meter: self.meter,
        };
        let mut head = Vec::new();
        raw.by_ref()
            .take(6)
            .read_to_end(&mut head)
            .map_err(UnpackError::Read)?;
        let packing = Packing::of(&head);
        let whole = Cursor::new(head).chain(raw);
        Ok(match packing {
            Packing::None => (Box::new(whole), false),
            Packing::Gzip => {
                let buffered = io::BufReader::with_capacity(64 * 1024, whole);
                (
                    Box::new(flate2::bufread::MultiGzDecoder::new(buffered)),
                    true,
                )
            }
            Packing::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(whole).map_err(UnpackError::Read)?;
                (Box::new(decoder), true)
            }
            Packing::Unread { format, command } => {
                return Err(UnpackError::Packed { format, command });
            }
        })
    }
}

pub(super) enum UnpackError {
    Read(io::Error),
    Packed {
        format: &'static str,
        command: &'static str,
    },
}

enum Packing {
    None,
    Gzip,
    Zstd,
    Unread {
        format: &'static str,
        command: &'static str,
    },
}

impl Packing {
    /// By the formats' own magic numbers (RFC 1952, RFC 8878 with its skippable frames, and the
    /// specifications of bzip2, xz, lz4 and ZIP).
    fn of(head: &[u8]) -> Packing {
        match head {
            [0x1F, 0x8B, ..] => Packing::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Packing::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Unread {
                format: "bzip2",
                command: "bzip2 -dc",
            },
            [0xFD, b'7', b'z', b'X', b'Z', 0] => Packing::Unread {
                format: "xz",
                command: "xz -dc",
            },
            [0x04, 0x22, 0x4D, 0x18, ..] => Packing::Unread {
                format: "lz4",
                command: "lz4 -dc",
            },
            [b'P', b'K', 3, 4, ..] => Packing::Unread {
                format: "zip",
                command: "unzip -p",
            },
            _ => Packing::None,
        }
    }
}

/// Counts what is read, for whoever watches.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    bytes_read: Arc<AtomicU64>,
    pub(super) lines: Arc<AtomicU64>,
    /// The source itself failed, not what was packed in it.
    read_failed: Arc<AtomicBool>,
    bytes_total: Option<u64>,
}

impl Meter {
    pub(super) fn progress(&self, hits: u64) -> Progress {
        Progress {
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            bytes_total: self.bytes_total,
            lines: self.lines.load(Ordering::Relaxed),
            hits,
        }
    }

    pub(super) fn read_failed(&self) -> bool {
        self.read_failed.load(Ordering::Relaxed)
    }
}

struct Metered {
    reader: Box<dyn Read + Send>,
    meter: Meter,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read(buffer) {
            Ok(read) => {
                self.meter
                    .bytes_read
                    .fetch_add(read as u64, Ordering::Relaxed);
                Ok(read)
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::Interrupted {
                    self.meter.read_failed.store(true, Ordering::Relaxed);
                }
                Err(error)
            }
        }
    }
}
