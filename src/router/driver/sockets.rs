//! What a router's sockets tell it, and what it does with them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::connection::{Connection, Open, Stage};
use super::{Driver, DriverError};
use crate::kernel::socket::{BGP_PORT, SocketError, bgp_connect, bgp_listen};
use crate::router::{Conn, Direction, Input, SessionIndex};
use crate::time::At;

/// Connections accepted in one turn.
const ACCEPTS: usize = 8;
/// How long nothing is accepted after accepting failed, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Driver {
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        for _ in 0..ACCEPTS {
            let Some(listener) = self
                .listener
                .as_ref()
                .filter(|_| self.accept_again.is_none())
            else {
                break;
            };
            match listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, remote))) => self.accept(stream, remote),
                Poll::Ready(Err(_)) => {
                    self.accept_again = Some(self.recorder.clock().now() + ACCEPT_PAUSE);
                }
                Poll::Pending => break,
            }
            busy = true;
        }
        busy
    }

    /// Keeps a connection of a neighbour that has no other incoming one; drops any other.
    fn accept(&mut self, stream: TcpStream, remote: SocketAddr) {
        let (Ok(SocketAddr::V4(local)), SocketAddr::V4(remote)) = (stream.local_addr(), remote)
        else {
            return;
        };
        let Some(session) = self
            .router
            .session_for((*local.ip()).into(), (*remote.ip()).into())
        else {
            return;
        };
        let taken = self.connections.iter().any(|connection| {
            connection.session == session
                && connection.conn.direction == Direction::Incoming
                && matches!(connection.stage, Stage::Open(_))
        });
        if taken {
            return;
        }
        self.serial = self.serial.wrapping_add(1);
        let conn = Conn {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        let stage = Stage::Open(Open::new(stream));
        self.connections.push(Connection {
            session,
            conn,
            stage,
        });
        self.input(Input::Connected { session, conn });
    }

    /// Moves each connection on once.
    pub(super) fn poll_connections(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        // Inputs append to the list and mark what is gone; nothing is taken off it before the end.
        for place in 0..self.connections.len() {
            busy |= self.poll_connecting(cx, place);
            busy |= self.poll_write(cx, place);
            busy |= self.poll_read(cx, place);
        }
        self.connections
            .retain(|connection| !matches!(connection.stage, Stage::Gone));
        busy
    }

    fn poll_connecting(&mut self, cx: &mut Context<'_>, place: usize) -> bool {
        let connection = &mut self.connections[place];
        let (session, conn) = (connection.session, connection.conn);
        let result = match &mut connection.stage {
            Stage::Connecting(attempt) => match attempt.as_mut().poll(cx) {
                Poll::Ready(result) => result.map_err(|error| error.to_string()),
                Poll::Pending => return false,
            },
            Stage::Refused(why) => Err(std::mem::take(why)),
            Stage::Open(_) | Stage::Gone => return false,
        };
        match result {
            Ok(stream) => {
                connection.stage = Stage::Open(Open::new(stream));
                self.input(Input::Connected { session, conn });
            }
            Err(why) => {
                connection.stage = Stage::Gone;
                self.input(Input::ConnectFailed {
                    session,
                    conn,
                    why: &why,
                });
            }
        }
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, place: usize) -> bool {
        let connection = &mut self.connections[place];
        let (session, conn) = (connection.session, connection.conn);
        let Stage::Open(open) = &mut connection.stage else {
            return false;
        };
        match open.poll_write(cx) {
            Poll::Ready(Ok(bytes)) => self.input(Input::Written {
                session,
                conn,
                bytes,
            }),
            Poll::Ready(Err(error)) => self.lost(place, &error.to_string()),
            Poll::Pending => return false,
        }
        true
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, place: usize) -> bool {
        let connection = &mut self.connections[place];
        let (session, conn) = (connection.session, connection.conn);
        let Stage::Open(open) = &mut connection.stage else {
            return false;
        };
        match open.poll_read(cx, &mut self.buffer) {
            Poll::Ready(Ok(0)) => self.lost(place, "closed by the peer"),
            Poll::Ready(Ok(length)) => {
                let now = self.recorder.clock().now();
                let bytes = &self.buffer[..length];
                self.router.handle(
                    now,
                    Input::Bytes {
                        session,
                        conn,
                        bytes,
                    },
                );
                self.settle(now);
            }
            Poll::Ready(Err(error)) => self.lost(place, &error.to_string()),
            Poll::Pending => return false,
        }
        true
    }

    fn lost(&mut self, place: usize, why: &str) {
        let connection = &mut self.connections[place];
        connection.stage = Stage::Gone;
        let (session, conn) = (connection.session, connection.conn);
        self.input(Input::Closed { session, conn, why });
    }

    pub(super) fn poll_lingering(&mut self, cx: &mut Context<'_>) -> bool {
        let before = self.lingering.len();
        let buffer = &mut self.buffer;
        self.lingering
            .retain_mut(|lingering| lingering.poll_end(cx, buffer).is_pending());
        self.lingering.len() < before
    }

    pub(super) fn connect(
        &mut self,
        session: SessionIndex,
        conn: Conn,
        local: IpAddr,
        remote: IpAddr,
    ) {
        let socket = self.namespace.run(|| bgp_connect(local, true));
        let stage = match socket {
            Ok(Ok(socket)) => {
                let attempt = TcpSocket::from_std_stream(socket).connect((remote, BGP_PORT).into());
                Stage::Connecting(Box::pin(attempt))
            }
            Ok(Err(error)) => Stage::Refused(error.to_string()),
            Err(error) => Stage::Refused(error.to_string()),
        };
        self.connections.push(Connection {
            session,
            conn,
            stage,
        });
    }

    pub(super) fn close(&mut self, now: At, session: SessionIndex, conn: Conn, abort: bool) {
        let Some(stage) = self.stage(session, conn) else {
            return;
        };
        match std::mem::replace(stage, Stage::Gone) {
            Stage::Open(open) if abort => open.vanish(),
            Stage::Open(open) => {
                self.lingering.push(open.close(now));
                // Two ends of a session at most are worth waiting for, whatever the neighbour does.
                if self.lingering.len() > 2 * self.interfaces.len() {
                    self.lingering.remove(0);
                }
            }
            Stage::Connecting(_) | Stage::Refused(_) | Stage::Gone => {}
        }
    }

    pub(super) fn stage(&mut self, session: SessionIndex, conn: Conn) -> Option<&mut Stage> {
        self.connections
            .iter_mut()
            .find(|connection| connection.session == session && connection.conn == conn)
            .map(|connection| &mut connection.stage)
    }
}

/// Listens in the namespace of this thread.
pub(super) fn listen() -> Result<std::net::TcpListener, SocketError> {
    bgp_listen(IpAddr::V4(Ipv4Addr::UNSPECIFIED), true)
}

pub(super) fn watch(listener: std::net::TcpListener) -> Result<TcpListener, DriverError> {
    TcpListener::from_std(listener).map_err(DriverError::Runtime)
}
