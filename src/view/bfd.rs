//! BFD sessions.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Change, History, seconds};
use crate::bfd;
use crate::line::{BfdStatus, End};
use crate::time::At;

/// A BFD session as one end sees it. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Bfd {
    /// The router at this end.
    pub router: String,
    /// The BGP session it guards: `ams-1`, or `ams-1/ipv6`; or the member of a LAG it is on: `ams-1/1`.
    pub session: String,
    /// Our address.
    pub local: IpAddr,
    /// The remote's address.
    pub remote: IpAddr,
    /// `admin-down`, `down`, `init`, `up`; on a member `off`, while LACP does not let the member distribute.
    pub state: String,
    /// Why it last changed, in the words of RFC 5880, if it was for a reason.
    pub diagnostic: Option<String>,
    /// Since it came there.
    pub since: Option<f64>,
    /// What we want: intervals and multiplier.
    pub wants: Timers,
    /// What the remote said last; none while nothing was heard.
    pub heard: Option<Heard>,
    /// How its packets came since the session came up or intervals changed; none before the first interval.
    pub rhythm: Option<Rhythm>,
    /// Our end misbehaves, as a scenario told it.
    pub misbehaves: bool,
    /// Between packets we send, before jitter.
    pub transmit_interval: f64,
    /// The Detection Time; none before the first packet.
    pub detection_time: Option<f64>,
    /// Our discriminator.
    pub discriminator: u32,
    /// Control packets sent.
    pub sent: u64,
    /// Control packets accepted.
    pub received: u64,
    /// Packets discarded as section 6.8.6 wants.
    pub discarded: u64,
    /// Why the last of these was discarded.
    pub last_discarded: Option<String>,
    /// Packets from another address than the remote's.
    pub foreign: u64,
    /// Packets the kernel did not take, for example while there was no carrier.
    pub unsent: u64,
    /// The last changes of its state, the latest last.
    pub changes: Vec<Change>,
}

/// Intervals of one end, in seconds, and its multiplier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Timers {
    /// Desired Min TX Interval.
    pub desired_min_tx: f64,
    /// Required Min RX Interval.
    pub required_min_rx: f64,
    /// Detect Mult.
    pub detect_multiplier: u8,
}

/// What the remote said in its last packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Heard {
    /// Its discriminator.
    pub discriminator: u32,
    /// Its state.
    pub state: String,
    /// Its diagnostic, if it has one.
    pub diagnostic: Option<String>,
    /// Its intervals and multiplier.
    pub timers: Timers,
    /// It asks for Demand mode (the D bit).
    pub demand: bool,
    /// Its BFD does not share fate with its control plane (the C bit).
    pub control_plane_independent: bool,
    /// How it authenticates, for example `keyed-sha1`, if it does.
    pub authentication: Option<String>,
    /// It returns Echo packets that come no faster than this; none if it does not.
    pub echo: Option<f64>,
}

/// The rhythm of the remote's packets, by the kernel's timestamps; times in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rhythm {
    /// The negotiated interval, before jitter.
    pub interval: f64,
    /// Intervals measured.
    pub intervals: u32,
    /// The shortest.
    pub shortest: f64,
    /// The median.
    pub median: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub longest: f64,
    /// Shorter than jitter allows.
    pub early: u32,
    /// Longer than the interval.
    pub late: u32,
}

impl From<bfd::Rhythm> for Rhythm {
    fn from(of: bfd::Rhythm) -> Rhythm {
        Rhythm {
            interval: seconds(of.interval),
            intervals: of.intervals,
            shortest: seconds(of.shortest),
            median: seconds(of.median),
            p99: seconds(of.p99),
            longest: seconds(of.longest),
            early: of.early,
            late: of.late,
        }
    }
}

impl From<bfd::Timers> for Timers {
    fn from(of: bfd::Timers) -> Timers {
        Timers {
            desired_min_tx: seconds(of.desired_min_tx.duration()),
            required_min_rx: seconds(of.required_min_rx.duration()),
            detect_multiplier: of.detect_multiplier.get(),
        }
    }
}

impl From<bfd::Heard> for Heard {
    fn from(of: bfd::Heard) -> Heard {
        Heard {
            discriminator: of.discriminator.get(),
            state: of.state.name().to_owned(),
            diagnostic: words(of.diagnostic),
            timers: of.timers.into(),
            demand: of.demand,
            control_plane_independent: of.control_plane_independent,
            authentication: of.authentication.map(|kind| kind.name().to_owned()),
            echo: Some(seconds(of.required_min_echo_rx.duration())).filter(|echo| *echo > 0.0),
        }
    }
}

fn words(diagnostic: bfd::Diagnostic) -> Option<String> {
    (diagnostic != bfd::Diagnostic::None).then(|| diagnostic.words().to_owned())
}

/// A BFD session.
pub fn bfd(end: &End, status: &BfdStatus, history: &History, now: At) -> Bfd {
    let past = history.bfd(&end.router, &end.connection);
    let counters = status.counters;
    Bfd {
        router: end.router.clone(),
        session: end.connection.clone(),
        local: status.local,
        remote: status.remote,
        state: if status.off {
            "off"
        } else {
            status.state.name()
        }
        .to_owned(),
        diagnostic: words(status.diagnostic),
        since: past.last(now).map(|(since, _)| since),
        wants: status.timers.into(),
        heard: status.heard.map(Heard::from),
        rhythm: status.rhythm.map(Rhythm::from),
        misbehaves: status.misbehaviour != bfd::Misbehaviour::default(),
        transmit_interval: seconds(status.transmit_interval),
        detection_time: status.detection_time.map(seconds),
        discriminator: status.discriminator.get(),
        sent: counters.sent,
        received: counters.received,
        discarded: counters.discarded,
        last_discarded: counters.last_discarded.as_ref().map(ToString::to_string),
        foreign: status.foreign,
        unsent: status.unsent,
        changes: past.changes(now),
    }
}
