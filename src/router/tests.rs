//! Routers joined in memory, in virtual time.

pub mod net;
mod pair;
mod policy;
mod roles;
