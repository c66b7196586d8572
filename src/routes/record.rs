//! `record.jsonl` of a run: the last run in it, as its edges saw it when its last step ended.

use std::path::Path;

use super::tables::{Dump, Session, Tables};
use super::{Format, ReadError};
use crate::provider::observed::Observed;
use crate::record::{Entry, Fact, Reader};
use crate::source::Source;
use crate::topology;

/// Reads a record.
pub fn read(bytes: &[u8], wanted: &dyn Fn(&Session) -> bool) -> Result<Dump, ReadError> {
    let entries =
        Reader::from(bytes, Path::new("record.jsonl")).collect::<Result<Vec<Entry>, _>>()?;
    let begins = |entry: &Entry| matches!(entry.fact, Fact::Run { .. });
    let runs = entries.iter().filter(|entry| begins(entry)).count();
    let begin = entries.iter().rposition(begins);
    let run = &entries[begin.unwrap_or_default()..];
    let topology = match run.first().map(|entry| &entry.fact) {
        Some(Fact::Run { topology, .. }) => topology,
        _ => {
            return Err(ReadError::NoRoutes(
                "the record does not begin with what was played",
            ));
        }
    };
    let Ok(topology) = topology::parse_kept(&Source::new(&topology.path, &*topology.text)) else {
        return Err(ReadError::NoRoutes(
            "the topology kept in the record has mistakes",
        ));
    };
    // What comes after the last step is the lab's end: sessions say goodbye, and their routes go.
    let ended = |entry: &Entry| matches!(entry.fact, Fact::StepEnded { .. });
    let end = run.iter().rposition(ended).unwrap_or(run.len() - 1);
    let mut observed = Observed::new(&topology);
    for entry in &run[..=end] {
        observed.emptied(&entry.fact);
        observed.apply(&entry.fact);
    }
    let mut tables = Tables::new(wanted);
    for connection in observed.connections {
        if connection.left_out {
            let name = &connection.name;
            tables.note(|| {
                format!("the record has not all routes of {name}: more came than were kept")
            });
        }
        let session = Session {
            name: Some(connection.name),
            peer: Some(connection.peer),
            local: Some(connection.microsoft),
            ..Session::default()
        };
        let (place, _) = tables.open(session);
        for (prefix, seen) in connection.routes {
            tables.insert(place, prefix, || Some(seen));
        }
        tables.at(place).up = connection.session == "Established";
    }
    if runs > 1 {
        tables.note(|| format!("the record has {runs} runs: the last one is read"));
    }
    Ok(tables.finish(Format::Record))
}
