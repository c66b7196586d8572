//! The scenes: what is played with each daemon, over each family, and which cells of the matrix it fills.

mod bfd;
mod guards;
mod leaving;
mod routes;

use libtest_mimic::Failed;
use peerlab::bgp::family::Family;
use peerlab::binding::Daemon;
use peerlab::device::DeviceError;
use peerlab::record::Fact;
use tokio::task::LocalSet;

use crate::bed::Bed;
use crate::daemons::{Dut, Wish};
use crate::sheet::{Cell, ROWS, Row, mark};

/// A scene.
#[derive(Clone, Copy)]
pub enum Scene {
    Sessions,
    ItIsOld,
    WeAreOld,
    NextHop,
    Refresh,
    Md5,
    Ttl,
    Shutdown,
    Words,
    Restarts,
    BfdStrict,
    BfdDisabled,
    BfdIntervals,
    BfdSilence,
    BfdAuthentication,
    BfdEcho,
    BfdItsOwn,
    BfdDemand,
}

/// All scenes by name, with the rows they fill in this order.
pub const SCENES: [(&str, Scene, &[Row]); 18] = {
    use Row as R;
    [
        (
            "sessions_and_routes",
            Scene::Sessions,
            &[R::ItConnects, R::WeConnect, R::Out, R::In, R::FourOctets],
        ),
        ("it_knows_two_octets", Scene::ItIsOld, &[R::ItIsOld]),
        ("we_know_two_octets", Scene::WeAreOld, &[R::WeAreOld]),
        ("ipv6_next_hops", Scene::NextHop, &[R::NextHop]),
        ("route_refresh", Scene::Refresh, &[R::WeAsk, R::ItAsks]),
        ("md5", Scene::Md5, &[R::Md5]),
        ("ttl_security", Scene::Ttl, &[R::Ttl]),
        (
            "graceful_shutdown",
            Scene::Shutdown,
            &[R::ItLeaves, R::WeLeave],
        ),
        ("words", Scene::Words, &[R::OurWords, R::ItsWords]),
        ("restarts", Scene::Restarts, &[R::ItRestarts, R::WeRestart]),
        ("bfd_strict", Scene::BfdStrict, &[R::BfdStrict]),
        ("bfd_disabled", Scene::BfdDisabled, &[R::BfdAlone]),
        ("bfd_intervals", Scene::BfdIntervals, &[R::BfdIntervals]),
        (
            "bfd_silence_and_disabled",
            Scene::BfdSilence,
            &[R::BfdSilence, R::BfdDisabled],
        ),
        (
            "bfd_authentication",
            Scene::BfdAuthentication,
            &[R::BfdAuthentication],
        ),
        ("bfd_echo", Scene::BfdEcho, &[R::BfdEcho]),
        (
            "bfd_changed_and_disabled_by_it",
            Scene::BfdItsOwn,
            &[R::BfdItsIntervals, R::BfdItsDown],
        ),
        ("bfd_demand", Scene::BfdDemand, &[R::BfdDemand]),
    ]
};

/// The families over which rows are played.
pub fn families(rows: &[Row]) -> &'static [Family] {
    let found = ROWS.iter().find(|(row, ..)| Some(row) == rows.first());
    found.map_or(&[], |(.., families)| families)
}

/// Plays a scene; fails when a cell of it is missed.
pub fn play(
    dut: &'static Dut,
    (scene, rows): (Scene, &'static [Row]),
    over: Family,
    lack: Option<String>,
) -> Result<(), Failed> {
    let mut cells = Cells::new(dut.daemon, over, rows);
    if let Some(why) = lack {
        cells.rest(Cell::Blocked(why));
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let played = async {
        let mut bed = Bed::new(dut, over)?;
        let (bed_, cells) = (&mut bed, &mut cells);
        let played = match scene {
            Scene::Sessions => routes::sessions(bed_, cells).await,
            Scene::ItIsOld => routes::it_is_old(bed_, cells).await,
            Scene::WeAreOld => routes::we_are_old(bed_, cells).await,
            Scene::NextHop => routes::next_hop(bed_, cells).await,
            Scene::Refresh => routes::refresh(bed_, cells).await,
            Scene::Md5 => guards::md5(bed_, cells).await,
            Scene::Ttl => guards::ttl_security(bed_, cells).await,
            Scene::Shutdown => leaving::graceful_shutdown(bed_, cells).await,
            Scene::Words => leaving::words(bed_, cells).await,
            Scene::Restarts => leaving::restarts(bed_, cells).await,
            Scene::BfdStrict => bfd::strict(bed_, cells).await,
            Scene::BfdDisabled => bfd::disabled(bed_, cells).await,
            Scene::BfdIntervals => bfd::intervals(bed_, cells).await,
            Scene::BfdSilence => bfd::silence(bed_, cells).await,
            Scene::BfdAuthentication => bfd::authentication(bed_, cells).await,
            Scene::BfdEcho => bfd::echo(bed_, cells).await,
            Scene::BfdItsOwn => bfd::its_own(bed_, cells).await,
            Scene::BfdDemand => bfd::demand(bed_, cells).await,
        };
        bed.end().await;
        played
    };
    let played = LocalSet::new().block_on(&runtime, played);
    if let Err(failed) = &played {
        cells.missed(failed.message().unwrap_or_default());
    }
    played
}

/// The cells a scene has yet to fill, in its order.
pub(super) struct Cells {
    daemon: Daemon,
    over: Family,
    left: Vec<Row>,
}

impl Cells {
    fn new(daemon: Daemon, over: Family, rows: &[Row]) -> Cells {
        Cells {
            daemon,
            over,
            left: rows.iter().rev().copied().collect(),
        }
    }

    /// The next cell is decided.
    fn next(&mut self, cell: Cell) {
        if let Some(row) = self.left.pop() {
            mark(row, self.daemon, self.over, cell);
        }
    }

    fn met(&mut self) {
        self.next(Cell::Met);
    }

    fn met_with(&mut self, note: &str) {
        self.next(Cell::MetWith(note.to_owned()));
    }

    fn blocked(&mut self, why: &str) {
        self.next(Cell::Blocked(why.to_owned()));
    }

    fn rest(&mut self, cell: Cell) {
        while !self.left.is_empty() {
            self.next(cell.clone());
        }
    }

    /// Whether the daemon refuses a configuration with something in it, which the scene is about.
    fn refused(&mut self, bed: &Bed, wish: &Wish, what: &str) -> bool {
        self.refuses(bed.check(wish), what)
    }

    fn refuses(&mut self, checked: Result<(), DeviceError>, what: &str) -> bool {
        let Err(DeviceError::Rejected { words, .. }) = checked else {
            return false;
        };
        let last = words.trim().lines().last().unwrap_or_default();
        // What stands before, a temporary folder, says nothing.
        let last = ["dut.conf:", "decoding:\\n\\n* "]
            .iter()
            .find_map(|before| last.split_once(before))
            .map_or(last, |(_, last)| last);
        let daemon = self.daemon;
        let last = last.trim_end_matches("\" Topic=Config");
        self.rest(Cell::Blocked(format!("{daemon} knows no {what}: {last}")));
        true
    }

    /// The next cell is missed, so what would follow cannot be tried.
    fn missed(&mut self, why: &str) {
        // What it waited for is enough; the facts are in the output of the test.
        let why = why.split("last facts: ").next().unwrap_or(why);
        self.next(Cell::Missed(why.lines().collect::<Vec<_>>().join(" ")));
        self.rest(Cell::Blocked("a row above was missed".to_owned()));
    }
}

/// The session came to a state.
fn came_to(fact: &Fact, wanted: &str) -> bool {
    matches!(fact, Fact::Bgp { state, .. } if state == wanted)
}
