//! A whole router with three neighbours: what they send, connections that come and go, timers, BFD, carrier, routes and
//! policies of its own, restarts, all read from the fuzzer's input.
//!
//! After every input: what each neighbour was told, as it reads it, is Adj-RIB-Out; the kernel has the routes in use; routes of
//! a session that is down are stale ones; connections and timers are bounded. At the end good neighbours get all sessions
//! established and their routes into the kernel, whatever came before.

#![no_main]

#[path = "router/kernel.rs"]
mod kernel;
#[path = "script/mod.rs"]
mod script;
#[path = "router/wire.rs"]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ipnet::IpNet;
use libfuzzer_sys::fuzz_target;
use peerlab::bgp::attributes::{Attributes, Community, GRACEFUL_SHUTDOWN};
use peerlab::bgp::family::{Families, Family};
use peerlab::bgp::message::{self, Capabilities, Dialect, GracefulRestart, Nlri, Open};
use peerlab::bgp::policy::{Change, Match, Policy, Rule, Verdict};
use peerlab::bgp::session::{ROOM, State};
use peerlab::router::{
    Conn, Direction, Input, MaximumPrefixes, Originated, OriginatedAttributes, Output, Router,
    RouterConfig, RouterOptions, SessionIndex, SessionSpec, Sessions,
};
use peerlab::time::At;

use self::kernel::Kernel;
use self::script::Script;
use self::wire::Wire;

/// The router's AS, and its neighbours'; the last is its own.
const ASN: u32 = 64500;
const NEIGHBOURS: [u32; 3] = [64501, 64502, ASN];

fuzz_target!(|data: &[u8]| {
    let mut script = Script(data);
    let mut bench = Bench::new(script.octet(), script.octet());
    bench.input(Input::Start);
    while !script.is_over() {
        bench.step(&mut script);
    }
    bench.settles();
});

/// One of the neighbours.
fn session(script: &mut Script<'_>) -> usize {
    usize::from(script.octet()) % NEIGHBOURS.len()
}

fn prefix(script: &mut Script<'_>) -> IpNet {
    let text = match script.octet() % 12 {
        n @ 0..8 => format!("20.0.{n}.0/24"),
        n => format!("2001:db8:{n}::/48"),
    };
    text.parse().expect("a prefix")
}

struct Bench {
    router: Router,
    now: At,
    serial: u32,
    wires: Vec<Wire>,
    /// The attempts under way.
    attempts: BTreeMap<usize, Conn>,
    kernel: Kernel,
}

impl Bench {
    fn new(choices: u8, more: u8) -> Bench {
        let chosen = |bit: u8| choices & (1 << bit) != 0;
        let several = if chosen(0) {
            Families::ALL
        } else {
            Families::NONE
        };
        let capabilities = Capabilities {
            families: Families::ALL,
            enhanced_route_refresh: chosen(1),
            extended_message: chosen(2),
            extended_next_hop: true,
            graceful_restart: chosen(3).then_some(GracefulRestart {
                restarting: false,
                notification: chosen(4),
                time: 3,
                families: Families::ALL,
                preserved: Families::ALL,
            }),
            add_path_receive: several,
            add_path_send: several,
            ..Capabilities::of(Family::Ipv4Unicast)
        };
        let sessions = (0..).zip(NEIGHBOURS).map(|(place, asn): (u16, u32)| {
            let address = |side: u16| IpAddr::from([0x2001, 0xdb8, 9, place, 0, 0, 0, side]);
            let name = format!("n{place}");
            let mut spec = SessionSpec::new(&name, &name, address(0), address(1), 127, asn);
            spec.capabilities = capabilities.clone();
            spec.timers.hold = Duration::from_secs(9);
            spec.use_bfd = chosen(5);
            spec.bfd_strict = chosen(6) && place == 0;
            spec.options.bfd_check_control_plane = chosen(7);
            spec.options.delay_open = (more & 1 != 0).then_some(Duration::from_millis(500));
            spec.reflector_client = asn == ASN && more & 2 != 0;
            if more & 4 != 0 {
                spec.advertisement_interval = Duration::from_secs(2);
            }
            spec.maximum_prefixes = (more & 8 != 0).then_some(MaximumPrefixes {
                limit: 6,
                warn_at: 50,
                warning_only: more & 16 != 0,
                restart_after: (more & 32 != 0).then_some(Duration::from_secs(1)),
            });
            spec.enforce_first_as = more & 64 == 0;
            spec.record_routes = true;
            spec.monitor = more & 128 != 0;
            spec
        });
        let config = RouterConfig {
            name: "router".to_owned(),
            asn: ASN,
            router_id: Ipv4Addr::new(10, 0, 0, 1),
            sessions: sessions.collect(),
            originate: Vec::new(),
            multipath: 4,
            options: RouterOptions {
                selection_deferral: Duration::from_secs(5),
                stale: Duration::from_secs(5),
                ..RouterOptions::default()
            },
        };
        Bench {
            router: Router::new(config, 1),
            now: At::ZERO,
            serial: 0,
            wires: Vec::new(),
            attempts: BTreeMap::new(),
            kernel: Kernel::default(),
        }
    }

    /// One thing happens.
    fn step(&mut self, script: &mut Script<'_>) {
        let kind = script.octet() % 24;
        let place = session(script);
        let session = index(place);
        match kind {
            0 | 1 => {
                let bytes = script.chunk();
                self.bytes(place, bytes);
            }
            // A message whose header is in order.
            2 | 3 => {
                let kind = script.octet() % 6;
                let body = script.chunk();
                let length = u16::try_from(19 + body.len()).unwrap_or(u16::MAX);
                let mut message = vec![0xff; 16];
                message.extend(length.to_be_bytes());
                message.push(kind);
                message.extend(body);
                self.bytes(place, &message);
            }
            4 => self.open(place),
            5 => self.keepalive(place),
            6..=8 => self.announce(place, script),
            9 => {
                let nlri = nlri(script);
                let dialect = self.dialect(place);
                let mut out = BytesMut::new();
                message::write_withdrawals(&mut out, &[nlri], dialect);
                self.bytes(place, &out);
            }
            10 => {
                let mut out = BytesMut::new();
                let family = Family::ALL[usize::from(script.octet()) % 2];
                match script.octet() % 4 {
                    subtype @ 0..3 => message::write_route_refresh(&mut out, family, subtype),
                    _ => message::write_end_of_rib(&mut out, family),
                }
                self.bytes(place, &out);
            }
            11 => self.accept(place),
            12 => self.connect(place, script.octet() % 4 != 0),
            13 => self.pass(Duration::from_millis(u64::from(script.octet()) * 50)),
            14 => self.written(place),
            15 => self.close(place),
            16 => match script.octet() % 3 {
                0 => self.input(Input::BfdUp { session }),
                1 => self.input(Input::BfdAdminDown { session }),
                _ => self.input(Input::BfdDown {
                    session,
                    control_plane_independent: script.octet() % 2 == 0,
                }),
            },
            17 => {
                let interface = &format!("n{place}");
                match script.octet() % 2 {
                    0 => self.input(Input::InterfaceUp { interface }),
                    _ => self.input(Input::InterfaceDown { interface }),
                }
            }
            18 => {
                let (prefix, sessions) = (prefix(script), Sessions::All);
                match script.octet() % 3 {
                    0 => self.input(Input::Announce(Originated {
                        prefix,
                        attributes: OriginatedAttributes::default(),
                        sessions,
                    })),
                    1 => self.input(Input::Withdraw { prefix, sessions }),
                    _ => self.input(Input::Unpin { prefix, sessions }),
                }
            }
            19 => {
                let (import, export) = (policy(script.octet()), policy(script.octet()));
                self.input(Input::Policy {
                    session,
                    import,
                    export,
                });
            }
            20 => self.input(Input::RequestRefresh { session }),
            21 => match script.octet() % 4 {
                0 => self.input(Input::Stop {
                    session,
                    reason: "fuzz",
                }),
                1 => self.input(Input::Reset {
                    session,
                    reason: "",
                }),
                2 => self.input(Input::GracefulShutdown {
                    session,
                    after: Duration::from_secs(1),
                    reason: "fuzz",
                }),
                _ => self.input(Input::StartSession { session }),
            },
            22 => self.good(place),
            _ => match script.octet() % 8 {
                0 => self.input(Input::Crash),
                1 => self.input(Input::Halt { forwarding: true }),
                2 => self.input(Input::Halt { forwarding: false }),
                3 => self.input(Input::Restart {
                    preserved: Families::ALL,
                }),
                _ => self.input(Input::Start),
            },
        }
    }

    /// The latest connection of a session.
    fn conn(&self, place: usize) -> Option<Conn> {
        let mut wires = self.wires.iter().rev();
        Some(wires.find(|wire| wire.session == place)?.conn)
    }

    fn bytes(&mut self, place: usize, bytes: &[u8]) {
        if let Some(conn) = self.conn(place) {
            let session = index(place);
            self.input(Input::Bytes {
                session,
                conn,
                bytes,
            });
        }
    }

    fn open(&mut self, place: usize) {
        let mut out = BytesMut::new();
        let config = self.router.config();
        let open = Open {
            asn: NEIGHBOURS[place],
            hold_time: 9,
            id: Ipv4Addr::from([10, 0, 0, 2 + place as u8]),
            capabilities: config.sessions[place].capabilities.clone(),
        };
        message::write_open(&mut out, &open);
        self.bytes(place, &out);
    }

    fn keepalive(&mut self, place: usize) {
        let mut out = BytesMut::new();
        message::write_keepalive(&mut out);
        self.bytes(place, &out);
    }

    /// The neighbour gets the session established, if it can be.
    fn good(&mut self, place: usize) {
        if self.router.state(index(place)) != State::Established {
            self.accept(place);
            self.open(place);
            self.keepalive(place);
        }
    }

    fn announce(&mut self, place: usize, script: &mut Script<'_>) {
        let attributes = self.attributes(place, script.octet(), script.octet());
        let nlri: Vec<Nlri> = (0..=script.octet() % 3).map(|_| nlri(script)).collect();
        self.tell(place, &attributes, &nlri);
    }

    fn attributes(&self, place: usize, path: u8, bits: u8) -> Attributes {
        let next_hop = self.router.config().sessions[place].peer;
        let mut attributes = Attributes::originated(next_hop);
        let internal = NEIGHBOURS[place] == ASN;
        attributes
            .as_path
            .extend((!internal).then_some(NEIGHBOURS[place]));
        let behind = (0..path % 4).map(|n| 65000 + u32::from(path.wrapping_mul(n + 1) % 5));
        attributes.as_path.extend(behind);
        if path == 255 {
            attributes.as_path.push(ASN);
        }
        attributes.local_pref = internal.then_some(100 + u32::from(bits % 4));
        attributes.med = (bits & 4 != 0).then_some(u32::from(bits));
        attributes
            .communities
            .extend((bits & 8 != 0).then_some(GRACEFUL_SHUTDOWN));
        attributes
            .communities
            .extend((bits & 16 != 0).then_some(ASN << 16 | 1));
        attributes
    }

    fn tell(&mut self, place: usize, attributes: &Attributes, nlri: &[Nlri]) {
        let mut out = BytesMut::new();
        let dialect = self.dialect(place);
        if message::write_announcements(&mut out, attributes, nlri, dialect).is_ok() {
            self.bytes(place, &out);
        }
    }

    /// What the neighbour reads and writes on a session: as the router does, the other way round.
    fn dialect(&self, place: usize) -> Dialect {
        let status = self.router.session_status(index(place));
        let negotiated = status.and_then(|status| Some(status.negotiated?.dialect));
        let plain = || Dialect::plain(NEIGHBOURS[place] == ASN);
        let dialect = negotiated.unwrap_or_else(plain);
        Dialect {
            add_path_receive: dialect.add_path_send,
            add_path_send: dialect.add_path_receive,
            extended_receive: dialect.extended_message,
            ..dialect
        }
    }

    fn accept(&mut self, place: usize) {
        self.serial += 1;
        let conn = Conn {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        self.connected(place, conn);
    }

    fn connect(&mut self, place: usize, succeeds: bool) {
        let Some(conn) = self.attempts.remove(&place) else {
            return;
        };
        if succeeds {
            self.connected(place, conn);
        } else {
            let session = index(place);
            self.input(Input::ConnectFailed {
                session,
                conn,
                why: "refused",
            });
        }
    }

    fn connected(&mut self, place: usize, conn: Conn) {
        self.wires.push(Wire {
            session: place,
            conn,
            told: BTreeSet::new(),
            unwritten: 0,
        });
        let session = index(place);
        self.input(Input::Connected { session, conn });
    }

    fn close(&mut self, place: usize) {
        let Some(conn) = self.conn(place) else {
            return;
        };
        self.wires
            .retain(|wire| (wire.session, wire.conn) != (place, conn));
        let session = index(place);
        self.input(Input::Closed {
            session,
            conn,
            why: "gone",
        });
    }

    /// The kernel takes what waits.
    fn written(&mut self, place: usize) {
        let mut wires = self.wires.iter_mut();
        let Some(wire) = wires.rfind(|wire| wire.session == place && wire.unwritten > 0) else {
            return;
        };
        let (conn, bytes) = (wire.conn, std::mem::take(&mut wire.unwritten));
        let session = index(place);
        self.input(Input::Written {
            session,
            conn,
            bytes,
        });
    }

    fn input(&mut self, input: Input<'_>) {
        // On what was established before, if it is no more.
        let dialects: Vec<Dialect> = (0..NEIGHBOURS.len()).map(|n| self.dialect(n)).collect();
        let was_up: Vec<bool> = (0..NEIGHBOURS.len()).map(|n| self.is_up(n)).collect();
        self.router.handle(self.now, input);
        let mut written = 0;
        while let Some(output) = self.router.poll() {
            match output {
                Output::Connect { session, conn, .. } => {
                    self.attempts.insert(session.index(), conn);
                }
                Output::Write {
                    session,
                    conn,
                    bytes,
                } => {
                    written += bytes.len();
                    let place = session.index();
                    let dialect = match self.is_up(place) {
                        true => Some(self.dialect(place)),
                        false => was_up[place].then_some(dialects[place]),
                    };
                    let mut wires = self.wires.iter_mut();
                    let wire = wires.find(|wire| wire.session == place && wire.conn == conn);
                    if let Some(wire) = wire {
                        wire.unwritten += bytes.len();
                        if let Some(dialect) = dialect {
                            wire.hear(&bytes, dialect);
                        }
                    }
                }
                Output::Close { session, conn, .. } => {
                    let place = session.index();
                    self.wires
                        .retain(|wire| (wire.session, wire.conn) != (place, conn));
                    self.attempts
                        .retain(|of, attempt| (*of, *attempt) != (place, conn));
                }
                Output::Fib(fib) => self.kernel.change(fib, self.router.loc_rib()),
                Output::Monitored(_) | Output::Fact(_) => {}
            }
        }
        assert!(
            written <= NEIGHBOURS.len() * (ROOM + 128 * 1024),
            "{written} bytes at once"
        );
        self.is_right();
    }

    fn is_up(&self, place: usize) -> bool {
        self.router.state(index(place)) == State::Established
    }

    fn is_right(&self) {
        for place in 0..NEIGHBOURS.len() {
            let session = index(place);
            let wires = self.wires.iter().filter(|wire| wire.session == place);
            assert!(wires.count() <= 2, "too many connections");
            let told = self.router.adj_rib_out(session).expect("a session");
            let told: BTreeSet<(IpNet, u32)> = told
                .iter()
                .map(|(nlri, _)| (nlri.prefix, nlri.path_id))
                .collect();
            if self.is_up(place) {
                let status = self.router.session_status(session).expect("a session");
                let mut wires = self.wires.iter();
                let wire = wires.find(|wire| {
                    wire.session == place && Some(wire.conn.direction) == status.opened_by
                });
                assert_eq!(wire.expect("a connection").told, told, "session {place}");
            } else {
                let held = self.router.adj_rib_in(session).expect("a session");
                assert!(held.iter().all(|route| route.stale), "routes of nobody");
            }
        }
        self.kernel.is_right(self.router.loc_rib());
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..3000 {
            let Some(due) = self.router.deadline().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.input(Input::Deadline);
        }
        panic!("a timer that does not end");
    }

    /// With good neighbours, all sessions are established, and what they announce is in the kernel.
    fn settles(&mut self) {
        self.input(Input::Crash);
        assert!(self.kernel.routes.is_empty() && self.wires.is_empty());
        for place in 0..NEIGHBOURS.len() {
            let session = index(place);
            let interface = &format!("n{place}");
            self.input(Input::InterfaceUp { interface });
            self.input(Input::BfdUp { session });
            self.input(Input::Stop {
                session,
                reason: "",
            });
            self.input(Input::Policy {
                session,
                import: policy(0),
                export: policy(0),
            });
        }
        self.input(Input::Start);
        let prefixes = ["20.1.0.0/24", "20.1.1.0/24", "20.1.2.0/24"];
        for (place, prefix) in prefixes.into_iter().enumerate() {
            let prefix = prefix.parse().expect("a prefix");
            let session = index(place);
            self.input(Input::StartSession { session });
            self.accept(place);
            self.open(place);
            self.keepalive(place);
            assert!(self.is_up(place), "session {place}");
            let attributes = self.attributes(place, 1, 0);
            self.tell(place, &attributes, &[Nlri { prefix, path_id: 0 }]);
            assert!(self.kernel.routes.contains_key(&prefix), "{prefix}");
        }
    }
}

fn index(place: usize) -> SessionIndex {
    SessionIndex(place as u16)
}

fn nlri(script: &mut Script<'_>) -> Nlri {
    let prefix = prefix(script);
    let path_id = u32::from(script.octet() % 3);
    Nlri { prefix, path_id }
}

/// Takes all, prefers some, refuses some, or refuses all; or none is given.
fn policy(choice: u8) -> Option<Arc<Policy>> {
    let community = Match::Community(Community::Standard(ASN << 16 | 1).into());
    let rules = match choice % 5 {
        0 => Vec::new(),
        1 => vec![Rule::set(vec![community], vec![Change::LocalPref(200)])],
        2 => vec![Rule::reject(vec![community], "some")],
        3 => return Some(Arc::new(Policy::deny_all())),
        _ => return None,
    };
    Some(Arc::new(Policy::new(rules, Verdict::Accept)))
}
