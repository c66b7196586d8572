//! Graceful restart (RFC 4724, RFC 8538): which losses of a session let its routes outlive it, and our own restart.
//!
//! | loss | outlived |
//! |---|---|
//! | the connection is gone, or the neighbour connects anew | yes |
//! | hold timer, send hold timer, any NOTIFICATION sent or received | with the N bit of both, unless it is hard |
//! | BFD down | where BFD may have shared the fate of a restarting control plane, and the session is told to mind |
//! | interface down, crash | no |

use std::time::Duration;

use super::{Direction, Given, Graceful, Output, Session};
use crate::bgp::family::Families;
use crate::bgp::fsm::{Event, State};
use crate::bgp::notification::Notification;
use crate::time::At;

/// We have restarted, and OPENs say so until then: the R bit, and the F bit of these families.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restarting {
    pub preserved: Families,
    pub until: At,
}

impl Session {
    pub(super) fn restarted(&mut self, preserved: Families) {
        self.restarting = self
            .config
            .capabilities
            .graceful_restart
            .map(|ours| Restarting {
                preserved: preserved.and(ours.families),
                until: self.now,
            });
        self.begin_restart();
    }

    /// The time for which we tell of a restart begins when we are there to tell.
    pub(super) fn begin_restart(&mut self) {
        let ours = self.config.capabilities.graceful_restart;
        if let Some((restarting, ours)) = self.restarting.as_mut().zip(ours) {
            restarting.until = self.now + Duration::from_secs(ours.time.into());
        }
    }

    /// What is kept when a machine's session ends with this event; `None` also when it does not end.
    pub(super) fn outlives(
        &self,
        side: Direction,
        event: Event,
        given: &Given,
    ) -> Option<Graceful> {
        let machine = self.machine(side);
        if machine.state != State::Established {
            return None;
        }
        let negotiated = machine.negotiated.as_ref()?;
        let given_is =
            |hard: fn(&Notification) -> bool| given.notification.as_ref().is_some_and(hard);
        let notifying = negotiated.graceful_notification;
        let outlived = match event {
            Event::TcpConnectionFails | Event::PeerRestarts => true,
            Event::Notification | Event::NotificationVersionError => {
                notifying && !given_is(is_hard_reset)
            }
            Event::BfdDown => self.config.options.bfd_check_control_plane && given.fate_shared,
            Event::InterfaceDown | Event::Crash => false,
            _ => notifying && !given_is(is_meant_hard),
        };
        negotiated.graceful.filter(|_| outlived)
    }

    /// A NOTIFICATION after which nothing is kept says so (RFC 8538, section 3), to a neighbour that would keep
    /// routes otherwise.
    pub(super) fn made_hard(
        &self,
        side: Direction,
        notification: Notification,
        graceful: Option<Graceful>,
    ) -> Notification {
        let machine = self.machine(side);
        let would_keep = machine.state == State::Established
            && machine
                .negotiated
                .as_ref()
                .is_some_and(|n| n.graceful_notification);
        if would_keep && graceful.is_none() && !is_hard_reset(&notification) {
            Notification::hard_reset(&notification)
        } else {
            notification
        }
    }

    /// The neighbour's routes that were kept are void.
    pub(super) fn void_restart(&mut self, why: &str) {
        if self.restart_over.take().is_some() {
            self.outputs.push_back(Output::RestartOver {
                why: why.to_owned(),
            });
        }
    }
}

fn is_hard_reset(notification: &Notification) -> bool {
    (notification.code, notification.subcode) == (6, 9)
}

/// What ends a session for longer than a restart, so that RFC 8538, section 5.1, advises to send it as a hard reset. Out of
/// Resources (8) differs from its table: to keep the routes as stale would free nothing.
fn is_meant_hard(notification: &Notification) -> bool {
    matches!(
        (notification.code, notification.subcode),
        (6, 1 | 2 | 3 | 8 | 9)
    )
}
