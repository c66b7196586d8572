//! A client against scripted caches and against ours, in virtual time.

use proptest::prelude::*;

use super::super::cache::{Answer, Cache, Connection as Served};
use super::super::pdu::ErrorCode;
use super::*;
use crate::bgp::origin_validation::Vrp;

const SESSION: u16 = 7;

fn vrp(third: u8) -> Vrp {
    Vrp {
        prefix: format!("198.51.{third}.0/24").parse().expect("a prefix"),
        max_length: 24,
        asn: 64500,
        trust_anchor: None,
    }
}

fn table(thirds: impl IntoIterator<Item = u8>) -> Arc<VrpTable> {
    Arc::new(thirds.into_iter().map(vrp).collect())
}

fn announce(third: u8) -> Pdu {
    pdu::payload(&vrp(third), true)
}

fn withdraw(third: u8) -> Pdu {
    pdu::payload(&vrp(third), false)
}

fn begin() -> Pdu {
    Pdu::CacheResponse {
        session_id: SESSION,
    }
}

fn end(serial: u32) -> Pdu {
    Pdu::EndOfData {
        session_id: SESSION,
        serial,
        refresh: 100,
        retry: 8,
        expire: 1000,
    }
}

fn notify(serial: u32) -> Pdu {
    Pdu::SerialNotify {
        session_id: SESSION,
        serial,
    }
}

fn changes_since(serial: u32) -> Pdu {
    Pdu::SerialQuery {
        session_id: SESSION,
        serial,
    }
}

/// A client and what it did.
#[derive(Default)]
struct Bed {
    now: At,
    client: Client,
    written: Incoming,
    connects: usize,
    closes: usize,
    updates: Vec<Update>,
}

impl Bed {
    /// One whose connection is there, and whose first question was seen.
    fn connected() -> Bed {
        let mut bed = Bed::default();
        bed.handle(Input::Start);
        bed.handle(Input::Connected);
        assert_eq!(bed.asked(), [(Version::V1, Pdu::ResetQuery)]);
        bed
    }

    /// One with the table 1, 2 of serial 5.
    fn synchronised() -> Bed {
        let mut bed = Bed::connected();
        bed.hear(&[begin(), announce(1), announce(2), end(5)]);
        assert_eq!(bed.told(), [(Event::Read, table([1, 2]))]);
        bed
    }

    fn handle(&mut self, input: Input<'_>) {
        self.client.handle(self.now, input);
        while let Some(output) = self.client.poll() {
            match output {
                Output::Connect => self.connects += 1,
                Output::Write(bytes) => self.written.push(&bytes),
                Output::Close => self.closes += 1,
                Output::Update(update) => self.updates.push(update),
            }
        }
    }

    fn hear_in(&mut self, version: Version, pdus: &[Pdu]) {
        let mut bytes = Vec::new();
        pdus.iter()
            .for_each(|pdu| pdu::write(&mut bytes, version, pdu));
        self.handle(Input::Bytes(&bytes));
    }

    fn hear(&mut self, pdus: &[Pdu]) {
        self.hear_in(Version::V1, pdus);
    }

    /// Lets the next timer ring; how long it took.
    fn wait(&mut self) -> Duration {
        let deadline = self.client.deadline().expect("a timer runs");
        let waited = deadline.since(self.now);
        self.now = deadline.max(self.now);
        self.handle(Input::Deadline);
        waited
    }

    fn asked(&mut self) -> Vec<(Version, Pdu)> {
        let next = || self.written.take().expect("only whole PDUs are written");
        std::iter::from_fn(next).collect()
    }

    fn told(&mut self) -> Vec<(Event, Arc<VrpTable>)> {
        let updates = self.updates.drain(..);
        updates.map(|update| (update.event, update.table)).collect()
    }
}

#[test]
fn first_everything_then_changes() {
    let mut bed = Bed::synchronised();
    // A notice of what is known asks for nothing, one of something new does.
    bed.hear(&[notify(5)]);
    assert_eq!(bed.asked(), []);
    bed.hear(&[notify(6)]);
    assert_eq!(bed.asked(), [(Version::V1, changes_since(5))]);
    bed.hear(&[begin(), withdraw(1), announce(3)]);
    assert_eq!(bed.told(), [], "not before End of Data");
    // What is told meanwhile is asked for afterwards.
    bed.hear(&[notify(7), end(6)]);
    assert_eq!(bed.told(), [(Event::Changed, table([2, 3]))]);
    assert_eq!(bed.asked(), [(Version::V1, changes_since(6))]);
    bed.hear(&[begin(), end(7)]);
    assert_eq!(bed.told(), [], "nothing changed");
    assert_eq!(bed.wait(), Duration::from_secs(100), "the refresh interval");
    assert_eq!(bed.asked(), [(Version::V1, changes_since(7))]);
}

#[test]
fn a_cache_that_forgot_our_serial_tells_everything() {
    let mut bed = Bed::synchronised();
    bed.hear(&[notify(90)]);
    assert_eq!(bed.asked(), [(Version::V1, changes_since(5))]);
    bed.hear(&[Pdu::CacheReset]);
    assert_eq!(bed.asked(), [(Version::V1, Pdu::ResetQuery)]);
    let other = Pdu::CacheResponse { session_id: 8 };
    let end = Pdu::EndOfData {
        session_id: 8,
        serial: 90,
        refresh: 100,
        retry: 8,
        expire: 1000,
    };
    bed.hear(&[other, announce(2), announce(4), end]);
    assert_eq!(bed.updates[0].text, "1 announced, 1 withdrawn, version 1");
    assert_eq!(bed.updates[0].serial, Some(90));
    assert_eq!(bed.told(), [(Event::Changed, table([2, 4]))]);
    assert_eq!(bed.closes, 0);
}

#[test]
fn a_cache_that_is_wrong_is_told_so_and_asked_anew() {
    use ErrorCode::*;
    let other_end = Pdu::EndOfData {
        session_id: 9,
        serial: 6,
        refresh: 1,
        retry: 1,
        expire: 1,
    };
    let cases: &[(&str, &[Pdu], ErrorCode)] = &[
        (
            "unknown",
            &[notify(6), begin(), withdraw(3)],
            WithdrawalOfUnknownRecord,
        ),
        (
            "twice",
            &[notify(6), begin(), announce(1)],
            DuplicateAnnouncement,
        ),
        (
            "twice in one answer",
            &[notify(6), begin(), announce(3), announce(3)],
            DuplicateAnnouncement,
        ),
        (
            "two beginnings",
            &[notify(6), begin(), begin()],
            CorruptData,
        ),
        ("no question", &[begin()], CorruptData),
        ("no beginning", &[notify(6), announce(3)], CorruptData),
        ("only an end", &[notify(6), end(6)], CorruptData),
        ("reset unasked", &[Pdu::CacheReset], CorruptData),
        (
            "reset in an answer",
            &[notify(6), begin(), Pdu::CacheReset],
            CorruptData,
        ),
        (
            "the end of another session",
            &[notify(6), begin(), other_end],
            CorruptData,
        ),
        ("a question", &[Pdu::ResetQuery], InvalidRequest),
    ];
    for (what, pdus, code) in cases {
        let mut bed = Bed::synchronised();
        bed.hear(pdus);
        let asked = bed.asked();
        let Some((_, Pdu::ErrorReport { code: told, .. })) = asked.last() else {
            panic!("{what}: {asked:?}");
        };
        assert_eq!(*told, *code as u16, "{what}");
        assert_eq!((bed.closes, bed.connects), (1, 1), "{what}");
        assert_eq!(bed.told(), [(Event::Lost, table([1, 2]))], "{what}");
        assert_eq!(bed.wait(), SOON, "{what}");
        bed.handle(Input::Connected);
        assert_eq!(bed.asked(), [(Version::V1, Pdu::ResetQuery)], "{what}");
        bed.hear(&[begin(), announce(1), end(6)]);
        assert_eq!(bed.told(), [(Event::Back, table([1]))], "{what}");
    }
}

#[test]
fn bytes_that_are_no_pdus_end_the_connection() {
    let mut bed = Bed::synchronised();
    bed.handle(Input::Bytes(&[1, 4, 0, 0, 255, 255, 255, 255]));
    assert!(matches!(
        bed.asked()[..],
        [(_, Pdu::ErrorReport { code: 0, .. })]
    ));
    assert_eq!(bed.told(), [(Event::Lost, table([1, 2]))]);
    // An Error Report is not answered with another, however broken.
    let mut bed = Bed::synchronised();
    bed.handle(Input::Bytes(&[
        1, 10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 9, 0, 0, 0, 0,
    ]));
    assert_eq!((bed.asked(), bed.closes), (vec![], 1));
}

#[test]
fn another_session_voids_what_was_told() {
    let mut bed = Bed::synchronised();
    bed.hear(&[Pdu::SerialNotify {
        session_id: 8,
        serial: 5,
    }]);
    let told = bed.told();
    let events: Vec<_> = told.iter().map(|(event, _)| *event).collect();
    assert_eq!(events, [Event::Expired, Event::Lost]);
    assert!(told.iter().all(|(_, table)| table.is_empty()));
    bed.wait();
    bed.handle(Input::Connected);
    assert_eq!(bed.asked().last(), Some(&(Version::V1, Pdu::ResetQuery)));
}

#[test]
fn a_dead_cache_is_used_until_its_data_expires() {
    let mut bed = Bed::synchronised();
    bed.handle(Input::Closed("reset by peer"));
    assert_eq!(bed.told(), [(Event::Lost, table([1, 2]))], "told once");
    let mut pauses = Vec::new();
    while bed.updates.is_empty() {
        let connects = bed.connects;
        let waited = bed.wait();
        if bed.connects > connects {
            pauses.push(waited.as_secs());
            bed.handle(Input::Closed("refused"));
        }
    }
    // Doubled up to the cache's retry interval.
    assert_eq!(pauses[..6], [1, 2, 4, 8, 8, 8]);
    assert_eq!(bed.now, At::ZERO + Duration::from_secs(1000));
    assert_eq!(bed.told(), [(Event::Expired, table([]))]);
    bed.wait();
    bed.handle(Input::Connected);
    assert_eq!(bed.asked(), [(Version::V1, Pdu::ResetQuery)]);
    bed.hear(&[begin(), announce(1), end(1)]);
    assert_eq!(bed.told(), [(Event::Back, table([1]))]);
}

#[test]
fn no_wait_is_without_end() {
    let mut bed = Bed::default();
    bed.handle(Input::Start);
    assert_eq!(bed.wait(), CONNECTING);
    assert_eq!((bed.closes, bed.told().len()), (1, 1));

    let mut bed = Bed::synchronised();
    bed.hear(&[notify(6), begin()]);
    assert_eq!(bed.wait(), SILENCE);
    assert_eq!(bed.told(), [(Event::Lost, table([1, 2]))]);

    let mut bed = Bed::synchronised();
    bed.hear(&[notify(6), begin()]);
    let begun = bed.now;
    for third in 10.. {
        bed.now = bed.now + Duration::from_secs(20);
        bed.hear(&[announce(third)]);
        if bed.client.deadline().expect("a timer") <= begun + ANSWER
            && bed.now + SILENCE > begun + ANSWER
        {
            break;
        }
    }
    while bed.updates.is_empty() {
        bed.wait();
    }
    assert!(bed.now <= begun + ANSWER);
    assert_eq!(bed.told()[0].0, Event::Lost);
}

#[test]
fn version_0_is_found_in_each_way_a_cache_may_refuse_version_1() {
    let refusal = Fault::new(ErrorCode::UnsupportedProtocolVersion, "0 only").report();
    type Refuses<'a> = &'a dyn Fn(&mut Bed);
    let ways: [(&str, Refuses); 3] = [
        ("reports", &|bed| {
            bed.hear_in(Version::V0, std::slice::from_ref(&refusal))
        }),
        ("hangs up", &|bed| bed.handle(Input::Closed("closed"))),
        ("is notified, then hangs up", &|bed| {
            bed.hear_in(Version::V0, &[notify(1)]);
            bed.handle(Input::Closed("closed"));
        }),
    ];
    for (what, refuse) in ways {
        let mut bed = Bed::connected();
        refuse(&mut bed);
        assert_eq!(bed.connects, 2, "{what}: at once");
        bed.handle(Input::Connected);
        assert_eq!(bed.asked(), [(Version::V0, Pdu::ResetQuery)], "{what}");
        bed.hear_in(Version::V0, &[begin(), announce(1), end(1)]);
        assert_eq!(
            bed.told(),
            [(Event::Read, table([1]))],
            "{what}: not a loss"
        );
        // No intervals are told in version 0.
        assert_eq!(bed.wait(), Intervals::DEFAULT.refresh);
    }
    // Or it just answers in its version, and that is that.
    let mut bed = Bed::connected();
    bed.hear_in(Version::V0, &[begin(), announce(1), end(1), notify(2)]);
    assert_eq!(bed.asked(), [(Version::V0, changes_since(1))]);
    bed.hear(&[begin()]);
    assert!(matches!(
        bed.asked()[..],
        [(Version::V0, Pdu::ErrorReport { code: 8, .. })]
    ));
    // One that refuses both is asked at growing intervals.
    let mut bed = Bed::connected();
    for expected in [0, 1, 0, 2, 0, 4] {
        let connects = bed.connects;
        bed.handle(Input::Closed("closed"));
        if bed.connects == connects {
            assert_eq!(bed.wait(), Duration::from_secs(expected));
        } else {
            assert_eq!(expected, 0);
        }
        bed.handle(Input::Connected);
    }
    assert_eq!(bed.told().len(), 1);
}

#[test]
fn a_cache_without_data_is_asked_again_on_the_same_connection() {
    let mut bed = Bed::connected();
    bed.hear(&[Fault::new(ErrorCode::NoDataAvailable, "still\nvalidating").report()]);
    assert_eq!(
        bed.updates[0].text,
        "the cache has no data yet: still validating"
    );
    assert_eq!(bed.told(), [(Event::Lost, table([]))]);
    bed.wait();
    assert_eq!(bed.asked(), [(Version::V1, Pdu::ResetQuery)]);
    bed.hear(&[begin(), announce(1), end(1)]);
    assert_eq!(bed.told(), [(Event::Read, table([1]))]);
    assert_eq!((bed.connects, bed.closes), (1, 0));
}

/// What happens between a client and our cache.
#[derive(Debug, Clone)]
enum Happens {
    Table(Vec<u8>),
    Hangup,
    Restart,
    Time,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => proptest::collection::vec(0u8..20, 0..12).prop_map(Happens::Table),
        1 => Just(Happens::Hangup),
        1 => Just(Happens::Restart),
        2 => Just(Happens::Time),
    ]
}

/// Joins a client to a cache until neither has anything to say; bytes arrive in pieces of `piece`.
struct Joined {
    bed: Bed,
    cache: Cache,
    served: Served,
    /// The only version this cache speaks.
    version: Version,
    seen: (usize, usize),
    piece: usize,
}

impl Joined {
    fn settle(&mut self) {
        loop {
            if self.seen != (self.bed.connects, self.bed.closes) {
                self.served = Served::default();
                if self.bed.connects > self.seen.0 {
                    self.bed.written = Incoming::default();
                    self.seen = (self.bed.connects, self.bed.closes);
                    self.bed.handle(Input::Connected);
                    continue;
                }
                self.seen = (self.bed.connects, self.bed.closes);
            }
            let asked = self.bed.asked();
            if asked.is_empty() {
                return;
            }
            for (version, pdu) in asked {
                if version > self.version {
                    self.bed.handle(Input::Closed("not spoken here"));
                    break;
                }
                let mut bytes = Vec::new();
                pdu::write(&mut bytes, version, &pdu);
                self.served.push(&bytes);
                while let Some(answer) = self.served.answer(&self.cache) {
                    let Answer::Send(bytes) = answer else {
                        panic!("{answer:?} to {pdu:?}");
                    };
                    for piece in bytes.chunks(self.piece) {
                        self.bed.handle(Input::Bytes(piece));
                    }
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_client_has_what_our_cache_has(
        story in proptest::collection::vec(happens(), 0..30),
        zero: bool,
        piece in 1usize..50,
    ) {
        let intervals = Intervals::REHEARSAL;
        let mut joined = Joined {
            bed: Bed::default(),
            cache: Cache::new(1, table([1]), intervals),
            served: Served::default(),
            version: if zero { Version::V0 } else { Version::V1 },
            seen: (0, 0),
            piece,
        };
        joined.bed.handle(Input::Start);
        joined.settle();
        let mut session = 1;
        for step in story {
            match step {
                Happens::Table(thirds) => {
                    let Some(next) = joined.cache.next(table(thirds)) else { continue };
                    joined.cache = next;
                    if let Some(notify) = joined.served.notify(&joined.cache) {
                        joined.bed.handle(Input::Bytes(&notify));
                    }
                }
                Happens::Hangup => joined.bed.handle(Input::Closed("gone")),
                Happens::Restart => {
                    session += 1;
                    let same = Arc::clone(joined.cache.table());
                    joined.cache = Cache::new(session, same, intervals);
                    joined.bed.handle(Input::Closed("gone"));
                }
                Happens::Time => {
                    joined.bed.wait();
                }
            }
            joined.settle();
        }
        while !matches!(joined.bed.client.link, Link::Up(_)) {
            joined.bed.wait();
            joined.settle();
        }
        let last = joined.bed.updates.last().expect("it was told");
        prop_assert_eq!(&last.table, joined.cache.table());
        prop_assert!(matches!(last.event, Event::Read | Event::Changed | Event::Back));
        prop_assert!(joined.bed.updates.iter().all(|update| update.event != Event::Expired));
    }

    #[test]
    fn whatever_a_cache_sends_the_table_is_whole(
        pdus in proptest::collection::vec((0u8..12, 0u8..4, 0u32..8), 0..40)
    ) {
        let mut bed = Bed::synchronised();
        for (kind, third, serial) in pdus {
            match kind {
                0..4 => bed.hear(&[announce(third)]),
                4..6 => bed.hear(&[withdraw(third)]),
                6 => bed.hear(&[begin()]),
                7 => bed.hear(&[end(serial)]),
                8 => bed.hear(&[notify(serial)]),
                9 => bed.hear(&[Pdu::CacheReset]),
                10 => bed.handle(Input::Bytes(&[third, kind, 0, 0])),
                _ => {
                    bed.wait();
                    bed.handle(Input::Connected);
                }
            }
        }
        for update in &bed.updates {
            prop_assert!(update.serial.is_some() || update.table.is_empty());
        }
    }
}
