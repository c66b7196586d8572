//! Routers joined in memory, in virtual time.

mod net;
mod pair;
mod policy;
mod roles;
