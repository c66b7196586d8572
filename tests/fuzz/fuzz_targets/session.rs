//! A session fed with whole byte streams: what the neighbour sends, cut anywhere, between connections that come and go,
//! timers, BFD, carrier, slow writes, refreshes and stops, all read from the fuzzer's input.
//!
//! After every input: all that the session wants is bounded, it is in a state that fits its connections, and it is not
//! stuck. At the end a good neighbour gets it established, whatever came before.

#![no_main]

#[path = "script/mod.rs"]
mod script;

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerlab::bgp::family::{Families, Family};
use peerlab::bgp::message::{self, Capabilities, GracefulRestart, Open, Role};
use peerlab::bgp::notification::Notification;
use peerlab::bgp::session::{
    Activity, Conn, Direction, Input, Options, Output, ROOM, RefreshMark, Session, SessionConfig,
    State, Timers,
};
use peerlab::time::At;

use self::script::Script;

const FAMILIES: Families = Families::IPV4.with(Family::Ipv6Unicast);

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let mut bench = Bench::new(script.octet(), script.octet());
    bench.input(Input::Start);
    while !script.is_over() {
        bench.step(&mut script);
    }
    bench.settles();
});

struct Bench {
    session: Session,
    passive: bool,
    now: At,
    serial: u32,
    /// The connections there are, and the attempt under way.
    conns: Vec<Conn>,
    attempt: Option<Conn>,
    established: bool,
}

impl Bench {
    fn new(choices: u8, more: u8) -> Bench {
        let chosen = |bit: u8| choices & (1 << bit) != 0;
        let also = |bit: u8| more & (1 << bit) != 0;
        let passive = chosen(0);
        let capabilities = Capabilities {
            families: FAMILIES,
            enhanced_route_refresh: chosen(1),
            extended_message: chosen(2),
            extended_next_hop: chosen(2),
            graceful_restart: chosen(3).then(graceful),
            role: chosen(4).then_some(Role::Peer),
            add_path_receive: if chosen(5) { FAMILIES } else { Families::NONE },
            add_path_send: if chosen(5) { FAMILIES } else { Families::NONE },
            bfd_strict: chosen(6),
            ..Capabilities::of(Family::Ipv4Unicast)
        };
        let session = Session::new(SessionConfig {
            asn: 8075,
            id: Ipv4Addr::new(10, 0, 0, 1),
            peer_asn: 64500,
            passive,
            use_bfd: true,
            bfd_strict: chosen(7),
            wait_for_bfd: also(0),
            capabilities,
            timers: Timers {
                hold: Duration::from_secs(if also(1) { 0 } else { 9 }),
                ..Timers::default()
            },
            options: Options {
                delay_open: also(2).then_some(Duration::from_millis(500)),
                collision_detect_established: also(3),
                bfd_check_control_plane: also(4),
                damp_peer_oscillations: also(5),
                ..Options::default()
            },
            seed: 1,
        });
        Bench {
            session,
            passive,
            now: At::ZERO,
            serial: 0,
            conns: Vec::new(),
            attempt: None,
            established: false,
        }
    }

    /// One thing happens.
    fn step(&mut self, script: &mut Script<'_>) {
        let family = Family::Ipv6Unicast;
        match script.octet() % 20 {
            0..=3 => {
                let conn = self.choose(script.octet());
                self.bytes(conn, script.chunk());
            }
            // A message whose header is in order, so that more of them are read.
            4 | 5 => {
                let conn = self.choose(script.octet());
                let kind = script.octet() % 6;
                let body = script.chunk();
                let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
                let mut message = vec![0xff; 16];
                message.extend(length.to_be_bytes());
                message.push(kind);
                message.extend(body);
                self.bytes(conn, &message);
            }
            6 => {
                let conn = self.choose(script.octet());
                let last = script.octet();
                self.open(conn, last);
            }
            7 => {
                let conn = self.choose(script.octet());
                self.keepalive(conn);
            }
            8 => {
                self.accept();
            }
            9 => self.connect(),
            10 => self.pass(Duration::from_millis(u64::from(script.octet()) * 50)),
            11 => {
                let conn = self.choose(script.octet());
                let bytes = usize::from(script.octet()) * 64;
                self.input(Input::Written { conn, bytes });
            }
            12 => {
                let conn = self.choose(script.octet());
                self.conns.retain(|c| *c != conn);
                self.input(Input::Closed { conn, why: "gone" });
            }
            13 => self.input(Input::BfdUp),
            14 => self.input(Input::BfdDown {
                control_plane_independent: script.octet() % 2 == 0,
            }),
            15 => self.input(Input::InterfaceDown),
            16 => self.input(Input::InterfaceUp),
            17 => match script.octet() % 4 {
                0 => self.input(Input::RequestRefresh { family }),
                1 => self.input(Input::MarkRefresh {
                    family,
                    mark: RefreshMark::Begin,
                }),
                2 => self.input(Input::Restarted {
                    preserved: FAMILIES,
                }),
                _ => self.write(),
            },
            18 => {
                let restart = u64::from(script.octet());
                self.input(Input::AutomaticStop {
                    notification: Notification::new(6, script.octet() % 11),
                    restart_after: (restart != 0).then(|| Duration::from_millis(restart)),
                });
            }
            _ => match script.octet() % 8 {
                0 => self.input(Input::Stop { reason: "fuzz" }),
                1 => self.input(Input::Crash),
                _ => self.input(Input::Start),
            },
        }
    }

    /// One of the connections; maybe one that never was.
    fn choose(&self, choice: u8) -> Conn {
        let never = Conn {
            direction: Direction::Outgoing,
            serial: u32::MAX,
        };
        let place = usize::from(choice) % (self.conns.len() + 1);
        self.conns.get(place).copied().unwrap_or(never)
    }

    fn bytes(&mut self, conn: Conn, bytes: &[u8]) {
        self.input(Input::Bytes { conn, bytes });
    }

    fn open(&mut self, conn: Conn, last: u8) {
        let mut out = BytesMut::new();
        let open = Open {
            asn: 64500,
            hold_time: 9,
            id: Ipv4Addr::new(10, 0, 0, last),
            capabilities: Capabilities {
                families: FAMILIES,
                enhanced_route_refresh: true,
                extended_message: true,
                graceful_restart: Some(graceful()),
                role: Some(Role::Peer),
                add_path_receive: FAMILIES,
                add_path_send: FAMILIES,
                bfd_strict: last % 2 == 0,
                ..Capabilities::of(Family::Ipv4Unicast)
            },
        };
        message::write_open(&mut out, &open);
        self.bytes(conn, &out);
    }

    fn keepalive(&mut self, conn: Conn) {
        let mut out = BytesMut::new();
        message::write_keepalive(&mut out);
        self.bytes(conn, &out);
    }

    fn accept(&mut self) -> Conn {
        self.serial += 1;
        let conn = Conn {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        self.conns.push(conn);
        self.input(Input::Connected { conn });
        conn
    }

    fn connect(&mut self) {
        if let Some(conn) = self.attempt.take() {
            self.conns.push(conn);
            self.input(Input::Connected { conn });
        }
    }

    /// Writes as much as there is room for, as a router does.
    fn write(&mut self) {
        while self.session.room() > 0 {
            let Some((out, _)) = self.session.writer() else {
                return;
            };
            message::write_end_of_rib(out, Family::Ipv4Unicast);
        }
        self.input(Input::Deadline);
    }

    fn input(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        let mut written = 0;
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect { conn } => self.attempt = Some(conn),
                Output::Write { bytes, .. } => written += bytes.len(),
                Output::Close { conn, .. } => {
                    self.conns.retain(|c| *c != conn);
                    self.attempt = self.attempt.filter(|c| *c != conn);
                }
                Output::Established(_) => {
                    assert!(!self.established, "established twice");
                    self.established = true;
                }
                Output::Down { .. } => {
                    assert!(self.established, "down without having been established");
                    self.established = false;
                }
                Output::Update(_)
                | Output::RefreshRequested { .. }
                | Output::RefreshMarked { .. } => {
                    assert!(self.established, "routes without a session");
                }
                Output::Refused { count, .. } => assert!(count > 0),
                Output::RestartOver { .. } => assert!(!self.established),
                Output::StateChanged { from, to, .. } => assert_ne!(from, to),
            }
        }
        assert!(written <= ROOM + 64 * 1024, "{written} bytes at once");
        assert_eq!(self.established, self.session.state() == State::Established);
        // What the session did not take, it closed.
        assert!(self.conns.len() <= 2, "{:?}", self.conns);
        self.is_not_stuck();
    }

    /// A session that tries has a timer, unless it only listens or agreed on none.
    fn is_not_stuck(&self) {
        let status = self.session.status();
        let tries = matches!(
            status.activity,
            Activity::Runs | Activity::WithholdsKeepalive
        );
        let listens = self.passive && status.state == State::Active;
        let timeless = matches!(status.state, State::OpenConfirm | State::Established);
        if tries && !listens && !timeless {
            assert!(self.session.deadline().is_some(), "stuck: {status:?}");
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        // Keepalives are the most frequent, and seconds apart.
        for _ in 0..1000 {
            let Some(due) = self.session.deadline().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.input(Input::Deadline);
        }
        panic!("a timer that does not end");
    }

    /// With a path and a good neighbour, the session is established within a minute.
    fn settles(&mut self) {
        self.input(Input::Stop { reason: "" });
        assert_eq!(self.session.state(), State::Idle);
        for conn in self.conns.clone() {
            self.conns.clear();
            self.input(Input::Closed { conn, why: "gone" });
        }
        self.input(Input::InterfaceUp);
        self.input(Input::BfdUp);
        self.input(Input::Start);
        let conn = self.accept();
        self.open(conn, 2);
        self.keepalive(conn);
        assert_eq!(self.session.state(), State::Established);
    }
}

fn graceful() -> GracefulRestart {
    GracefulRestart {
        restarting: false,
        notification: true,
        time: 1,
        families: FAMILIES,
        preserved: FAMILIES,
    }
}
