//! The daemons: how each is told what a scene wishes, and how its own tools are asked.

mod bird;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;

use std::path::Path;

use peerlab::bgp::family::Family;
use peerlab::binding::Daemon;
use peerlab::kernel::feature::program;

use crate::routes::{Heard, addresses};

/// Not to be had in two octets.
pub const EDGE_ASN: u32 = 4_200_008_075;
pub const DUT_ASN: u32 = 4_200_000_001;
/// RFC 6793: who knows two octets only knows others by this number.
pub const AS_TRANS: u32 = 23456;

/// What a scene wants of the daemon's configuration: one neighbour, our edge, and 10 routes for it.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// What the session is over.
    pub over: Family,
    /// What it carries; IPv4 over IPv6 has IPv6 next hops (RFC 8950).
    pub carries: Family,
    /// The daemon's AS number.
    pub asn: u32,
    /// Ours, as the daemon is told.
    pub edge_asn: u32,
    /// It knows no AS numbers of four octets.
    pub two_octets: bool,
    /// It waits for us.
    pub passive: bool,
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
    /// A plain session, in which the daemon connects.
    pub fn over(over: Family) -> Wish {
        Wish {
            over,
            carries: over,
            asn: DUT_ASN,
            edge_asn: EDGE_ASN,
            two_octets: false,
            passive: false,
            md5: None,
            ttl: false,
            bfd: false,
            leaving: false,
        }
    }

    /// Our address.
    pub fn neighbor(&self) -> &'static str {
        addresses(self.over).0
    }

    /// The daemon's address.
    pub fn local(&self) -> &'static str {
        addresses(self.over).1
    }

    /// What the session carries: `ipv4` or `ipv6`.
    pub fn family(&self) -> &'static str {
        match self.carries {
            Family::Ipv4Unicast => "ipv4",
            Family::Ipv6Unicast => "ipv6",
        }
    }

    /// IPv4 routes have IPv6 next hops.
    pub fn extended_next_hop(&self) -> bool {
        self.over != self.carries
    }
}

/// A program and its arguments.
pub type Words = Vec<String>;

/// A daemon under test.
pub struct Dut {
    pub daemon: Daemon,
    /// The daemon and its tools.
    programs: &'static [&'static str],
    /// Its configuration; files it needs beside it go into the folder.
    pub config: fn(&Wish, &Path) -> String,
    /// What makes it announce its routes, where its configuration cannot.
    pub originate: fn(&Wish) -> Vec<Words>,
    /// Asks for the routes it has from us.
    pub routes: fn(&Wish) -> Words,
    /// Reads the answer.
    pub heard: fn(&str) -> Vec<Heard>,
    /// Makes it ask us for our routes again.
    pub refresh: fn(&Wish) -> Words,
    /// Makes it end the session with [`ITS_WORDS`], if these are for us to choose.
    pub shutdown: fn(&Wish) -> Words,
    pub lacks: Lacks,
}

/// What a daemon is known not to do. The scene is played all the same: the cell is blocked when that is seen, and missed otherwise.
pub struct Lacks {
    /// It does not ask for routes again.
    pub asks: Option<&'static str>,
    /// It does not tell its routes again when we ask, and says this instead.
    pub answers: Option<(&'static str, &'static str)>,
    /// It hears also what comes from far away.
    pub near: Option<&'static str>,
    /// It cannot show the words with which we end a session, and says this next.
    pub shows: Option<(&'static str, &'static str)>,
    /// It ends a session with these words, whatever it is to say. That is no fault: the cell is met.
    pub speaks: Option<(&'static str, &'static str)>,
    /// It ends BGP when we disable BFD.
    pub bears: Option<&'static str>,
    pub two_octets: TwoOctets,
}

/// What a daemon makes of our AS number when it is to know two octets only (RFC 6793).
pub enum TwoOctets {
    /// It is configured with one number of ours and shows one in paths: some announce no capability, but understand ours.
    Known { told: u32, shown: u32 },
    /// It refuses a number of ours that does not fit, and says this. One behind ours in a path it takes.
    Refuses {
        why: &'static str,
        says: &'static str,
    },
    /// It cannot be made to.
    Never(&'static str),
}

/// As an RFC has it.
const NOTHING: Lacks = Lacks {
    asks: None,
    answers: None,
    near: None,
    shows: None,
    speaks: None,
    bears: None,
    two_octets: TwoOctets::Known {
        told: AS_TRANS,
        shown: AS_TRANS,
    },
};

/// The words in [`Dut::shutdown`].
pub const ITS_WORDS: &str = "day work";

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

fn nothing(_: &Wish) -> Vec<Words> {
    Vec::new()
}

/// A command whose words have no spaces.
fn words(text: &str) -> Words {
    text.split(' ').map(str::to_owned).collect()
}
