//! What is said between a command and a lab, one line of JSON each.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::view;

/// The longest question, in bytes.
pub(super) const LONGEST_REQUEST: usize = 4096;

/// A question, or a wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// The lab at a glance.
    Overview,
    /// The BGP sessions, of one router or of all.
    Sessions {
        /// The router.
        router: Option<String>,
    },
    /// One BGP session in full.
    Session {
        /// The router.
        router: String,
        /// The session.
        session: String,
    },
    /// The routes of a table, in pages.
    Routes {
        /// The router.
        router: String,
        /// Which table.
        table: Table,
        /// The session; of no use for [`Table::Used`].
        session: Option<String>,
    },
    /// All about one prefix.
    Route {
        /// The router.
        router: String,
        /// The prefix.
        prefix: IpNet,
    },
    /// BFD sessions, of one router or of all.
    Bfd {
        /// The router.
        router: Option<String>,
    },
    /// LAGs, of one router or of all.
    Lacp {
        /// The router.
        router: Option<String>,
    },
    /// The policies of a session.
    Policy {
        /// The router.
        router: String,
        /// The session.
        session: String,
    },
    /// The namespaces of a place, passed with the answer.
    Enter {
        /// A router, an endpoint, a line card, or whatever else has a namespace.
        place: String,
    },
    /// End the lab. It has ended when its process has.
    Down,
}

/// A table of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// The routes in use (Loc-RIB).
    Used,
    /// Adj-RIB-In of a session.
    Received,
    /// What of it import policy accepts.
    Accepted,
    /// What of it is not used.
    Refused,
    /// Adj-RIB-Out of a session.
    Advertised,
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
    /// To [`Request::Sessions`].
    Sessions(Vec<view::Session>),
    /// To [`Request::Session`].
    Session(Box<view::SessionDetail>),
    /// To [`Request::Routes`]: a page. More follow, in order of the prefixes.
    Routes(Vec<view::Route>),
    /// To [`Request::Route`].
    Route(Box<view::RouteDetail>),
    /// To [`Request::Bfd`].
    Bfd(Vec<view::Bfd>),
    /// To [`Request::Lacp`].
    Lacp(Vec<view::Lag>),
    /// To [`Request::Policy`].
    Policy(view::Policies),
    /// To [`Request::Enter`]: the descriptors come with this line.
    Place,
    /// All was said.
    End,
}
