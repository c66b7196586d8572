//! The routers that a binding gives to daemons: started, stopped, and started again as they were.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;

use super::{LabError, Network, shared};
use crate::binding::{Binding, Daemon, Device};
use crate::device::{self, Ended, Running};
use crate::kernel::namespace::Namespace;
use crate::record::{Fact, Recorder};
use crate::source::Secrets;

/// All of them.
pub(super) struct Devices {
    all: Vec<Bound>,
    recorder: Recorder,
    /// What they must not tell.
    secrets: Secrets,
    ended: UnboundedSender<Ended>,
}

/// A router and its daemon.
struct Bound {
    router: String,
    daemon: Daemon,
    config: PathBuf,
    namespace: Arc<Namespace>,
    /// `None` while it is stopped.
    running: Option<Running>,
}

impl Devices {
    /// Starts those of a binding; one that ends by itself is an error of the lab.
    pub fn start(
        binding: &Binding,
        network: &Network,
        recorder: &Recorder,
        secrets: &Secrets,
    ) -> Result<Devices, LabError> {
        let (ended, mut ends) = unbounded_channel::<Ended>();
        let mut devices = Devices {
            all: Vec::new(),
            recorder: recorder.clone(),
            secrets: secrets.clone(),
            ended,
        };
        for (router, device) in &binding.routers {
            let Device::Daemon { daemon, config } = device else {
                continue;
            };
            devices.all.push(Bound {
                router: router.clone(),
                daemon: *daemon,
                config: config.clone(),
                namespace: shared(network, router)?,
                running: None,
            });
            devices.boot(router)?;
        }
        let recorder = recorder.clone();
        spawn_local(async move {
            while let Some(end) = ends.recv().await {
                let Ended {
                    router,
                    daemon,
                    words,
                } = end;
                let text = format!("router {router}: {daemon} ended by itself: {words}");
                recorder.now(Fact::Errored { text });
            }
        });
        Ok(devices)
    }

    /// Those that run.
    pub fn running(&self) -> impl Iterator<Item = &Running> {
        self.all.iter().filter_map(|bound| bound.running.as_ref())
    }

    /// Whether a daemon plays this router.
    pub fn has(&self, router: &str) -> bool {
        self.all.iter().any(|bound| bound.router == router)
    }

    /// Kills all processes of a router, and returns when they are gone.
    pub async fn stop(&mut self, router: &str) {
        let mut all = self.all.iter_mut();
        let found = all.find(|bound| bound.router == router);
        if let Some(running) = found.and_then(|bound| bound.running.take()) {
            running.stop().await;
        }
    }

    /// Starts a router's daemon with the configuration it was bound with, in empty folders.
    pub fn boot(&mut self, router: &str) -> Result<(), LabError> {
        let mut all = self.all.iter_mut();
        let Some(bound) = all.find(|bound| bound.router == router) else {
            return Ok(());
        };
        bound.running = Some(device::start(
            router,
            bound.daemon,
            &bound.config,
            &bound.namespace,
            (&self.recorder, &self.secrets),
            self.ended.clone(),
        )?);
        Ok(())
    }

    /// Ends all.
    pub async fn end(self) {
        for running in self.all.into_iter().filter_map(|bound| bound.running) {
            running.stop().await;
        }
    }
}
