//! What the program does inside, told on standard error for whoever looks for a fault in peerlab itself.
//!
//! `PEERLAB_LOG`, or else `RUST_LOG`, says how much (`debug`, `peerlab::line=trace`, …). Without them nothing is told:
//! what a user must know is a fact of the record. Writing takes time, so a run that tells a lot has no timing to rely on.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Variables that say how much is told; the first one that is set counts.
const VARIABLES: [&str; 2] = ["PEERLAB_LOG", "RUST_LOG"];

/// A variable does not say how much is to be told.
#[derive(Debug, thiserror::Error)]
#[error("understand {variable}=`{text}`: {source}")]
pub struct LogError {
    variable: &'static str,
    text: String,
    source: ParseError,
}

/// Begins to tell, if the environment asks for it. Starts no thread.
///
/// # Errors
/// What is asked for cannot be understood.
pub fn begin() -> Result<(), LogError> {
    let asked = VARIABLES
        .into_iter()
        .find_map(|variable| Some((variable, std::env::var(variable).ok()?)))
        .filter(|(_, text)| !text.is_empty());
    let Some((variable, text)) = asked else {
        return Ok(());
    };
    let filter = EnvFilter::try_new(&text).map_err(|source| LogError {
        variable,
        text,
        source,
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(())
}
