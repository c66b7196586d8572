//! peerlab rehearses a direct interconnect with Microsoft (AS8075 with Voice, Azure Peering Service)
//! on one Linux machine: it builds the network in the kernel, plays the Microsoft side, breaks
//! things on purpose, measures what happened, and says which requirements hold.
//!
//! The rooms, in reading order:
//!
//! 1. [`time`] and [`source`]: a moment of a run; a place in a file.
//! 2. [`topology`], [`binding`], [`scenario`]: the three files, parsed into models;
//!    [`registry`]: what routing registries say.
//! 3. [`lacp`], [`bfd`], [`bgp`]: the protocols, pure values without I/O;
//!    [`policy`]: import and export policies as the files have them.
//! 4. [`record`]: the facts, which every room from here on tells, and which alone are judged.
//! 5. [`plan`] and [`kernel`]: the network as ordered work, and the hands that do it.
//! 6. [`router`]: one simulated router, BGP + BFD + RIB joined; its driver is the only I/O.
//!    [`monitor`]: what its monitored sessions tell, as MRT and BMP.
//! 7. [`mod@line`]: the thread that owns every LACP and BFD session.
//! 8. [`device`] and [`probe`]: what plays a router; traffic that measures.
//! 9. [`lab`] and [`run`]: a topology that is alive; a scenario played on it.
//! 10. [`provider`]: the Microsoft side's control plane: connections, prefixes, what is refused and why.
//!     [`routes`]: the same observations from files, for judging without a lab.
//! 11. [`measure`], [`judge`], [`conformance`], [`report`]: numbers, findings, requirements, words.
//! 12. [`view`] and [`kept`]: a lab that is up, as it is shown, and how it is asked, entered and ended.
//! 13. [`cli`]: one file for each subcommand.
//!
//! A scenario on its way through them: [`scenario::load`] loads it with its topology and binding into a
//! [`scenario::Rehearsal`]; [`cli::run`] enters namespaces ([`kernel::enter`]) and gives it to [`run::play`], which builds
//! the [`lab::Lab`], lets it act step by step, and gives every [`record::Fact`] to the [`judge::Judge`];
//! [`report`] draws the findings.
//!
//! ARCHITECTURE.md says why it is so, which threads there are, and how it is tested.

pub mod bfd;
pub mod bgp;
pub mod binding;
pub mod cli;
pub mod conformance;
pub mod device;
pub mod judge;
pub mod kept;
pub mod kernel;
pub mod lab;
pub mod lacp;
pub mod line;
pub mod measure;
pub mod monitor;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod provider;
pub mod record;
pub mod registry;
pub mod report;
pub mod router;
pub mod routes;
pub mod run;
pub mod scenario;
pub mod source;
pub mod time;
pub mod topology;
pub mod view;
