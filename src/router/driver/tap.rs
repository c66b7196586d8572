//! Where monitored sessions are heard, and how much may wait to be heard.
//!
//! Who listens may be slow, and no router waits for it. Each session has a share; when it is full, what the session goes on
//! to tell is left out, until the listener has heard what waits and asks for the whole table anew
//! ([`RouterHandle::tell_anew`](super::RouterHandle::tell_anew)). OPENs are never left out: they come before there is a table.
//!
//! **Invariant:** of a session waits at most its share, and its table once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::mpsc::UnboundedSender;

use crate::bgp::attributes::Attributes;
use crate::bgp::session::State;
use crate::router::{Monitored, Observed, SessionIndex};
use crate::time::At;

/// Bytes that may wait of one session: some 100,000 routes with their messages.
const SHARE: usize = 16 << 20;

/// Something observed on a monitored session of a router. It counts as waiting until it is dropped.
#[derive(Debug)]
pub struct Tapped {
    /// The number given with [`super::RouterHandle::tap`].
    pub router: usize,
    /// When.
    pub at: At,
    /// What.
    pub monitored: Monitored,
    weight: usize,
    of: Arc<Waiting>,
}

/// What waits of a session.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    missing: AtomicBool,
}

impl Tapped {
    /// Whether this is the last that waits of a session of which something was left out.
    pub fn wants_anew(&self) -> bool {
        self.of.missing.load(Ordering::Acquire)
            && self.of.bytes.load(Ordering::Acquire) == self.weight
    }
}

impl Drop for Tapped {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.weight, Ordering::AcqRel);
    }
}

/// A router's end.
#[derive(Debug)]
pub(super) struct Tap {
    router: usize,
    taps: UnboundedSender<Tapped>,
    /// By their index.
    sessions: Vec<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    waiting: Arc<Waiting>,
    up: bool,
    left_out: u64,
}

impl Tap {
    pub(super) fn new(router: usize, taps: UnboundedSender<Tapped>) -> Tap {
        Tap {
            router,
            taps,
            sessions: Vec::new(),
        }
    }

    /// Tells what was observed, or leaves it out.
    pub(super) fn tell(&mut self, at: At, monitored: Monitored) {
        let heard = self.session(monitored.session);
        match &monitored.what {
            Observed::State(state) => {
                heard.up = *state == State::Established;
                // The table is void, and with it what is missing of it.
                self.tell_missing(at, monitored.session);
            }
            // What becomes of routes of a lost session concerns nobody who listens.
            Observed::Route { .. } if !heard.up => return,
            Observed::Received { .. }
            | Observed::Sent { .. }
            | Observed::Route { .. }
            | Observed::EndOfRib
                if heard.up =>
            {
                let waiting = heard.waiting.bytes.load(Ordering::Acquire);
                if heard.left_out > 0 || waiting + weight(&monitored.what) > SHARE {
                    heard.left_out += 1;
                    heard.waiting.missing.store(true, Ordering::Release);
                    return;
                }
            }
            _ => {}
        }
        self.send(at, monitored);
    }

    /// Tells a session's table anew, if something was left out.
    pub(super) fn tell_anew(
        &mut self,
        at: At,
        session: SessionIndex,
        table: impl Iterator<Item = Observed>,
    ) {
        if !self.tell_missing(at, session) {
            return;
        }
        for what in table.chain([Observed::EndOfRib]) {
            self.send(at, Monitored { session, what });
        }
    }

    /// Says that something is missing, if so; what comes now is not any more.
    fn tell_missing(&mut self, at: At, session: SessionIndex) -> bool {
        let heard = self.session(session);
        let messages = std::mem::take(&mut heard.left_out);
        heard.waiting.missing.store(false, Ordering::Release);
        if messages == 0 {
            return false;
        }
        let what = Observed::Missed { messages };
        self.send(at, Monitored { session, what });
        true
    }

    fn session(&mut self, session: SessionIndex) -> &mut Heard {
        let place = session.index();
        if self.sessions.len() <= place {
            self.sessions.resize_with(place + 1, Heard::default);
        }
        &mut self.sessions[place]
    }

    fn send(&mut self, at: At, monitored: Monitored) {
        let of = self.session(monitored.session).waiting.clone();
        let weight = weight(&monitored.what);
        of.bytes.fetch_add(weight, Ordering::AcqRel);
        let tapped = Tapped {
            router: self.router,
            at,
            monitored,
            weight,
            of,
        };
        // Nobody listens when the lab is taken down.
        let _ = self.taps.send(tapped);
    }
}

/// Bytes that an observation takes while it waits.
fn weight(what: &Observed) -> usize {
    let own = match what {
        Observed::Received { bytes, .. } | Observed::Sent { bytes, .. } => bytes.len(),
        Observed::Route {
            received, imported, ..
        } => received.as_deref().map_or(0, size) + imported.as_deref().map_or(0, size),
        _ => 0,
    };
    size_of::<Tapped>() + own
}

/// Attributes are shared, but a hostile neighbour gives each route its own.
fn size(set: &Attributes) -> usize {
    let unknown = set.unknown.iter().map(|unknown| unknown.value.len());
    4 * (set.as_path.len() + set.communities.len()) + unknown.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::bgp::session::{Conn, Direction};

    const SESSION: SessionIndex = SessionIndex(0);

    fn received(length: usize) -> Observed {
        let conn = Conn {
            direction: Direction::Incoming,
            serial: 1,
        };
        let bytes = vec![0; length].into();
        Observed::Received { conn, bytes }
    }

    fn told(tap: &mut Tap, what: Observed) {
        let session = SESSION;
        tap.tell(At::ZERO, Monitored { session, what });
    }

    fn next(taps: &mut UnboundedReceiver<Tapped>) -> Option<(Observed, bool)> {
        let tapped = taps.try_recv().ok()?;
        Some((tapped.monitored.what.clone(), tapped.wants_anew()))
    }

    #[test]
    fn what_waits_is_bounded_and_the_table_is_told_anew() {
        let (sender, mut taps) = unbounded_channel();
        let mut tap = Tap::new(0, sender);
        told(&mut tap, Observed::State(State::Established));
        for _ in 0..400 {
            told(&mut tap, received(65_536));
        }
        let mut heard = 0;
        let mut wants = false;
        while let Some((_, last)) = next(&mut taps) {
            assert!(!wants, "only the last one asks");
            wants = last;
            heard += 1;
        }
        assert!(wants && (200..257).contains(&heard), "{heard}");
        let route = Observed::gone(
            "198.51.100.0/24"
                .parse::<ipnet::IpNet>()
                .expect("one")
                .into(),
        );
        tap.tell_anew(At::ZERO, SESSION, [route.clone()].into_iter());
        told(&mut tap, received(1));
        let messages = 401 - heard as u64;
        for expected in [
            Observed::Missed { messages },
            route,
            Observed::EndOfRib,
            received(1),
        ] {
            assert_eq!(next(&mut taps), Some((expected, false)));
        }
        tap.tell_anew(At::ZERO, SESSION, [].into_iter());
        assert_eq!(next(&mut taps), None, "nothing was missing");
    }

    #[test]
    fn a_lost_session_needs_no_table() {
        let (sender, mut taps) = unbounded_channel();
        let mut tap = Tap::new(0, sender);
        // Before it is up, nothing is left out: OPENs are needed.
        for _ in 0..300 {
            told(&mut tap, received(65_536));
        }
        told(&mut tap, Observed::State(State::Established));
        told(&mut tap, received(1));
        told(&mut tap, Observed::State(State::Idle));
        let route = Observed::gone(
            "198.51.100.0/24"
                .parse::<ipnet::IpNet>()
                .expect("one")
                .into(),
        );
        told(&mut tap, route);
        for _ in 0..300 {
            assert_eq!(next(&mut taps), Some((received(65_536), false)));
        }
        let rest: Vec<_> = std::iter::from_fn(|| Some(next(&mut taps)?.0)).collect();
        let (up, down) = (State::Established, State::Idle);
        let missed = Observed::Missed { messages: 1 };
        assert_eq!(rest, [Observed::State(up), missed, Observed::State(down)]);
    }
}
