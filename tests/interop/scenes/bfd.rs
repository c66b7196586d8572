//! BFD: beside BGP, and by itself: intervals and their change, silence, being disabled, authentication, Echo.
//!
//! What a daemon does is seen in its packets, as a scenario sees it.

use std::fmt::Write as _;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use libtest_mimic::Failed;
use peerlab::bfd::{
    Authentication, Config, Key, Kind, Micros, Misbehaviour, Order, Secret, Timers, Wrong,
};
use peerlab::bgp::family::Family;
use peerlab::binding::Daemon;
use peerlab::line::{End, Line};
use peerlab::record::{BfdHeard, BfdRhythm, Fact};

use super::{Cells, came_to};
use crate::bed::Bed;
use crate::daemons::Wish;
use crate::routes::addresses;

/// Strict: the session waits for BFD, and is lost with it.
pub async fn strict(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = with_bfd(bed);
    if cells.refused(bed, &wish, "BFD") {
        return Ok(());
    }
    bed.edge(|session| {
        session.use_bfd = true;
        session.bfd_strict = true;
    })?;
    bed.daemon(&wish).await?;
    // The session waits in OpenConfirm for as long as there is no BFD.
    bed.fact("OpenConfirm", 0, |fact| came_to(fact, "OpenConfirm"))
        .await?;
    let line = bed.line()?;
    bed.established(0).await?;
    let place = |is: &dyn Fn(&Fact) -> bool| bed.seen.iter().position(|entry| is(&entry.fact));
    let up = place(&|fact| matches!(fact, Fact::Bfd { state, .. } if state == "up"));
    let established = place(&|fact| came_to(fact, "Established"));
    if up.is_none() || up > established {
        return Err("Established without BFD".into());
    }
    // FRR begins BFD anew when the session is established; by its routes it is up again.
    bed.all_in(0).await?;
    // Our end falls silent, and is itself not told.
    let since = bed.seen.len();
    drop(line);
    bed.why_idle(since).await?;
    cells.met();
    Ok(())
}

/// We disable BFD, which says nothing of the path: no end of the session may end it.
pub async fn disabled(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = with_bfd(bed);
    if cells.refused(bed, &wish, "BFD") {
        return Ok(());
    }
    let line = {
        bed.edge(|session| session.use_bfd = true)?;
        bed.line()?
    };
    bed.daemon(&wish).await?;
    bed.all_in(0).await?;
    bed.up(0).await?;
    let since = bed.seen.len();
    tell(&line, Order::Disable);
    let told = "neighbor signaled session down";
    bed.heard_saying(told, since, |heard| {
        heard.state == "down" && heard.diagnostic == told
    })
    .await?;
    if let Some(why) = bed.dut.lacks.bears {
        let ended = bed.why_idle(since).await?;

        cells.blocked(&format!("{why}: {ended}"));
        return Ok(());
    }
    // What it does for AdminDown it does before it answers this.
    bed.forget()?;
    bed.router()?.request_refresh(crate::bed::SESSION);
    bed.told("its routes after that", |wire| {
        !wire.received.routes.is_empty()
    })
    .await?;
    if bed.seen[since..]
        .iter()
        .any(|entry| came_to(&entry.fact, "Idle"))
    {
        return Err("the session ended with BFD".into());
    }
    cells.met();
    Ok(())
}

fn with_bfd(bed: &Bed) -> Wish {
    Wish {
        bfd: true,
        ..Wish::over(bed.over)
    }
}

/// A session of the daemon with our end.
#[derive(Clone, Copy)]
struct Theirs {
    millis: u32,
    multiplier: u8,
    over: Family,
    authentication: Option<Kind>,
    echo: bool,
}

/// 50 ms × 10.
fn theirs(over: Family) -> Theirs {
    Theirs {
        millis: 50,
        multiplier: 10,
        over,
        authentication: None,
        echo: false,
    }
}

const SECRET: &str = "a key of both";

impl Theirs {
    fn config(&self, daemon: Daemon) -> String {
        let (ours, local) = addresses(self.over);
        let (millis, multiplier) = (self.millis, self.multiplier);
        let mut text = String::new();
        if daemon == Daemon::Bird {
            let _ = write!(
                text,
                "log stderr all;\nrouter id 10.0.0.0;\nprotocol device {{ }}\nprotocol bfd {{\n  interface \"l0\" {{\n    \
                 interval {millis} ms;\n    multiplier {multiplier};\n"
            );
            if let Some(kind) = self.authentication {
                let kind = match kind {
                    Kind::SimplePassword => "simple",
                    Kind::KeyedMd5 => "keyed md5",
                    Kind::MeticulousKeyedMd5 => "meticulous keyed md5",
                    Kind::KeyedSha1 => "keyed sha1",
                    Kind::MeticulousKeyedSha1 => "meticulous keyed sha1",
                };
                let _ = write!(
                    text,
                    "    authentication {kind};\n    password \"{SECRET}\" {{ id 7; }};\n"
                );
            }
            if self.echo {
                text += "    echo on;\n";
            }
            let _ = write!(
                text,
                "  }};\n  neighbor {ours} dev \"l0\" local {local};\n}}\n"
            );
        } else {
            let mut options = String::new();
            if self.echo {
                options += "  echo-mode\n  echo transmit-interval 50\n";
            }
            if self.authentication.is_some() {
                let _ = writeln!(options, "  authentication keyed-sha1 7 {SECRET}");
            }
            let _ = write!(
                text,
                "frr defaults traditional\nlog stdout\nbfd\n peer {ours} local-address {local} interface l0\n  \
                 detect-multiplier {multiplier}\n  receive-interval {millis}\n  transmit-interval {millis}\n{options} exit\nexit\n"
            );
        }
        text
    }
}

fn ours(millis: u64, multiplier: u8) -> Timers {
    let multiplier = NonZeroU8::new(multiplier).expect("not zero");
    Timers::symmetric(Duration::from_millis(millis), multiplier)
}

fn config(timers: Timers) -> Config {
    Config::single_hop(NonZeroU32::MIN, timers, 1)
}

fn tell(line: &Line, order: Order) {
    let end = End {
        router: "edge".to_owned(),
        connection: "s0".to_owned(),
    };
    line.bfd(end, order);
}

impl Bed {
    async fn heard_saying(
        &mut self,
        what: &str,
        since: usize,
        says: impl Fn(&BfdHeard) -> bool,
    ) -> Result<BfdHeard, Failed> {
        let is = |fact: &Fact| matches!(fact, Fact::BfdHeard { heard, .. } if says(heard));
        self.fact(what, since, is).await?;
        let found = self.seen[since..]
            .iter()
            .find_map(|entry| match &entry.fact {
                Fact::BfdHeard { heard, .. } if says(heard) => Some(heard.clone()),
                _ => None,
            });
        Ok(found.ok_or("it was seen")?)
    }

    async fn up(&mut self, since: usize) -> Result<(), Failed> {
        self.fact(
            "up at our end",
            since,
            |fact| matches!(fact, Fact::Bfd { state, .. } if state == "up"),
        )
        .await?;
        self.heard_saying("up at its end", since, |heard| heard.state == "up")
            .await?;
        Ok(())
    }

    fn lost(&self, since: usize) -> Result<(), Failed> {
        let lost = |fact: &Fact| matches!(fact, Fact::Bfd { state, .. } if state != "up");
        match self.seen[since..].iter().find(|entry| lost(&entry.fact)) {
            Some(entry) => Err(format!("the session was lost: {entry:?}").into()),
            None => Ok(()),
        }
    }
}

/// One of so many intervals may be outside of what jitter allows: other processes have the CPU, too.
const OUTSIDE: u32 = 8;

/// Intervals of 300, 150, 50 and 10 ms, each a change while the session is up: a Poll is answered, and the daemon's packets
/// keep the interval, less by jitter.
pub async fn intervals(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    if cells.refused(bed, &with_bfd(bed), "BFD") {
        return Ok(());
    }
    let theirs = Theirs {
        millis: 10,
        ..theirs(bed.over)
    };
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let line = bed.bfd(config(ours(300, 10)))?;
    bed.up(0).await?;
    let up = bed.seen.len();
    for millis in [300, 150, 50, 10, 150] {
        let since = bed.seen.len();
        tell(&line, Order::timers(ours(millis, 10)));
        let wanted = Duration::from_millis(millis);
        // A host that is late now and then is outvoted as the measurement goes on; a daemon with another jitter never is.
        let is = |rhythm: &BfdRhythm| {
            let outside = rhythm.early.saturating_add(rhythm.late);
            Duration::from(rhythm.interval) == wanted
                && rhythm.intervals >= 16
                && outside <= rhythm.intervals / OUTSIDE
        };
        bed.fact(
            &format!("packets every 75 to 100 % of {millis} ms"),
            since,
            |fact| matches!(fact, Fact::BfdRhythm { rhythm, .. } if is(rhythm)),
        )
        .await?;
        let rhythm = bed.seen[since..]
            .iter()
            .find_map(|entry| match &entry.fact {
                Fact::BfdRhythm { rhythm, .. } if is(rhythm) => Some(*rhythm),
                _ => None,
            });
        let rhythm = rhythm.ok_or("it was seen")?;
        let median = Duration::from(rhythm.median);
        let grace = Duration::from_millis(2);
        if median + grace < wanted * 3 / 4 || median > wanted + grace {
            return Err(format!("the interval is not kept: {rhythm:?}").into());
        }
    }
    let answered = |fact: &Fact| matches!(fact, Fact::BfdAnswered { .. });
    if bed.seen[up..]
        .iter()
        .filter(|entry| answered(&entry.fact))
        .count()
        < 4
    {
        return Err("not every Poll was answered".into());
    }
    bed.lost(up)?;
    cells.met();
    Ok(())
}

/// Our silence is detected in time and told; AdminDown is understood, and the session comes back after both.
pub async fn silence(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    if cells.refused(bed, &with_bfd(bed), "BFD") {
        return Ok(());
    }
    bed.configured(&theirs(bed.over).config(bed.dut.daemon))
        .await?;
    let line = bed.bfd(config(ours(50, 10)))?;
    bed.up(0).await?;
    let quick =
        |heard: &BfdHeard| Duration::from(heard.desired_min_tx) == Duration::from_millis(50);
    bed.heard_saying("50 ms", 0, quick).await?;
    let since = bed.seen.len();
    let silent = Misbehaviour {
        silent: true,
        ..Misbehaviour::default()
    };
    tell(&line, Order::Misbehave(silent));
    let expired = "control detection time expired";
    let heard = bed
        .heard_saying(expired, since, |heard| heard.diagnostic == expired)
        .await?;
    let after = heard
        .detected_after
        .map(Duration::from)
        .ok_or("not measured")?;
    let due = Duration::from(heard.detection_time);
    // Not before it was due; a busy machine may be late.
    if due != Duration::from_millis(500) || after < due || after > due * 2 {
        return Err(format!("detected after {after:?}, due after {due:?}").into());
    }
    let since = bed.seen.len();
    tell(&line, Order::Misbehave(Misbehaviour::default()));
    bed.up(since).await?;
    cells.met();
    let since = bed.seen.len();
    tell(&line, Order::Disable);
    let told = "neighbor signaled session down";
    bed.heard_saying(told, since, |heard| {
        heard.state == "down" && heard.diagnostic == told
    })
    .await?;
    let since = bed.seen.len();
    tell(&line, Order::Enable);
    bed.up(since).await?;
    cells.met();
    Ok(())
}

/// Each kind with a bed of its own.
pub async fn authentication(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    if cells.refused(bed, &with_bfd(bed), "BFD") {
        return Ok(());
    }
    let theirs = Theirs {
        authentication: Some(Kind::KeyedSha1),
        ..theirs(bed.over)
    };
    let checked = bed.check_text(&theirs.config(bed.dut.daemon));
    if cells.refuses(checked, "authentication of BFD") {
        return Ok(());
    }
    for kind in Kind::ALL {
        let mut alone = Bed::new(bed.dut, bed.over)?;
        let played = authenticated(&mut alone, kind).await;
        alone.end().await;
        let told = |failed: Failed| format!("{kind:?}: {}", failed.message().unwrap_or_default());
        played.map_err(told)?;
    }
    cells.met();
    Ok(())
}

/// With the same key the session comes up; packets with a wrong digest or password are nothing to the daemon.
async fn authenticated(bed: &mut Bed, kind: Kind) -> Result<(), Failed> {
    let theirs = Theirs {
        authentication: Some(kind),
        ..theirs(bed.over)
    };
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let secret = Secret::new(SECRET.as_bytes()).ok_or("a secret")?;
    let authentication = Some(Authentication {
        kind,
        key: Key { id: 7, secret },
        other_key: None,
    });
    let line = bed.bfd(Config {
        authentication,
        ..config(ours(50, 10))
    })?;
    bed.up(0).await?;
    let named = |heard: &BfdHeard| heard.authentication.as_deref() == Some(kind.name());
    bed.heard_saying("authentication", 0, named).await?;
    let since = bed.seen.len();
    let wrong = Misbehaviour {
        wrong: Some(Wrong::Authentication),
        ..Misbehaviour::default()
    };
    tell(&line, Order::Misbehave(wrong));
    let expired = "control detection time expired";
    bed.heard_saying(expired, since, |heard| heard.diagnostic == expired)
        .await?;
    let since = bed.seen.len();
    tell(&line, Order::Misbehave(Misbehaviour::default()));
    bed.up(since).await
}

/// We say that Echo packets may come; the daemon sends them to itself by way of us, and our kernel sends them back.
pub async fn echo(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    if cells.refused(bed, &with_bfd(bed), "BFD") {
        return Ok(());
    }
    let theirs = Theirs {
        echo: true,
        ..theirs(bed.over)
    };
    let checked = bed.check_text(&theirs.config(bed.dut.daemon));
    if cells.refuses(checked, "Echo of BFD") {
        return Ok(());
    }
    bed.edge
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let _line = bed.bfd(Config {
        required_min_echo_rx: Micros(50_000),
        ..config(ours(50, 10))
    })?;
    bed.up(0).await?;
    let since = bed.seen.len();
    bed.until("Echo packets come back", async |bed| {
        let words = bed
            .ask(&["vtysh", "-c", "show bfd peers counters json"].map(str::to_owned))
            .await?;
        let peers: serde_json::Value = serde_json::from_str(&words)?;
        let count = |name: &str| peers[0][name].as_u64().unwrap_or_default();
        let both = count("echo-packet-input").min(count("echo-packet-output"));
        Ok(both >= 10)
    })
    .await?;
    bed.lost(since)?;
    cells.met();
    Ok(())
}

/// What an administrator of the daemon does.
enum Does {
    Changes(Theirs),
    Disables,
    Enables,
}

impl Does {
    /// In the daemon's own words.
    fn command(&self, bed: &Bed) -> Result<Vec<String>, Failed> {
        let (ours, local) = addresses(bed.over);
        if bed.dut.daemon == Daemon::Bird {
            let words = match self {
                Does::Changes(to) => {
                    let config = bed.rewrite(&to.config(Daemon::Bird))?;
                    format!("configure \"{config}\"")
                }
                Does::Disables => "disable bfd1".to_owned(),
                Does::Enables => "enable bfd1".to_owned(),
            };
            return Ok(vec!["birdc".to_owned(), words]);
        }
        let words = match self {
            Does::Changes(to) => {
                let every = ["receive", "transmit"];
                every
                    .map(|way| format!("{way}-interval {}", to.millis))
                    .to_vec()
            }
            Does::Disables => vec!["shutdown".to_owned()],
            Does::Enables => vec!["no shutdown".to_owned()],
        };
        let peer = format!("peer {ours} local-address {local} interface l0");
        let place = ["configure terminal", "bfd", &peer].map(str::to_owned);
        let commands = place.into_iter().chain(words);
        let commands = commands.flat_map(|command| ["-c".to_owned(), command]);
        Ok(["vtysh".to_owned()].into_iter().chain(commands).collect())
    }
}

/// What the daemon's administrator does: other intervals while the session is up, each with a Poll, which we answer; and to disable
/// it, which it says, and enable it again.
pub async fn its_own(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    if cells.refused(bed, &with_bfd(bed), "BFD") {
        return Ok(());
    }
    let first = theirs(bed.over);
    bed.configured(&first.config(bed.dut.daemon)).await?;
    let _line = bed.bfd(config(ours(50, 10)))?;
    bed.up(0).await?;
    let of = |millis: u32| Duration::from_millis(millis.into());
    let says =
        |wanted: Duration| move |heard: &BfdHeard| Duration::from(heard.desired_min_tx) == wanted;
    bed.heard_saying("50 ms", 0, says(of(50))).await?;
    let up = bed.seen.len();
    for millis in [150, 10, 50] {
        let since = bed.seen.len();
        let change = Does::Changes(Theirs { millis, ..first });
        bed.ask(&change.command(bed)?).await?;
        let heard = bed
            .heard_saying(&format!("{millis} ms"), since, says(of(millis)))
            .await?;
        if heard.unasked {
            return Err(format!("{millis} ms came without a Poll").into());
        }
        // Our answer lets it go to the interval that both ends allow; ours is 50 ms.
        let kept = of(millis.max(50));
        bed.fact(
            &format!("packets every {kept:?}"),
            since,
            |fact| matches!(fact, Fact::BfdRhythm { rhythm, .. } if Duration::from(rhythm.interval) == kept),
        )
        .await?;
    }
    bed.lost(up)?;
    cells.met();
    let since = bed.seen.len();
    bed.ask(&Does::Disables.command(bed)?).await?;
    let lost = |fact: &Fact| matches!(fact, Fact::Bfd { state, .. } if state == "down");
    bed.fact("lost", since, lost).await?;
    let said = bed.seen[since..].iter().any(
        |entry| matches!(&entry.fact, Fact::BfdHeard { heard, .. } if heard.state == "admin-down"),
    );
    let since = bed.seen.len();
    bed.ask(&Does::Enables.command(bed)?).await?;
    bed.up(since).await?;
    match said {
        true => cells.met(),
        false => cells.blocked(&format!(
            "{} falls silent when its BFD is disabled, although RFC 5880, section 6.8.16, has it say AdminDown",
            bed.dut.daemon
        )),
    }
    Ok(())
}

/// We ask for Demand mode and go on detecting: the daemon must cease its periodic packets, so we detect that nothing comes.
pub async fn demand(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    /// So many intervals are not measured before we ask, nor in a Detection Time after it.
    const MANY: u32 = 128;
    if cells.refused(bed, &with_bfd(bed), "BFD") {
        return Ok(());
    }
    bed.configured(&theirs(bed.over).config(bed.dut.daemon))
        .await?;
    let line = bed.bfd(config(ours(50, 10)))?;
    bed.up(0).await?;
    let since = bed.seen.len();
    let asking = Misbehaviour {
        demand: true,
        ..Misbehaviour::default()
    };
    tell(&line, Order::Misbehave(asking));
    let expired = "control detection time expired";
    let silent = |fact: &Fact| matches!(fact, Fact::Bfd { state, diagnostic, .. } if state == "down" && diagnostic == expired);
    let sends_on =
        |fact: &Fact| matches!(fact, Fact::BfdRhythm { rhythm, .. } if rhythm.intervals >= MANY);
    bed.fact("silence, or none", since, |fact| {
        silent(fact) || sends_on(fact)
    })
    .await?;
    if !bed.seen[since..].iter().any(|entry| silent(&entry.fact)) {
        cells.blocked(&format!(
            "{} knows no Demand mode: asked for it, it sends on, against RFC 5880, section 6.8.6",
            bed.dut.daemon
        ));
        return Ok(());
    }
    let since = bed.seen.len();
    tell(&line, Order::Misbehave(Misbehaviour::default()));
    bed.up(since).await?;
    cells.met();
    Ok(())
}
