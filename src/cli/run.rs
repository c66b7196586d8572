//! `peerlab run SCENARIO…`: builds the lab of each scenario, plays it, and says which expectations held.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

use crate::kernel::enter::{self, HeldSignals};
use crate::run::{self, Audience, Ending, Sources};
use crate::scenario::{self, Rehearsal};
use crate::source::Diagnostics;

/// Arguments of `peerlab run`.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Scenario files, or folders with scenario files.
    #[arg(required = true)]
    pub scenarios: Vec<PathBuf>,
    /// Which device plays each router, in place of what the scenario says.
    #[arg(long, value_name = "FILE")]
    pub binding: Option<PathBuf>,
    /// Folder for record.jsonl, report.json and junit.xml.
    #[arg(long, value_name = "DIR")]
    pub report: Option<PathBuf>,
}
