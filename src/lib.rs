//! peerlab rehearses a direct interconnect with Microsoft (AS8075 with Voice, Azure Peering Service)
//! on one Linux machine: it builds the network in the kernel, plays the Microsoft side, breaks
//! things on purpose, measures what happened, and says which requirements hold.
//!
//! The rooms, in reading order:
//!
//! 1. [`time`] and [`source`]: a moment of a run; a place in a file.
//! 2. [`topology`], [`binding`], [`scenario`]: the three files, parsed into models.
//! 3. [`lacp`], [`bfd`], [`bgp`]: the protocols, pure values without I/O.
//! 4. [`router`]: one simulated router, BGP + BFD + RIB joined; its driver is the only I/O.
//! 5. [`plan`] and [`kernel`]: the network as ordered work, and the hands that do it.
//! 6. [`mod@line`]: the thread that owns every LACP and BFD session.
//! 7. [`device`] and [`probe`]: what plays a router; traffic that measures.
//! 8. [`lab`] and [`run`]: a topology that is alive; a scenario played on it.
//! 9. [`record`], [`measure`], [`judge`], [`conformance`], [`report`]: facts, numbers, findings, words.

pub mod bfd;
pub mod bgp;
pub mod binding;
pub mod cli;
pub mod conformance;
pub mod device;
pub mod judge;
pub mod kernel;
pub mod lab;
pub mod lacp;
pub mod line;
pub mod measure;
pub mod plan;
pub mod probe;
pub mod record;
pub mod report;
pub mod router;
pub mod run;
pub mod scenario;
pub mod source;
pub mod time;
pub mod topology;
