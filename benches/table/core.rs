//! Our router behind a plain TCP connection: its core, without the event loop and the kernel routes of `router/driver.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use peerlab::router::{
    Conn, Direction, Input, Originated, Output, Router, RouterConfig, RouterOptions, SessionIndex,
    SessionSpec,
};
use peerlab::time::Clock;

use crate::support::Outcome;

/// The only session.
pub const SESSION: SessionIndex = SessionIndex(0);
/// Bytes read at a time, as the routers' driver does.
const READ: usize = 16 * 1024;

/// A router with sessions to these neighbours; it waits for their connections.
pub fn router(asn: u32, neighbours: &[(Ipv4Addr, Ipv4Addr, u32)], own: Vec<Originated>) -> Router {
    let sessions = neighbours.iter().enumerate();
    let config = RouterConfig {
        name: "bench".to_owned(),
        asn,
        router_id: Ipv4Addr::new(10, 0, 0, asn as u8),
        sessions: sessions
            .map(|(n, &(local, peer, peer_asn))| {
                let name = format!("l{n}");
                let mut spec = SessionSpec::new(&name, &name, local, peer, 31, peer_asn);
                spec.passive = true;
                spec.timers.hold = Duration::ZERO;
                spec
            })
            .collect(),
        originate: own,
        multipath: 2,
        options: RouterOptions::default(),
    };
    Router::new(config, 1)
}

/// The connection of a session.
pub fn conn() -> Conn {
    Conn {
        direction: Direction::Incoming,
        serial: 1,
    }
}

/// Speaks over a connection until `done`.
pub fn speak(
    router: &mut Router,
    mut stream: TcpStream,
    clock: Clock,
    done: impl Fn(&Router) -> bool,
) -> Outcome<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    let (session, conn) = (SESSION, conn());
    router.handle(clock.now(), Input::Start);
    router.handle(clock.now(), Input::Connected { session, conn });
    let mut buffer = vec![0; READ];
    loop {
        while let Some(output) = router.poll() {
            if let Output::Write { bytes, .. } = output {
                stream.write_all(&bytes)?;
                let bytes = bytes.len();
                router.handle(
                    clock.now(),
                    Input::Written {
                        session,
                        conn,
                        bytes,
                    },
                );
            }
        }
        if done(router) {
            return Ok(());
        }
        if router.deadline().is_some_and(|at| at <= clock.now()) {
            router.handle(clock.now(), Input::Deadline);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Err("the neighbour closed the connection".into()),
            Ok(count) => {
                let bytes = &buffer[..count];
                router.handle(
                    clock.now(),
                    Input::Bytes {
                        session,
                        conn,
                        bytes,
                    },
                );
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
