//! The routing daemons that can play a router, and what each of them is known to lack.

use std::fmt;

/// A routing daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Daemon {
    /// BIRD 2.
    Bird,
    /// FRR: zebra, bgpd, bfdd and staticd.
    Frr,
    /// GoBGP.
    Gobgp,
    /// OpenBGPD, its portable version.
    Openbgpd,
    /// ExaBGP.
    Exabgp,
}

impl Daemon {
    /// All of them.
    pub const ALL: [Daemon; 5] = [
        Daemon::Frr,
        Daemon::Bird,
        Daemon::Gobgp,
        Daemon::Openbgpd,
        Daemon::Exabgp,
    ];

    /// Its value of `device` in a binding file.
    pub fn key(self) -> &'static str {
        match self {
            Daemon::Bird => "bird",
            Daemon::Frr => "frr",
            Daemon::Gobgp => "gobgp",
            Daemon::Openbgpd => "openbgpd",
            Daemon::Exabgp => "exabgp",
        }
    }

    /// Why it forwards nothing by itself, if so: the routes it learns do not get into the kernel.
    ///
    /// GoBGP has no FIB but through a zebra, and the one of FRR 8.4 ends GoBGP 3.10 (a panic at the first interface it is
    /// told of). OpenBGPD writes routes on OpenBSD only. ExaBGP has no FIB at all.
    pub fn without_kernel_routes(self) -> Option<&'static str> {
        match self {
            Daemon::Bird | Daemon::Frr => None,
            Daemon::Gobgp => Some("GoBGP puts no routes into the kernel by itself"),
            Daemon::Openbgpd => Some("OpenBGPD puts no routes into a Linux kernel"),
            Daemon::Exabgp => Some("ExaBGP puts no routes into the kernel"),
        }
    }

    /// Whether it speaks BFD. Looked for in the versions of Debian 12: GoBGP 3.10, OpenBGPD 7.7 and ExaBGP 4.2 have
    /// neither a keyword nor a socket for it.
    pub fn has_bfd(self) -> bool {
        match self {
            Daemon::Bird | Daemon::Frr => true,
            Daemon::Gobgp | Daemon::Openbgpd | Daemon::Exabgp => false,
        }
    }
}

/// Its own name.
impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Daemon::Bird => "BIRD",
            Daemon::Frr => "FRR",
            Daemon::Gobgp => "GoBGP",
            Daemon::Openbgpd => "OpenBGPD",
            Daemon::Exabgp => "ExaBGP",
        })
    }
}
