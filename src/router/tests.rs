//! Routers joined in memory, in virtual time.

mod features;
mod naive;
pub mod net;
mod pair;
mod policy;
mod roles;
