//! The thread of the simulated routers: whatever else the program does, a loss that BFD found reaches the kernel's
//! routes at once. A report being written or a finding being drawn would stand in the way on a shared thread.
//!
//! Where the system allows it the thread runs before ordinary ones, and after those that send BFD and probes. It
//! waits for nothing but its sockets; should it ever spin, the kernel's limit for real-time threads
//! (`sched_rt_runtime_us`, sched(7)) leaves the others their share.
//!
//! **Invariant:** what LACP and BFD found out reaches the routers in its order.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use tracing::Instrument;

use crate::bfd::State;
use crate::kernel::namespace::Namespace;
use crate::kernel::priority;
use crate::kernel::watch::Carrier;
use crate::lab::lateness;
use crate::line::LineEvent;
use crate::record::Recorder;
use crate::router::RouterConfig;
use crate::router::driver::{Driver, DriverError, RouterHandle};

/// The running thread. Dropping this ends it, and its routers vanish.
#[derive(Debug)]
pub struct ControlPlane {
    runtime: Handle,
    /// Dropped to end the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ControlPlane {
    /// Starts the thread, without routers.
    ///
    /// # Errors
    /// The kernel gives no thread or no descriptors.
    pub fn start() -> io::Result<ControlPlane> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("routers".into())
            .spawn(move || {
                if let Err(errno) = priority::real_time(priority::ROUTES) {
                    tracing::debug!(%errno, "the routers' thread has no real-time priority");
                }
                // An error is the wish to end, too.
                let _ = runtime.block_on(ended);
            })?;
        Ok(ControlPlane {
            runtime: handle,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Tells how late the routers' thread wakes up, as `routers`.
    pub fn tell_lateness(&self, recorder: Recorder) {
        self.runtime.spawn(lateness::tell(recorder, "routers"));
    }

    /// Starts a router in its namespace. It boots with the interfaces `dark` down.
    ///
    /// # Errors
    /// As [`Driver::open`].
    pub fn start_router(
        &self,
        namespace: Arc<Namespace>,
        config: RouterConfig,
        seed: u64,
        recorder: Recorder,
        dark: &[&str],
    ) -> Result<RouterHandle, DriverError> {
        let _inside = self.runtime.enter();
        let (driver, handle) = Driver::open(namespace, config, seed, recorder)?;
        for interface in dark {
            handle.interface(interface, false);
        }
        let span = tracing::debug_span!("router", name = handle.name());
        self.runtime.spawn(driver.run().instrument(span));
        Ok(handle)
    }

    /// Tells the routers what LACP and BFD find out. A session is known by the name of its connection.
    pub fn follow_line(
        &self,
        events: UnboundedReceiver<LineEvent>,
        routers: BTreeMap<String, RouterHandle>,
    ) {
        self.runtime.spawn(follow_line(events, routers));
    }

    /// Tells the routers what happens to their plain links.
    pub fn follow_carriers(
        &self,
        carriers: UnboundedReceiver<Carrier>,
        routers: BTreeMap<String, RouterHandle>,
    ) {
        self.runtime.spawn(follow_carriers(carriers, routers));
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it was told by the thread itself.
            let _ = thread.join();
        }
    }
}

async fn follow_line(
    mut events: UnboundedReceiver<LineEvent>,
    routers: BTreeMap<String, RouterHandle>,
) {
    while let Some(event) = events.recv().await {
        tracing::debug!(?event, "the line tells");
        match event {
            LineEvent::BfdDisabled { end, disabled } => {
                if let Some(router) = routers.get(&end.router)
                    && let Some(session) = router.session(&end.connection)
                {
                    router.bfd_disabled(session, disabled);
                }
            }
            LineEvent::Lag { end, up, .. } => {
                if let Some(router) = routers.get(&end.router) {
                    router.interface(&end.connection, up);
                }
            }
            LineEvent::Bfd { end, change, .. } => {
                let router = routers.get(&end.router);
                let session = router.and_then(|router| router.session(&end.connection));
                let up = change.to == State::Up;
                let path_lost = !up && change.control_plane_independent;
                // Up to Down because one end disabled BFD is no failure (RFC 5882, section 4.2).
                let disabled = [change.to, change.remote_state].contains(&State::AdminDown);
                if let (Some(router), Some(session)) = (router, session)
                    && (up || (change.from == State::Up && !disabled))
                {
                    if path_lost {
                        router.bfd_path_lost(session);
                    } else {
                        router.bfd(session, up);
                    }
                }
            }
        }
    }
}

async fn follow_carriers(
    mut carriers: UnboundedReceiver<Carrier>,
    routers: BTreeMap<String, RouterHandle>,
) {
    while let Some(carrier) = carriers.recv().await {
        tracing::debug!(?carrier, "the kernel tells");
        if let Some(router) = routers.get(&carrier.router) {
            router.interface(&carrier.link, carrier.up);
        }
    }
}
