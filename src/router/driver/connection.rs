//! The TCP connections of one router.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::silence::Silence;
use crate::router::{Conn, SessionIndex};
use crate::time::At;

/// How long the end of a connection may take: the neighbour should read our NOTIFICATION before a reset destroys it.
const LINGER: Duration = Duration::from_secs(1);

/// Pieces written with one system call.
const PARTS: usize = 16;

/// A connection of a session.
pub(super) struct Connection {
    pub(super) session: SessionIndex,
    pub(super) conn: Conn,
    pub(super) stage: Stage,
    /// How long an attempt may stay without an answer, when there may be a reason worth telling.
    pub(super) silence: Option<Silence>,
}

impl Connection {
    /// When to look at an attempt without an answer.
    pub(super) fn until(&self) -> Option<At> {
        let waits = matches!(self.stage, Stage::Connecting(_));
        self.silence.as_ref().filter(|_| waits).map(|s| s.until)
    }
}

/// How far a connection has come.
pub(super) enum Stage {
    /// The kernel is trying.
    Connecting(Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>),
    /// It could not even be tried; not yet reported.
    Refused(String),
    /// Bytes flow.
    Open(Open),
    /// Over; not yet taken off the list.
    Gone,
}

/// An open connection and what is still to be written to it.
pub(super) struct Open {
    stream: TcpStream,
    unwritten: VecDeque<Bytes>,
    /// Why nothing can be written any more; what the neighbour said before is still to be read.
    failure: Option<io::Error>,
}

impl Open {
    pub(super) fn new(stream: TcpStream) -> Open {
        Open {
            stream,
            unwritten: VecDeque::new(),
            failure: None,
        }
    }

    /// Queues bytes; [`Open::poll_write`] gives them to the kernel.
    pub(super) fn push(&mut self, bytes: Bytes) {
        if self.failure.is_none() {
            self.unwritten.push_back(bytes);
        }
    }

    /// Nothing more is written. The connection ends when everything is read that came before it failed, which may be
    /// the NOTIFICATION that tells why the neighbour closed it.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.unwritten.clear();
        self.failure = Some(error);
    }

    /// Gives the kernel what it takes. Ready with the number of bytes, never with 0.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut written = 0;
        while !self.unwritten.is_empty() {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
            let waiting = self.unwritten.iter().take(PARTS);
            let parts: Vec<IoSlice<'_>> = waiting.map(|bytes| IoSlice::new(bytes)).collect();
            match self.stream.try_write_vectored(&parts) {
                Ok(count) => {
                    written += count;
                    self.advance(count);
                }
                // Readiness was stale; asking again waits for a new one.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        if written == 0 {
            Poll::Pending
        } else {
            Poll::Ready(Ok(written))
        }
    }

    /// Takes what was written off the queue.
    fn advance(&mut self, mut written: usize) {
        while let Some(front) = self.unwritten.front_mut() {
            if front.len() > written {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.unwritten.pop_front();
        }
    }

    /// Reads what there is into `buffer`; 0 when the neighbour closed.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.failure.is_some() {
            return self.read_now(buffer);
        }
        poll_read(&self.stream, cx, buffer)
    }

    /// As [`Open::poll_read`], whether the runtime has noticed yet that there is something or not; nobody is woken later.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let read = (&*SockRef::from(&self.stream)).read(buffer);
        match (read, self.failure.take()) {
            (Ok(length @ 1..), failure) => {
                self.failure = failure;
                Poll::Ready(Ok(length))
            }
            (_, Some(failure)) => Poll::Ready(Err(failure)),
            (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            (end, None) => Poll::Ready(end),
        }
    }

    /// Closes in an orderly way: what is unwritten goes out if it can at once, then FIN.
    pub(super) fn close(self, session: SessionIndex, now: At) -> Lingering {
        let socket = SockRef::from(&self.stream);
        for bytes in &self.unwritten {
            // The neighbour may be gone, and the buffer full: either way there is nobody to tell.
            if socket.send(bytes).is_ok_and(|count| count == bytes.len()) {
                continue;
            }
            break;
        }
        let _ = socket.shutdown(std::net::Shutdown::Write);
        Lingering {
            session,
            stream: self.stream,
            until: now + LINGER,
        }
    }

    /// Forgets the connection as a crash does: neither FIN nor RST is sent.
    pub(super) fn vanish(self) {
        vanish(self.stream);
    }
}

/// A connection whose end the neighbour has not seen yet.
pub(super) struct Lingering {
    pub(super) session: SessionIndex,
    stream: TcpStream,
    pub(super) until: At,
}

impl Lingering {
    /// Reads what there is, which is not looked at; 0 when the neighbour closed, too.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        poll_read(&self.stream, cx, buffer)
    }

    /// As [`Open::vanish`].
    pub(super) fn vanish(self) {
        vanish(self.stream);
    }
}

fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return Poll::Ready(other),
        }
    }
}

/// Closes a socket in repair mode (tcp(7), TCP_REPAIR), in which the kernel forgets it without a segment.
fn vanish(stream: TcpStream) {
    if setsockopt(&stream, sockopt::TcpRepair, &1).is_err() {
        // Without CAP_NET_ADMIN a reset is the nearest thing.
        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
}
