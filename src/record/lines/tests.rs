//! What is written is read back, whatever the fact; what is broken is told once, with its line.

use std::collections::HashSet;
use std::io::{self, Write};
use std::mem::discriminant;
use std::path::Path;

use ipnet::Ipv4Net;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::Union;

use super::{LinesError, Reader, Writer};
use crate::record::{Entry, Fact, Nanos, SourceText};
use crate::time::At;

const PATH: &str = "record.jsonl";

/// Names and texts, with everything that JSON must escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9-]{0,12}", any::<String>()]
}

fn at() -> impl Strategy<Value = At> {
    any::<u64>().prop_map(At::from_nanos)
}

fn nanos() -> impl Strategy<Value = Nanos> {
    any::<u64>().prop_map(Nanos)
}

fn prefix() -> impl Strategy<Value = Ipv4Net> {
    (any::<u32>(), 0..=32u8).prop_map(|(address, len)| Ipv4Net::new_assert(address.into(), len))
}

fn file() -> impl Strategy<Value = SourceText> {
    (text(), text()).prop_map(|(path, text)| SourceText { path, text })
}

fn percent() -> impl Strategy<Value = Option<f32>> {
    option::of(0.0f32..100.0)
}

/// One strategy for each variant.
fn variants() -> Vec<BoxedStrategy<Fact>> {
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
        (text(), text(), prefix(), text(), vec(text(), 0..3))
            .prop_map(
                |(router, session, prefix, as_path, communities)| Fact::RouteReceived {
                    router,
                    session,
                    prefix,
                    as_path,
                    communities,
                },
            )
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
        (text(), vec(text(), 0..3), any::<bool>())
            .prop_map(|(fault, connections, repaired)| Fact::FaultHappened {
                fault,
                connections,
                repaired,
            })
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
        (text(), text(), any::<u16>(), text())
            .prop_map(|(from, to, flow, via)| Fact::ProbeVia {
                from,
                to,
                flow,
                via,
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

/// The number of a variant. A new one does not compile until it is here, and then fails the test below until it is above.
fn number(fact: &Fact) -> usize {
    match fact {
        Fact::Run { .. } => 0,
        Fact::Phase { .. } => 1,
        Fact::StepStarted { .. } => 2,
        Fact::StepActed { .. } => 3,
        Fact::StepBlocked { .. } => 4,
        Fact::StepEnded { .. } => 5,
        Fact::Lag { .. } => 6,
        Fact::Light { .. } => 7,
        Fact::Member { .. } => 8,
        Fact::Bfd { .. } => 9,
        Fact::Bgp { .. } => 10,
        Fact::EndOfRib { .. } => 11,
        Fact::RouteCount { .. } => 12,
        Fact::RouteReceived { .. } => 13,
        Fact::RouteWithdrawn { .. } => 14,
        Fact::KernelRoute { .. } => 15,
        Fact::FaultAsked { .. } => 16,
        Fact::FaultHappened { .. } => 17,
        Fact::Device { .. } => 18,
        Fact::ProbeStarted { .. } => 19,
        Fact::ProbeStopped { .. } => 20,
        Fact::ProbeLost { .. } => 21,
        Fact::ProbeDisorder { .. } => 22,
        Fact::ProbeVia { .. } => 23,
        Fact::ProbeTally { .. } => 24,
        Fact::Late { .. } => 25,
        Fact::Pressure { .. } => 26,
        Fact::Errored { .. } => 27,
        Fact::Interrupted { .. } => 28,
        Fact::EventsLost { .. } => 29,
    }
}

const VARIANTS: usize = 30;

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let fact = Union::new(variants());
    vec(
        (at(), fact).prop_map(|(at, fact)| Entry { at, fact }),
        0..12,
    )
}

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::to(&mut bytes, Path::new(PATH));
    for entry in entries {
        writer.write(entry).expect("memory");
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, LinesError> {
    Reader::from(bytes, Path::new(PATH)).collect()
}

proptest! {
    #[test]
    fn written_is_read(entries in entries()) {
        let bytes = written(&entries);
        prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), entries.len());
        prop_assert_eq!(read(&bytes).unwrap(), entries);
    }

    /// A run that was killed in the middle of a line keeps all lines before.
    #[test]
    fn half_a_line_is_left_out(entries in entries(), cut in any::<prop::sample::Index>()) {
        let bytes = written(&entries);
        let kept = &bytes[..cut.index(bytes.len() + 1)];
        let whole = kept.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(read(kept).unwrap(), &entries[..whole]);
    }
}

#[test]
fn every_variant_is_generated() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let facts: Vec<Fact> = variants()
        .iter()
        .map(|variant| variant.new_tree(&mut runner).expect("a fact").current())
        .collect();
    let kinds: HashSet<_> = facts.iter().map(discriminant).collect();
    let numbers: HashSet<usize> = facts.iter().map(number).collect();
    assert_eq!((kinds.len(), numbers.len()), (VARIANTS, VARIANTS));
}

#[test]
fn errors_name_the_line() {
    let good = r#"{"at":1,"fact":"step-acted","step":0}"#;
    for (bad, why) in [
        (r#"{"at":1,"fact":"step-acted"}"#, "missing field `step`"),
        (
            r#"{"at":1,"fact":"no-such-fact"}"#,
            "unknown variant `no-such-fact`",
        ),
        (r#"{"at":-1,"fact":"step-acted","step":0}"#, "invalid value"),
        ("", "EOF"),
        ("half", "expected value"),
    ] {
        let text = format!("{good}\n{good}\n{bad}\n{good}\n");
        let error = read(text.as_bytes()).expect_err(bad).to_string();
        assert!(
            error.starts_with("understand the record record.jsonl, line 3: ")
                && error.contains(why),
            "{error}"
        );
    }
}

/// Takes so many bytes, then has no space left.
struct Disk {
    room: usize,
    tries: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tries += 1;
        if self.room == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_once() {
    let entry = Entry {
        at: At::from_millis(1),
        fact: Fact::StepActed { step: 0 },
    };
    let mut disk = Disk {
        room: 100,
        tries: 0,
    };
    let mut writer = Writer::to(&mut disk, Path::new(PATH));
    writer.write(&entry).expect("there is room");
    writer.write(&entry).expect("there is room");
    let error = writer.write(&entry).expect_err("there is no room");
    assert_eq!(
        error.to_string(),
        "write the record record.jsonl after 2 lines: No space left on device (os error 28)"
    );
    assert!(writer.broken());
    writer.write(&entry).expect("told once");
    drop(writer);
    let tries = disk.tries;
    assert_eq!(tries, 4, "nothing is tried after the error");
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let path = Path::new("/nonexistent/record.jsonl");
    let error = Writer::create(path).expect_err("no such directory");
    assert!(
        error
            .to_string()
            .starts_with("open the record /nonexistent/record.jsonl: ")
    );
}
