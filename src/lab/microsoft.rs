//! The Microsoft side inside a lab: it hears the record, and what it concludes moves ports, sessions and policies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Acted, Lab, LabError};
use crate::bgp::family::Family;
use crate::binding::{Binding, Daemon, Device};
use crate::provider::prefixes::DeviceKind;
use crate::provider::{Input, Output, Provider, Request};
use crate::record::Entry;
use crate::router::driver::RouterHandle;
use crate::router::{RouterConfig, SessionIndex};
use crate::scenario::Setting;
use crate::time::At;
use crate::topology::{of_session, session_name};

/// How long a connection is without routes before its session is taken down, so that traffic leaves it first (c.4).
const DRAIN: Duration = Duration::from_secs(1);
/// What a neighbour is told when a session is taken down because its connection is not provisioned.
pub(super) const NOT_PROVISIONED: &str = "the connection is not provisioned";

/// What plays each of the peer's routers, for the remedies.
pub(super) fn device_kinds(binding: &Binding) -> BTreeMap<String, DeviceKind> {
    let kind = |device: &Device| match device {
        Device::Simulated => DeviceKind::Simulated,
        Device::Daemon { daemon, .. } => match daemon {
            Daemon::Bird => DeviceKind::Bird,
            Daemon::Frr => DeviceKind::Frr,
            Daemon::Gobgp | Daemon::Openbgpd | Daemon::Exabgp => DeviceKind::Other,
        },
    };
    let routers = binding.routers.iter();
    routers
        .map(|(router, device)| (router.clone(), kind(device)))
        .collect()
}

/// Makes the edges begin as the Microsoft side wants them: without BGP with the peer, if nothing is onboarded. What cannot
/// be configured is left over, in order.
pub(super) fn begin(
    provider: &mut Provider,
    onboarded: bool,
    configs: &mut [RouterConfig],
) -> Vec<Output> {
    for config in configs.iter_mut() {
        for session in &mut config.sessions {
            let (connection, _) = of_session(&session.name);
            let external = provider.edge(connection) == Some(config.name.as_str());
            session.start_stopped |= external && !onboarded;
        }
    }
    let mut left = Vec::new();
    while let Some(output) = provider.poll() {
        let connection = match &output {
            Output::Policy { connection, .. } | Output::Session { connection, .. } => connection,
            Output::Fact(_) | Output::Port { .. } => {
                left.push(output);
                continue;
            }
        };
        let edge = provider.edge(connection);
        let config = configs.iter_mut().find(|c| Some(c.name.as_str()) == edge);
        let Some(config) = config else { continue };
        let sessions = config.sessions.iter_mut();
        let sessions = sessions.filter(|session| of_session(&session.name).0 == connection);
        match &output {
            Output::Policy { import, export, .. } => {
                let (import, export) = (Arc::new(import.clone()), Arc::new(export.clone()));
                for session in sessions {
                    session.import = Arc::clone(&import);
                    session.export = Arc::clone(&export);
                }
            }
            Output::Session { run, .. } => {
                sessions.for_each(|session| session.start_stopped = !run);
            }
            Output::Fact(_) | Output::Port { .. } => {}
        }
    }
    left
}

/// The connections on which an edge begins without BGP.
pub(super) fn silent(configs: &[RouterConfig]) -> BTreeSet<String> {
    let sessions = configs.iter().flat_map(|config| &config.sessions);
    let stopped = sessions.filter(|session| session.start_stopped);
    stopped
        .map(|session| of_session(&session.name).0.to_owned())
        .collect()
}

impl Lab {
    /// Takes an entry of the record.
    ///
    /// # Errors
    /// The kernel refused what had to be done.
    pub fn hear(&mut self, entry: &Entry) -> Result<(), LabError> {
        self.provider.handle(entry.at, Input::Fact(&entry.fact));
        self.carry_out()
    }

    /// When [`Lab::time_passes`] is wanted.
    pub fn deadline(&self) -> Option<At> {
        let provider = self.provider.deadline();
        let drained = self.draining.values().min().copied();
        let restarted = self.restarting.values().map(|(until, _)| *until).min();
        let others = self.registries.deadline().into_iter().chain(drained);
        let others = others.chain(restarted).chain([self.meters.next]);
        provider.into_iter().chain(others).min()
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The kernel refused what had to be done.
    pub async fn time_passes(&mut self, now: At) -> Result<(), LabError> {
        if self.registries.time_passes(now) {
            self.registries_changed(now).await?;
        }
        if self
            .provider
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.provider.handle(now, Input::Deadline);
        }
        self.come_back(now)?;
        if self.meters.next <= now {
            self.count().await?;
        }
        let drained = self.draining.extract_if(.., |_, until| *until <= now);
        let drained: Vec<String> = drained.map(|(connection, _)| connection).collect();
        for connection in drained {
            for (router, session) in self.sessions(&connection) {
                router.stop_session(session, NOT_PROVISIONED);
            }
        }
        self.carry_out()
    }

    /// Changes a registry, or what Microsoft announces.
    pub(super) async fn set(&mut self, setting: &Setting) -> Result<Acted, LabError> {
        if let Err(wrong) = self.registries.set(setting) {
            return Ok(Acted::Impossible(wrong.render(false)));
        }
        self.registries_changed(self.recorder.clock().now()).await?;
        self.carry_out()?;
        Ok(Acted::Done)
    }

    /// The Microsoft side hears what registries say now, and so do the routers that ask, and the peer's policies.
    async fn registries_changed(&mut self, now: At) -> Result<(), LabError> {
        let answers = self.registries.answers();
        let served = self.served.follow(&answers).await;
        self.provider.handle(now, Input::Registries(answers));
        self.tell_peer_of_rpki();
        served.map_err(LabError::Served)
    }

    /// Asks something of the Microsoft side.
    pub(super) fn request(&mut self, request: &Request) -> Result<(), LabError> {
        let now = self.recorder.clock().now();
        self.provider.handle(now, Input::Request(request));
        self.carry_out()
    }

    pub(super) fn carry_out(&mut self) -> Result<(), LabError> {
        while let Some(output) = self.provider.poll() {
            self.carry_out_one(output)?;
        }
        Ok(())
    }

    pub(super) fn carry_out_one(&mut self, output: Output) -> Result<(), LabError> {
        match output {
            Output::Fact(fact) => self.recorder.now(fact),
            Output::Policy {
                connection,
                import,
                export,
            } => {
                self.orders.set_policies(&connection, import, export);
                for family in Family::ALL {
                    self.tell_policies(&session_name(&connection, family));
                }
            }
            Output::Session {
                connection,
                run: true,
            } => {
                self.silent.remove(&connection);
                self.draining.remove(&connection);
                for (router, session) in self.sessions(&connection) {
                    router.start_session(session);
                }
            }
            // Its routes are refused and withdrawn from now on; the session follows when traffic has moved away.
            Output::Session {
                connection,
                run: false,
            } => {
                self.silent.insert(connection.clone());
                let until = self.recorder.clock().now() + DRAIN;
                self.draining.insert(connection, until);
            }
            Output::Port { connection, lit } => self.port(&connection, lit)?,
        }
        Ok(())
    }

    /// The edge's router and sessions of a connection, one for each address family.
    fn sessions(&self, connection: &str) -> impl Iterator<Item = (&RouterHandle, SessionIndex)> {
        let edge = self.provider.edge(connection);
        let router = edge.and_then(|edge| self.routers.get(edge));
        let names = Family::ALL.map(|family| session_name(connection, family));
        names
            .into_iter()
            .filter_map(move |name| Some((router?, router?.session(&name)?)))
    }

    /// Microsoft's end of a connection gets light, or goes dark. It is no fault, and is not recorded as one.
    fn port(&mut self, connection: &str, lit: bool) -> Result<(), LabError> {
        let layout = self.layout.clone();
        let Some(connection) = layout.connection(connection) else {
            return Ok(());
        };
        Ok(self.cables.port(connection, lit)?)
    }
}
