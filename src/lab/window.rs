//! A window into a lab that lives: who is in it, and how to ask each of them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Lab;
use crate::binding::Daemon;
use crate::device::{Place, Running};
use crate::kernel::namespace::Namespace;
use crate::line::Asker;
use crate::plan::of_topology::Layout;
use crate::router::driver::RouterHandle;
use crate::time::Clock;

/// What may be looked at in a lab while it lives. Cheap to clone; asking it disturbs nobody.
#[derive(Debug, Clone)]
pub struct Window {
    /// Its connections and names.
    pub layout: Arc<Layout>,
    /// Where LACP and BFD are asked.
    pub line: Asker,
    /// The simulated routers, by name.
    pub routers: Arc<BTreeMap<String, RouterHandle>>,
    /// All network namespaces, by name.
    pub namespaces: Arc<BTreeMap<String, Arc<Namespace>>>,
    /// The clock of its record.
    pub clock: Clock,
    /// Routers that are played by a daemon: which, and where it runs.
    pub devices: Rc<BTreeMap<String, (Daemon, Rc<Place>)>>,
}

impl Lab {
    /// A window into it, of use as long as it is up.
    pub fn window(&self) -> Window {
        let device = |device: &Running| {
            let place = device.place.clone();
            (place.router.clone(), (device.daemon, place))
        };
        Window {
            layout: self.layout.clone(),
            line: self.line.asker(),
            routers: Arc::new(self.routers.clone()),
            namespaces: Arc::new(self.network.namespaces.clone()),
            clock: self.recorder.clock(),
            devices: Rc::new(self.devices.running().map(device).collect()),
        }
    }
}
