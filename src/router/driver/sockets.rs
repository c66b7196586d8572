//! What a router's sockets tell it, and what it does with them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::connection::{Connection, Lingering, Open, Stage};
use super::listening::{key, reach, scope};
use super::silence::{self, Silence};
use super::{Driver, READ};
use crate::kernel::address::link_local;
use crate::kernel::protection::Dropped;
use crate::kernel::socket::{BGP_PORT, SocketError, address, bgp_accepted, bgp_connect};
use crate::router::{Conn, Direction, Input, SessionIndex};
use crate::time::At;

/// Connections accepted in one turn.
const ACCEPTS: usize = 8;
/// How long nothing is accepted after accepting failed, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Incoming connections of a neighbour at one time: the session chooses between an old one and a new one.
const INCOMING: usize = 2;
/// Connections of a session that are ending.
const ENDING: usize = 2;

impl Driver {
    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        for place in 0..self.listeners.len() {
            for _ in 0..ACCEPTS {
                if self.accept_again.is_some() || self.read >= READ {
                    return busy;
                }
                // An input may have taken the router down.
                let Some(listener) = self.listeners.get(place) else {
                    return busy;
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
        }
        busy
    }

    /// Gives a neighbour's connection to its session, which takes it, refuses it, or drops an older one for it; closes
    /// any other unread.
    fn accept(&mut self, stream: TcpStream, remote: SocketAddr) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        let Some(session) = self.session_of(local, remote) else {
            return;
        };
        let reach = reach(&self.router.config().sessions[session.index()]);
        if bgp_accepted(&stream, remote.ip(), reach).is_err() {
            return;
        }
        // The neighbour may have ended an older one before.
        self.hear(session);
        let kept = self.connections.iter().filter(|connection| {
            connection.session == session
                && connection.conn.direction == Direction::Incoming
                && matches!(connection.stage, Stage::Open(_))
        });
        if kept.count() >= INCOMING {
            return;
        }
        self.serial = self.serial.wrapping_add(1);
        let conn = Conn {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        self.tell_ports(session, conn, &stream);
        let stage = Stage::Open(Open::new(stream));
        self.connections.push(Connection {
            session,
            conn,
            stage,
            silence: None,
        });
        self.connected(session, conn);
    }

    /// A connection is up, and so is the link, with the address IPv6 gave it.
    fn connected(&mut self, session: SessionIndex, conn: Conn) {
        let spec = &self.router.config().sessions[session.index()];
        if spec.local.is_ipv6() {
            let interface = spec.interface.as_str();
            let found = self.namespace.run(|| link_local(interface));
            if let Ok(Some(address)) = found {
                self.input(Input::LinkLocal { session, address });
            }
        }
        self.input(Input::Connected { session, conn });
    }

    /// Moves each connection on once.
    pub(super) fn poll_connections(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        // Inputs append to the list and mark what is gone; nothing is taken off it before the end.
        let count = self.connections.len();
        let first = self.first;
        for place in (0..count).map(|step| (first + step) % count) {
            busy |= self.poll_connecting(cx, place);
            busy |= self.poll_write(cx, place);
            busy |= self.poll_read(cx, place);
        }
        self.connections
            .retain(|connection| !matches!(connection.stage, Stage::Gone));
        busy
    }

    fn poll_connecting(&mut self, cx: &mut Context<'_>, place: usize) -> bool {
        let now = self.recorder.clock().now();
        let connection = &mut self.connections[place];
        let (session, conn) = (connection.session, connection.conn);
        let result = match &mut connection.stage {
            Stage::Connecting(attempt) => match attempt.as_mut().poll(cx) {
                Poll::Ready(result) => result.map_err(|error| error.to_string()),
                Poll::Pending => match &connection.silence {
                    Some(silence) if silence.until <= now => Err(self.silent(place)),
                    Some(_) | None => return false,
                },
            },
            Stage::Refused(why) => Err(std::mem::take(why)),
            Stage::Open(_) | Stage::Gone => return false,
        };
        if let Ok(stream) = &result {
            self.tell_ports(session, conn, stream);
        }
        let connection = &mut self.connections[place];
        match result {
            Ok(stream) => {
                connection.stage = Stage::Open(Open::new(stream));
                self.connected(session, conn);
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
            Poll::Ready(Err(error)) => open.fail(error),
            Poll::Pending => return false,
        }
        true
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, place: usize) -> bool {
        let Stage::Open(open) = &mut self.connections[place].stage else {
            return false;
        };
        let Some(room) = READ.checked_sub(self.read).filter(|room| *room > 0) else {
            // There may be more: the task comes back.
            return true;
        };
        let read = open.poll_read(cx, &mut self.buffer[..room]);
        // Whoever comes after this one is first next time.
        self.first = place + 1;
        self.heard(place, read)
    }

    /// Hears what waits in the sockets of a session, each once, before something is decided that it may change.
    pub(super) fn hear(&mut self, session: SessionIndex) {
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if let Stage::Open(open) = &mut connection.stage
                && connection.session == session
            {
                let read = open.read_now(&mut self.buffer);
                self.heard(place, read);
            }
        }
    }

    /// What reading a connection came to, the bytes being in the buffer. False when it was nothing.
    fn heard(&mut self, place: usize, read: Poll<io::Result<usize>>) -> bool {
        let connection = &self.connections[place];
        let (session, conn) = (connection.session, connection.conn);
        match read {
            Poll::Ready(Ok(0)) => self.lost(place, "closed by the peer"),
            Poll::Ready(Ok(length)) => {
                self.read += length;
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
        let (buffer, read) = (&mut self.buffer, &mut self.read);
        let mut more = false;
        self.lingering.retain_mut(|lingering| {
            loop {
                let Some(room) = READ.checked_sub(*read).filter(|room| *room > 0) else {
                    more = true;
                    return true;
                };
                match lingering.poll_read(cx, &mut buffer[..room]) {
                    Poll::Ready(Ok(length @ 1..)) => *read += length,
                    Poll::Ready(Ok(0) | Err(_)) => return false,
                    Poll::Pending => return true,
                }
            }
        });
        more || self.lingering.len() < before
    }

    pub(super) fn connect(
        &mut self,
        session: SessionIndex,
        conn: Conn,
        local: IpAddr,
        remote: IpAddr,
    ) {
        let spec = &self.router.config().sessions[session.index()];
        let interface = self.interfaces[session.index()];
        let scope = scope(remote, interface);
        let silence = silence::patience(spec);
        let socket = self.namespace.run(|| {
            let before = silence.and_then(|_| Dropped::here().ok());
            let socket = bgp_connect(local, scope, reach(spec), key(spec))?;
            Ok::<_, SocketError>((socket, before))
        });
        let mut before = None;
        let stage = match socket {
            Ok(Ok((socket, counted))) => {
                before = counted;
                let to = address(remote, BGP_PORT, scope);
                let attempt = TcpSocket::from_std_stream(socket).connect(to);
                Stage::Connecting(Box::pin(attempt))
            }
            Ok(Err(error)) => Stage::Refused(error.to_string()),
            Err(error) => Stage::Refused(error.to_string()),
        };
        let silence = silence.map(|patience| Silence {
            until: self.recorder.clock().now() + patience,
            before,
        });
        self.connections.push(Connection {
            session,
            conn,
            stage,
            silence,
        });
    }

    pub(super) fn close(&mut self, now: At, session: SessionIndex, conn: Conn, abort: bool) {
        let Some(stage) = self.stage(session, conn) else {
            return;
        };
        match std::mem::replace(stage, Stage::Gone) {
            Stage::Open(open) if abort => open.vanish(),
            Stage::Open(open) => {
                self.lingering.push(open.close(session, now));
                // Few ends of a session are worth waiting for, whatever the neighbour does.
                let of = |lingering: &Lingering| lingering.session == session;
                if self.lingering.iter().filter(|l| of(l)).count() > ENDING
                    && let Some(oldest) = self.lingering.iter().position(of)
                {
                    self.lingering.remove(oldest);
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
