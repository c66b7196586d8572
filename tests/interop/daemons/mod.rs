//! The daemons: how each is told what a scene wishes, and how its own tools are asked.

mod bird;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;

use std::path::Path;

use ipnet::IpNet;
use peerlab::binding::Daemon;
use peerlab::kernel::feature::program;

/// What a scene wants of the daemon's configuration: one neighbour, our edge, and 10 routes for it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// It waits for us.
    pub passive: bool,
    /// The session is over IPv6 and carries IPv6.
    pub ipv6: bool,
    /// TCP MD5 with this key.
    pub md5: Option<&'static str>,
    /// Nothing from further away than one hop.
    pub ttl: bool,
    /// BFD, 150 ms × 3.
    pub bfd: bool,
    /// Its routes are about to go: they have the community GRACEFUL_SHUTDOWN (RFC 8326).
    pub leaving: bool,
}

impl Wish {
    /// Our address.
    pub fn neighbor(&self) -> &'static str {
        if self.ipv6 { "2001:db8::3" } else { "10.0.0.1" }
    }

    /// The daemon's address.
    pub fn local(&self) -> &'static str {
        if self.ipv6 { "2001:db8::2" } else { "10.0.0.0" }
    }
}

/// A route as the daemon has it from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub prefix: IpNet,
    /// Communities and large communities, `8075:8007` and `8075:1:2`.
    pub communities: Vec<String>,
}

/// A question to a daemon's tool, and how the answer reads.
type Question<T> = (&'static [&'static str], fn(&str) -> T);

/// A daemon under test.
pub struct Dut {
    pub daemon: Daemon,
    /// The daemon and its tools.
    programs: &'static [&'static str],
    /// Its configuration; files it needs beside it go into the folder.
    pub config: fn(&Wish, &Path) -> String,
    /// What makes it announce its routes, where its configuration cannot.
    pub originate: fn(&Wish) -> Vec<Vec<String>>,
    /// The routes it has from us.
    pub heard: Question<Vec<Heard>>,
    /// What makes the question one of IPv6.
    pub heard_ipv6: &'static [&'static str],
    /// UPDATE messages, or routes in them, it received from us and sent to us.
    pub updates: Question<Option<(u64, u64)>>,
    /// Makes it ask us for our routes again; why it cannot.
    pub refresh: Result<&'static [&'static str], &'static str>,
    /// What it says instead of telling its routes again when we ask.
    pub refuses: Option<&'static str>,
    /// Why it hears also what comes from far away.
    pub far: Option<&'static str>,
    /// Why it cannot show the words with which we end a session.
    pub deaf: Option<&'static str>,
    /// Makes it end the session with words of its own; why it cannot.
    pub shutdown: Result<&'static [&'static str], &'static str>,
}

/// The words in [`Dut::shutdown`].
pub const WORDS: &str = "day work";

/// All, in the order of the columns.
pub static DUTS: [Dut; 5] = [frr::DUT, bird::DUT, gobgp::DUT, openbgpd::DUT, exabgp::DUT];

impl Dut {
    /// Why it cannot be tried on this machine.
    pub fn lack(&self) -> Option<String> {
        let missing = self
            .programs
            .iter()
            .find(|name| program::find(name).is_none())?;
        Some(format!("{} is not installed: no {missing}", self.daemon))
    }
}

fn nothing(_: &Wish) -> Vec<Vec<String>> {
    Vec::new()
}
