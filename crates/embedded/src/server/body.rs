//! A request's body as a blocking reader.

use std::io::{self, Read};

use axum::body::Body;
use bytes::{Buf, Bytes};
use futures::StreamExt as _;
use tokio::sync::mpsc;

/// Pieces of a body waiting to be read; more and the client has to wait.
const WAITING: usize = 8;

/// Reads a body on a blocking thread, while the pieces come in on the runtime.
pub(crate) struct BodyReader {
    pieces: mpsc::Receiver<io::Result<Option<Bytes>>>,
    current: Bytes,
    /// Whether the end was a true end.
    ended: bool,
}

/// Starts to read `body`; must be called on the runtime.
pub(crate) fn read_body(body: Body) -> BodyReader {
    let (sender, pieces) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut stream = body.into_data_stream();
        while let Some(piece) = stream.next().await {
            let last = piece.is_err();
            if sender
                .send(piece.map(Some).map_err(io::Error::other))
                .await
                .is_err()
                || last
            {
                return;
            }
        }
        // Says that the body is whole, which a channel that merely closes does not.
        let _ = sender.send(Ok(None)).await;
    });
    BodyReader {
        pieces,
        current: Bytes::new(),
        ended: false,
    }
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(piece) => match piece? {
                    Some(bytes) => self.current = bytes,
                    None => self.ended = true,
                },
                None => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the request ended before its body did",
                    ));
                }
            }
        }
        let count = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}
