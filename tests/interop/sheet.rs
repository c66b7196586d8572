//! The matrix: what was seen of each daemon, and how it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use libtest_mimic::Failed;
use peerlab::bgp::family::Family::{self, Ipv4Unicast, Ipv6Unicast};
use peerlab::binding::Daemon;

/// A row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Row {
    ItConnects,
    WeConnect,
    Out,
    In,
    FourOctets,
    ItIsOld,
    WeAreOld,
    NextHop,
    WeAsk,
    ItAsks,
    Md5,
    Ttl,
    ItLeaves,
    WeLeave,
    OurWords,
    ItsWords,
    ItRestarts,
    WeRestart,
    BfdStrict,
    BfdAlone,
    BfdIntervals,
    BfdSilence,
    BfdDisabled,
    BfdAuthentication,
    BfdEcho,
    BfdItsIntervals,
    BfdItsDown,
    BfdDemand,
}

const BOTH: &[Family] = &Family::ALL;

/// All rows in their order, with their titles and the families over which they are played.
pub const ROWS: [(Row, &str, &[Family]); 28] = [
    (
        Row::ItConnects,
        "session, the daemon connects, we wait",
        BOTH,
    ),
    (
        Row::WeConnect,
        "session, we connect, the daemon waits",
        BOTH,
    ),
    (
        Row::Out,
        "280 routes out, path and communities of each compared",
        BOTH,
    ),
    (
        Row::In,
        "10 routes in, path and communities of each compared",
        BOTH,
    ),
    (
        Row::FourOctets,
        "AS numbers of four octets at both ends (6793)",
        BOTH,
    ),
    (
        Row::ItIsOld,
        "the daemon knows two octets only: AS_TRANS, AS4_PATH (6793)",
        BOTH,
    ),
    (
        Row::WeAreOld,
        "we know two octets only: AS_TRANS, AS4_PATH (6793)",
        BOTH,
    ),
    (
        Row::NextHop,
        "IPv4 routes with IPv6 next hops, both ways (8950)",
        &[Ipv6Unicast],
    ),
    (
        Row::WeAsk,
        "we ask for a refresh, all 10 routes come again (2918)",
        BOTH,
    ),
    (
        Row::ItAsks,
        "it asks for a refresh, all 280 routes go again (2918)",
        BOTH,
    ),
    (
        Row::Md5,
        "TCP MD5 (2385): the key, another key, no key",
        BOTH,
    ),
    (Row::Ttl, "TTL security (5082): TTL 255, TTL 1", BOTH),
    (
        Row::ItLeaves,
        "routes it marks GRACEFUL_SHUTDOWN are our last choice (8326)",
        BOTH,
    ),
    (
        Row::WeLeave,
        "we mark all 280 routes before the session ends (8326)",
        BOTH,
    ),
    (Row::OurWords, "our shutdown text shown by it (9003)", BOTH),
    (Row::ItsWords, "its shutdown text shown by us (9003)", BOTH),
    (
        Row::ItRestarts,
        "the daemon restarts, all routes are back",
        BOTH,
    ),
    (
        Row::WeRestart,
        "we restart without a word, all routes are back",
        BOTH,
    ),
    (
        Row::BfdStrict,
        "BGP waits for BFD and is lost with it (5882)",
        BOTH,
    ),
    (
        Row::BfdAlone,
        "BGP stays when we disable BFD (5882, 4.2)",
        BOTH,
    ),
    (
        Row::BfdIntervals,
        "BFD: 300, 150, 50 and 10 ms, changed while up",
        BOTH,
    ),
    (
        Row::BfdSilence,
        "BFD: silence detected in time, and back",
        BOTH,
    ),
    (
        Row::BfdDisabled,
        "BFD: AdminDown understood, and back",
        BOTH,
    ),
    (
        Row::BfdAuthentication,
        "BFD: five kinds of authentication, wrong ones refused",
        BOTH,
    ),
    (
        Row::BfdEcho,
        "BFD: its Echo packets come back from us",
        &[Ipv4Unicast],
    ),
    (
        Row::BfdItsIntervals,
        "BFD: it changes to 150, 10 and 50 ms while up, and asks us",
        BOTH,
    ),
    (
        Row::BfdItsDown,
        "BFD: it is disabled and says AdminDown, and back",
        BOTH,
    ),
    (
        Row::BfdDemand,
        "BFD: asked for Demand mode it falls silent (5880, 6.8.6)",
        BOTH,
    ),
];

/// What a cell says, or its half: of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Met,
    /// With a note of how.
    MetWith(String),
    Missed(String),
    Blocked(String),
}

type Cells = BTreeMap<(Row, &'static str, Family), Cell>;

static CELLS: Mutex<Cells> = Mutex::new(BTreeMap::new());

/// Fills a cell, as far as it is about sessions over this family.
pub fn mark(row: Row, daemon: Daemon, over: Family, cell: Cell) {
    let mut cells = CELLS.lock().expect("nobody panics while marking");
    cells.insert((row, daemon.key(), over), cell);
}

/// The cells that were filled so far.
pub fn matrix() -> Matrix {
    let cells = CELLS.lock().expect("nobody panics while marking");
    Matrix(cells.clone())
}

/// A filled matrix.
pub struct Matrix(Cells);

impl Matrix {
    /// Whether every cell was played, and none is missed.
    pub fn is_whole(&self) -> bool {
        let mut found = all().into_iter().map(|cell| self.0.get(&cell));
        found.all(|cell| matches!(cell, Some(Cell::Met | Cell::MetWith(_) | Cell::Blocked(_))))
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let (rows, reasons) = self.rows();
        let mut text = format!("{:<64}", "");
        for daemon in Daemon::ALL {
            let _ = write!(text, "{:<20}", daemon.to_string());
        }
        for (title, cells) in rows {
            let _ = write!(text, "\n{title:<64}");
            for cell in cells {
                let _ = write!(text, "{cell:<20}");
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

    /// The rows as words, and the reasons they refer to by number. One word stands for both families where they agree.
    fn rows(&self) -> (Vec<(&'static str, Vec<String>)>, Vec<String>) {
        let mut reasons: Vec<String> = Vec::new();
        let mut number = |reason: &String| {
            let place = reasons.iter().position(|known| known == reason);
            place.unwrap_or_else(|| {
                reasons.push(reason.clone());
                reasons.len() - 1
            }) + 1
        };
        let mut half = |row, daemon: Daemon, over| match self.0.get(&(row, daemon.key(), over)) {
            None => "not played".to_owned(),
            Some(Cell::Met) => "met".to_owned(),
            Some(Cell::MetWith(note)) => format!("met ({})", number(note)),
            Some(Cell::Missed(why)) => format!("missed ({})", number(why)),
            Some(Cell::Blocked(why)) => format!("blocked ({})", number(why)),
        };
        let mut rows = Vec::new();
        for (row, title, families) in ROWS {
            let words = Daemon::ALL.map(|daemon| {
                let mut halves: Vec<String> = families
                    .iter()
                    .map(|&over| half(row, daemon, over))
                    .collect();
                halves.dedup();
                halves.join(" / ")
            });
            rows.push((title, words.to_vec()));
        }
        (rows, reasons)
    }
}

/// All cells, by families.
fn all() -> Vec<(Row, &'static str, Family)> {
    let mut all = Vec::new();
    for (row, _, families) in ROWS {
        for daemon in Daemon::ALL {
            all.extend(families.iter().map(|&over| (row, daemon.key(), over)));
        }
    }
    all
}

/// A matrix that is whole, with cells of all kinds that may be in it.
pub fn good() -> Matrix {
    let cell = |(n, place)| match n % 3 {
        0 => (place, Cell::Met),
        1 => (place, Cell::MetWith("it has one of its own".to_owned())),
        _ => (place, Cell::Blocked("it has none".to_owned())),
    };
    Matrix(all().into_iter().enumerate().map(cell).collect())
}

/// A matrix of which any cell is missed, or absent, is not whole.
pub fn every_cell_counts() -> Result<(), Failed> {
    let Matrix(good) = good();
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
