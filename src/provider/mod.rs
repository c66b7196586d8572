//! The Microsoft side's control plane: what it makes of a peer's connections and prefixes.
//!
//! It hears what the lab's edges observed, and concludes as the portal would: which connections are active, which
//! prefixes are verified, and why one was refused. Sources and certainty of every rule are those of
//! [`crate::conformance::SOURCES`]; where Microsoft's documents contradict each other a switch says which reading holds.
//!
//! **Invariant:** no clock, no I/O; nothing is concluded from a declaration that could have been observed.

pub mod arm;
pub mod events;
pub mod names;
pub mod observed;
pub mod onboarding;
pub mod prefixes;
pub mod reason;
pub mod received;
pub mod registries;
mod remedy;
mod request;

pub use request::{AsnAction, ConnectionAction, Key, PeeringAction, PeeringRequest, Request};
