//! What an UPDATE costs on its way in and out, ours beside the library that reads our OPENs (`rustbgpd-wire`).
//!
//! An UPDATE has ORIGIN, an AS_PATH of four, NEXT_HOP, MED, two communities and a large one, as routes of a full table have.
//! `decode` alternates two sets of attributes, so that every one is read; `decode-repeated` has the same set in a row.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ipnet::IpNet;
use peerlab::bgp::attributes::{Attributes, LargeCommunity};
use peerlab::bgp::family::Family;
use peerlab::bgp::message::{Dialect, Framer, Nlri, write_announcements};
use rustbgpd_wire as wire;

/// One kind of UPDATE.
struct Case {
    name: &'static str,
    family: Family,
    prefixes: u16,
}

const CASES: [Case; 3] = [
    Case {
        name: "10 IPv4",
        family: Family::Ipv4Unicast,
        prefixes: 10,
    },
    Case {
        name: "100 IPv4",
        family: Family::Ipv4Unicast,
        prefixes: 100,
    },
    Case {
        name: "10 IPv6",
        family: Family::Ipv6Unicast,
        prefixes: 10,
    },
];

impl Case {
    fn attributes(&self, med: u32) -> Attributes {
        let next_hop: IpAddr = match self.family {
            Family::Ipv4Unicast => Ipv4Addr::new(192, 0, 2, 1).into(),
            Family::Ipv6Unicast => Ipv6Addr::from(0x2001_0db8_u128 << 96 | 1).into(),
        };
        let mut set = Attributes::originated(next_hop);
        set.as_path = vec![64_500, 3356, 174, 4_200_000_000];
        set.med = Some(med);
        set.communities = vec![0x0d1c_0001, 0x0d1c_07d0];
        set.large_communities = vec![LargeCommunity {
            global: 64_500,
            local_1: 1,
            local_2: 2,
        }];
        set
    }

    fn nlri(&self) -> Vec<Nlri> {
        let prefix = |n: u16| match self.family {
            Family::Ipv4Unicast => {
                let [high, low] = n.to_be_bytes();
                IpNet::new(Ipv4Addr::new(20, high, low, 0).into(), 24)
            }
            Family::Ipv6Unicast => {
                let address = Ipv6Addr::new(0x2001, 0x0db8, n, 0, 0, 0, 0, 0);
                IpNet::new(address.into(), 48)
            }
        };
        (0..self.prefixes)
            .map(|n| prefix(n).expect("a length in range").into())
            .collect()
    }

    fn dialect(&self) -> Dialect {
        Dialect {
            families: self.family.into(),
            ..Dialect::plain(false)
        }
    }

    fn update(&self, med: u32) -> Bytes {
        let mut out = BytesMut::new();
        write_announcements(
            &mut out,
            &self.attributes(med),
            &self.nlri(),
            self.dialect(),
        )
        .expect("fits");
        out.freeze()
    }
}

fn ours(framer: &mut Framer, update: &[u8], dialect: Dialect) {
    framer.push(update);
    black_box(framer.next(dialect).expect("well-formed"));
}

fn library(update: &Bytes) {
    let mut bytes = update.clone();
    let message = wire::decode_message(&mut bytes, 4096).expect("well-formed");
    let wire::Message::Update(update) = message else {
        panic!("not an UPDATE");
    };
    black_box(
        update
            .parse_revised(true, false, false, &[])
            .expect("well-formed"),
    );
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for case in &CASES {
        group.throughput(Throughput::Elements(1));
        let updates = [case.update(1), case.update(2)];
        let (mut framer, dialect) = (Framer::default(), case.dialect());
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("ours", case.name), |b| {
            b.iter(|| {
                turn ^= 1;
                ours(&mut framer, &updates[turn], dialect);
            });
        });
        group.bench_function(BenchmarkId::new("library", case.name), |b| {
            b.iter(|| {
                turn ^= 1;
                library(&updates[turn]);
            });
        });
    }
    group.finish();
    let mut group = c.benchmark_group("decode-repeated");
    let case = &CASES[0];
    let (update, dialect) = (case.update(1), case.dialect());
    let mut framer = Framer::default();
    group.bench_function(BenchmarkId::new("ours", case.name), |b| {
        b.iter(|| ours(&mut framer, &update, dialect));
    });
    group.finish();
}

/// The same attributes and prefixes as the library has them, from our own bytes.
fn parsed(update: &Bytes) -> wire::ParsedUpdate {
    let mut bytes = update.clone();
    match wire::decode_message(&mut bytes, 4096) {
        Ok(wire::Message::Update(update)) => update.parse(true, false, &[]).expect("well-formed"),
        other => panic!("not an UPDATE: {other:?}"),
    }
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for case in &CASES {
        let (set, nlri, dialect) = (case.attributes(1), case.nlri(), case.dialect());
        let mut out = BytesMut::with_capacity(8192);
        group.bench_function(BenchmarkId::new("ours", case.name), |b| {
            b.iter(|| {
                out.clear();
                write_announcements(&mut out, &set, &nlri, dialect).expect("fits");
                black_box(&out);
            });
        });
        let parsed = parsed(&case.update(1));
        group.bench_function(BenchmarkId::new("library", case.name), |b| {
            b.iter(|| {
                out.clear();
                let (announced, attributes) = (&parsed.announced, &parsed.attributes);
                let mode = wire::Ipv4UnicastMode::Body;
                let update =
                    wire::UpdateMessage::try_build(announced, &[], attributes, true, false, mode);
                update
                    .expect("in range")
                    .encode_with_limit(&mut out, 4096)
                    .expect("fits");
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
