//! The hands that do kernel work, one file per concern.
//!
//! **Invariant:** knows no topology, scenario or protocol; nothing here outlives the process that called it.

pub mod address;
pub mod apply;
pub mod arrival;
pub mod background;
pub mod bond;
pub mod bpf;
pub mod carrier;
pub mod counters;
pub mod enter;
pub mod feature;
pub mod filter;
pub mod impairment;
pub mod join;
pub mod link;
pub mod namespace;
pub mod netlink;
pub mod nexthop;
pub mod outside;
pub mod pressure;
pub mod priority;
pub mod process;
pub mod protection;
pub mod route;
pub mod socket;
pub mod spread;
pub mod sysctl;
pub mod terminal;
pub mod uml;
pub mod unix;
pub mod view;
pub mod watch;
