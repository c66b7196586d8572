//! A lab that is kept: how it is named and found, what it can be asked, and how it is entered and ended.
//!
//! The lab listens on a UNIX socket in the abstract namespace of the network it was started in, named
//! `@peerlab/UID/NAME`: nothing lies in a file system, and nothing is left when the lab is gone, however it went. Each
//! question is one connection: one line of JSON there ([`Request`]), lines of JSON back ([`Answer`]), the last of them
//! [`Answer::End`]. To enter the lab is to be handed the descriptors of its namespaces.
//!
//! Both ends ask the kernel whom they speak to (`SO_PEERCRED`): a lab answers its own user, whom root can become, and
//! a command believes only a lab that runs as the user in its name.
//!
//! **Invariant:** whatever a client sends, or does not send, or does not read, costs the lab a bounded amount of memory and
//! time, and none of the threads that keep its protocols.

mod answer;
mod client;
mod protocol;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use nix::unistd::Uid;

pub use client::{Kept, KeptError, find, labs};
pub use protocol::{Answer, Destination, Of, Request, What};
pub use server::Server;

/// The longest name: an abstract socket's has 107 bytes.
const LONGEST: usize = 64;

/// The name of a lab: letters, digits, `-`, `_` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

/// A text that names no lab.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot be the name of a lab: it may have 1 to {LONGEST} letters, digits, `-`, `_` and `.`"
)]
pub struct NameError(String);

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Name, NameError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        match (1..=LONGEST).contains(&text.len()) && text.chars().all(plain) {
            true => Ok(Name(text.to_owned())),
            false => Err(NameError(text.to_owned())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The socket's name of a user's lab.
pub fn socket_name(uid: Uid, name: &Name) -> String {
    format!("{PREFIX}{uid}/{name}")
}

/// How the names of all labs' sockets begin.
const PREFIX: &str = "peerlab/";
