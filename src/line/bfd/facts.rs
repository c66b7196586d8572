//! What is recorded of a BFD session.

use crate::bfd::{Heard, Invalid, Output, Rhythm};
use crate::line::End;
use crate::line::telling::{Kind, Tidings};
use crate::record::{BfdDiscardReason, BfdDiscarded, BfdHeard, BfdRhythm, Fact};
use crate::time::At;

/// What a session has seen of its remote, to be told.
pub(in crate::line) fn seen(end: &End, what: &Output, at: At) -> Option<Tidings> {
    let (router, connection) = (end.router.clone(), end.connection.clone());
    let (kind, fact) = match what {
        Output::Heard(heard) => (
            Kind::Heard,
            Fact::BfdHeard {
                router,
                connection,
                heard: heard_fact(heard),
            },
        ),
        Output::Rhythm(rhythm) => (
            Kind::Rhythm,
            Fact::BfdRhythm {
                router,
                connection,
                rhythm: rhythm_fact(rhythm),
            },
        ),
        Output::Answered(after) => (
            Kind::Answered,
            Fact::BfdAnswered {
                router,
                connection,
                after: (*after).into(),
            },
        ),
        Output::Discarded(why) => (
            Kind::Discarded,
            discarded(end, why.to_string(), reason(*why)),
        ),
        Output::Send(_) | Output::State(_) | Output::Disabled(_) => return None,
    };
    Some(Tidings {
        kind,
        at,
        fact: Some(fact),
        event: None,
    })
}

/// A packet for the session was not taken.
pub(super) fn discarded(end: &End, why: String, reason: BfdDiscardReason) -> Fact {
    Fact::BfdDiscarded(BfdDiscarded {
        router: end.router.clone(),
        connection: end.connection.clone(),
        why,
        reason,
    })
}

const fn reason(why: Invalid) -> BfdDiscardReason {
    match why {
        Invalid::Authentication
        | Invalid::Unauthenticated
        | Invalid::AuthenticationType
        | Invalid::AuthenticationLength
        | Invalid::AuthenticationKey
        | Invalid::Password
        | Invalid::Sequence
        | Invalid::Digest => BfdDiscardReason::Authentication,
        Invalid::Ttl => BfdDiscardReason::Ttl,
        Invalid::Short
        | Invalid::Version
        | Invalid::Length
        | Invalid::DetectMultiplier
        | Invalid::Multipoint
        | Invalid::MyDiscriminator
        | Invalid::YourDiscriminatorZero
        | Invalid::YourDiscriminator => BfdDiscardReason::Other,
    }
}

fn heard_fact(heard: &Heard) -> BfdHeard {
    BfdHeard {
        state: heard.state.name().to_owned(),
        diagnostic: heard.diagnostic.words().to_owned(),
        desired_min_tx: heard.timers.desired_min_tx.duration().into(),
        required_min_rx: heard.timers.required_min_rx.duration().into(),
        multiplier: heard.timers.detect_multiplier.get(),
        required_min_echo_rx: heard.required_min_echo_rx.duration().into(),
        demand: heard.demand,
        control_plane_independent: heard.control_plane_independent,
        authentication: heard.authentication.map(|kind| kind.name().to_owned()),
        unasked: heard.unasked,
        detected_after: heard.detected_after.map(Into::into),
        detection_time: heard.detection_time.into(),
    }
}

fn rhythm_fact(rhythm: &Rhythm) -> BfdRhythm {
    BfdRhythm {
        interval: rhythm.interval.into(),
        intervals: rhythm.intervals,
        shortest: rhythm.shortest.into(),
        median: rhythm.median.into(),
        p99: rhythm.p99.into(),
        longest: rhythm.longest.into(),
        early: rhythm.early,
        late: rhythm.late,
    }
}
