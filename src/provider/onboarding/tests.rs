//! Onboarding in virtual time: a lab that observes what a test says, and writes down what is told.

mod failures;
mod properties;
mod scripts;

use std::path::PathBuf;

use super::*;
use crate::provider::names;
use crate::source::Source;
use crate::topology;

/// The topology of a file in `topologies/`.
pub(super) fn topology(name: &str) -> Topology {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("topologies")
        .join(name);
    let text = std::fs::read_to_string(&path).expect("a topology of this repository");
    topology::parse(&Source::new(path, text)).expect("it is right")
}

/// Onboarding and what its lab observes and did.
pub(super) struct Lab {
    pub(super) onboarding: Onboarding,
    pub(super) observed: Observed,
    /// What was told since [`Lab::told`] was last asked, one line each.
    lines: Vec<String>,
    /// Ports with light and sessions that run, by name.
    pub(super) lit: Vec<String>,
    pub(super) running: Vec<String>,
}

impl Lab {
    pub(super) fn new(topology: &Topology) -> Lab {
        Lab::of(Onboarding::new(topology), topology, Vec::new())
    }

    /// Onboarded, with every LAG, BFD and BGP session up.
    pub(super) fn onboarded(topology: &Topology) -> Lab {
        let names: Vec<String> = topology
            .connections
            .iter()
            .map(|c| c.name.clone())
            .collect();
        let mut lab = Lab::of(Onboarding::onboarded(topology), topology, names.clone());
        for name in &names {
            lab.up(name);
        }
        lab.told();
        lab
    }

    fn of(onboarding: Onboarding, topology: &Topology, on: Vec<String>) -> Lab {
        let mut lab = Lab {
            onboarding,
            observed: Observed::new(topology),
            lines: Vec::new(),
            lit: on.clone(),
            running: on,
        };
        lab.poll();
        lab
    }

    pub(super) fn request(&mut self, request: Request) {
        self.onboarding.request(&request);
        self.poll();
    }

    pub(super) fn asn(&mut self, action: AsnAction) {
        self.request(Request::PeerAsn(action));
    }

    pub(super) fn peering(&mut self, peering: &str, action: PeeringAction) {
        self.request(Request::Peering {
            peering: peering.to_owned(),
            action,
        });
    }

    pub(super) fn connection(&mut self, name: &str, action: ConnectionAction) {
        self.request(Request::Connections {
            connections: vec![name.to_owned()],
            action,
        });
    }

    fn edge(&self, name: &str) -> String {
        let connection = self.observed.connection(name);
        connection.expect("a connection").edge.clone()
    }

    fn fact(&mut self, fact: &Fact) {
        if let Some(change) = self.observed.apply(fact) {
            self.onboarding.observed(&self.observed, &change);
        }
        self.poll();
    }

    pub(super) fn lag(&mut self, name: &str, up: bool) {
        self.fact(&Fact::Lag {
            router: self.edge(name),
            connection: name.to_owned(),
            up,
            distributing: 2,
        });
    }

    pub(super) fn bfd(&mut self, name: &str, up: bool) {
        self.fact(&Fact::Bfd {
            router: self.edge(name),
            connection: name.to_owned(),
            state: if up { "up" } else { "down" }.to_owned(),
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        });
    }

    pub(super) fn bgp(&mut self, name: &str, state: &str) {
        self.fact(&Fact::Bgp {
            router: self.edge(name),
            session: name.to_owned(),
            state: state.to_owned(),
            why: String::new(),
        });
    }

    /// LAG, BFD and BGP come up in this order.
    pub(super) fn up(&mut self, name: &str) {
        self.lag(name, true);
        self.bfd(name, true);
        self.bgp(name, "Established");
    }

    fn poll(&mut self) {
        while let Some(output) = self.onboarding.poll() {
            self.lines.push(line(&output));
            let (list, name, on) = match output {
                Output::Fact(_) => continue,
                Output::Port { connection, lit } => (&mut self.lit, connection, lit),
                Output::Session { connection, run } => (&mut self.running, connection, run),
            };
            assert_eq!(list.contains(&name), !on, "{name} is told a change");
            list.retain(|other| *other != name);
            if on {
                list.push(name);
            }
        }
    }

    /// What was told since this was last asked.
    pub(super) fn told(&mut self) -> String {
        std::mem::take(&mut self.lines).join("\n")
    }

    /// `connectionState/sessionStateV4`.
    pub(super) fn state(&self, name: &str) -> String {
        let onboarding = &self.onboarding;
        format!(
            "{}/{}",
            onboarding.connection_state(name),
            onboarding.session_state(name)
        )
    }

    /// The reasons of the refusals since [`Lab::told`] was last asked.
    pub(super) fn refusals(&mut self) -> Vec<String> {
        let told = self.told();
        let refused = told
            .lines()
            .filter_map(|line| line.strip_prefix("RequestRefused "));
        refused.map(str::to_owned).collect()
    }
}

/// An output in one line.
fn line(output: &Output) -> String {
    let told = |name: &str, on: bool| format!("{name} {}", if on { "on" } else { "off" });
    match output {
        Output::Port { connection, lit } => format!("port {}", told(connection, *lit)),
        Output::Session { connection, run } => format!("session {}", told(connection, *run)),
        Output::Fact(Fact::PeerAsn { asn, state, error }) => {
            format!("AS{asn} {state} {error}").trim_end().to_owned()
        }
        Output::Fact(Fact::Peering {
            peering,
            state,
            error,
        }) => format!("{peering} {state} {error}").trim_end().to_owned(),
        Output::Fact(Fact::Connection {
            connection,
            state,
            session_state,
            error,
            ..
        }) => format!("{connection} {state}/{session_state} {error}")
            .trim_end()
            .to_owned(),
        Output::Fact(Fact::Event {
            event,
            level,
            subject,
            summary,
            ..
        }) => {
            assert!(
                names::EVENTS.contains(&event.as_str()),
                "{event} can be expected"
            );
            match level.as_str() {
                "Information" => format!("mail {subject}: {event}"),
                _ => format!("{event} {subject}: {summary}"),
            }
        }
        Output::Fact(other) => panic!("no fact of onboarding: {other:?}"),
    }
}

/// A list of lines, indented as a test has it, as text.
pub(super) fn lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).collect();
    lines.join("\n")
}
