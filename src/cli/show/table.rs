//! Tables for people: aligned columns, a heading, and a last column that gives way on a narrow terminal.

use std::io::Write;

use anstyle::{AnsiColor, Style};

/// Of headings and titles.
pub const BOLD: Style = Style::new().bold();
/// Of what is beside the point.
pub const DIM: Style = Style::new().dimmed();
/// Between columns.
const GAP: usize = 2;
/// The last column is not made narrower than this.
const NARROWEST: usize = 16;

/// How a cell is coloured: as the verdicts of a run are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// As it should be.
    Good,
    /// On its way, or worth a look.
    Uneasy,
    /// Not as it should be.
    Bad,
    /// Beside the point.
    Dim,
}

impl Tone {
    /// Its colour.
    pub fn style(self) -> Style {
        let colour = match self {
            Tone::Plain => return Style::new(),
            Tone::Dim => return DIM,
            Tone::Good => AnsiColor::Green,
            Tone::Uneasy => AnsiColor::Yellow,
            Tone::Bad => AnsiColor::Red,
        };
        Style::new().fg_color(Some(colour.into()))
    }
}

/// One cell.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

/// Text, to the left.
pub fn text(text: impl Into<String>) -> Cell {
    toned(text, Tone::Plain)
}

/// Coloured text, to the left.
pub fn toned(text: impl Into<String>, tone: Tone) -> Cell {
    Cell {
        text: text.into(),
        tone,
        right: false,
    }
}

/// A number, to the right.
pub fn number(number: impl ToString) -> Cell {
    Cell {
        text: number.to_string(),
        tone: Tone::Plain,
        right: true,
    }
}

impl Cell {
    /// In another colour.
    pub fn toned(self, tone: Tone) -> Cell {
        Cell { tone, ..self }
    }
}

/// A table in the making.
#[derive(Debug)]
pub struct Table {
    heading: Vec<&'static str>,
    headed: bool,
    rows: Vec<Vec<Cell>>,
    /// Columns are at least this wide.
    widths: Vec<usize>,
}

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(heading: [&'static str; N]) -> Table {
        Table {
            heading: heading.to_vec(),
            headed: true,
            rows: Vec::new(),
            widths: vec![0; N],
        }
    }

    /// Two columns without a heading.
    pub fn bare() -> Table {
        Table {
            headed: false,
            ..Table::new(["", ""])
        }
    }

    /// Goes on where another one with the same columns ended, whose widths are given.
    pub fn going_on(mut self, widths: &[usize]) -> Table {
        self.headed = widths.is_empty();
        if !self.headed {
            self.widths = widths.to_vec();
        }
        self
    }

    /// One more row, with a cell for each column.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.heading.len(), "a cell for each column");
        self.rows.push(cells.into());
    }

    /// Writes it, the last column broken so that lines have at most `columns`; without, no line is broken.
    ///
    /// Returns the widths of its columns.
    ///
    /// # Errors
    /// Those of the stream.
    pub fn write(
        &self,
        out: &mut impl Write,
        columns: Option<usize>,
    ) -> std::io::Result<Vec<usize>> {
        let heads = self.heading.iter().zip(&self.widths);
        let mut widths: Vec<usize> = heads
            .map(|(head, width)| head.chars().count().max(*width))
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let last = widths.len().saturating_sub(1);
        let before: usize = widths.iter().take(last).map(|width| width + GAP).sum();
        let room = columns.map(|columns| columns.saturating_sub(before).max(NARROWEST));
        if self.headed {
            self.write_heading(out, &widths)?;
        }
        for row in &self.rows {
            write_row(out, row, &widths, before, room)?;
        }
        Ok(widths)
    }

    fn write_heading(&self, out: &mut impl Write, widths: &[usize]) -> std::io::Result<()> {
        let last = widths.len().saturating_sub(1);
        for (n, (head, width)) in self.heading.iter().zip(widths).enumerate() {
            let right = self.rows.first().is_some_and(|row| row[n].right);
            let pad = width - head.chars().count();
            let (left, gap) = match (right, n == last) {
                (true, true) => (pad, 0),
                (true, false) => (pad, GAP),
                (false, true) => (0, 0),
                (false, false) => (0, pad + GAP),
            };
            write!(out, "{:left$}{BOLD}{head}{BOLD:#}{:gap$}", "", "")?;
        }
        writeln!(out)
    }
}

fn write_row(
    out: &mut impl Write,
    row: &[Cell],
    widths: &[usize],
    before: usize,
    room: Option<usize>,
) -> std::io::Result<()> {
    // Spaces that are due before the next text; none is written at the end of a line.
    let mut due = 0;
    let last = row.len().saturating_sub(1);
    for (n, (cell, width)) in row.iter().zip(widths).enumerate() {
        let style = cell.tone.style();
        let lines = match room.filter(|_| n == last) {
            Some(room) => broken(&cell.text, room),
            None => vec![cell.text.clone()],
        };
        let Some((first, rest)) = lines.split_first() else {
            continue;
        };
        let pad = width.saturating_sub(first.chars().count());
        let (left, right) = if cell.right { (pad, 0) } else { (0, pad) };
        due += left;
        if !first.is_empty() {
            write!(out, "{:due$}{style}{first}{style:#}", "")?;
            due = 0;
        }
        due += right + GAP;
        for line in rest {
            write!(out, "\n{:before$}{style}{line}{style:#}", "")?;
        }
    }
    writeln!(out)
}

/// Words filled into lines of at most `width`; a longer word stands alone, unbroken.
fn broken(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
    }
    lines
}
