//! Connections that tell when everything written to them has gone to the kernel.
//!
//! A result that breaks ends with its error as text and then with its connection cut, by which whoever does not
//! look for the text sees that it is broken. What the server's own buffers hold when it cuts is lost, so it has to
//! know that they are empty, however slowly the client reads.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Accepts connections.
pub(super) struct Connections(pub(super) TcpListener);

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // An answer is written in pieces. The system would hold the last back until the client has
        // acknowledged those before, which it puts off for 40 ms. Where the option is refused, it is slow.
        let _ = stream.set_nodelay(true);
        let flushed = Flushed(watch::Sender::new(()));
        (Connection { stream, flushed }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    flushed: Flushed,
}

/// Knows each time that nothing of a connection is left in the server's own buffers.
#[derive(Clone)]
pub(super) struct Flushed(watch::Sender<()>);

impl Flushed {
    /// Waits until everything that was given to the connection by now has gone to the kernel.
    pub(super) async fn next(&self) {
        // Of a connection that is gone nothing will.
        let _ = self.0.subscribe().changed().await;
    }
}

impl Connected<IncomingStream<'_, Connections>> for Flushed {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().flushed.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called by the server once it has written all that it holds, and not before.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_ready() {
            self.flushed.0.send_replace(());
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
