//! Plays of the smallest interconnect with something said otherwise.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use libtest_mimic::Failed;
use tempfile::TempDir;

use crate::play::{Ended, Someone};

/// The step that waits until all is up.
pub const SETTLE: &str = "[[step]]\nsettle = \"30s\"\n";

/// A folder with a topology and a scenario.
pub struct Edited(TempDir);

impl Edited {
    /// The topology `one-metro`, edited, and a scenario of these steps.
    pub fn new(steps: &str, edit: impl Fn(String) -> String) -> Result<Edited, Failed> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let topologies = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies");
        let registry = folder.path().join("registry");
        symlink(format!("{topologies}/registry"), registry)?;
        let text = fs::read_to_string(format!("{topologies}/one-metro.toml"))?;
        fs::write(folder.path().join("edited.toml"), edit(text))?;
        let scenario = format!("topology = \"edited.toml\"\n{steps}");
        fs::write(folder.path().join("scenario.toml"), scenario)?;
        Ok(Edited(folder))
    }

    /// A file of it: `edited.toml` is the topology.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Plays it; gives the record, too.
    pub fn play(&self, options: &[&str]) -> Result<(Ended, String), Failed> {
        let (report, scenario) = (self.path("report"), self.path("scenario.toml"));
        let arguments = [&["run", &scenario, "--report", &report], options].concat();
        let ended = Someone::present().play(&arguments)?;
        let record = fs::read_to_string(format!("{report}/record.jsonl")).unwrap_or_default();
        Ok((ended, record))
    }
}
