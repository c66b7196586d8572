//! The files with routes that `peerlab prefixes` reads.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Given;
use crate::routes::place::{self, File, PlaceError};
use crate::routes::{self, Format, ReadError};
use crate::source::Diagnostics;
use crate::topology::Topology;

/// The largest file with routes, in bytes: they are held in memory while they are read.
const LARGEST: u64 = 4 << 30;

/// Failed to judge prefixes.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The topology or the files of registries have mistakes.
    #[error("the files have mistakes")]
    Files(Diagnostics),
    /// A file cannot be opened.
    #[error("failed to open {path}: {source}")]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A file is larger than can be read.
    #[error(
        "failed to read {0}: it is larger than 4 GiB; take out the sessions that matter first, for example with bgpdump"
    )]
    Large(PathBuf),
    /// A file cannot be understood.
    #[error("failed to {source} ({path})")]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ReadError,
    },
    /// The profile registers AS numbers.
    #[error(
        "failed to judge prefixes: in the profile `{0}` AS numbers are registered, and no prefix is"
    )]
    NotRegistered(String),
    /// Servers cannot be asked at all.
    #[error("failed to start asking registries: {0}")]
    Asking(io::Error),
    /// Its routes cannot be given to a connection.
    #[error("failed to {0}")]
    Place(#[from] PlaceError),
}

impl From<Diagnostics> for Failed {
    fn from(mistakes: Diagnostics) -> Failed {
        Failed::Files(mistakes)
    }
}

/// Reads the files with routes.
pub fn routes(
    topology: &Topology,
    given: &[Given],
    format: Option<Format>,
) -> Result<Vec<File>, Failed> {
    given
        .iter()
        .map(|given| file(topology, given, format))
        .collect()
}

fn file(topology: &Topology, given: &Given, format: Option<Format>) -> Result<File, Failed> {
    let path = &given.file;
    let bytes = bytes(path)?;
    let failed = |source| Failed::Read {
        path: path.clone(),
        source,
    };
    let format = format
        .map_or_else(|| routes::detect(&bytes), Ok)
        .map_err(failed)?;
    // Of a file given to a connection any session may be meant.
    let named = given.connection.is_some();
    let wanted = |session: &routes::Session| named || place::wanted(topology, session);
    Ok(File {
        name: path.display().to_string(),
        connection: given.connection.clone(),
        dump: routes::read(&bytes, format, &wanted).map_err(failed)?,
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failed> {
    let open = |source| Failed::Open {
        path: path.to_owned(),
        source,
    };
    // What is no file, such as a pipe, has no size; it is read to its end.
    let size = fs::metadata(path).map_err(open)?.len();
    match size > LARGEST {
        true => Err(Failed::Large(path.to_owned())),
        false => fs::read(path).map_err(open),
    }
}
