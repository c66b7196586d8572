//! Parts of facts, with any contents.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::facts::{nanos, text};
use crate::record::{
    BfdDiscardReason, BfdDiscarded, BfdHeard, BfdRhythm, Failure, FrameCount, LacpEarlyData,
    LacpHeard, LacpRhythm, LacpSeen, MemberCounters, Message, NotTold, Severity,
};

pub(super) fn member_counters() -> impl Strategy<Value = MemberCounters> {
    let count = || {
        let parts = (any::<u64>(), any::<u64>(), any::<Option<u64>>());
        parts.prop_map(|(frames, octets, data)| FrameCount {
            frames,
            octets,
            data,
        })
    };
    (any::<u8>(), count(), count()).prop_map(|(member, sent, received)| MemberCounters {
        member,
        sent,
        received,
    })
}

fn lacp_early_data() -> impl Strategy<Value = LacpEarlyData> {
    (any::<u64>(), text(), any::<bool>(), option::of(nanos())).prop_map(
        |(frames, first, unheard, before)| LacpEarlyData {
            frames,
            first,
            unheard,
            before,
        },
    )
}

pub(super) fn lacp_seen() -> impl Strategy<Value = LacpSeen> {
    prop_oneof![
        lacp_heard().prop_map(LacpSeen::Says),
        lacp_rhythm().prop_map(LacpSeen::Rhythm),
        Just(LacpSeen::MarkerSent),
        nanos().prop_map(LacpSeen::MarkerAnswered),
        nanos().prop_map(LacpSeen::EarlierMarkerAnswered),
        text().prop_map(LacpSeen::NoMarker),
        lacp_early_data().prop_map(LacpSeen::EarlyData),
    ]
}

pub(super) fn not_told() -> impl Strategy<Value = NotTold> {
    (text(), text(), text(), any::<u32>()).prop_map(|(router, session, what, count)| NotTold {
        router,
        session,
        what,
        count,
    })
}

pub(super) fn bfd_discarded() -> impl Strategy<Value = BfdDiscarded> {
    let reasons = [
        BfdDiscardReason::Authentication,
        BfdDiscardReason::Source,
        BfdDiscardReason::Ttl,
        BfdDiscardReason::Other,
    ];
    let reason = proptest::sample::select(reasons.to_vec());
    (text(), text(), text(), reason).prop_map(|(router, connection, why, reason)| BfdDiscarded {
        router,
        connection,
        why,
        reason,
    })
}

pub(super) fn bfd_heard() -> impl Strategy<Value = BfdHeard> {
    let times = (nanos(), nanos(), nanos(), nanos(), option::of(nanos()));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<u8>());
    (text(), text(), option::of(text()), times, flags).prop_map(
        |(state, diagnostic, authentication, times, flags)| BfdHeard {
            state,
            diagnostic,
            desired_min_tx: times.0,
            required_min_rx: times.1,
            multiplier: flags.3,
            required_min_echo_rx: times.2,
            demand: flags.0,
            control_plane_independent: flags.1,
            authentication,
            unasked: flags.2,
            detected_after: times.4,
            detection_time: times.3,
        },
    )
}

fn lacp_heard() -> impl Strategy<Value = LacpHeard> {
    let numbers = (any::<u16>(), any::<u16>(), any::<u16>(), any::<u16>());
    let flags = any::<[Option<bool>; 2]>();
    (text(), text(), numbers, flags, any::<u32>()).prop_map(
        |(system, state, numbers, flags, skipped)| LacpHeard {
            system_priority: numbers.0,
            system,
            key: numbers.1,
            port_priority: numbers.2,
            port: numbers.3,
            state,
            means_us: flags[0],
            early: flags[1],
            skipped,
        },
    )
}

fn lacp_rhythm() -> impl Strategy<Value = LacpRhythm> {
    let times = (nanos(), nanos(), nanos(), nanos());
    (times, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |((interval, shortest, median, longest), intervals, early, late)| LacpRhythm {
            interval,
            intervals,
            shortest,
            median,
            longest,
            early,
            late,
        },
    )
}

pub(super) fn bfd_rhythm() -> impl Strategy<Value = BfdRhythm> {
    let times = (nanos(), nanos(), nanos(), nanos(), nanos());
    (times, any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |((interval, shortest, median, p99, longest), intervals, early, late)| BfdRhythm {
            interval,
            intervals,
            shortest,
            median,
            p99,
            longest,
            early,
            late,
        },
    )
}

pub(super) fn failure() -> impl Strategy<Value = Failure> {
    let severity = prop_oneof![
        Just(Severity::Fail),
        Just(Severity::Warn),
        Just(Severity::Unchecked)
    ];
    let texts = (
        text(),
        text(),
        option::of(text()),
        text(),
        vec(text(), 0..2),
    );
    (
        texts,
        severity,
        option::of(text()),
        text(),
        vec(text(), 0..2),
    )
        .prop_map(
            |((reason, check, connection, text, evidence), severity, nearest, remedy, config)| {
                Failure {
                    reason,
                    check,
                    severity,
                    connection,
                    text,
                    evidence,
                    nearest,
                    remedy,
                    config,
                }
            },
        )
}

pub(super) fn message() -> impl Strategy<Value = Message> {
    (text(), any::<bool>(), text()).prop_map(|(heading, documented, text)| Message {
        heading,
        documented,
        text,
    })
}
