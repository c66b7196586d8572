//! The stages after a fault: detected, withdrawn, kernel route changed, first packet on the new path.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::detection::{FirstOfEach, Layers};
use crate::record::{Entry, Fact, MicroBfd, Nanos};
use crate::time::At;
use crate::topology::{Connection, Topology, connection_of, is_over};

/// How a network got over one fault. Times are counted from the moment the fault was observed to have happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Convergence {
    /// The step, counted from 0.
    pub step: usize,
    /// The last step that was watched for its consequences: that step, or the last of those after it that change nothing.
    #[serde(default)]
    pub until_step: usize,
    /// The fault in words.
    pub fault: String,
    /// When it happened.
    pub happened: At,
    /// Connections it touched, or both ends inside a network: `wan/ams-edge-1`.
    pub connections: Vec<String>,
    /// The first state change it caused.
    pub detected: Option<Stage>,
    /// The layers that noticed the failure by themselves, each when it first did, the first first: `light`, `lacp`, `micro-bfd`,
    /// `bfd`, and `bgp` by its hold timer. What only followed from another is not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Stage>,
    /// The first route of a touched connection that left the edge or the WAN.
    pub withdrawn: Option<Stage>,
    /// The first kernel route of the WAN that stopped using a touched connection.
    pub kernel_route: Option<Stage>,
    /// Per direction of probe traffic: flows that had to move.
    pub moved: Vec<Moved>,
    /// BFD detection minus the moment the protocol allows (last packet received + detection time):
    /// what the implementation and this host added.
    pub bfd_overhead: Option<Nanos>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stage {
    /// Time since the fault.
    pub after: Nanos,
    /// Where: `light`, `lacp`, `lag`, `bfd`, `bgp` for a detection, else `route`.
    pub layer: String,
    /// The router that saw it.
    pub router: String,
    /// The connection, neighbour or prefix.
    pub subject: String,
}

/// Flows of one direction that left the touched connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    /// Sender.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// How many flows moved.
    pub flows: usize,
    /// When the first packet arrived on a new path.
    pub first: Nanos,
    /// When the last of these flows had a packet on its new path.
    pub last: Nanos,
}

/// Finds the stages after each fault (not repair) in the entries of one run. Steps that only watch belong to the fault before them.
pub fn convergence<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    topology: &Topology,
    only_watches: impl Fn(usize) -> bool,
) -> Vec<Convergence> {
    let mut walk = Walk {
        topology,
        only_watches: &only_watches,
        step: 0,
        asked: None,
        early: Vec::new(),
        kernel: BTreeMap::new(),
        via: BTreeMap::new(),
        found: Vec::new(),
        layers: Layers::default(),
        noticed: FirstOfEach::default(),
        harmless: BTreeSet::new(),
        open: false,
        goes_on: None,
    };
    for entry in entries {
        walk.entry(entry);
    }
    // What nothing noticed had no consequences: what came meanwhile followed from an earlier fault.
    for event in &mut walk.found {
        if event.detected.is_none() {
            event.layers.clear();
            event.withdrawn = None;
            event.kernel_route = None;
            event.moved.clear();
        }
    }
    let harmless = walk.harmless;
    let numbered = walk.found.into_iter().enumerate();
    // Nothing converges where nothing was noticed, nor has to.
    let told = numbered.filter(|(n, event)| event.detected.is_some() || !harmless.contains(n));
    told.map(|(_, event)| event).collect()
}

/// The walk over a run's entries.
struct Walk<'t> {
    topology: &'t Topology,
    only_watches: &'t dyn Fn(usize) -> bool,
    step: usize,
    /// When a fault was asked for that was not yet observed; or, between its step and one that only watches, when it happened.
    asked: Option<At>,
    /// State changes between asking and observing the fault, or between two steps: they may be its consequences.
    early: Vec<Entry>,
    kernel: BTreeMap<IpNet, Vec<String>>,
    via: BTreeMap<(String, String, u16), String>,
    found: Vec<Convergence>,
    layers: Layers,
    /// What noticed the last of `found`.
    noticed: FirstOfEach,
    /// Those of `found` that are no failures: cables only carry badly, or an end disabled its BFD.
    harmless: BTreeSet<usize>,
    /// Whether the step of the last fault is still being played, or one after it that only watches.
    open: bool,
    /// Between two steps: the one that only watches, if it comes. What a run that ends here says is no consequence.
    goes_on: Option<usize>,
}

impl Walk<'_> {
    fn entry(&mut self, entry: &Entry) {
        match &entry.fact {
            Fact::StepStarted { step } => {
                let goes_on = self.goes_on.take() == Some(*step);
                self.open = goes_on;
                self.flush(goes_on);
                self.step = *step;
                if let Some(event) = self.found.last_mut().filter(|_| goes_on) {
                    event.until_step = *step;
                }
            }
            Fact::StepEnded { step } => {
                self.flush(false);
                let next = step + 1;
                if let Some(event) = self.found.last().filter(|_| self.open)
                    && (self.only_watches)(next)
                {
                    self.goes_on = Some(next);
                    self.asked = Some(event.happened);
                }
                self.open = false;
            }
            Fact::FaultAsked { .. } => self.asked = Some(entry.at),
            Fact::FaultHappened {
                fault,
                connections,
                repaired,
                impairment,
            } => {
                if !repaired {
                    self.begin(entry.at, fault, connections);
                    if *impairment {
                        self.harmless.insert(self.found.len() - 1);
                    }
                }
                self.flush(!repaired);
            }
            _ if self.asked.is_some() && !self.open => self.early.push(entry.clone()),
            _ => {
                if self.open {
                    self.stage(entry);
                }
                self.remember(entry);
            }
        }
    }

    /// Works in the entries that came between asking for a fault and observing it.
    fn flush(&mut self, stages: bool) {
        let asked = self.asked.take();
        for entry in std::mem::take(&mut self.early) {
            if stages && asked.is_some_and(|asked| entry.at >= asked) {
                self.stage(&entry);
            }
            self.remember(&entry);
        }
    }

    fn begin(&mut self, at: At, fault: &str, connections: &[String]) {
        // Several faults of one step (a metro, two connections) are one event, with the first one's clock.
        if self.open {
            let known = self.found.last_mut().expect("an open event was pushed");
            known.fault = format!("{}, {fault}", known.fault);
            known.connections.extend(connections.iter().cloned());
            return;
        }
        self.found.push(Convergence {
            step: self.step,
            until_step: self.step,
            fault: fault.to_owned(),
            happened: at,
            connections: connections.to_vec(),
            detected: None,
            layers: Vec::new(),
            withdrawn: None,
            kernel_route: None,
            moved: Vec::new(),
            bfd_overhead: None,
        });
        self.noticed = FirstOfEach::default();
        self.open = true;
    }

    /// Puts an entry into the stage it completes, if it does.
    fn stage(&mut self, entry: &Entry) {
        let number = self.found.len();
        let Some(event) = self.found.last_mut() else {
            return;
        };
        // Of a session such as `ams-1/ipv6`, too.
        let touched = |router: &str, session: &str| {
            let mut links = event.connections.iter();
            links.any(|link| is_over(link, router, session))
        };
        let used = |name: &str| {
            let mut connections = self.topology.connections.iter();
            let own = connections.find(|it| it.name == connection_of(name));
            own.is_some_and(|it| is_touched(it, &event.connections))
        };
        let happened = event.happened;
        let stage_at = |at: At, layer: &str, router: &str, subject: &str| Stage {
            after: Nanos::from(at.since(happened)),
            layer: layer.to_owned(),
            router: router.to_owned(),
            subject: subject.to_owned(),
        };
        let stage =
            |layer: &str, router: &str, subject: &str| stage_at(entry.at, layer, router, subject);
        let detection = self.layers.detection(&entry.fact);
        let detection = detection.filter(|it| touched(it.router, it.session));
        match &entry.fact {
            Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                ..
            } if used(session) || is_edge_of(self.topology, session, &event.connections) => {
                let stage = stage("route", router, &prefix.to_string());
                event.withdrawn.get_or_insert(stage);
            }
            Fact::KernelRoute {
                router,
                prefix,
                via,
            } if router == "wan" => {
                let uses = |via: &[String]| {
                    via.iter()
                        .any(|edge| is_edge_of(self.topology, edge, &event.connections))
                };
                let before = self.kernel.get(prefix).map_or(&[][..], Vec::as_slice);
                if uses(before) && !uses(via) {
                    let stage = stage("route", router, &prefix.to_string());
                    event.kernel_route.get_or_insert(stage);
                }
            }
            Fact::Bfd {
                router,
                connection,
                state,
                last_received: Some(last),
                detection_time: Some(time),
                ..
            } if touched(router, connection)
                && state == "down"
                && !is_of_the_peer(self.topology, router, connection) =>
            {
                let due = *last + Duration::from(*time);
                if entry.at >= due {
                    let overhead = Nanos::from(entry.at.since(due));
                    event.bfd_overhead.get_or_insert(overhead);
                }
            }
            Fact::Bfd {
                router,
                connection,
                state,
                ..
            }
            | Fact::MicroBfd {
                router,
                connection,
                now: MicroBfd { state, .. },
                ..
            } if touched(router, connection) && state == "admin-down" => {
                self.harmless.insert(number - 1);
            }
            Fact::ProbeVia {
                from,
                to,
                flow,
                via,
                ..
            } => {
                let before = self.via.get(&(from.clone(), to.clone(), *flow));
                if before.is_some_and(|before| used(before)) && !used(via) {
                    let after = Nanos::from(entry.at.since(event.happened));
                    note_moved(&mut event.moved, from, to, after);
                }
            }
            _ => {}
        }
        if let Some(it) = detection {
            let detected = stage(it.layer, it.router, it.session);
            self.noticed.note(entry.at, &it);
            let layers = self.noticed.as_slice().iter();
            let layers = layers.map(|n| stage_at(n.at, n.layer, &n.router, &n.session));
            event.layers = layers.collect();
            // Threads hand in facts slightly out of order: the earliest counts.
            match &event.detected {
                Some(known) if known.after <= detected.after => {}
                _ => event.detected = Some(detected),
            }
        }
    }

    fn remember(&mut self, entry: &Entry) {
        self.layers.remember(&entry.fact);
        match &entry.fact {
            Fact::KernelRoute {
                router,
                prefix,
                via,
            } if router == "wan" => {
                self.kernel.insert(*prefix, via.clone());
            }
            Fact::ProbeVia {
                from,
                to,
                flow,
                via,
                ..
            } => {
                self.via
                    .insert((from.clone(), to.clone(), *flow), via.clone());
            }
            _ => {}
        }
    }
}

fn note_moved(moved: &mut Vec<Moved>, from: &str, to: &str, after: Nanos) {
    match moved.iter_mut().find(|m| m.from == from && m.to == to) {
        Some(known) => {
            known.flows += 1;
            known.first = known.first.min(after);
            known.last = known.last.max(after);
        }
        None => moved.push(Moved {
            from: from.to_owned(),
            to: to.to_owned(),
            flows: 1,
            first: after,
            last: after,
        }),
    }
}

/// Whether a session or an interface inside the WAN, which is named after an edge, is that of an edge of one of these links.
fn is_edge_of(topology: &Topology, session: &str, links: &[String]) -> bool {
    topology
        .connections
        .iter()
        .any(|known| known.edge == connection_of(session) && is_touched(known, links))
}

/// Whether this end of a session is the peer's, of a connection.
fn is_of_the_peer(topology: &Topology, router: &str, session: &str) -> bool {
    let mut connections = topology.connections.iter();
    connections.any(|known| known.router == router && known.name == connection_of(session))
}

/// Whether packets over a connection go over one of these links: it itself, or one inside a network behind one of its ends.
fn is_touched(connection: &Connection, links: &[String]) -> bool {
    links.iter().any(|link| match link.split_once('/') {
        Some((_, border)) => connection.edge == border || connection.router == border,
        None => *link == connection.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BFD session that an end disables is no failure: nobody has to notice it, and nothing converges. One that is cut off is.
    #[test]
    fn a_disabled_session_is_no_failure() {
        let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
        let topology = crate::topology::load(file).expect("a topology");
        let fact = |at, fact| Entry {
            at: At::from_millis(at),
            fact,
        };
        let fault = Fact::FaultHappened {
            fault: "BFD ams-1: disabled".to_owned(),
            connections: vec!["ams-1".to_owned()],
            repaired: false,
            impairment: false,
        };
        let bfd = |state: &str, diagnostic: &str| Fact::Bfd {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            state: state.to_owned(),
            diagnostic: diagnostic.to_owned(),
            last_received: None,
            detection_time: None,
        };
        for (state, diagnostic, layers) in [
            ("admin-down", "administratively down", None),
            (
                "down",
                "control detection time expired",
                Some(vec!["bfd".to_owned()]),
            ),
        ] {
            let entries = [
                fact(1, Fact::StepStarted { step: 0 }),
                fact(10, fault.clone()),
                fact(11, bfd(state, diagnostic)),
                fact(20, Fact::StepEnded { step: 0 }),
            ];
            let found = convergence(&entries, &topology, |_| false);
            let first = found.first().map(|event| {
                let layers = event.layers.iter();
                layers.map(|layer| layer.layer.clone()).collect::<Vec<_>>()
            });
            assert_eq!(first, layers, "{state}");
        }
    }

    /// A fault lasts through the steps after it that only watch, and what follows in them, or just before, follows from it.
    #[test]
    fn steps_that_only_watch_belong_to_the_fault_before() {
        let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
        let topology = crate::topology::load(file).expect("a topology");
        let started = |step| Fact::StepStarted { step };
        let ended = |step| Fact::StepEnded { step };
        let happened = Fact::FaultHappened {
            fault: "ams-1: silent".to_owned(),
            connections: vec!["ams-1".to_owned()],
            repaired: false,
            impairment: false,
        };
        let bfd = Fact::Bfd {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            state: "down".to_owned(),
            diagnostic: "control detection time expired".to_owned(),
            last_received: None,
            detection_time: None,
        };
        let steps = [
            (5, started(1)),
            (10, happened),
            (20, ended(1)),
            (30, started(2)),
            (500, ended(2)),
            (510, started(3)),
            (600, ended(3)),
            (610, started(4)),
            (700, ended(4)),
        ];
        let only_watches = |step| step == 2 || step == 3 || step == 5;
        for (at, detected, until_step) in [
            (15, Some(5), 3),
            (25, Some(15), 3),
            (450, Some(440), 3),
            (505, Some(495), 3),
            (550, Some(540), 3),
            // The next step changes something; another that only watches never comes.
            (605, None, 3),
            (650, None, 3),
            (705, None, 3),
        ] {
            let mut facts = steps.to_vec();
            facts.push((at, bfd.clone()));
            facts.sort_by_key(|(at, _)| *at);
            let entries = facts.into_iter().map(|(at, fact)| Entry {
                at: At::from_millis(at),
                fact,
            });
            let entries: Vec<Entry> = entries.collect();
            let found = convergence(&entries, &topology, only_watches);
            let event = found.first().expect("the fault");
            let after = event.detected.as_ref();
            let after = after.map(|stage| Duration::from(stage.after).as_millis());
            assert_eq!(after, detected, "told after {at} ms");
            assert_eq!((event.step, event.until_step), (1, until_step));
        }
        // The run ends after the fault, though a step that only watches was to come: its end has no cause in it.
        let entries = [&steps[..3], &[(25, bfd)]].concat();
        let entries = entries.into_iter().map(|(at, fact)| Entry {
            at: At::from_millis(at),
            fact,
        });
        let entries: Vec<Entry> = entries.collect();
        let found = convergence(&entries, &topology, only_watches);
        assert_eq!(found.first().expect("the fault").detected, None);
    }

    /// What is silenced inside Microsoft's network is noticed there, at either end, and moves what went over that edge.
    #[test]
    fn a_session_inside_a_network_is_noticed_at_its_ends() {
        let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
        let topology = crate::topology::load(file).expect("a topology");
        let prefix: IpNet = "198.51.100.0/24".parse().expect("a prefix");
        let bfd = |router: &str, session: &str| Fact::Bfd {
            router: router.to_owned(),
            connection: session.to_owned(),
            state: "down".to_owned(),
            diagnostic: "control detection time expired".to_owned(),
            last_received: Some(At::from_millis(5)),
            detection_time: Some(Duration::from_millis(450).into()),
        };
        let over = |edges: &[&str]| Fact::KernelRoute {
            router: "wan".to_owned(),
            prefix,
            via: edges.iter().map(|&edge| edge.to_owned()).collect(),
        };
        let via = |connection: &str| Fact::ProbeVia {
            from: "teams".to_owned(),
            to: "sbc".to_owned(),
            flow: 1,
            via: connection.to_owned(),
            member: None,
        };
        let happened = |link: &str| Fact::FaultHappened {
            fault: format!("BFD {link}: sends nothing"),
            connections: vec![link.to_owned()],
            repaired: false,
            impairment: false,
        };
        let both = ["ams-edge-1", "ams-edge-2"];
        for (link, router, session, moves) in [
            ("wan/ams-edge-1", "ams-edge-1", "wan", true),
            ("wan/ams-edge-1", "wan", "ams-edge-1/ipv6", true),
            ("core/ams-pe-1", "core", "ams-pe-1", true),
            // Neither is that session.
            ("wan/ams-edge-1", "ams-edge-2", "wan", false),
            ("wan/ams-edge-1", "ams-edge-1", "ams-1", false),
        ] {
            let facts = [
                (1, over(&both)),
                (1, via("ams-1")),
                (2, Fact::StepStarted { step: 0 }),
                (10, happened(link)),
                (460, bfd(router, session)),
                (461, over(&both[1..])),
                (462, via("ams-2")),
            ];
            let entries = facts.map(|(at, fact)| Entry {
                at: At::from_millis(at),
                fact,
            });
            let found = convergence(&entries, &topology, |_| false);
            let event = found.first().expect(link);
            let millis = |nanos: Nanos| Duration::from(nanos).as_millis();
            let of = |stage: &Option<Stage>| stage.as_ref().map(|stage| millis(stage.after));
            let when = |millis| moves.then_some(millis);
            assert_eq!(of(&event.detected), when(450), "{session} at {router}");
            assert_eq!(event.bfd_overhead.map(millis), when(5), "{session}");
            assert_eq!(of(&event.kernel_route), when(451), "{session}");
            let moved = event.moved.first().map(|moved| millis(moved.first));
            assert_eq!(moved, when(452), "{session} at {router}");
        }
    }
}
