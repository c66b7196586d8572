//! The README's matrix: that it has the rows and columns of the sheet, and a number for each note.

use libtest_mimic::Failed;
use peerlab::binding::Daemon;

use crate::sheet::{ROWS, good};

/// What stands around it; `scripts/interop --readme` replaces what is between.
const BEGIN: &str = "<!-- interop matrix: written by scripts/interop --readme -->";
const END: &str = "<!-- end of the interop matrix -->";

/// It has exactly the sheet's rows, and in each a cell for each daemon.
pub fn it_has_every_cell() -> Result<(), Failed> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))?;
    match difference(&text) {
        None => Ok(()),
        Some(why) => Err(format!("{why}: play it again, scripts/interop --readme").into()),
    }
}

/// Whatever line is missing, moved or altered in a matrix, that is noticed.
pub fn an_old_one_is_noticed() -> Result<(), Failed> {
    let text = format!("{BEGIN}\n{}\n{END}\n", good().markdown());
    if let Some(why) = difference(&text) {
        return Err(format!("a new one is an old one: {why}").into());
    }
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|---");
    let mut old = Vec::new();
    for (place, line) in lines.iter().enumerate().filter(|(_, line)| is_row(line)) {
        let with = |instead: &[&str]| {
            let all = [&lines[..place], instead, &lines[place + 1..]];
            all.concat().join("\n")
        };
        let (shorter, _) = line.rsplit_once(" | ").ok_or("a row of one cell")?;
        old.push(with(&[]));
        old.push(with(&[line, line]));
        old.push(with(&[&format!("{shorter} |")]));
        old.push(with(&[&format!("{line} met |")]));
        old.push(with(&[&format!("| of old{line}")]));
        old.push(with(&[&format!("{shorter} | not played |")]));
        old.push(with(&[&format!("{shorter} | met (3) |")]));
        let mut moved = lines.clone();
        moved.swap(place, place + 1);
        old.push(moved.join("\n"));
    }
    match old.iter().find(|text| difference(text).is_none()) {
        None => Ok(()),
        Some(text) => Err(format!("not noticed: {text}").into()),
    }
}

/// What of the matrix in a text is not as the sheet has it.
fn difference(text: &str) -> Option<String> {
    let within = text.lines().skip_while(|line| *line != BEGIN);
    let within: Vec<&str> = within.take_while(|line| *line != END).collect();
    let numbers = within.iter().filter_map(|line| line.split_once(". "));
    let notes: Vec<&str> = numbers.map(|(number, _)| number).collect();
    let table = within.iter().skip_while(|line| !line.starts_with('|'));
    let mut rows = table.map_while(|line| cells(line));
    let daemons = Daemon::ALL.map(|daemon| daemon.to_string());
    let [head, rule] = [(); 2].map(|()| rows.next().unwrap_or_default());
    if head.first() != Some(&"") || head[1..] != daemons || rule != ["---"; 1 + Daemon::ALL.len()] {
        return Some(format!("its columns are {head:?}"));
    }
    for (_, title, families) in ROWS {
        let row = rows.next().unwrap_or_default();
        let Some((first, cells)) = row.split_first().filter(|(first, _)| **first == title) else {
            return Some(format!("{row:?} stands where {title:?} belongs"));
        };
        let of_each = |cell: &&str| {
            let halves: Vec<&str> = cell.split(" / ").collect();
            halves.len() <= families.len() && halves.iter().all(|half| is_word(half, &notes))
        };
        if cells.len() != daemons.len() || !cells.iter().all(of_each) {
            return Some(format!("{first:?} has the cells {cells:?}"));
        }
    }
    rows.next().map(|row| format!("{row:?} is no row"))
}

/// The cells of a line of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// Whether it is what a cell says of one family: one word, and the number of a note that is there.
fn is_word(half: &str, notes: &[&str]) -> bool {
    match half
        .strip_suffix(')')
        .and_then(|half| half.split_once(" ("))
    {
        Some((word, note)) => ["met", "missed", "blocked"].contains(&word) && notes.contains(&note),
        None => half == "met",
    }
}
