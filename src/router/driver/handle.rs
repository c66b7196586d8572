//! How the lab speaks to a router that runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use super::tap::{Tap, Tapped};
use crate::bgp::family::Families;
use crate::bgp::policy::Policy;
use crate::kernel::nexthop::Fib;
use crate::router::{Originated, Router, SessionIndex, Sessions};
use crate::time::At;

/// A question about a router, answered between two of its inputs.
pub(super) type Question = Box<dyn FnOnce(&Router, &Fib) + Send>;

/// Who waits for the loss of a session.
pub(super) struct Loss {
    pub session: SessionIndex,
    /// Earlier ones do not count.
    pub since: At,
    pub heard: oneshot::Sender<At>,
}

/// What the lab tells a router.
pub(super) enum Event {
    Bfd {
        session: SessionIndex,
        up: bool,
        control_plane_independent: bool,
    },
    Interface {
        name: Arc<str>,
        up: bool,
    },
    Announce(Originated),
    Withdraw {
        prefix: IpNet,
        sessions: Sessions,
    },
    Unpin {
        prefix: IpNet,
        sessions: Sessions,
    },
    Policy {
        session: SessionIndex,
        import: Option<Arc<Policy>>,
        export: Option<Arc<Policy>>,
    },
    BfdDisabled {
        session: SessionIndex,
        disabled: bool,
    },
    Refresh(SessionIndex),
    StartSession(SessionIndex),
    Stop {
        session: SessionIndex,
        reason: String,
    },
    Reset {
        session: SessionIndex,
        reason: String,
    },
    GracefulShutdown {
        session: SessionIndex,
        after: Duration,
        reason: String,
    },
    Halt {
        forwarding: bool,
    },
    Restart {
        preserved: Families,
    },
    Crash,
    Boot,
    Inspect(Question),
    AwaitLoss(Loss),
    Tap(Tap),
    TellAnew(SessionIndex),
    Shutdown {
        reason: String,
        done: oneshot::Sender<()>,
    },
}

/// A running router. Cheap to clone, usable from any thread; never blocks. A router whose last handle is dropped ends at once.
#[derive(Clone)]
pub struct RouterHandle {
    name: Arc<str>,
    sessions: Arc<[String]>,
    events: mpsc::UnboundedSender<Event>,
}

impl fmt::Debug for RouterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterHandle")
            .field("name", &self.name)
            .finish()
    }
}

impl RouterHandle {
    pub(super) fn new(
        name: &str,
        sessions: Arc<[String]>,
    ) -> (RouterHandle, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let handle = RouterHandle {
            name: name.into(),
            sessions,
            events,
        };
        (handle, receiver)
    }

    /// The router's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its sessions, in the order of its configuration.
    pub fn sessions(&self) -> &[String] {
        &self.sessions
    }

    /// The session of a name.
    pub fn session(&self, name: &str) -> Option<SessionIndex> {
        let place = self.sessions.iter().position(|session| session == name)?;
        u16::try_from(place).ok().map(SessionIndex)
    }

    /// A session's BFD session went up, or went down having been up.
    pub fn bfd(&self, session: SessionIndex, up: bool) {
        self.tell(Event::Bfd {
            session,
            up,
            control_plane_independent: false,
        });
    }

    /// A session's BFD session went down, and it does not share fate with the neighbour's control plane (the C bit of
    /// RFC 5880): the path is dead, and the neighbour does not merely restart.
    pub fn bfd_path_lost(&self, session: SessionIndex) {
        self.tell(Event::Bfd {
            session,
            up: false,
            control_plane_independent: true,
        });
    }

    /// One end of a session's BFD session disabled it, which says nothing of the path (RFC 5882, section 4.2), or both
    /// enabled it again.
    pub fn bfd_disabled(&self, session: SessionIndex, disabled: bool) {
        self.tell(Event::BfdDisabled { session, disabled });
    }

    /// An interface gained or lost carrier.
    pub fn interface(&self, name: &str, up: bool) {
        self.tell(Event::Interface {
            name: name.into(),
            up,
        });
    }

    /// Originates a route, or gives it other attributes.
    pub fn announce(&self, route: Originated) {
        self.tell(Event::Announce(route));
    }

    /// Announces a prefix no longer.
    pub fn withdraw(&self, prefix: IpNet, sessions: Sessions) {
        self.tell(Event::Withdraw { prefix, sessions });
    }

    /// Takes back [`RouterHandle::announce`] and [`RouterHandle::withdraw`] for a prefix.
    pub fn unpin(&self, prefix: IpNet, sessions: Sessions) {
        self.tell(Event::Unpin { prefix, sessions });
    }

    /// Gives a session other policies; `None` keeps one. Takes effect at once, without a reset.
    pub fn set_policy(
        &self,
        session: SessionIndex,
        import: Option<Arc<Policy>>,
        export: Option<Arc<Policy>>,
    ) {
        self.tell(Event::Policy {
            session,
            import,
            export,
        });
    }

    /// Asks a neighbour for its routes again.
    pub fn request_refresh(&self, session: SessionIndex) {
        self.tell(Event::Refresh(session));
    }

    /// Starts a session that was stopped, or began so.
    pub fn start_session(&self, session: SessionIndex) {
        self.tell(Event::StartSession(session));
    }

    /// Shuts a session down by hand, with words for the neighbour. It stays so when the router crashes and boots.
    pub fn stop_session(&self, session: SessionIndex, reason: &str) {
        self.tell(Event::Stop {
            session,
            reason: reason.to_owned(),
        });
    }

    /// Resets a session by hand, with words for the neighbour. It comes back at once.
    pub fn reset_session(&self, session: SessionIndex, reason: &str) {
        self.tell(Event::Reset {
            session,
            reason: reason.to_owned(),
        });
    }

    /// Takes a session out of use with GRACEFUL_SHUTDOWN (RFC 8326), and shuts it down after some time.
    pub fn graceful_shutdown(&self, session: SessionIndex, after: Duration, reason: &str) {
        self.tell(Event::GracefulShutdown {
            session,
            after,
            reason: reason.to_owned(),
        });
    }

    /// The router's BGP ends as a process that is killed, until [`RouterHandle::restart`] where the kernel goes on
    /// forwarding meanwhile, else until [`RouterHandle::boot`].
    pub fn halt(&self, forwarding: bool) {
        self.tell(Event::Halt { forwarding });
    }

    /// The router's BGP restarts while the kernel goes on forwarding in some families (RFC 4724).
    pub fn restart(&self, preserved: Families) {
        self.tell(Event::Restart { preserved });
    }

    /// The router dies: nothing more is sent, no connection is closed in an orderly way, its kernel routes go.
    pub fn crash(&self) {
        self.tell(Event::Crash);
    }

    /// The router boots after [`RouterHandle::crash`].
    pub fn boot(&self) {
        self.tell(Event::Boot);
    }

    /// Looks at the router and its kernel routes between two inputs, after what it was told before; `None` when it has ended.
    /// It is asked now, however late the answer is waited for.
    pub fn inspect<T, Q>(&self, question: Q) -> impl Future<Output = Option<T>> + use<T, Q>
    where
        T: Send + 'static,
        Q: FnOnce(&Router, &Fib) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.tell(Event::Inspect(Box::new(move |router, fib| {
            let _ = answer.send(question(router, fib));
        })));
        async move { answered.await.ok() }
    }

    /// Waits until a session is lost, and says when that was. It does not wait where the session is not up: `None` if that is no loss
    /// since the moment given, or if the router ends. It is asked now, however late the answer is waited for.
    pub fn lost(
        &self,
        session: SessionIndex,
        since: At,
    ) -> impl Future<Output = Option<At>> + use<> {
        let (heard, answer) = oneshot::channel();
        self.tell(Event::AwaitLoss(Loss {
            session,
            since,
            heard,
        }));
        async move { answer.await.ok() }
    }

    /// Tells what is observed on its monitored sessions from now on, under this number.
    pub fn tap(&self, router: usize, taps: mpsc::UnboundedSender<Tapped>) {
        self.tell(Event::Tap(Tap::new(router, taps)));
    }

    /// Tells the table of a monitored session anew, of which something was left out ([`Tapped::wants_anew`]).
    pub fn tell_anew(&self, session: SessionIndex) {
        self.tell(Event::TellAnew(session));
    }

    /// Shuts all sessions down, removes all kernel routes, and ends. Returns when that is done, at most about a second later.
    pub async fn shutdown(&self, reason: &str) {
        let (done, ended) = oneshot::channel();
        self.tell(Event::Shutdown {
            reason: reason.to_owned(),
            done,
        });
        let _ = ended.await;
    }

    /// To a router that has ended, this says nothing.
    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}
