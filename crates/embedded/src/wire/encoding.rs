//! HTTP's content encodings, both ways, with a bound on what a body may expand to.

use std::io::{self, BufRead, BufReader, Read, Write};

use super::blocks::{BlockReader, BlockWriter};

/// A content encoding this server knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 1950.
    Deflate,
    /// RFC 8878.
    Zstd,
    /// LZ4 frames.
    Lz4,
}

impl Encoding {
    /// The encoding of a `Content-Encoding` header.
    pub(crate) fn of(name: &str) -> Option<Encoding> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Encoding::Identity,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "zstd" => Encoding::Zstd,
            "lz4" => Encoding::Lz4,
            _ => return None,
        })
    }

    /// The first encoding of an `Accept-Encoding` header this server can make, in its own order
    /// of preference (as ClickHouse: what is quickest for the client first).
    pub(crate) fn accepted(header: &str) -> Encoding {
        let wanted: Vec<&str> = header
            .split(',')
            .filter(|item| !item.replace(' ', "").ends_with(";q=0"))
            .map(|item| item.split(';').next().unwrap_or_default().trim())
            .collect();
        ["lz4", "zstd", "gzip", "deflate"]
            .into_iter()
            .find(|name| wanted.iter().any(|w| w.eq_ignore_ascii_case(name)))
            .and_then(Encoding::of)
            .unwrap_or(Encoding::Identity)
    }

    /// Its name in a header; `None` for a body as it is.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Deflate => Some("deflate"),
            Encoding::Zstd => Some("zstd"),
            Encoding::Lz4 => Some("lz4"),
        }
    }
}

/// Opens a request's body: content encoding outside, ClickHouse's blocks inside.
pub(crate) struct Decoder(Box<dyn Read + Send>);

impl Decoder {
    /// Reads `from`, which is in `encoding` and, if `blocks`, in compressed blocks within.
    pub(crate) fn new(
        from: impl Read + Send + 'static,
        encoding: Encoding,
        blocks: bool,
    ) -> io::Result<Self> {
        let plain: Box<dyn Read + Send> = match encoding {
            Encoding::Identity => Box::new(from),
            Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(from)),
            Encoding::Deflate => Box::new(flate2::read::ZlibDecoder::new(from)),
            Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(from)?),
            Encoding::Lz4 => Box::new(Lz4Frames::new(from)),
        };
        Ok(Decoder(if blocks {
            Box::new(BlockReader::new(plain))
        } else {
            plain
        }))
    }
}

impl Read for Decoder {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

/// Reads LZ4 frames put end to end, as clients write them, where the frame decoder stops after one.
struct Lz4Frames<R: Read>(lz4_flex::frame::FrameDecoder<BufReader<R>>);

impl<R: Read> Lz4Frames<R> {
    fn new(from: R) -> Self {
        Lz4Frames(lz4_flex::frame::FrameDecoder::new(BufReader::new(from)))
    }
}

impl<R: Read> Read for Lz4Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.0.read(into)?;
            if count > 0 || into.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(count);
            }
        }
    }
}

/// Fails a read that goes past a limit, where `Read::take` would end it as if whole.
pub(crate) struct Bounded<R> {
    from: R,
    left: u64,
}

impl<R: Read> Bounded<R> {
    pub(crate) fn new(from: R, limit: u64) -> Self {
        Bounded { from, left: limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(into)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the body expands to more than the limit",
            )
        })?;
        Ok(count)
    }
}

/// Encodes a response's body piece by piece.
pub(crate) enum Encoder {
    Identity,
    Blocks(BlockWriter),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
    Deflate(flate2::write::ZlibEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Lz4(Box<lz4_flex::frame::FrameEncoder<Vec<u8>>>),
}

impl Encoder {
    /// An encoder for `encoding`; `blocks` means ClickHouse's own blocks and comes first.
    pub(crate) fn new(encoding: Encoding, blocks: bool) -> io::Result<Self> {
        let fast = flate2::Compression::fast();
        Ok(match encoding {
            _ if blocks => Encoder::Blocks(BlockWriter::default()),
            Encoding::Identity => Encoder::Identity,
            Encoding::Gzip => Encoder::Gzip(flate2::write::GzEncoder::new(Vec::new(), fast)),
            Encoding::Deflate => {
                Encoder::Deflate(flate2::write::ZlibEncoder::new(Vec::new(), fast))
            }
            Encoding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?),
            Encoding::Lz4 => Encoder::Lz4(Box::new(lz4_flex::frame::FrameEncoder::new(Vec::new()))),
        })
    }

    /// Encodes `data`; may return nothing yet.
    pub(crate) fn encode(&mut self, data: bytes::Bytes) -> io::Result<bytes::Bytes> {
        Ok(match self {
            Encoder::Identity => data,
            Encoder::Blocks(writer) => {
                let mut out = Vec::with_capacity(data.len() / 2);
                writer.write(&data, &mut out)?;
                out.into()
            }
            Encoder::Gzip(encoder) => {
                encoder.write_all(&data)?;
                std::mem::take(encoder.get_mut()).into()
            }
            Encoder::Deflate(encoder) => {
                encoder.write_all(&data)?;
                std::mem::take(encoder.get_mut()).into()
            }
            Encoder::Zstd(encoder) => {
                encoder.write_all(&data)?;
                std::mem::take(encoder.get_mut()).into()
            }
            Encoder::Lz4(encoder) => {
                encoder.write_all(&data)?;
                std::mem::take(encoder.get_mut()).into()
            }
        })
    }

    /// What is still due at the end.
    pub(crate) fn finish(self) -> io::Result<bytes::Bytes> {
        Ok(match self {
            Encoder::Identity | Encoder::Blocks(_) => bytes::Bytes::new(),
            Encoder::Gzip(encoder) => encoder.finish()?.into(),
            Encoder::Deflate(encoder) => encoder.finish()?.into(),
            Encoder::Zstd(encoder) => encoder.finish()?.into(),
            Encoder::Lz4(encoder) => encoder.finish().map_err(io::Error::other)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_are_read() {
        assert_eq!(Encoding::accepted("gzip, deflate, br"), Encoding::Gzip);
        assert_eq!(Encoding::accepted("gzip;q=1.0, zstd;q=0.5"), Encoding::Zstd);
        assert_eq!(Encoding::accepted("gzip;q=0"), Encoding::Identity);
        assert_eq!(Encoding::accepted("br"), Encoding::Identity);
        assert_eq!(Encoding::of("GZIP"), Some(Encoding::Gzip));
        assert_eq!(Encoding::of("br"), None);
    }

    proptest! {
        #[test]
        fn encodings_read_back(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..5),
            blocks: bool,
        ) {
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Lz4] {
                let mut encoder = Encoder::new(encoding, blocks).expect("encoder");
                let mut wire = Vec::new();
                for part in &parts {
                    wire.extend(encoder.encode(part.clone().into()).expect("memory"));
                }
                wire.extend(encoder.finish().expect("memory"));
                let inner = if blocks { Encoding::Identity } else { encoding };
                let mut decoder = Decoder::new(io::Cursor::new(wire), inner, blocks).expect("decoder");
                let mut data = Vec::new();
                decoder.read_to_end(&mut data).expect("own bytes");
                prop_assert_eq!(data, parts.concat());
            }
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            damage in proptest::option::of((any::<prop::sample::Index>(), 1u8..)),
            blocks: bool,
        ) {
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Lz4] {
                // Bytes that are of no encoding, or with one byte changed in what was.
                let wire = match damage {
                    None => body.clone(),
                    Some((at, change)) => {
                        let mut encoder = Encoder::new(encoding, blocks).expect("encoder");
                        let mut wire = encoder.encode(body.clone().into()).expect("memory").to_vec();
                        wire.extend(encoder.finish().expect("memory"));
                        if !wire.is_empty() {
                            let at = at.index(wire.len());
                            wire[at] ^= change;
                        }
                        wire
                    }
                };
                let mut data = Vec::new();
                if let Ok(decoder) = Decoder::new(io::Cursor::new(wire), encoding, blocks) {
                    let _ = Bounded::new(decoder, 1 << 20).read_to_end(&mut data);
                }
                prop_assert!(data.len() <= 1 << 21);
            }
        }
    }

    #[test]
    fn frames_end_to_end_are_one_body() {
        let mut wire = Vec::new();
        for part in [b"one ".as_slice(), b"", b"two"] {
            let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
            frame.write_all(part).expect("memory");
            wire.extend(frame.finish().expect("memory"));
        }
        let read = |wire: Vec<u8>| {
            let mut data = Vec::new();
            let mut decoder = Decoder::new(io::Cursor::new(wire), Encoding::Lz4, false)?;
            decoder.read_to_end(&mut data).map(|_| data)
        };
        assert_eq!(read(wire.clone()).expect("frames"), b"one two");
        wire.truncate(wire.len() - 5);
        assert!(read(wire.clone()).is_err(), "a frame cut short is no end");
        wire.extend(b"garbage after it");
        assert!(read(wire).is_err());
    }

    #[test]
    fn a_bomb_meets_its_bound() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; 1 << 20]).expect("memory");
        let wire = gzip.finish().expect("memory");
        let decoder = Decoder::new(io::Cursor::new(wire), Encoding::Gzip, false).expect("decoder");
        let mut data = Vec::new();
        let error = Bounded::new(decoder, 1000)
            .read_to_end(&mut data)
            .expect_err("bounded");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
