//! BFD by itself with the daemons that have it: intervals and their change, silence, being disabled, IPv6, authentication, Echo.
//!
//! What a daemon does is seen in its packets, as a scenario sees it.

use std::fmt::Write as _;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use libtest_mimic::Failed;
use peerlab::bfd::{
    Authentication, Config, Key, Kind, Micros, Misbehaviour, Order, Secret, Timers, Wrong,
};
use peerlab::binding::Daemon;
use peerlab::line::{End, Line};
use peerlab::record::{BfdHeard, BfdRhythm, Fact};
use tokio::task::LocalSet;

use crate::bed::Bed;
use crate::daemons::Dut;

/// What is played.
#[derive(Clone, Copy)]
pub enum Scene {
    Intervals,
    Silence,
    Ipv6,
    Authentication,
    Echo,
}

const SCENES: [(&str, Scene); 5] = [
    ("bfd_intervals", Scene::Intervals),
    ("bfd_silence_and_disabled", Scene::Silence),
    ("bfd_over_ipv6", Scene::Ipv6),
    ("bfd_authentication", Scene::Authentication),
    ("bfd_echo", Scene::Echo),
];

/// The scenes that a daemon can play. FRR 8.4 has no authentication of BFD, BIRD no Echo.
pub fn scenes(daemon: Daemon) -> impl Iterator<Item = (&'static str, Scene)> {
    let fits = move |(_, scene): &(&str, Scene)| match scene {
        Scene::Intervals | Scene::Silence | Scene::Ipv6 => daemon.has_bfd(),
        Scene::Authentication => daemon == Daemon::Bird,
        Scene::Echo => daemon == Daemon::Frr,
    };
    SCENES.into_iter().filter(fits)
}

/// Plays a scene.
pub fn play(dut: &'static Dut, scene: Scene) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let played = async {
        match scene {
            Scene::Intervals => alone(dut, async |bed| intervals(bed).await).await,
            Scene::Silence => alone(dut, async |bed| silence(bed, false).await).await,
            Scene::Ipv6 => alone(dut, async |bed| silence(bed, true).await).await,
            Scene::Authentication => {
                for kind in Kind::ALL {
                    let how = format!("{kind:?}");
                    let played = alone(dut, async |bed| authentication(bed, kind).await).await;
                    let told =
                        |failed: Failed| format!("{how}: {}", failed.message().unwrap_or_default());
                    played.map_err(told)?;
                }
                Ok(())
            }
            Scene::Echo => alone(dut, async |bed| echo(bed).await).await,
        }
    };
    LocalSet::new().block_on(&runtime, played)
}

/// A bed of its own, which ends with what is played.
async fn alone(
    dut: &'static Dut,
    play: impl AsyncFnOnce(&mut Bed) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let mut bed = Bed::new(dut)?;
    let played = play(&mut bed).await;
    bed.end().await;
    played
}

/// A session of the daemon with our end.
#[derive(Clone, Copy)]
struct Theirs {
    millis: u32,
    multiplier: u8,
    ipv6: bool,
    authentication: Option<Kind>,
    echo: bool,
}

const THEIRS: Theirs = Theirs {
    millis: 50,
    multiplier: 10,
    ipv6: false,
    authentication: None,
    echo: false,
};

const SECRET: &str = "a key of both";

impl Theirs {
    fn config(&self, daemon: Daemon) -> String {
        let (ours, local) = match self.ipv6 {
            false => ("10.0.0.1", "10.0.0.0"),
            true => ("2001:db8::3", "2001:db8::2"),
        };
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
            let _ = write!(
                text,
                "  }};\n  neighbor {ours} dev \"l0\" local {local};\n}}\n"
            );
        } else {
            let echo = if self.echo {
                "  echo-mode\n  echo transmit-interval 50\n"
            } else {
                ""
            };
            let _ = write!(
                text,
                "frr defaults traditional\nlog stdout\nbfd\n peer {ours} local-address {local} interface l0\n  \
                 detect-multiplier {multiplier}\n  receive-interval {millis}\n  transmit-interval {millis}\n{echo} exit\nexit\n"
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

/// Intervals of 300, 150, 50 and 10 ms, each a change while the session is up: a Poll is answered, and the daemon's packets
/// keep the interval, less by jitter.
async fn intervals(bed: &mut Bed) -> Result<(), Failed> {
    let theirs = Theirs {
        millis: 10,
        multiplier: 10,
        ..THEIRS
    };
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let line = bed.bfd(config(ours(300, 10)), false)?;
    bed.up(0).await?;
    let up = bed.seen.len();
    for millis in [300, 150, 50, 10, 150] {
        let since = bed.seen.len();
        tell(&line, Order::timers(ours(millis, 10)));
        let wanted = Duration::from_millis(millis);
        let is = |rhythm: &BfdRhythm| {
            Duration::from(rhythm.interval) == wanted && rhythm.intervals >= 16
        };
        bed.fact(
            &format!("packets every {millis} ms"),
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
    bed.lost(up)
}

/// Our silence is detected in time and told; AdminDown is understood, and the session comes back after both.
async fn silence(bed: &mut Bed, ipv6: bool) -> Result<(), Failed> {
    let theirs = Theirs { ipv6, ..THEIRS };
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let line = bed.bfd(config(ours(50, 10)), ipv6)?;
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
    let since = bed.seen.len();
    tell(&line, Order::Disable);
    let told = "neighbor signaled session down";
    bed.heard_saying(told, since, |heard| {
        heard.state == "down" && heard.diagnostic == told
    })
    .await?;
    let since = bed.seen.len();
    tell(&line, Order::Enable);
    bed.up(since).await
}

/// With the same key the session comes up; packets with a wrong digest or password are nothing to the daemon.
async fn authentication(bed: &mut Bed, kind: Kind) -> Result<(), Failed> {
    let theirs = Theirs {
        authentication: Some(kind),
        ..THEIRS
    };
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let secret = Secret::new(SECRET.as_bytes()).ok_or("a secret")?;
    let authentication = Some(Authentication {
        kind,
        key: Key { id: 7, secret },
        other_key: None,
    });
    let line = bed.bfd(
        Config {
            authentication,
            ..config(ours(50, 10))
        },
        false,
    )?;
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
async fn echo(bed: &mut Bed) -> Result<(), Failed> {
    bed.edge
        .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
    let theirs = Theirs {
        echo: true,
        ..THEIRS
    };
    bed.configured(&theirs.config(bed.dut.daemon)).await?;
    let _line = bed.bfd(
        Config {
            required_min_echo_rx: Micros(50_000),
            ..config(ours(50, 10))
        },
        false,
    )?;
    bed.up(0).await?;
    let since = bed.seen.len();
    bed.until("Echo packets come back", async |bed| {
        let words = bed
            .ask(&["vtysh", "-c", "show bfd peers counters json"])
            .await?;
        let peers: serde_json::Value = serde_json::from_str(&words)?;
        let count = |name: &str| peers[0][name].as_u64().unwrap_or_default();
        let both = count("echo-packet-input").min(count("echo-packet-output"));
        Ok(both >= 10)
    })
    .await?;
    bed.lost(since)
}
