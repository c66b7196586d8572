//! `peerlab prefixes TOPOLOGY`: judges prefixes from routes in files, without a lab.

mod draw;
mod registries;
mod sources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Serialize;

use self::sources::Failed;
use super::WRONG_FILES;
use crate::provider::prefixes::DeviceKind;
use crate::registry::irr_live::Questions;
use crate::routes::Format;
use crate::routes::judge::{Bench, Judged, Verdict};
use crate::routes::place::{self, Picture};
use crate::topology::{self, Registers, Topology};

/// The exit number when something failed.
const FAILED: u8 = 1;
/// The exit number when nothing failed, and something could not be decided.
const UNDECIDED: u8 = 3;

/// Arguments of `peerlab prefixes`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Routes are told by what received them or by what sent them:
  an MRT dump or a BMP stream of a collector, a route server or the router itself;
  FRR:  vtysh -c 'show bgp ipv4 unicast json detail'
        vtysh -c 'show bgp ipv4 unicast neighbors ADDRESS advertised-routes json'  (no communities)
  BIRD: birdc show route all export PROTOCOL
        birdwatcher's /routes/protocol/PROTOCOL, Alice's routes/received
  record.jsonl of a run of peerlab.
A session is a connection's when it has its addresses; if a file does not tell them, CONNECTION=FILE does.
What a router sends is shown by FRR and BIRD before they add their own AS; it is added here, and said.

Exit numbers: 0 all verified, 1 something failed, 2 wrong files, 3 something could not be decided.")]
pub struct PrefixesArguments {
    /// Topology file. Its endpoints' prefixes are judged.
    topology: PathBuf,
    /// File with routes; several add up. CONNECTION=FILE gives it to a connection.
    #[arg(long, value_name = "[CONNECTION=]FILE")]
    routes: Vec<Given>,
    /// How the files with routes are written, if it cannot be told from what is in them.
    #[arg(long)]
    format: Option<Format>,
    /// Another prefix to judge, by itself; may be repeated.
    #[arg(long, value_name = "PREFIX")]
    prefix: Vec<String>,
    /// Judge every received prefix, each by itself.
    #[arg(long)]
    all: bool,
    /// What the peer's routers are, for the lines of configuration in remedies.
    #[arg(long, value_name = "KIND", default_value = "other")]
    device: Device,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// A file with routes, and perhaps the connection it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The connection.
    pub connection: Option<String>,
    /// The file.
    pub file: PathBuf,
}

impl FromStr for Given {
    type Err = std::convert::Infallible;

    /// `FILE` or `CONNECTION=FILE`. A connection has no slash in its name.
    fn from_str(text: &str) -> Result<Given, Self::Err> {
        let named = text.split_once('=').filter(|(name, _)| !name.contains('/'));
        Ok(match named {
            Some((name, file)) => Given {
                connection: Some(name.to_owned()),
                file: file.into(),
            },
            None => Given {
                connection: None,
                file: text.into(),
            },
        })
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(connection) = &self.connection {
            write!(f, "{connection}=")?;
        }
        write!(f, "{}", self.file.display())
    }
}

/// What the peer's routers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Device {
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// Any other.
    Other,
}

/// All that `peerlab prefixes` says. As JSON its keys and the words of its values are stable: keys are added, none is
/// changed or taken away.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Version of peerlab.
    pub peerlab: &'static str,
    /// The topology's name.
    pub topology: String,
    /// The worst of all prefixes.
    pub verdict: Verdict,
    /// The exit number.
    pub exit: u8,
    /// What routes there are of each connection.
    pub connections: Vec<Received>,
    /// The registries that were asked.
    pub registries: Vec<Asked>,
    /// What should be known about the files.
    pub notes: Vec<String>,
    /// The prefixes: endpoints in the topology's order, those asked for, then all others in order of numbers.
    pub prefixes: Vec<Judged>,
}

/// What was received on a connection.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Received {
    /// Its name.
    pub connection: String,
    /// The peer's session address.
    pub peer: std::net::Ipv4Addr,
    /// The number of routes; `null` when no file has any.
    pub routes: Option<usize>,
}

/// A registry that was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Asked {
    /// `irr` or `rpki`.
    pub registry: &'static str,
    /// The file or server.
    pub source: String,
    /// Why it cannot be asked, if so.
    pub lost: Option<String>,
}

/// Judges, and writes what it found to standard output, mistakes to standard error.
///
/// Returns the exit number: 0 all verified, 1 something failed, 2 wrong files, 3 undecided.
pub fn prefixes(arguments: &PrefixesArguments) -> u8 {
    let report = match report(arguments) {
        Ok(report) => report,
        Err(failed) => {
            let mut error = anstream::stderr().lock();
            // A closed pipe is the reader's wish.
            let _ = match failed {
                Failed::Files(mistakes) => writeln!(error, "{}", mistakes.render(true)),
                other => writeln!(error, "error: {other}"),
            };
            return WRONG_FILES;
        }
    };
    let mut out = anstream::stdout().lock();
    let _ = match arguments.json {
        true => match serde_json::to_string_pretty(&report) {
            Ok(text) => writeln!(out, "{text}"),
            Err(error) => writeln!(anstream::stderr(), "error: failed to write JSON: {error}"),
        },
        false => draw::draw(&report, &mut out),
    };
    report.exit
}

fn report(arguments: &PrefixesArguments) -> Result<Report, Failed> {
    let topology = topology::load(&arguments.topology).map_err(Failed::Files)?;
    // Gap: the keys of registered ASNs are not known here, so that activations cannot be judged.
    if topology.profile.registers == Registers::Asns {
        return Err(Failed::NotRegistered(topology.profile.name));
    }
    let files = sources::routes(&topology, &arguments.routes, arguments.format)?;
    let picture = place::place(&topology, files)?;
    let registries = registries::ask(
        &topology.peer.registry,
        questions(&topology, &picture, arguments),
    )?;
    let kind = match arguments.device {
        Device::Bird => DeviceKind::Bird,
        Device::Frr => DeviceKind::Frr,
        Device::Other => DeviceKind::Other,
    };
    let routers = topology
        .routers
        .iter()
        .map(|router| (router.name.clone(), kind));
    let devices: BTreeMap<String, DeviceKind> = routers.collect();
    let bench = Bench {
        topology: &topology,
        picture: &picture,
        registries: &registries.known,
        devices: &devices,
    };
    let prefixes = judge(&bench, &topology, arguments);
    let verdict = prefixes.iter().map(Judged::verdict).max();
    let verdict = verdict.unwrap_or(Verdict::Undecided);
    Ok(Report {
        peerlab: env!("CARGO_PKG_VERSION"),
        topology: topology.name.clone(),
        verdict,
        exit: match verdict {
            Verdict::Verified => 0,
            Verdict::Failed => FAILED,
            Verdict::Undecided => UNDECIDED,
        },
        connections: received(&picture),
        registries: registries.asked,
        notes: picture.notes,
        prefixes,
    })
}

/// What a routing registry has to be asked: the origins of all routes, and the prefixes that are judged.
fn questions(topology: &Topology, picture: &Picture, arguments: &PrefixesArguments) -> Questions {
    let mut questions = Questions::default();
    questions.asns.insert(topology.peer.asn);
    let peers = topology.peer_asns.iter();
    questions.asns.extend(peers.map(|peer| peer.asn));
    let endpoints = topology.endpoints.iter();
    let endpoints = endpoints.map(|endpoint| IpNet::V4(endpoint.prefix));
    questions.prefixes.extend(endpoints);
    let asked = arguments.prefix.iter();
    let asked = asked.filter_map(|prefix| prefix.parse::<IpNet>().ok());
    questions.prefixes.extend(asked);
    for (prefix, route) in picture.observed.connections.iter().flat_map(|c| &c.routes) {
        let prefix = IpNet::V4(*prefix);
        if arguments.all {
            questions.prefixes.insert(prefix);
        }
        if questions.prefixes.contains(&prefix) {
            questions.asns.extend(route.route.as_path.origins());
        }
    }
    questions
}

/// The endpoints' prefixes beside one another, then what else was asked for.
fn judge(bench: &Bench<'_>, topology: &Topology, arguments: &PrefixesArguments) -> Vec<Judged> {
    let endpoints = topology
        .endpoints
        .iter()
        .map(|endpoint| endpoint.prefix.to_string());
    let endpoints: Vec<String> = endpoints.collect();
    let mut judged = bench.together(&endpoints);
    let mut others = arguments.prefix.clone();
    if arguments.all {
        let connections = &bench.picture.observed.connections;
        let mut all: Vec<_> = connections.iter().flat_map(|c| c.routes.keys()).collect();
        all.sort_unstable();
        others.extend(all.into_iter().map(ToString::to_string));
    }
    let mut seen: std::collections::HashSet<String> = endpoints.into_iter().collect();
    for text in others {
        if seen.insert(text.clone()) {
            judged.extend(bench.together(&[text]));
        }
    }
    judged
}

fn received(picture: &Picture) -> Vec<Received> {
    let connections = picture.observed.connections.iter().zip(&picture.unknown);
    let of = connections.map(|(connection, unknown)| Received {
        connection: connection.name.clone(),
        peer: connection.peer,
        routes: (!unknown.routes).then_some(connection.routes.len()),
    });
    of.collect()
}
