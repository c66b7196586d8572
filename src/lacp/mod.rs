//! Link aggregation: an actor of IEEE 802.1AX as a value without I/O.
//!
//! One [`Lag`] is one Aggregator and its 1 to 8 ports. Tell it what happened with [`Lag::handle`], take what
//! must be done from [`Lag::poll`], and come back at [`Lag::deadline`]. Clause numbers are those of
//! IEEE 802.1AX-2014.
//!
//! Reading order: [`pdu`] (frames), then the machines [`receive`], [`periodic`], [`mux`], [`select`] and
//! [`transmit`], each a pure transition function; [`port`] is the only place that changes a port's state,
//! and [`lag`] joins the ports. [`misbehaviour`] is what our end does wrong on demand, [`observation`] what is seen of the other,
//! `news` how often that is told, `asked` which of our markers it has answered, [`permission`] whether it may send data.
//!
//! **Invariant:** a port collects before it tells its partner so, and stops distributing before it tells its
//! partner anything; no partner, no traffic: a port whose partner does not speak LACP never distributes.

// Gap: churn detection (6.4.17) is absent; a port that does not come in sync shows it by its mux state.

pub(crate) mod asked;
pub mod lag;
pub mod misbehaviour;
pub mod mux;
pub(crate) mod news;
pub mod observation;
pub mod pdu;
pub mod periodic;
pub mod permission;
pub mod port;
pub mod receive;
pub mod select;
pub mod transmit;

pub use asked::MarkerAnswer;
pub use lag::{AGGREGATE_WAIT, Admin, ConfigError, Input, Lag, LagConfig, MOST_PORTS, Output};
pub use misbehaviour::{Identity, Markers, Misbehaviour, Part, Refusal};
pub use mux::MuxState;
pub use observation::{Heard, Rhythm};
pub use pdu::{DecodeError, Frame, Lacpdu, Marker, Pdu, PortInfo, State};
pub use port::{Counters, NoMarker, PortConfig, PortStatus};
pub use receive::ReceiveState;
pub use select::{Obstacle, PartnerId, Selected};
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod wire;

#[cfg(test)]
use crate::time::At;
