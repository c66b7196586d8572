//! Files of registries from disk, with their mistakes shown at their places.

use std::path::Path;
use std::sync::Arc;

use super::irr::Irr;
use super::slurm::Slurm;
use super::vrps;
use crate::bgp::origin_validation::VrpTable;
use crate::source::{Diagnostic, Diagnostics, Source, Span};

/// Mistakes told of one file.
const MOST: usize = 20;

/// Reads a file of RPSL objects.
///
/// # Errors
/// Its mistakes, or that it cannot be read.
pub fn irr(path: &Path) -> Result<Irr, Diagnostics> {
    let source = Source::read(path)?;
    let (irr, mistakes) = Irr::read(&source.text);
    if mistakes.is_empty() {
        return Ok(irr);
    }
    let mut told = Diagnostics::default();
    for mistake in mistakes.iter().take(MOST) {
        let words = mistake.wrong.to_string();
        let note = "objects of a registry are RPSL (RFC 2622)";
        told.push(at(&source, mistake.line, 0, words).note(note));
    }
    if let Some(more) = mistakes.len().checked_sub(MOST).filter(|more| *more > 0) {
        let path = path.display();
        told.push(Diagnostic::error(format!(
            "`{path}` has {more} more mistakes"
        )));
    }
    Err(told)
}

/// Reads a file of VRPs, as Routinator or rpki-client write it in JSON or CSV.
///
/// # Errors
/// Its first mistake, or that it cannot be read.
pub fn vrps(path: &Path) -> Result<VrpTable, Diagnostics> {
    let source = Source::read(path)?;
    let note = "a file of VRPs is as Routinator or rpki-client write it, in JSON or CSV";
    vrps::read(&source.text).map_err(|mistake| refused(&source, &mistake, note))
}

/// Reads a file of exceptions to the RPKI.
///
/// # Errors
/// Its first mistake, or that it cannot be read.
pub fn slurm(path: &Path) -> Result<Slurm, Diagnostics> {
    let source = Source::read(path)?;
    let note = "exceptions to the RPKI are a SLURM file (RFC 8416)";
    Slurm::read(&source.text).map_err(|mistake| refused(&source, &mistake, note))
}

fn refused(source: &Arc<Source>, mistake: &vrps::Mistake, note: &str) -> Diagnostics {
    let words = mistake.wrong.to_string();
    at(source, mistake.line, mistake.column, words)
        .note(note)
        .into()
}

/// A diagnostic at a line, or at a column of it (both counted from 1; column 0 means the whole line).
fn at(source: &Arc<Source>, line: usize, column: usize, message: String) -> Diagnostic {
    let mut start = 0;
    let mut text = "";
    for (number, found) in source.text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            text = found;
            break;
        }
        start += found.len();
    }
    let whole = text.trim();
    let indent = text.len() - text.trim_start().len();
    let span = match column {
        0 => start + indent..start + indent + whole.len(),
        column => start + column - 1..start + column,
    };
    Diagnostic::error(message).at(source, Span::from(span), "")
}

#[cfg(test)]
mod tests;
