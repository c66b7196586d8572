//! What a lab looks like while it lives, as plain values: made from routers, LAGs and BFD sessions, sent as JSON, drawn as
//! tables.
//!
//! Field names are those of the JSON (`peerlab show --json`), whose schema is [`schema`].
//!
//! **Invariant:** a view is a copy: it holds nothing of the lab, and nothing of the lab changes by looking. What it is made
//! from is bounded, and so is it.

mod history;
mod session;
#[cfg(test)]
mod tests;

pub use history::{Change, History, Past};
pub use session::{Session, sessions};
