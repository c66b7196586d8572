//! Bidirectional Forwarding Detection: asynchronous mode (RFC 5880) over one hop (RFC 5881) or several (RFC 5883), and
//! on the members of a LAG (RFC 7130), pure.
//!
//! [`Packet`] is the wire format, [`next`] the state table, [`Session`] the machine with its timers, its authentication
//! ([`Authentication`]), what it sees of the other end ([`Heard`], [`Rhythm`]) and what it does wrong on purpose
//! ([`Misbehaviour`]); [`Demultiplexer`] tells several at one address apart. A session is talked to with [`Session::handle`], [`Session::poll`] and [`Session::deadline`]; the
//! thread that owns the sockets is [`crate::line`].
//!
//! Echo packets of the remote are returned by whoever forwards packets (RFC 5881, section 4): a session only says how often
//! they may come. Demand mode is refused: ours is never on, so that we always detect. A remote that asks for it gets what it must
//! get, no periodic packets while both ends are Up (RFC 5880, section 6.8.6), and its Polls are answered; it is told as what the
//! remote says. That it then detects by itself, and not we for it, the RFC leaves to it (section 6.6, last paragraph).
//!
//! Left out, as a router may: Echo packets and Demand mode of our own. A step can ask for it all the same
//! ([`Misbehaviour::demand`]), to see what the other end does.
//!
//! **Invariant:** nothing here reads a clock, a socket or the environment, and no bytes make it panic.

mod authentication;
mod demultiplex;
mod digest;
mod frame;
mod micro;
mod misbehaviour;
mod observation;
mod packet;
mod poll_sequence;
mod session;
mod state;

pub use authentication::{Authentication, Key, Kind, Secret, Section};
pub use demultiplex::Demultiplexer;
pub use micro::{Micro, MicroConfig, MicroInput, MicroOutput};
pub use misbehaviour::{Misbehaviour, Wrong};
pub use observation::{GRACE, Rhythm};
pub use packet::{Datagram, Diagnostic, Invalid, Micros, PACKET_LEN, Packet};
pub use session::{
    Config, Counters, Heard, Input, Order, Output, SINGLE_HOP, Session, StateChange, Timers,
    TimersChange,
};
pub use state::{Event, State, next};
