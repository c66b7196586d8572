//! LAGs and the LACP of their members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Change, History};
use crate::lacp::PortInfo;
use crate::line::{End, LagStatus};
use crate::record::MemberCounters;
use crate::time::At;

/// An end of a LAG.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Lag {
    /// The router at this end; the LAG is run by its line card.
    pub router: String,
    /// The connection.
    pub connection: String,
    /// It is a bond of the kernel's; else ours.
    pub kernel: bool,
    /// Carrier.
    pub up: bool,
    /// Seconds since it changed.
    pub since: Option<f64>,
    /// Frames the kernel did not take.
    pub unsent: u64,
    /// Its members, in order.
    pub members: Vec<Member>,
    /// The last changes of its carrier, the latest last.
    pub changes: Vec<Change>,
}

/// A member of a LAG, with the names of IEEE 802.1AX.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// Counted from 1.
    pub member: usize,
    /// Light.
    pub light: bool,
    /// State of the receive machine.
    pub receive: String,
    /// State of the mux machine.
    pub mux: String,
    /// The selection logic's answer, with the obstacle if there is one.
    pub selected: String,
    /// Takes frames.
    pub collecting: bool,
    /// Sends frames.
    pub distributing: bool,
    /// BFD on the member (RFC 7130), where there is any: its state, `off` while LACP does not let the member distribute.
    pub micro_bfd: Option<String>,
    /// What this end says of itself: system, key, port, state.
    pub actor: Option<Port>,
    /// What the other end said last; none while nothing was heard.
    pub partner: Option<Port>,
    /// How often the partner wants to hear from us: `fast` (1 s) or `slow` (30 s).
    pub partner_wants: Option<String>,
    /// How the partner's LACPDUs came since the rate changed; none of a bond of the kernel's.
    pub rhythm: Option<Rhythm>,
    /// Frames, since the member was made.
    pub frames: Option<Frames>,
    /// What its link has carried since it was made.
    pub carried: Option<Carried>,
    /// Data frames that came before the partner was told that this end collects.
    pub early_data: u64,
}

/// What the link of a member has carried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Carried {
    /// Frames handed to the cable.
    pub sent: u64,
    /// Octets of these, without FCS.
    pub octets_sent: u64,
    /// Those of them that are the LAG's: neither of the Slow Protocols nor BFD on the member.
    pub data_sent: Option<u64>,
    /// Frames that arrived.
    pub received: u64,
    /// Octets of these, without FCS.
    pub octets_received: u64,
    /// Those of them that are the LAG's.
    pub data_received: Option<u64>,
}

/// How a partner's LACPDUs came, by the kernel's timestamps, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rhythm {
    /// What it was asked for: 1 or 30.
    pub interval: f64,
    /// Intervals measured.
    pub intervals: u32,
    /// The shortest.
    pub shortest: f64,
    /// The median of the last 64.
    pub median: f64,
    /// The longest.
    pub longest: f64,
    /// Off by more than 0.25 s.
    pub off: u32,
}

/// An end of a member in its LACPDUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Port {
    /// System priority and identifier, key, port priority and number.
    pub port: String,
    /// Bits of the state octet that are set, by their names.
    pub state: String,
}

/// Frames of a member (aAggPortStats).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Frames {
    /// LACPDUs sent.
    pub lacpdus_sent: u64,
    /// LACPDUs received.
    pub lacpdus_received: u64,
    /// Marker PDUs received, each of them answered.
    pub markers_received: u64,
    /// Frames that were no PDU.
    pub illegal: u64,
    /// Why the last of them was none.
    pub last_illegal: Option<String>,
}

/// An end of a LAG.
pub fn lag(
    end: &End,
    status: &LagStatus,
    carried: &[MemberCounters],
    history: &History,
    now: At,
) -> Lag {
    let past = history.lag(&end.router, &end.connection);
    let members = status.ports.iter().enumerate().map(|(n, port)| Member {
        member: n + 1,
        light: port.light,
        receive: port.receive.to_string(),
        mux: port.mux.to_string(),
        selected: port.selected.to_string(),
        collecting: port.collecting,
        distributing: port.distributing,
        micro_bfd: (status.micro.get(n).cloned().flatten())
            .map(|micro| if micro.off { "off" } else { micro.state.name() }.to_owned()),
        actor: status.actors.get(n).map(Port::from),
        partner: port.partner.as_ref().map(Port::from),
        partner_wants: port.partner.as_ref().map(|partner| {
            let fast = partner.state.has(crate::lacp::State::TIMEOUT);
            if fast { "fast" } else { "slow" }.to_owned()
        }),
        rhythm: status
            .rhythms
            .get(n)
            .copied()
            .flatten()
            .map(|rhythm| Rhythm {
                interval: rhythm.interval.as_secs_f64(),
                intervals: rhythm.intervals,
                shortest: rhythm.shortest.as_secs_f64(),
                median: rhythm.median.as_secs_f64(),
                longest: rhythm.longest.as_secs_f64(),
                off: rhythm.early.saturating_add(rhythm.late),
            }),
        frames: status.counters.get(n).map(|counters| Frames {
            lacpdus_sent: counters.lacpdus_sent,
            lacpdus_received: counters.lacpdus_received,
            markers_received: counters.markers_received,
            illegal: counters.illegal,
            last_illegal: counters.last_illegal.as_ref().map(ToString::to_string),
        }),
        early_data: status.early.get(n).copied().unwrap_or(0),
        carried: (carried.iter())
            .find(|counted| usize::from(counted.member) == n + 1)
            .map(|counted| Carried {
                sent: counted.sent.frames,
                octets_sent: counted.sent.octets,
                data_sent: counted.sent.data,
                received: counted.received.frames,
                octets_received: counted.received.octets,
                data_received: counted.received.data,
            }),
    });
    Lag {
        router: end.router.clone(),
        connection: end.connection.clone(),
        kernel: status.kernel,
        up: status.carrier,
        since: past.last(now).map(|(since, _)| since),
        unsent: status.unsent,
        members: members.collect(),
        changes: past.changes(now),
    }
}

impl From<&PortInfo> for Port {
    fn from(info: &PortInfo) -> Port {
        Port {
            port: info.to_string(),
            state: info.state.to_string(),
        }
    }
}
