//! Every kind of fact, with any contents.

use ipnet::{IpNet, Ipv4Net};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::parts;
use crate::record::{
    AutoBackend, Entry, Fact, InService, MalformedUpdate, MicroBfd, Nanos, Punctuality, Refused,
    SourceText,
};
use crate::time::At;

/// Names and texts, with everything that JSON must escape.
pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9-]{0,12}", any::<String>()]
}

fn at() -> impl Strategy<Value = At> {
    any::<u64>().prop_map(At::from_nanos)
}

pub(super) fn nanos() -> impl Strategy<Value = Nanos> {
    any::<u64>().prop_map(Nanos)
}

pub(super) fn prefix() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0..=32u8)
        .prop_map(|(address, len)| Ipv4Net::new_assert(address.into(), len).into())
}

fn file() -> impl Strategy<Value = SourceText> {
    (text(), text()).prop_map(|(path, text)| SourceText { path, text })
}

fn percent() -> impl Strategy<Value = Option<f32>> {
    option::of(0.0f32..100.0)
}

/// One strategy for each variant.
pub(super) fn variants() -> Vec<BoxedStrategy<Fact>> {
    vec![
        (text(), text(), file(), file(), option::of(file()), text())
            .prop_map(
                |(peerlab, started, scenario, topology, binding, host)| Fact::Run {
                    peerlab,
                    started,
                    scenario,
                    topology,
                    binding,
                    host,
                },
            )
            .boxed(),
        (text(), text(), text())
            .prop_map(|(router, session, mark)| Fact::RouteRefresh {
                router,
                session,
                mark,
            })
            .boxed(),
        (text(), text(), any::<u32>(), text())
            .prop_map(|(router, session, routes, why)| Fact::StaleRoutes {
                router,
                session,
                routes,
                why,
            })
            .boxed(),
        (text(), any::<bool>(), any::<bool>())
            .prop_map(|(router, up, graceful)| Fact::ControlPlane {
                router,
                up,
                graceful,
            })
            .boxed(),
        (text(), nanos())
            .prop_map(|(phase, took)| Fact::Phase { phase, took })
            .boxed(),
        any::<usize>()
            .prop_map(|step| Fact::StepStarted { step })
            .boxed(),
        any::<usize>()
            .prop_map(|step| Fact::StepActed { step })
            .boxed(),
        (any::<usize>(), text())
            .prop_map(|(step, why)| Fact::StepBlocked { step, why })
            .boxed(),
        any::<usize>()
            .prop_map(|step| Fact::StepEnded { step })
            .boxed(),
        (text(), text(), any::<bool>(), any::<u8>())
            .prop_map(|(router, connection, up, distributing)| Fact::Lag {
                router,
                connection,
                up,
                distributing,
            })
            .boxed(),
        (text(), text(), any::<u8>(), any::<bool>())
            .prop_map(|(router, connection, member, up)| Fact::Light {
                router,
                connection,
                member,
                up,
            })
            .boxed(),
        (
            text(),
            text(),
            any::<u8>(),
            text(),
            any::<[bool; 2]>(),
            text(),
        )
            .prop_map(
                |(router, connection, member, receive, [collecting, distributing], partner)| {
                    Fact::Member {
                        router,
                        connection,
                        member,
                        receive,
                        collecting,
                        distributing,
                        partner,
                    }
                },
            )
            .boxed(),
        (
            text(),
            text(),
            text(),
            text(),
            option::of(at()),
            option::of(nanos()),
        )
            .prop_map(
                |(router, connection, state, diagnostic, last_received, detection_time)| {
                    Fact::Bfd {
                        router,
                        connection,
                        state,
                        diagnostic,
                        last_received,
                        detection_time,
                    }
                },
            )
            .boxed(),
        (text(), text(), parts::bfd_heard())
            .prop_map(|(router, connection, heard)| Fact::BfdHeard {
                router,
                connection,
                heard,
            })
            .boxed(),
        (text(), text(), parts::bfd_rhythm())
            .prop_map(|(router, connection, rhythm)| Fact::BfdRhythm {
                router,
                connection,
                rhythm,
            })
            .boxed(),
        (text(), text(), any::<u8>(), parts::lacp_seen())
            .prop_map(|(router, connection, member, seen)| Fact::LacpPartner {
                router,
                connection,
                member,
                seen,
            })
            .boxed(),
        (
            (text(), text(), any::<u8>()),
            (text(), text()),
            (option::of(at()), option::of(nanos())),
        )
            .prop_map(
                |(
                    (router, connection, member),
                    (state, diagnostic),
                    (last_received, detection_time),
                )| {
                    Fact::MicroBfd {
                        router,
                        connection,
                        member,
                        now: MicroBfd {
                            state,
                            diagnostic,
                            last_received,
                            detection_time,
                        },
                    }
                },
            )
            .boxed(),
        (text(), text(), nanos())
            .prop_map(|(router, connection, after)| Fact::BfdAnswered {
                router,
                connection,
                after,
            })
            .boxed(),
        parts::bfd_discarded().prop_map(Fact::BfdDiscarded).boxed(),
        parts::not_told().prop_map(Fact::NotTold).boxed(),
        (text(), text(), text(), text())
            .prop_map(|(router, session, state, why)| Fact::Bgp {
                router,
                session,
                state,
                why,
            })
            .boxed(),
        (text(), text())
            .prop_map(|(router, session)| Fact::EndOfRib { router, session })
            .boxed(),
        (text(), text(), any::<u64>())
            .prop_map(|(router, session, count)| Fact::MonitoringMissed {
                router,
                session,
                count,
            })
            .boxed(),
        (text(), text(), any::<u64>(), text())
            .prop_map(|(router, session, count, why)| {
                Fact::ConnectionRefused(Refused {
                    router,
                    session,
                    count,
                    why,
                })
            })
            .boxed(),
        (text(), text(), any::<u64>())
            .prop_map(|(router, session, count)| Fact::RoutesLeftOut {
                router,
                session,
                count,
            })
            .boxed(),
        (text(), text(), any::<[u32; 2]>())
            .prop_map(
                |(router, session, [received, limit])| Fact::MaximumPrefixes {
                    router,
                    session,
                    received,
                    limit,
                },
            )
            .boxed(),
        (text(), text(), any::<[u32; 2]>())
            .prop_map(
                |(router, session, [received, advertised])| Fact::RouteCount {
                    router,
                    session,
                    received,
                    advertised,
                },
            )
            .boxed(),
        (
            text(),
            text(),
            prefix(),
            text(),
            vec(text(), 0..3),
            option::of(any::<u32>()),
        )
            .prop_map(
                |(router, session, prefix, as_path, communities, med)| Fact::RouteReceived {
                    router,
                    session,
                    prefix,
                    as_path: as_path.into(),
                    communities: communities.into(),
                    med,
                },
            )
            .boxed(),
        (
            text(),
            text(),
            vec(text(), 0..3),
            any::<u32>(),
            option::of(prefix()),
        )
            .prop_map(|(router, session, faults, prefixes, first)| {
                Fact::MalformedUpdate(MalformedUpdate {
                    router,
                    session,
                    faults,
                    prefixes,
                    first,
                })
            })
            .boxed(),
        (text(), text(), prefix(), text(), vec(text(), 0..3), text())
            .prop_map(|(router, session, prefix, as_path, communities, reason)| {
                Fact::RouteRefused {
                    router,
                    session,
                    prefix,
                    as_path: as_path.into(),
                    communities: communities.into(),
                    reason,
                }
            })
            .boxed(),
        (text(), text(), prefix(), any::<u32>())
            .prop_map(
                |(router, session, prefix, local_pref)| Fact::RouteAccepted {
                    router,
                    session,
                    prefix,
                    local_pref,
                },
            )
            .boxed(),
        (any::<u32>(), text(), text())
            .prop_map(|(asn, state, error)| Fact::PeerAsn { asn, state, error })
            .boxed(),
        (text(), text(), text())
            .prop_map(|(peering, state, error)| Fact::Peering {
                peering,
                state,
                error,
            })
            .boxed(),
        (text(), text(), text(), text(), text())
            .prop_map(
                |(connection, state, session_state, error, why)| Fact::Connection {
                    connection,
                    state,
                    session_state,
                    error,
                    why,
                },
            )
            .boxed(),
        (
            text(),
            text(),
            text(),
            option::of(text()),
            vec(parts::failure(), 0..3),
            option::of(parts::message()),
        )
            .prop_map(
                |(peering, prefix, state, key, failures, message)| Fact::RegisteredPrefix {
                    peering,
                    prefix,
                    state,
                    key,
                    failures,
                    message,
                },
            )
            .boxed(),
        (
            text(),
            text(),
            text(),
            text(),
            vec(parts::failure(), 0..3),
            option::of(parts::message()),
        )
            .prop_map(
                |(service, prefix, state, learned_type, failures, message)| Fact::ServicePrefix {
                    service,
                    prefix,
                    state,
                    learned_type,
                    failures,
                    message,
                },
            )
            .boxed(),
        (text(), text())
            .prop_map(|(object, prefix)| Fact::PrefixDeleted { object, prefix })
            .boxed(),
        (text(), any::<u32>(), option::of(text()))
            .prop_map(|(peering, asn, key)| Fact::RegisteredAsn { peering, asn, key })
            .boxed(),
        (text(), text(), text(), text(), text())
            .prop_map(
                |(event, level, subject, summary, description)| Fact::Event {
                    event,
                    level,
                    subject,
                    summary,
                    description,
                },
            )
            .boxed(),
        (
            text(),
            text(),
            text(),
            any::<u64>(),
            option::of(any::<u32>()),
            text(),
        )
            .prop_map(
                |(registry, source, event, entries, serial, text)| Fact::Registry {
                    registry,
                    source,
                    event,
                    entries,
                    serial,
                    text,
                },
            )
            .boxed(),
        (text(), text(), text(), text())
            .prop_map(|(router, address, event, text)| Fact::Collector {
                router,
                address,
                event,
                text,
            })
            .boxed(),
        (text(), text(), text())
            .prop_map(|(registry, by, question)| Fact::RegistryAsked {
                registry,
                by,
                question,
            })
            .boxed(),
        (text(), text(), prefix(), text())
            .prop_map(|(router, session, prefix, why)| Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                why,
            })
            .boxed(),
        (text(), prefix(), vec(text(), 0..3))
            .prop_map(|(router, prefix, via)| Fact::KernelRoute {
                router,
                prefix,
                via,
            })
            .boxed(),
        text().prop_map(|fault| Fact::FaultAsked { fault }).boxed(),
        (text(), vec(text(), 0..3), any::<bool>(), any::<bool>())
            .prop_map(
                |(fault, connections, repaired, impairment)| Fact::FaultHappened {
                    fault,
                    connections,
                    repaired,
                    impairment,
                },
            )
            .boxed(),
        (text(), text(), text())
            .prop_map(|(router, event, text)| Fact::Device {
                router,
                event,
                text,
            })
            .boxed(),
        (text(), text(), nanos(), any::<u16>())
            .prop_map(|(from, to, every, flows)| Fact::ProbeStarted {
                from,
                to,
                every,
                flows,
            })
            .boxed(),
        (text(), text())
            .prop_map(|(from, to)| Fact::ProbeStopped { from, to })
            .boxed(),
        (
            text(),
            text(),
            any::<u16>(),
            any::<u64>(),
            at(),
            at(),
            option::of(at()),
        )
            .prop_map(
                |(from, to, flow, count, first_sent, last_sent, next_received)| Fact::ProbeLost {
                    from,
                    to,
                    flow,
                    count,
                    first_sent,
                    last_sent,
                    next_received,
                },
            )
            .boxed(),
        (text(), text(), any::<[u64; 2]>())
            .prop_map(|(from, to, [duplicated, reordered])| Fact::ProbeDisorder {
                from,
                to,
                duplicated,
                reordered,
            })
            .boxed(),
        (text(), text(), any::<u16>(), text(), any::<Option<u8>>())
            .prop_map(|(from, to, flow, via, member)| Fact::ProbeVia {
                from,
                to,
                flow,
                via,
                member,
            })
            .boxed(),
        (text(), vec(any::<u8>(), 0..3), any::<u32>())
            .prop_map(|(connection, members, bandwidth_mbps)| {
                Fact::InService(InService {
                    connection,
                    members,
                    bandwidth_mbps,
                })
            })
            .boxed(),
        (text(), text(), any::<bool>(), text())
            .prop_map(|(router, connection, kernel, why)| {
                Fact::AutoBackend(AutoBackend {
                    router,
                    connection,
                    kernel,
                    why,
                })
            })
            .boxed(),
        (text(), text(), vec(parts::member_counters(), 0..3))
            .prop_map(|(router, connection, members)| Fact::LagCounters {
                router,
                connection,
                members,
            })
            .boxed(),
        (text(), text(), any::<[u64; 2]>(), nanos(), nanos())
            .prop_map(
                |(from, to, [sent, received], send_late, slowest)| Fact::ProbeTally {
                    from,
                    to,
                    sent,
                    received,
                    send_late,
                    slowest,
                },
            )
            .boxed(),
        (text(), nanos())
            .prop_map(|(thread, by)| Fact::Late { thread, by })
            .boxed(),
        (
            text(),
            any::<[u64; 2]>(),
            [nanos(), nanos(), nanos(), nanos()],
        )
            .prop_map(|(protocol, [packets, kernel_stamped], latenesses)| {
                let [p50, p99, p999, longest] = latenesses;
                let figures = Punctuality {
                    packets,
                    kernel_stamped,
                    p50,
                    p99,
                    p999,
                    longest,
                };
                Fact::Punctuality { protocol, figures }
            })
            .boxed(),
        (percent(), percent())
            .prop_map(|(cpu_some_percent, foreign_percent)| Fact::Pressure {
                cpu_some_percent,
                foreign_percent,
            })
            .boxed(),
        text()
            .prop_map(|router| Fact::EventsLost { router })
            .boxed(),
        text().prop_map(|text| Fact::Errored { text }).boxed(),
        text()
            .prop_map(|signal| Fact::Interrupted { signal })
            .boxed(),
    ]
}

pub(super) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let fact = Union::new(variants());
    vec(
        (at(), fact).prop_map(|(at, fact)| Entry { at, fact }),
        0..12,
    )
}
