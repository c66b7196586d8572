//! A router's BGP restarts, gracefully or not, while its links and BFD stay.

use super::{Acted, Lab, LabError};
use crate::bgp::family::Families;
use crate::record::Fact;
use crate::scenario::Restart;
use crate::time::At;

impl Lab {
    /// Ends the BGP of a router, which is back later, or at once.
    pub(super) fn restart(&mut self, restart: &Restart) -> Result<Acted, LabError> {
        let Restart {
            router,
            graceful,
            takes,
        } = restart;
        let Some(handle) = self.routers.get(router) else {
            let why = format!("{router} is no simulated router");
            return Ok(Acted::Impossible(why));
        };
        handle.halt(*graceful);
        self.recorder.now(Fact::ControlPlane {
            router: router.clone(),
            up: false,
            graceful: *graceful,
        });
        let now = self.recorder.clock().now();
        self.restarting
            .insert(router.clone(), (now + *takes, *graceful));
        self.come_back(now);
        Ok(Acted::Done)
    }

    /// Begins the BGP of routers whose time has come.
    pub(super) fn come_back(&mut self, now: At) {
        let due = self
            .restarting
            .extract_if(.., |_, (until, _)| *until <= now);
        for (router, (_, graceful)) in due {
            let Some(handle) = self.routers.get(&router) else {
                continue;
            };
            match graceful {
                true => handle.restart(Families::ALL),
                false => handle.boot(),
            }
            self.recorder.now(Fact::ControlPlane {
                router,
                up: true,
                graceful,
            });
        }
    }
}
