//! Prefixes: 10,000 prefixes on 100 sessions, read from a table dump, validated, and validated again after one change.
//!
//! CPU time of one thread. A change is compared with validating everything again, which is what one would do without
//! knowing what it concerns. Arguments: `[--runs R] [--prefixes N] [--sessions N]`.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use nix::time::{ClockId, clock_gettime};
use peerlab::bgp::origin_validation::{Vrp, VrpTable};
use peerlab::provider::observed::Observed;
use peerlab::provider::prefixes::{
    Changed, DeviceKind, Ground, Prefixes, Standing, ValidationState,
};
use peerlab::provider::registries::{Known, Registries};
use peerlab::provider::{Key, Request};
use peerlab::registry::irr::Irr;
use peerlab::routes::{self, Format, place};
use peerlab::source::Source;
use peerlab::time::At;
use peerlab::topology::{self, Topology};
use support::Outcome;
use support::figure::{self, Against};

const ASN: u32 = 64500;
/// CPU seconds for all of it.
const LIMIT: f64 = 1.0;

/// What one run gave: CPU seconds, and numbers of validations.
#[derive(Debug, Default)]
struct Run {
    read: f64,
    registered: f64,
    services: f64,
    change: f64,
    everything: f64,
    touched: f64,
    all: f64,
}

fn main() -> Outcome<()> {
    let (mut runs, mut prefixes, mut sessions) = (5, 10_000, 100);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Outcome<usize> { Ok(arguments.next().ok_or("no number")?.parse()?) };
        match argument.as_str() {
            "--runs" => runs = number()?,
            "--prefixes" => prefixes = number()?,
            "--sessions" => sessions = number()?,
            // Cargo says so.
            "--bench" => {}
            other => return Err(format!("`{other}` is no argument").into()),
        }
    }
    let topology = topology(sessions)?;
    let nets: Vec<Ipv4Net> = (0..prefixes)
        .map(|n| Ipv4Net::new_assert(Ipv4Addr::from(0x0b00_0000 + ((n as u32) << 8)), 24))
        .collect();
    let dump = dump(&topology, &nets);
    let mut all = Vec::new();
    for _ in 0..runs {
        all.push(run(&topology, &nets, &dump)?);
    }
    let of = |value: fn(&Run) -> f64| all.iter().map(value).collect::<Vec<f64>>();
    let name = |what: &str| format!("prefixes/{prefixes}x{sessions}/{what}");
    let limited = |what: &str, value: fn(&Run) -> f64| {
        figure::print(&name(what), "s", &of(value), Against::Limit(LIMIT));
    };
    limited("registered-cpu", |run| run.registered);
    limited("services-cpu", |run| run.services);
    limited("read-mrt-cpu", |run| run.read);
    let everything = of(|run| run.everything);
    figure::print(
        &name("one-change-cpu"),
        "s",
        &of(|run| run.change),
        Against::Peer("everything again", &everything),
    );
    let count = of(|run| run.all);
    figure::print(
        &name("one-change-validations"),
        "validations",
        &of(|run| run.touched),
        Against::Peer("everything again", &count),
    );
    Ok(())
}

fn run(topology: &Topology, nets: &[Ipv4Net], dump: &[u8]) -> Outcome<Run> {
    let mut run = Run::default();
    let begin = cpu()?;
    let wanted = |session: &routes::Session| place::wanted(topology, session);
    let file = place::File {
        name: "dump".to_owned(),
        connection: None,
        dump: routes::read(dump, Format::Mrt, &wanted)?,
    };
    let mut observed = place::place(topology, vec![file])?.observed;
    run.read = cpu()? - begin;

    let world = World::new(topology, nets);
    let mut prefixes = Prefixes::new();
    let mut now = At::ZERO;
    for net in nets {
        let request = Request::Register {
            prefix: net.to_string(),
            peering: None,
        };
        prefixes.request(now, &world.ground(&observed), &request);
    }
    run.registered = validate(&mut prefixes, &world.ground(&observed), &mut now)?;
    for net in nets {
        let request = Request::Activate {
            prefix: net.to_string(),
            service: None,
            key: Key::Right,
            provider: None,
        };
        prefixes.request(now, &world.ground(&observed), &request);
    }
    run.services = validate(&mut prefixes, &world.ground(&observed), &mut now)?;
    let verified =
        |object: &&peerlab::provider::prefixes::Object| object.state == ValidationState::Verified;
    let good = (
        prefixes.registered().filter(verified).count(),
        prefixes.services().filter(verified).count(),
    );
    if good != (nets.len(), nets.len()) {
        return Err(format!("only {good:?} of {} were verified", nets.len()).into());
    }

    // One session loses one route.
    let net = nets[nets.len() / 2];
    let place = observed.connections.len() / 2;
    observed.connections[place].routes.remove(&net);
    let ground = world.ground(&observed);
    let begin = cpu()?;
    prefixes.changed(now, &ground, Changed::Route(place, net));
    run.change = cpu()? - begin;
    run.touched = prefixes.waiting() as f64;
    run.change += validate(&mut prefixes, &ground, &mut now)?;
    let warning =
        |object: &&peerlab::provider::prefixes::Object| object.state == ValidationState::Warning;
    if prefixes.registered().filter(warning).count() != 1 {
        return Err("the prefix that a session lost is not told".into());
    }
    let begin = cpu()?;
    prefixes.changed(now, &ground, Changed::Registries);
    run.everything = cpu()? - begin;
    run.all = prefixes.waiting() as f64;
    run.everything += validate(&mut prefixes, &ground, &mut now)?;
    Ok(run)
}

/// Validates what is due; the CPU time it takes.
fn validate(prefixes: &mut Prefixes, ground: &Ground<'_>, now: &mut At) -> Outcome<f64> {
    let begin = cpu()?;
    while let Some(at) = prefixes.deadline() {
        *now = at.max(*now);
        prefixes.due(*now, ground);
    }
    let took = cpu()? - begin;
    while prefixes.poll().is_some() {}
    Ok(took)
}

/// Everything a validation looks at, besides what was observed.
struct World<'a> {
    topology: &'a Topology,
    standing: Vec<Standing>,
    registries: Registries,
    devices: BTreeMap<String, DeviceKind>,
}

impl<'a> World<'a> {
    fn new(topology: &'a Topology, nets: &[Ipv4Net]) -> World<'a> {
        let mut rpsl = format!("aut-num: AS{ASN}\nsource: BENCH\n\n");
        for net in nets {
            let _ = write!(rpsl, "route: {net}\norigin: AS{ASN}\nsource: BENCH\n\n");
        }
        let vrps = nets.iter().map(|net| Vrp {
            prefix: (*net).into(),
            max_length: net.prefix_len(),
            asn: ASN,
            trust_anchor: None,
        });
        World {
            topology,
            standing: vec![Standing::ACTIVE; topology.connections.len()],
            registries: Registries {
                irr: Some(Known::new("irr", Irr::read(&rpsl).0.into(), At::ZERO)),
                rpki: Some(Known::new(
                    "rpki",
                    vrps.collect::<VrpTable>().into(),
                    At::ZERO,
                )),
            },
            devices: BTreeMap::new(),
        }
    }

    fn ground<'b>(&'b self, observed: &'b Observed) -> Ground<'b> {
        Ground {
            topology: self.topology,
            observed,
            standing: &self.standing,
            peer_asns: &self.topology.peer_asns,
            registries: &self.registries,
            policy: &self.topology.profile.policy,
            healthy: true,
            devices: &self.devices,
        }
    }
}

/// One metro with so many connections, each between routers of its own.
fn topology(sessions: usize) -> Outcome<Topology> {
    let mut text = format!(
        "profile = \"voice\"\n[peer]\nname = \"Bench\"\nasn = {ASN}\n[metro.amsterdam]\nfacility = 18\n\
         [service.voice]\nprimary = \"amsterdam\"\n"
    )
    .replace("profile = \"voice\"\n", "profile = \"voice\"\ndocumentation-numbers = \"public\"\n");
    for n in 0..sessions {
        let address = Ipv4Addr::from(0x0a00_0000 + 2 * n as u32);
        let _ = write!(
            text,
            "[router.pe-{n}]\nmetro = \"amsterdam\"\n[connection.ams-{n}]\nrouter = \"pe-{n}\"\nedge = \"edge-{n}\"\n\
             bandwidth = \"10Gbps\"\nmembers = 1\nipv4 = \"{address}/31\"\n"
        );
    }
    let _ = write!(
        text,
        "[endpoint.sbc]\nprefix = \"198.51.100.0/24\"\naddress = \"198.51.100.10\"\nbehind = [\"pe-0\"]\n"
    );
    let source = Source::new("bench.toml", text);
    topology::parse(&source).map_err(|mistakes| mistakes.render(false).into())
}

/// A table dump (RFC 6396) in which every session has a good route to every prefix.
fn dump(topology: &Topology, nets: &[Ipv4Net]) -> Vec<u8> {
    fn record(dump: &mut Vec<u8>, subtype: u16, body: &[u8]) {
        dump.extend([0; 4]);
        dump.extend([0, 13]);
        dump.extend(subtype.to_be_bytes());
        dump.extend((body.len() as u32).to_be_bytes());
        dump.extend(body);
    }
    let mut dump = Vec::new();
    let sessions = topology.connections.len() as u16;
    let mut body = vec![0; 6];
    body.extend(sessions.to_be_bytes());
    for connection in &topology.connections {
        body.push(2);
        body.extend([0; 4]);
        body.extend(connection.addresses.peer.octets());
        body.extend(ASN.to_be_bytes());
    }
    record(&mut dump, 1, &body);
    for (number, net) in nets.iter().enumerate() {
        let mut body = (number as u32).to_be_bytes().to_vec();
        body.push(net.prefix_len());
        body.extend(&net.network().octets()[..3]);
        body.extend(sessions.to_be_bytes());
        for (index, connection) in topology.connections.iter().enumerate() {
            let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1];
            attributes.extend(ASN.to_be_bytes());
            attributes.extend([0x40, 3, 4]);
            attributes.extend(connection.addresses.peer.octets());
            attributes.extend([0xc0, 8, 4, 0x1f, 0x8b, 0x1f, 0x47]);
            body.extend((index as u16).to_be_bytes());
            body.extend([0; 4]);
            body.extend((attributes.len() as u16).to_be_bytes());
            body.extend(attributes);
        }
        record(&mut dump, 2, &body);
    }
    dump
}

/// CPU time of this thread so far, seconds.
fn cpu() -> Outcome<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).as_secs_f64())
}
