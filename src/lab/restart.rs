//! A router's BGP restarts, gracefully or not, while its links and BFD stay. Of a router that a daemon plays, all processes end
//! at once, BFD's among them, and begin anew with the same configuration.

use std::time::Duration;

use tokio::time::timeout;

use super::{Acted, Lab, LabError};
use crate::bgp::family::{Families, Family};
use crate::record::Fact;
use crate::router::SessionIndex;
use crate::router::driver::RouterHandle;
use crate::scenario::Restart;
use crate::time::At;
use crate::topology::session_name;

/// How long the end of a daemon may be unheard at the edges before the step goes on without it.
const UNHEARD: Duration = Duration::from_millis(500);

impl Lab {
    /// Ends the BGP of a router, which is back later, or at once.
    pub(super) async fn restart(&mut self, restart: &Restart) -> Result<Acted, LabError> {
        let Restart {
            router,
            graceful,
            takes,
        } = restart;
        let told = self.recorder.clock().now();
        if let Some(handle) = self.routers.get(router) {
            handle.halt(*graceful);
        } else if *graceful || !self.devices.has(router) {
            let why = format!("what {router} keeps over a restart is its own configuration's");
            return Ok(Acted::Impossible(why));
        } else {
            self.devices.stop(router).await;
        }
        self.recorder.now(Fact::ControlPlane {
            router: router.clone(),
            up: false,
            graceful: *graceful,
        });
        let now = self.recorder.clock().now();
        self.restarting
            .insert(router.clone(), (now + *takes, *graceful));
        let acted = self.missed(router, told).await;
        self.come_back(now)?;
        Ok(acted)
    }

    /// Waits until the simulated neighbours of a router have heard from its kernel that its BGP is gone, but not long for one that
    /// hears nothing, and says when the last of them lost it.
    async fn missed(&self, router: &str, told: At) -> Acted {
        // All are asked, and their time begins, before one is waited for.
        let losses: Vec<_> = self
            .neighbours(router)
            .map(|(neighbour, session)| timeout(UNHEARD, neighbour.lost(session, told)))
            .collect();
        let mut last = told;
        for loss in losses {
            last = last.max(loss.await.ok().flatten().unwrap_or(told));
        }
        Acted::DoneAt(last)
    }

    /// The simulated routers at the other ends of a router's connections, with their sessions there.
    fn neighbours(&self, router: &str) -> impl Iterator<Item = (&RouterHandle, SessionIndex)> {
        self.layout.connections.iter().flat_map(move |connection| {
            let (edge, peer) = (&connection.edge.router, &connection.peer.router);
            let far = match () {
                () if peer == router => self.routers.get(edge),
                () if edge == router => self.routers.get(peer),
                () => None,
            };
            let name = |family| session_name(&connection.name, family);
            let sessions = Family::ALL.into_iter().map(name);
            sessions.filter_map(move |name| Some((far?, far?.session(&name)?)))
        })
    }

    /// Begins the BGP of routers whose time has come.
    pub(super) fn come_back(&mut self, now: At) -> Result<(), LabError> {
        let due = self
            .restarting
            .extract_if(.., |_, (until, _)| *until <= now);
        let due: Vec<(String, (At, bool))> = due.collect();
        for (router, (_, graceful)) in due {
            match (self.routers.get(&router), graceful) {
                (Some(handle), true) => handle.restart(Families::ALL),
                (Some(handle), false) => handle.boot(),
                (None, _) => self.devices.boot(&router)?,
            }
            self.recorder.now(Fact::ControlPlane {
                router,
                up: true,
                graceful,
            });
        }
        Ok(())
    }
}
