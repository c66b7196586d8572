//! The registries of a lab as its routers reach them: an RTR cache and a routing registry at the core.
//!
//! They say what the Microsoft side hears, exceptions to the RPKI applied, and are dead while a registry is silent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bgp::origin_validation::VrpTable;
use crate::kernel::namespace::Namespace;
use crate::plan::of_topology::Layout;
use crate::provider::registries::{Known, Registries};
use crate::record::{Fact, Recorder};
use crate::registry::irr::Irr;
use crate::registry::rtr::Intervals;
use crate::registry::service::Place;
use crate::registry::{irr_live, rtr};

/// Questions of routers that go into the record.
const MOST: usize = 2000;

/// The servers; dropped, they end.
#[derive(Debug)]
pub(super) struct Served {
    core: Arc<Namespace>,
    layout: Arc<Layout>,
    recorder: Recorder,
    rtr: Option<Life<rtr::driver::Server>>,
    irr: Option<Life<irr_live::driver::Server>>,
}

/// A server, and whether it lives.
#[derive(Debug)]
struct Life<S> {
    server: S,
    alive: bool,
}

impl Served {
    /// Nothing is served yet.
    pub fn new(core: Arc<Namespace>, layout: Arc<Layout>, recorder: &Recorder) -> Served {
        Served {
            core,
            layout,
            recorder: recorder.clone(),
            rtr: None,
            irr: None,
        }
    }

    /// Serves what the registries say now; a registry that was never named is not served.
    ///
    /// # Errors
    /// A port cannot be opened.
    pub async fn follow(&mut self, registries: &Registries) -> io::Result<()> {
        if let Some(table) = said(registries.rpki.as_ref()) {
            match &mut self.rtr {
                None => {
                    let server = self.cache(table)?;
                    self.rtr = Some(Life::new(server));
                }
                Some(life) => {
                    life.server.replace(table);
                    if !life.alive {
                        life.server.live().await?;
                        life.alive = true;
                    }
                }
            }
        } else if let Some(life) = self.rtr.as_mut().filter(|life| life.alive) {
            life.alive = false;
            life.server.die().await;
        }
        if let Some(irr) = said(registries.irr.as_ref()) {
            match &mut self.irr {
                None => self.irr = Some(Life::new(self.registry(irr)?)),
                Some(life) => {
                    life.server.replace(irr);
                    if !life.alive {
                        life.server.live().await?;
                        life.alive = true;
                    }
                }
            }
        } else if let Some(life) = self.irr.as_mut().filter(|life| life.alive) {
            life.alive = false;
            life.server.die().await;
        }
        Ok(())
    }

    /// Closes ports and connections, so that nothing keeps the core's namespace.
    pub async fn end(self) {
        if let Some(life) = &self.rtr {
            life.server.die().await;
        }
        if let Some(life) = &self.irr {
            life.server.die().await;
        }
    }

    fn cache(&self, table: Arc<VrpTable>) -> io::Result<rtr::driver::Server> {
        let (layout, recorder) = (Arc::clone(&self.layout), self.recorder.clone());
        let told = AtomicUsize::new(0);
        let asked = move |by: SocketAddr, question: &str| {
            if told.fetch_add(1, Ordering::Relaxed) < MOST {
                recorder.now(Fact::RegistryAsked {
                    registry: "rpki".to_owned(),
                    by: asker(&layout, by),
                    question: question.to_owned(),
                });
            }
        };
        let place = Place::In(Arc::clone(&self.core), rtr::PORT);
        rtr::driver::Server::start(place, table, Intervals::REHEARSAL, asked)
    }

    fn registry(&self, irr: Arc<Irr>) -> io::Result<irr_live::driver::Server> {
        let place = Place::In(Arc::clone(&self.core), irr_live::PORT);
        irr_live::driver::Server::start(place, irr)
    }
}

impl<S> Life<S> {
    fn new(server: S) -> Life<S> {
        Life {
            server,
            alive: true,
        }
    }
}

/// What a registry says, unless it is silent.
fn said<T>(known: Option<&Known<T>>) -> Option<Arc<T>> {
    known.filter(|known| known.lost.is_none())?.data.clone()
}

/// The router with an address, or the address.
fn asker(layout: &Layout, by: SocketAddr) -> String {
    let router = layout.peers.iter().find(|peer| by.ip() == peer.inside);
    router.map_or_else(|| by.ip().to_string(), |router| router.name.clone())
}
