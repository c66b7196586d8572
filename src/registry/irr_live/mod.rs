//! Routing registries as servers: asked on the internet, and served to the routers of a lab.
//!
//! Two protocols over TCP, both lines of text: that of IRRd, whose answers say how long they are, and whois
//! (RFC 3912) with the flags that RIPE's database made common. [`question`] and [`answer`] are the two sides without
//! I/O, [`wire`] the form of IRRd's answers, and [`driver`] gives them sockets.

pub mod answer;
pub mod driver;
pub mod question;
pub mod wire;

use std::collections::BTreeSet;

use ipnet::IpNet;

/// Port of the registry in a lab: whois's own, 43, would need privileges that a test of it has not.
pub const PORT: u16 = 4343;

/// What is to be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// AS numbers: their `aut-num` objects, and the route objects with them as origin.
    pub asns: BTreeSet<u32>,
    /// Prefixes: the route objects of each, and of what covers it.
    pub prefixes: BTreeSet<IpNet>,
    /// Sets, in any case: their `as-set` objects, and those of all sets inside.
    pub as_sets: BTreeSet<String>,
}

/// How a server is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// IRRd's queries, several on one connection.
    Irrd,
    /// Whois with RIPE's flags, one connection for each.
    Whois,
}
