//! Sessions in virtual time: scripts with a played neighbour, collisions in every order, hostile streams.

mod bfd;
mod collision;
mod ends;
mod graceful_restart;
mod hostile;
mod negotiation;
mod notifications;
mod scripts;

use std::net::Ipv4Addr;

use super::*;
use crate::bgp::family::Family;
use crate::bgp::message::{self, Capabilities, GracefulRestart, Message};

/// A session and a clock.
struct Bench {
    session: Session,
    now: At,
    outputs: Vec<Output>,
    serial: u32,
}

fn config() -> SessionConfig {
    SessionConfig {
        asn: 8075,
        id: Ipv4Addr::new(10, 0, 0, 1),
        peer_asn: 64500,
        passive: false,
        use_bfd: false,
        bfd_strict: false,
        wait_for_bfd: false,
        capabilities: Capabilities::of(Family::Ipv4Unicast),
        timers: Timers::default(),
        options: Options::default(),
        seed: 1,
    }
}

/// What an end announces that can restart gracefully within 120 s.
fn graceful() -> GracefulRestart {
    GracefulRestart {
        restarting: false,
        notification: true,
        time: 120,
        families: Family::Ipv4Unicast.into(),
        preserved: Family::Ipv4Unicast.into(),
    }
}

/// BFD that may have gone down with the neighbour's control plane.
const BFD_DOWN: Input<'static> = Input::BfdDown {
    control_plane_independent: false,
};

fn write_refresh(out: &mut BytesMut) {
    message::write_route_refresh(out, Family::Ipv4Unicast, 0);
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What the played neighbour says.
fn neighbour_open() -> Open {
    Open {
        asn: 64500,
        hold_time: 180,
        id: Ipv4Addr::new(10, 0, 0, 2),
        capabilities: Capabilities::of(Family::Ipv4Unicast),
    }
}

fn bytes(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut out = BytesMut::new();
    write(&mut out);
    out
}

fn open_bytes(change: impl FnOnce(&mut Open)) -> BytesMut {
    let mut open = neighbour_open();
    change(&mut open);
    bytes(|out| message::write_open(out, &open))
}

fn keepalive_bytes() -> BytesMut {
    bytes(message::write_keepalive)
}

impl Bench {
    fn new(change: impl FnOnce(&mut SessionConfig)) -> Bench {
        let mut config = config();
        change(&mut config);
        Bench {
            session: Session::new(config),
            now: At::ZERO,
            outputs: Vec::new(),
            serial: 0,
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        self.outputs
            .extend(std::iter::from_fn(|| self.session.poll()));
    }

    /// Lets time pass, with every timer in its place.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(due);
            self.input(Input::Deadline);
        }
        self.now = end;
    }

    fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    fn state(&self) -> State {
        self.session.state()
    }

    /// Whether a connection attempt was asked for since outputs were last taken; the last one.
    fn attempt(&self) -> Option<Conn> {
        self.outputs.iter().rev().find_map(|o| match o {
            Output::Connect { conn } => Some(*conn),
            _ => None,
        })
    }

    /// Messages written since outputs were last taken, by whoever opened the connections.
    fn sent(&self) -> Vec<Message> {
        let mut sent = self.sent_on(Direction::Outgoing);
        sent.extend(self.sent_on(Direction::Incoming));
        sent
    }

    fn sent_on(&self, direction: Direction) -> Vec<Message> {
        let mut framer = message::Framer::default();
        for output in &self.outputs {
            match output {
                Output::Write { conn, bytes } if conn.direction == direction => framer.push(bytes),
                _ => {}
            }
        }
        let dialect = Dialect {
            enhanced_refresh: true,
            ..Dialect::plain(false)
        };
        std::iter::from_fn(|| framer.next(dialect).expect("our own messages")).collect()
    }

    fn notified(&self) -> Option<(u8, u8)> {
        Bench::notification(self.sent())
    }

    fn notified_on(&self, direction: Direction) -> Option<(u8, u8)> {
        Bench::notification(self.sent_on(direction))
    }

    fn notification(messages: Vec<Message>) -> Option<(u8, u8)> {
        messages.into_iter().find_map(|m| match m {
            Message::Notification(n) => Some((n.code, n.subcode)),
            _ => None,
        })
    }

    fn why(&self) -> Option<&str> {
        self.outputs.iter().rev().find_map(|o| match o {
            Output::StateChanged { why, .. } => Some(why.as_str()),
            _ => None,
        })
    }

    /// The attempt under way succeeds.
    fn connect(&mut self) -> Conn {
        let conn = self.attempt().expect("an attempt");
        self.input(Input::Connected { conn });
        conn
    }

    fn accept(&mut self) -> Conn {
        self.serial += 1;
        let conn = Conn {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        self.input(Input::Connected { conn });
        conn
    }

    fn bytes(&mut self, conn: Conn, bytes: &[u8]) {
        self.input(Input::Bytes { conn, bytes });
    }

    /// The neighbour's OPEN.
    fn open(&mut self, conn: Conn, change: impl FnOnce(&mut Open)) {
        self.bytes(conn, &open_bytes(change));
    }

    /// Established with an OPEN of the neighbour's that may have anything; the neighbour connects to a passive session.
    fn negotiated(
        configure: impl FnOnce(&mut SessionConfig),
        change: impl FnOnce(&mut Open),
    ) -> (Bench, Conn) {
        let mut bench = Bench::new(configure);
        bench.input(Input::Start);
        let conn = if bench.session.config.passive {
            bench.accept()
        } else {
            bench.connect()
        };
        bench.open(conn, change);
        bench.bytes(conn, &keepalive_bytes());
        assert_eq!(bench.state(), State::Established);
        (bench, conn)
    }

    /// Started, connected, OPEN and KEEPALIVE exchanged.
    fn established(change: impl FnOnce(&mut SessionConfig)) -> (Bench, Conn) {
        let mut bench = Bench::new(change);
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.bytes(conn, &open_bytes(|_| {}));
        bench.bytes(conn, &keepalive_bytes());
        assert_eq!(bench.state(), State::Established);
        (bench, conn)
    }
}
