//! The matrix: what was seen of each daemon, and how it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use libtest_mimic::Failed;
use peerlab::binding::Daemon;

/// A row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    ItConnects,
    WeConnect,
    Ipv4,
    Ipv6,
    FourOctets,
    Out,
    In,
    ItAsks,
    WeAsk,
    Md5,
    Ttl,
    Shutdown,
    OurWords,
    ItsWords,
    Bfd,
    ItRestarts,
    WeRestart,
}

/// All rows in their order, with their titles.
pub const ROWS: [(Row, &str); 17] = [
    (Row::ItConnects, "session, the daemon connects"),
    (Row::WeConnect, "session, we connect"),
    (Row::Ipv4, "IPv4 unicast"),
    (Row::Ipv6, "IPv6 unicast, over IPv6"),
    (Row::FourOctets, "four-octet AS number (6793)"),
    (Row::Out, "280 routes out, communities intact"),
    (Row::In, "10 routes in, communities intact"),
    (Row::ItAsks, "route refresh, it asks (2918)"),
    (Row::WeAsk, "route refresh, we ask (2918)"),
    (Row::Md5, "TCP MD5 (2385)"),
    (Row::Ttl, "TTL security (5082)"),
    (Row::Shutdown, "graceful shutdown (8326)"),
    (Row::OurWords, "our shutdown text shown by it (9003)"),
    (Row::ItsWords, "its shutdown text shown by us (9003)"),
    (Row::Bfd, "BFD, and strict (5882)"),
    (Row::ItRestarts, "the daemon restarts"),
    (Row::WeRestart, "we restart"),
];

/// What a cell says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Met,
    Missed(String),
    Blocked(String),
}

static CELLS: Mutex<BTreeMap<(Row, &'static str), Cell>> = Mutex::new(BTreeMap::new());

/// Fills a cell.
pub fn mark(row: Row, daemon: Daemon, cell: Cell) {
    let mut cells = CELLS.lock().expect("nobody panics while marking");
    cells.insert((row, daemon.key()), cell);
}

/// The cells that were filled so far.
pub fn matrix() -> Matrix {
    let cells = CELLS.lock().expect("nobody panics while marking");
    Matrix(cells.clone())
}

/// A filled matrix.
pub struct Matrix(BTreeMap<(Row, &'static str), Cell>);

impl Matrix {
    /// Whether every cell was played, and none is missed.
    pub fn is_whole(&self) -> bool {
        let holds = |row, daemon: Daemon| {
            matches!(
                self.0.get(&(row, daemon.key())),
                Some(Cell::Met | Cell::Blocked(_))
            )
        };
        ROWS.iter()
            .all(|(row, _)| Daemon::ALL.iter().all(|&daemon| holds(*row, daemon)))
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let (rows, reasons) = self.rows();
        let mut text = format!("{:<38}", "");
        for daemon in Daemon::ALL {
            let _ = write!(text, "{:<13}", daemon.to_string());
        }
        for (title, cells) in rows {
            let _ = write!(text, "\n{title:<38}");
            for cell in cells {
                let _ = write!(text, "{cell:<13}");
            }
        }
        text.push('\n');
        for (number, reason) in reasons.iter().enumerate() {
            let _ = write!(text, "\n{}: {reason}", number + 1);
        }
        text
    }

    /// For the README.
    pub fn markdown(&self) -> String {
        let (rows, reasons) = self.rows();
        let mut text = String::from("| |");
        for daemon in Daemon::ALL {
            let _ = write!(text, " {daemon} |");
        }
        text += "\n|---|";
        text += &"---|".repeat(Daemon::ALL.len());
        for (title, cells) in rows {
            let _ = write!(text, "\n| {title} | {} |", cells.join(" | "));
        }
        text += "\n\n";
        for (number, reason) in reasons.iter().enumerate() {
            let _ = writeln!(text, "{}. {reason}", number + 1);
        }
        text
    }

    /// The rows as words, and the reasons they refer to by number.
    fn rows(&self) -> (Vec<(&'static str, Vec<String>)>, Vec<String>) {
        let mut reasons: Vec<String> = Vec::new();
        let mut number = |reason: &String| {
            let place = reasons.iter().position(|known| known == reason);
            place.unwrap_or_else(|| {
                reasons.push(reason.clone());
                reasons.len() - 1
            }) + 1
        };
        let mut word = |row, daemon: Daemon| match self.0.get(&(row, daemon.key())) {
            None => "not played".to_owned(),
            Some(Cell::Met) => "met".to_owned(),
            Some(Cell::Missed(why)) => format!("missed ({})", number(why)),
            Some(Cell::Blocked(why)) => format!("blocked ({})", number(why)),
        };
        let mut rows = Vec::new();
        for (row, title) in ROWS {
            rows.push((title, Daemon::ALL.map(|daemon| word(row, daemon)).to_vec()));
        }
        (rows, reasons)
    }
}

/// A matrix of which any cell is missed, or absent, is not whole.
pub fn every_cell_counts() -> Result<(), Failed> {
    let cells = ROWS
        .iter()
        .flat_map(|(row, _)| Daemon::ALL.map(|daemon| (*row, daemon.key())));
    let good: BTreeMap<_, _> = cells
        .enumerate()
        .map(|(n, cell)| match n % 2 {
            0 => (cell, Cell::Met),
            _ => (cell, Cell::Blocked("it has none".to_owned())),
        })
        .collect();
    let expect = |cells, whole, what: &str| match Matrix(cells).is_whole() == whole {
        true => Ok(()),
        false => Err(Failed::from(what)),
    };
    expect(good.clone(), true, "met and blocked cells do not do")?;
    for cell in good.keys() {
        let mut missed = good.clone();
        missed.insert(*cell, Cell::Missed("it did not".to_owned()));
        expect(missed, false, "a missed cell does")?;
        let mut absent = good.clone();
        absent.remove(cell);
        expect(absent, false, "an absent cell does")?;
    }
    Ok(())
}
