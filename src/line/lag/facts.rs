//! What LACP did or saw, as it is recorded: of a LAG of ours and of a bond alike.

use crate::lacp::{Heard, MarkerAnswer, PortStatus, Rhythm};
use crate::line::End;
use crate::record::{Fact, LacpHeard, LacpRhythm, LacpSeen};

/// What a member does, as it is recorded.
pub(in crate::line) fn member(end: &End, index: usize, status: &PortStatus) -> Fact {
    Fact::Member {
        router: end.router.clone(),
        connection: end.connection.clone(),
        member: index as u8 + 1,
        receive: status.receive.name().to_owned(),
        collecting: status.collecting,
        distributing: status.distributing,
        partner: status.partner.map(|p| p.to_string()).unwrap_or_default(),
    }
}

/// What a partner says, as it is recorded.
pub(in crate::line) fn heard_fact(heard: &Heard) -> LacpHeard {
    let actor = heard.actor;
    let system = actor.system.map(|byte| format!("{byte:02x}"));
    LacpHeard {
        system_priority: actor.system_priority,
        system: system.join(":"),
        key: actor.key,
        port_priority: actor.port_priority,
        port: actor.port,
        state: actor.state.to_string(),
        means_us: Some(heard.means_us),
        early: Some(heard.early),
        skipped: 0,
    }
}

/// An answer to a marker, as it is recorded.
pub(in crate::line) fn answer_fact(answer: MarkerAnswer) -> LacpSeen {
    let after = answer.after.into();
    match answer.earlier {
        true => LacpSeen::EarlierMarkerAnswered(after),
        false => LacpSeen::MarkerAnswered(after),
    }
}

/// A rhythm, as it is recorded.
pub(in crate::line) fn rhythm_fact(rhythm: &Rhythm) -> LacpRhythm {
    LacpRhythm {
        interval: rhythm.interval.into(),
        intervals: rhythm.intervals,
        shortest: rhythm.shortest.into(),
        median: rhythm.median.into(),
        longest: rhythm.longest.into(),
        early: rhythm.early,
        late: rhythm.late,
    }
}
