//! Routers joined in memory, in virtual time.

pub mod bed;
mod bounds;
mod features;
mod malformed;
mod naive;
pub mod net;
mod notifications;
mod pair;
mod passed_on;
pub mod policy;
mod reach;
mod roles;
mod stale;
