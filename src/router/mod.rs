//! One simulated router: its BGP sessions, its routes, the state of its links and BFD sessions, joined.
//!
//! [`Router`] is a value: inputs go into [`Router::handle`], outputs come from [`Router::poll`], and
//! [`Router::deadline`] says when it wants [`Input::Deadline`]. `driver.rs` gives it sockets and a kernel table.
//!
//! **Invariant:** no socket, no clock, no environment; the same inputs at the same moments give the same outputs.

mod config;
pub mod driver;
mod io;

use std::collections::VecDeque;
use std::net::Ipv4Addr;

pub use config::{
    Export, ExportPolicy, ImportPolicy, Originated, OriginatedAttributes, RouterConfig,
    SessionIndex, SessionSpec, Sessions,
};
pub use io::{Conn, Direction, Fib, Input, NextHop, Output};

use crate::bgp::session::State;
use crate::time::At;

/// One simulated router.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    outputs: VecDeque<Output>,
}

impl Router {
    /// A router that is off; [`Input::Start`] boots it. `seed` decides its timer jitter.
    pub fn new(config: RouterConfig, _seed: u64) -> Router {
        Router {
            config,
            outputs: VecDeque::new(),
        }
    }

    /// Its configuration.
    pub fn config(&self) -> &RouterConfig {
        &self.config
    }

    /// The session an incoming connection belongs to, if any.
    pub fn session_for(&self, local: Ipv4Addr, remote: Ipv4Addr) -> Option<SessionIndex> {
        self.config
            .sessions
            .iter()
            .position(|s| s.local == local && s.peer == remote)
            .map(|i| SessionIndex(i as u16))
    }

    /// The RFC 4271 state of a session.
    pub fn state(&self, _session: SessionIndex) -> State {
        State::Idle
    }

    /// Takes what happened at `now`. Outputs wait in [`Router::poll`].
    pub fn handle(&mut self, _now: At, _input: Input<'_>) {}

    /// The next thing to do, in order; `None` when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Deadline`] is due next.
    pub fn deadline(&self) -> Option<At> {
        None
    }
}
