//! A router's BGP restarts, gracefully or not, while its links and BFD stay. Of a router that a daemon plays, all processes end
//! at once, BFD's among them, and begin anew with the same configuration.

use super::{Acted, Lab, LabError};
use crate::bgp::family::Families;
use crate::record::Fact;
use crate::scenario::Restart;
use crate::time::At;

impl Lab {
    /// Ends the BGP of a router, which is back later, or at once.
    pub(super) async fn restart(&mut self, restart: &Restart) -> Result<Acted, LabError> {
        let Restart {
            router,
            graceful,
            takes,
        } = restart;
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
        self.come_back(now)?;
        Ok(Acted::Done)
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
