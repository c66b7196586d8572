//! BGP-4 (RFC 4271) as values: messages, the session, routes and the choice among them.
//!
//! 1. [`message`]: the messages, from and to bytes; the only place that knows the codec.
//! 2. [`notification`]: why sessions end, in numbers and words.
//! 3. [`family`], [`attributes`]: address families; path attributes, shared between routes.
//! 4. [`fsm`] and [`session`]: the state machine of RFC 4271, section 8, and the session that runs it.
//! 5. [`decision`] and [`rib`]: which route wins, and the tables of a session ([`prefix_map`]).
//! 6. [`origin_validation`]: what the RPKI says about a route's origin.
//! 7. [`policy`]: which routes a session lets in and out, and how they are changed.
//!
//! **Invariant:** nothing here reads a clock, a socket or the environment, and no input makes it panic.

pub mod attributes;
pub mod decision;
pub mod family;
pub mod fsm;
pub mod hash;
pub mod message;
pub mod notification;
pub mod origin_validation;
pub mod policy;
pub mod prefix_map;
pub mod rib;
pub mod session;
