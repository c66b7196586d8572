//! The scenes: what is played with each daemon, and which cells of the matrix it fills.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use libtest_mimic::Failed;
use peerlab::device::DeviceError;
use peerlab::record::{Entry, Fact};
use peerlab::router::Secret;
use tokio::task::LocalSet;

use crate::bed::{Bed, DUT_ASN, SESSION, ours, theirs};
use crate::daemons::{Dut, WORDS, Wish};
use crate::sheet::{Cell, Row, mark};

/// What we say when we end a session.
const OUR_WORDS: &str = "night work";

/// How long a neighbour has for other paths, when we take a session out of use.
const LEAVING: Duration = Duration::from_secs(3);

/// A scene.
#[derive(Clone, Copy)]
pub enum Scene {
    Calls,
    Routes,
    Restarts,
    Bfd,
    Ipv6,
    Md5,
    Ttl,
    Shutdown,
}

/// All scenes by name.
pub const SCENES: [(&str, Scene); 8] = [
    ("it_connects", Scene::Calls),
    ("routes_and_words", Scene::Routes),
    ("restarts", Scene::Restarts),
    ("bfd", Scene::Bfd),
    ("ipv6", Scene::Ipv6),
    ("md5", Scene::Md5),
    ("ttl_security", Scene::Ttl),
    ("graceful_shutdown", Scene::Shutdown),
];

impl Scene {
    fn rows(self) -> &'static [Row] {
        match self {
            Scene::Calls => &[Row::ItConnects],
            Scene::Routes => &[
                Row::WeConnect,
                Row::Ipv4,
                Row::FourOctets,
                Row::Out,
                Row::In,
                Row::WeAsk,
                Row::ItAsks,
                Row::OurWords,
                Row::ItsWords,
            ],
            Scene::Restarts => &[Row::ItRestarts, Row::WeRestart],
            Scene::Bfd => &[Row::Bfd],
            Scene::Ipv6 => &[Row::Ipv6],
            Scene::Md5 => &[Row::Md5],
            Scene::Ttl => &[Row::Ttl],
            Scene::Shutdown => &[Row::Shutdown],
        }
    }
}

/// Plays a scene; fails when a cell of it is missed.
pub fn play(dut: &'static Dut, scene: Scene, lack: Option<String>) -> Result<(), Failed> {
    let mut cells = Cells::new(dut, scene.rows());
    if let Some(why) = lack {
        cells.rest(Cell::Blocked(why));
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let played = async {
        let mut bed = Bed::new(dut)?;
        let played = match scene {
            Scene::Calls => it_connects(&mut bed, &mut cells).await,
            Scene::Routes => routes(&mut bed, &mut cells).await,
            Scene::Restarts => restarts(&mut bed, &mut cells).await,
            Scene::Bfd => bfd(&mut bed, &mut cells).await,
            Scene::Ipv6 => ipv6(&mut bed, &mut cells).await,
            Scene::Md5 => md5(&mut bed, &mut cells).await,
            Scene::Ttl => ttl_security(&mut bed, &mut cells).await,
            Scene::Shutdown => graceful_shutdown(&mut bed, &mut cells).await,
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
struct Cells {
    dut: &'static Dut,
    left: Vec<Row>,
}

impl Cells {
    fn new(dut: &'static Dut, rows: &[Row]) -> Cells {
        Cells {
            dut,
            left: rows.iter().rev().copied().collect(),
        }
    }

    /// The next cell is decided.
    fn next(&mut self, cell: Cell) {
        if let Some(row) = self.left.pop() {
            mark(row, self.dut.daemon, cell);
        }
    }

    fn met(&mut self) {
        self.next(Cell::Met);
    }

    fn rest(&mut self, cell: Cell) {
        while !self.left.is_empty() {
            self.next(cell.clone());
        }
    }

    /// Whether the daemon refuses a configuration with something in it, which the scene is about.
    fn refused(&mut self, bed: &Bed, wish: &Wish, what: &str) -> bool {
        let Err(DeviceError::Rejected { words, .. }) = bed.check(wish) else {
            return false;
        };
        let last = words.trim().lines().last().unwrap_or_default();
        // What stands before, a temporary folder, says nothing.
        let last = ["dut.conf:", "decoding:\\n\\n* "]
            .iter()
            .find_map(|before| last.split_once(before))
            .map_or(last, |(_, last)| last);
        let daemon = self.dut.daemon;
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

async fn it_connects(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    bed.edge(false, |session| session.passive = true)?;
    bed.daemon(&Wish::default()).await?;
    bed.established(0).await?;
    cells.met();
    Ok(())
}

async fn routes(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let passive = Wish {
        passive: true,
        ..Wish::default()
    };
    bed.daemon(&passive).await?;
    bed.edge(false, |_| {})?;
    bed.established(0).await?;
    cells.met();
    bed.all_in(false, 0).await?;
    bed.all_out(false).await?;
    cells.met();
    four_octets(bed)?;
    cells.met();
    let heard = bed.heard().await?;
    let intact = |wanted: &str| {
        heard
            .iter()
            .all(|r| r.communities.iter().any(|c| c == wanted))
    };
    if !intact("8075:8007") || !intact("8075:1:2") {
        return Err(format!("communities are not intact: {:?}", heard.first()).into());
    }
    cells.met();
    // The edge took nothing without its communities as one of the ten.
    cells.met();
    we_ask(bed, cells).await?;
    match bed.dut.refresh {
        Ok(command) => {
            it_asks(bed, command).await?;
            cells.met();
        }
        Err(why) => cells.next(Cell::Blocked(why.to_owned())),
    }
    match bed.dut.deaf {
        None => {
            our_words(bed).await?;
            cells.met();
        }
        Some(why) => cells.next(Cell::Blocked(why.to_owned())),
    }
    match bed.dut.shutdown {
        Ok(command) => {
            let since = bed.seen.len();
            bed.ask(command).await?;
            bed.fact(
                "its words",
                since,
                |fact| matches!(fact, Fact::Bgp { why, .. } if why.contains(WORDS)),
            )
            .await?;
            cells.met();
        }
        Err(why) => cells.next(Cell::Blocked(why.to_owned())),
    }
    Ok(())
}

/// The path of a route has an AS number that two octets do not hold.
fn four_octets(bed: &Bed) -> Result<(), Failed> {
    let wanted = DUT_ASN.to_string();
    let is_whole =
        |fact: &Fact| matches!(fact, Fact::RouteReceived { as_path, .. } if *as_path == wanted);
    if bed.seen.iter().any(|entry| is_whole(&entry.fact)) {
        return Ok(());
    }
    Err("no route with the whole AS number".into())
}

/// We ask for the daemon's routes again, and are told them.
async fn we_ask(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let (_, before) = bed.updates().await?;
    let since = bed.seen.len();
    bed.router()?.request_refresh(SESSION);
    if let Some(words) = bed.dut.refuses {
        let says = |fact: &Fact| matches!(fact, Fact::Device { text, .. } if text.contains(words));
        bed.fact("its refusal", since, says).await?;
        let daemon = bed.dut.daemon;
        cells.next(Cell::Blocked(format!("{daemon} refuses it: {words}")));
        return Ok(());
    }
    bed.until("more UPDATEs after our ROUTE-REFRESH", async |bed| {
        Ok(bed.updates().await?.1 > before)
    })
    .await?;
    cells.met();
    Ok(())
}

/// The daemon asks for our routes again, and is told them.
async fn it_asks(bed: &mut Bed, command: &[&str]) -> Result<(), Failed> {
    let (before, _) = bed.updates().await?;
    bed.ask(command).await?;
    bed.until("more UPDATEs after its ROUTE-REFRESH", async |bed| {
        Ok(bed.updates().await?.0 > before)
    })
    .await
}

/// We end the session with words, which the daemon shows, and take it up again.
async fn our_words(bed: &mut Bed) -> Result<(), Failed> {
    let since = bed.seen.len();
    bed.router()?.stop_session(SESSION, OUR_WORDS);
    bed.fact(
        "our words",
        since,
        |fact| matches!(fact, Fact::Device { text, .. } if text.contains(OUR_WORDS)),
    )
    .await?;
    let since = bed.seen.len();
    bed.router()?.start_session(SESSION);
    bed.established(since).await
}

async fn restarts(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    bed.edge(false, |_| {})?;
    bed.daemon(&Wish::default()).await?;
    bed.all_in(false, 0).await?;
    if let Some(device) = bed.device.take() {
        device.stop().await;
    }
    bed.fact(
        "the loss of the session",
        0,
        |fact| matches!(fact, Fact::Bgp { state, .. } if state == "Idle"),
    )
    .await?;
    let since = bed.seen.len();
    bed.boot_daemon().await?;
    bed.all_in(false, since).await?;
    bed.all_out(false).await?;
    cells.met();
    // Without a word: the daemon must believe the new session.
    let since = bed.seen.len();
    bed.router()?.crash();
    bed.router()?.boot();
    bed.all_in(false, since).await?;
    bed.all_out(false).await?;
    cells.met();
    Ok(())
}

/// Strict: the session waits for BFD, and is lost with it.
async fn bfd(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        bfd: true,
        ..Wish::default()
    };
    if cells.refused(bed, &wish, "BFD") {
        return Ok(());
    }
    bed.edge(false, |session| {
        session.use_bfd = true;
        session.bfd_strict = true;
    })?;
    bed.daemon(&wish).await?;
    // The session waits in OpenConfirm for as long as there is no BFD.
    bed.fact(
        "OpenConfirm",
        0,
        |fact| matches!(fact, Fact::Bgp { state, .. } if state == "OpenConfirm"),
    )
    .await?;
    let line = bed.line()?;
    bed.established(0).await?;
    let place = |is: &dyn Fn(&Fact) -> bool| bed.seen.iter().position(|entry| is(&entry.fact));
    let up = place(&|fact| matches!(fact, Fact::Bfd { state, .. } if state == "up"));
    let established =
        place(&|fact| matches!(fact, Fact::Bgp { state, .. } if state == "Established"));
    if up.is_none() || up > established {
        return Err("Established without BFD".into());
    }
    // FRR begins BFD anew when the session is established; by its routes it is up again.
    bed.all_in(false, 0).await?;
    // Our end falls silent, and is itself not told.
    let since = bed.seen.len();
    drop(line);
    bed.fact(
        "the loss of the session",
        since,
        |fact| matches!(fact, Fact::Bgp { state, .. } if state == "Idle"),
    )
    .await?;
    cells.met();
    Ok(())
}

/// The same routes over IPv6, with their communities.
async fn ipv6(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        ipv6: true,
        ..Wish::default()
    };
    bed.edge(true, |_| {})?;
    bed.daemon(&wish).await?;
    bed.all_in(true, 0).await?;
    bed.all_out(true).await?;
    cells.met();
    Ok(())
}

/// With the same key on both sides there is a session; what we send without it, the daemon's kernel drops.
async fn md5(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let key = "voice";
    let wish = Wish {
        md5: Some(key),
        ..Wish::default()
    };
    if cells.refused(bed, &wish, "TCP MD5") {
        return Ok(());
    }
    let right = Secret::new(key.as_bytes())?;
    bed.daemon(&wish).await?;
    bed.edge(false, |session| session.md5 = Some(right.clone()))?;
    bed.all_in(false, 0).await?;
    // Without the key nothing of us is heard.
    if let Some(router) = bed.router.take() {
        router.shutdown("another key").await;
    }
    bed.edge(false, |_| {})?;
    bed.drops("TCPMD5NotFound").await?;
    cells.met();
    Ok(())
}

/// With TTL 255 on both sides there is a session; what we send with our usual 1, the daemon's kernel drops.
async fn ttl_security(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        ttl: true,
        ..Wish::default()
    };
    if cells.refused(bed, &wish, "TTL security") {
        return Ok(());
    }
    bed.daemon(&wish).await?;
    bed.edge(false, |session| session.ttl_security = Some(1))?;
    bed.all_in(false, 0).await?;
    if let Some(why) = bed.dut.far {
        cells.next(Cell::Blocked(why.to_owned()));
        return Ok(());
    }
    if let Some(router) = bed.router.take() {
        router.shutdown("from far away").await;
    }
    bed.edge(false, |_| {})?;
    bed.drops("TCPMinTTLDrop").await?;
    cells.met();
    Ok(())
}

/// What the daemon marks as about to go is our last choice; what we mark, it hears before the session ends.
async fn graceful_shutdown(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        leaving: true,
        ..Wish::default()
    };
    bed.daemon(&wish).await?;
    bed.edge(false, |session| session.honour_graceful_shutdown = true)?;
    let wanted: BTreeSet<IpNet> = theirs(false).into_iter().collect();
    bed.until("10 routes with local preference 0", async |bed| {
        let last = |entry: &Entry| match entry.fact {
            Fact::RouteAccepted {
                prefix,
                local_pref: 0,
                ..
            } => Some(prefix),
            _ => None,
        };
        Ok(bed.seen.iter().filter_map(last).collect::<BTreeSet<_>>() == wanted)
    })
    .await?;
    bed.all_out(false).await?;
    let since = bed.seen.len();
    bed.router()?.graceful_shutdown(SESSION, LEAVING, OUR_WORDS);
    bed.until(
        "280 routes with GRACEFUL_SHUTDOWN at the daemon",
        async |bed| {
            let heard = bed.heard().await.unwrap_or_default();
            let marked = heard.iter().filter(|route| {
                let names = ["65535:0", "graceful-shutdown", "graceful_shutdown"];
                let is = |community: &String| names.contains(&community.to_lowercase().as_str());
                route.communities.iter().any(is)
            });
            let marked: BTreeSet<_> = marked.map(|route| route.prefix).collect();
            Ok(marked.len() == ours(false).len())
        },
    )
    .await?;
    // Until now nothing was lost.
    let ended = |fact: &Fact| matches!(fact, Fact::Bgp { state, .. } if state == "Idle");
    if bed.seen[since..].iter().any(|entry| ended(&entry.fact)) {
        return Err("the session ended before its routes were marked".into());
    }
    bed.fact("the end of the session", since, ended).await?;
    cells.met();
    Ok(())
}
