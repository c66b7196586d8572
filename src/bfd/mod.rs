//! Bidirectional Forwarding Detection: asynchronous mode (RFC 5880) over one hop (RFC 5881), pure.
//!
//! [`Packet`] is the wire format, [`next`] the state table, [`Session`] the machine with its timers.
//! A session is talked to with [`Session::handle`], [`Session::poll`] and [`Session::deadline`]; the
//! thread that owns the sockets is [`crate::line`].
//!
//! Left out, as a router may: the Echo function (Required Min Echo RX Interval is 0), Demand mode of our
//! own (that of the remote is honoured), authentication (such packets are refused, counted and named).
//!
//! **Invariant:** nothing here reads a clock, a socket or the environment, and no bytes make it panic.

mod packet;
mod poll_sequence;
mod session;
mod state;

pub use packet::{Diagnostic, Invalid, Micros, PACKET_LEN, Packet};
pub use session::{Config, Counters, Heard, Input, Output, Session, StateChange, Timers};
pub use state::{Event, State, next};
