//! Routers joined in memory, in virtual time.

mod features;
pub mod net;
mod pair;
mod policy;
mod roles;
