//! What is said between a command and a lab, one line of JSON each.

use serde::{Deserialize, Serialize};

use crate::view;

/// The longest question, in bytes.
pub(super) const LONGEST_REQUEST: usize = 4096;

/// A question, or a wish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// The BGP sessions, of one router or of all.
    Sessions {
        /// The router.
        router: Option<String>,
    },
    /// The namespaces of a place, passed with the answer.
    Enter {
        /// A router, an endpoint, a line card, or whatever else has a namespace.
        place: String,
    },
    /// End the lab. It has ended when its process has.
    Down,
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
    /// To [`Request::Sessions`].
    Sessions(Vec<view::Session>),
    /// To [`Request::Enter`]: the descriptors come with this line.
    Place,
    /// All was said.
    End,
}
