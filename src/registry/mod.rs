//! What routing registries say about the peer's numbers: who may use them, who registered them, who may originate them.
//!
//! 1. [`special`]: numbers that are nobody's: the IANA special-purpose registries (RFC 6890), with documentation numbers.
//! 2. [`rpsl`] and [`irr`]: objects of an Internet Routing Registry (RFC 2622, RFC 4012), and what is asked about them.
//! 3. [`vrps`] and [`slurm`]: files of validated ROA payloads, and local exceptions to them (RFC 8416).
//! 4. [`files`]: these from disk, with their mistakes shown at their places.
//! 5. [`rtr`] and [`irr_live`]: the same from servers on the internet, and served to the routers of a lab;
//!    [`live`] follows either; [`service`]: TCP servers that can die and come back, and how they are reached.
//!
//! **Invariant:** no text makes a reader panic or hides the objects that are right; nothing here reads a clock.

pub mod files;
pub mod irr;
pub mod irr_live;
pub mod live;
pub mod rpsl;
pub mod rtr;
pub mod service;
pub mod slurm;
pub mod special;
pub mod vrps;
