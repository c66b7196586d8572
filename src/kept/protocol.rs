//! What is said between a command and a lab, one line of JSON each.
//!
//! [`What`] is the one list of what can be shown: the lab is asked with it, and `peerlab show` has its subcommands from it.

use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::view;

/// The longest question, in bytes.
pub(super) const LONGEST_REQUEST: usize = 4096;

/// A question, or a wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The lab at a glance.
    Overview,
    /// Something of it.
    Show(What),
    /// The namespaces of a place, passed with the answer.
    Enter {
        /// A router, an endpoint, a line card, or whatever else has a namespace.
        place: String,
    },
    /// End the lab. It has ended when its process has.
    Down,
}

/// What can be shown of a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Subcommand)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum What {
    /// The BGP sessions of a router, or of all.
    Sessions {
        /// The router.
        router: Option<String>,
    },
    /// One BGP session: state and why, timers, capabilities, counts, limits, the last NOTIFICATIONs.
    Session(Of),
    /// The routes a router uses, and the step of the decision that chose each.
    Routes {
        /// The router.
        router: String,
    },
    /// The routes received on a session, as they came.
    Received(Of),
    /// Those that import policy accepts, as it makes them.
    Accepted(Of),
    /// Those that are refused, and those that the neighbour is not told, with the reasons.
    Refused(Of),
    /// The routes advertised on a session.
    Advertised(Of),
    /// One route: all its attributes, who told it, and why each of them won or lost.
    Route {
        /// The router.
        router: String,
        /// A prefix, or an address: then the longest prefix around it.
        destination: Destination,
    },
    /// BFD sessions: states, intervals, packets; one of them with what the remote says, and its past.
    Bfd {
        /// The router.
        router: Option<String>,
        /// The BGP session it guards.
        session: Option<String>,
    },
    /// LAGs and their members: states, partners, LACPDUs.
    Lacp {
        /// The router.
        router: Option<String>,
    },
    /// The policies of a session, as they are now.
    Policy(Of),
}

/// A session of a router.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct Of {
    /// The router.
    pub router: String,
    /// The session, by its connection's name; inside the WAN and the peer's core, the neighbour's.
    pub session: Option<String>,
}

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// This prefix, and no other.
    Prefix(IpNet),
    /// An address, which the longest prefix around it leads to.
    Address(std::net::IpAddr),
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Destination, String> {
        if let Ok(address) = text.parse() {
            return Ok(Destination::Address(address));
        }
        let prefix: IpNet = text.parse().map_err(|_| {
            "neither a prefix such as 198.51.100.0/24 nor an address such as 2001:db8::1".to_owned()
        })?;
        match prefix.trunc() {
            whole if whole == prefix => Ok(Destination::Prefix(prefix)),
            whole => Err(format!(
                "the prefix around {} is {whole}: beyond its length all bits are 0",
                prefix.addr()
            )),
        }
    }
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// There is nothing of that name, or nothing to answer.
    Wrong {
        /// What is wrong, as a sentence without a full stop.
        message: String,
        /// What would be right.
        help: Option<String>,
    },
    /// To [`Request::Overview`].
    Overview(view::Overview),
    /// To [`What::Sessions`].
    Sessions(Vec<view::Session>),
    /// To [`What::Session`].
    Session(Box<view::SessionDetail>),
    /// To [`What::Routes`], and to what else is a table of routes: a page. More follow, in order of the prefixes.
    Routes(Vec<view::Route>),
    /// To [`What::Route`].
    Route(Box<view::RouteDetail>),
    /// To [`What::Bfd`].
    Bfd(Vec<view::Bfd>),
    /// To [`What::Lacp`].
    Lacp(Vec<view::Lag>),
    /// To [`What::Policy`].
    Policy(view::Policies),
    /// To [`Request::Enter`]: the descriptors come with this line.
    Place,
    /// All was said.
    End,
}
