//! The files of a report directory: `record.jsonl`, which the run writes as it goes, `report.json` and `junit.xml`.

use std::io;
use std::path::{Path, PathBuf};

use super::{Report, junit};

/// Name of the record in a report directory. It holds the runs of all scenarios, one after the other.
pub const RECORD: &str = "record.jsonl";

/// Failed to write a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file could not be written, for example because the disk is full.
    #[error("write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// The report could not be put into JSON.
    #[error("put the report into JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The report could not be put into XML.
    #[error("put the report into JUnit XML: {0}")]
    Junit(#[from] quick_junit::SerializeError),
}

/// Writes `report.json` and `junit.xml` into a directory that exists. A file is replaced as a whole or not at all.
///
/// # Errors
/// The first file that could not be written.
pub fn write(report: &Report, directory: &Path) -> Result<(), ReportError> {
    let mut json = serde_json::to_vec_pretty(report)?;
    json.push(b'\n');
    replace(&directory.join("report.json"), &json)?;
    replace(&directory.join("junit.xml"), junit(report)?.as_bytes())
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let written = || {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        io::Write::write_all(&mut file, bytes)?;
        // A temporary file is private; a report is like any other file.
        use std::os::unix::fs::PermissionsExt;
        let permissions = std::fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(permissions)?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|source: io::Error| ReportError::Write {
        path: path.to_owned(),
        source,
    })
}
