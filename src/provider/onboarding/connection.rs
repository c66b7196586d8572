//! One connection: its `connectionState`, its `bgpSession`, and what Microsoft's port and router do for it.

use super::state::{ConnectionState, Input, SessionState};
use super::{Mail, Output};
use crate::provider::observed;
use crate::record::Fact;
use crate::topology;

/// A connection of a topology, requested or not.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) metro: String,
    pub(super) bandwidth_mbps: u32,
    pub(super) addresses: topology::SessionAddresses,
    pub(super) state: ConnectionState,
    /// `errorMessage`; empty when there is none.
    pub(super) error: String,
    pub(super) session: Session,
    /// It supports Peering Service: the flag is on, and its SKU is a premium one (V-17).
    pub(super) peering_service: bool,
    /// The peer wired it. From then on Microsoft's port has light.
    pub(super) cabled: bool,
    /// Its type is being converted, even while that has failed.
    pub(super) converting: bool,
    /// It is being deprovisioned.
    pub(super) removing: bool,
    /// Every human part is done as soon as it can be, until it is active.
    pub(super) unattended: bool,
    link: Link,
    told: Told,
}

/// The `bgpSession` object of a connection, and Microsoft's configuration for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// No addresses are allocated: there is no such object.
    Absent,
    /// Addresses are allocated.
    PendingAdd,
    /// Microsoft's router runs BGP and BFD.
    Configured,
    /// Microsoft's router keeps it down: a failure, or the hard restart of a conversion (BGP-06).
    Stopped,
}

/// What is observed of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    lag: bool,
    bfd: bool,
    bgp: SessionState,
}

impl Link {
    const DOWN: Link = Link {
        lag: false,
        bfd: false,
        bgp: SessionState::Idle,
    };

    fn is_up(self) -> bool {
        self.lag && self.bfd && self.bgp == SessionState::Established
    }
}

/// What was said of a connection last, so that only changes are said.
#[derive(Debug, Clone, Default)]
struct Told {
    fact: Option<(ConnectionState, SessionState, String)>,
    lit: bool,
    run: bool,
}

impl Connection {
    /// Not requested, its port dark.
    pub(super) fn new(of: &topology::Connection) -> Connection {
        Connection {
            name: of.name.clone(),
            metro: of.metro.clone(),
            bandwidth_mbps: of.bandwidth_mbps,
            addresses: of.addresses,
            state: ConnectionState::None,
            error: String::new(),
            session: Session::Absent,
            peering_service: true,
            cabled: false,
            converting: false,
            removing: false,
            unattended: false,
            link: Link::DOWN,
            told: Told::default(),
        }
    }

    /// Active since before the run: port and session need no telling.
    pub(super) fn onboarded(of: &topology::Connection) -> Connection {
        Connection {
            state: ConnectionState::Active,
            session: Session::Configured,
            peering_service: true,
            cabled: true,
            told: Told {
                fact: None,
                lit: true,
                run: true,
            },
            ..Connection::new(of)
        }
    }

    /// `sessionStateV4`: what the edge observes, but where Azure has a state of its own.
    pub(super) fn session_state(&self) -> SessionState {
        match self.session {
            Session::Absent => SessionState::None,
            _ if self.removing => SessionState::PendingRemove,
            Session::PendingAdd => SessionState::PendingAdd,
            Session::Configured | Session::Stopped => self.link.bgp,
        }
    }

    /// Part of a peering.
    pub(super) fn exists(&self) -> bool {
        self.state != ConnectionState::None
    }

    /// LAG, BFD and BGP are observed to be up.
    pub(super) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// What of the path to an exchange of routes is not observed.
    pub(super) fn what_is_down(&self) -> &'static str {
        match self.link {
            Link { lag: false, .. } => "its LAG does not run",
            Link { bfd: false, .. } => "BFD is not up",
            Link { bgp, .. } if bgp != SessionState::Established => "BGP is not established",
            Link { .. } => "nothing",
        }
    }

    /// Takes in what was observed, and says in words what is new.
    pub(super) fn observe(&mut self, seen: &observed::Connection) -> Option<String> {
        let before = self.link;
        self.link = Link {
            lag: seen.lag,
            bfd: seen.bfd,
            bgp: SessionState::observed(&seen.session),
        };
        let verb = |up, one: &str, other: &str| if up { one } else { other }.to_owned();
        if self.link.lag != before.lag {
            Some(verb(self.link.lag, "the LAG runs", "the LAG is down"))
        } else if self.link.bfd != before.bfd {
            Some(verb(self.link.bfd, "BFD is up", "BFD is down"))
        } else if self.link.bgp != before.bgp {
            Some(format!("BGP is {}", self.link.bgp))
        } else {
            None
        }
    }

    /// Moves on, if the input is one for its state. The only place where the state changes.
    pub(super) fn apply(&mut self, input: Input) -> bool {
        let Some(next) = self.state.next(input) else {
            return false;
        };
        if input == Input::Removing {
            self.removing = true;
            self.unattended = false;
        }
        if next == self.state {
            return true;
        }
        self.state = next;
        match next {
            ConnectionState::None => {
                self.error.clear();
                self.session = Session::Absent;
                self.cabled = false;
                self.converting = false;
                self.removing = false;
            }
            ConnectionState::PendingApproval => {
                self.error.clear();
                self.session = Session::Absent;
                self.converting = false;
            }
            ConnectionState::ProvisioningStarted => self.error.clear(),
            ConnectionState::ProvisioningFailed => {
                self.unattended = false;
                if self.session != Session::Absent {
                    self.session = Session::Stopped;
                }
            }
            ConnectionState::TypeChangeInProgress => {
                self.error.clear();
                self.converting = true;
                // The policy group changes with a hard restart (BGP-06).
                self.session = Session::Stopped;
            }
            ConnectionState::Active => {
                self.converting = false;
                self.unattended = false;
            }
            ConnectionState::Approved
            | ConnectionState::ProvisioningCompleted
            | ConnectionState::Validating
            | ConnectionState::TypeChangeRequested
            | ConnectionState::ExternalBlocker => {}
        }
        true
    }

    /// Fails with a message, if the input is one for its state.
    pub(super) fn fail(&mut self, input: Input, message: &str) -> bool {
        let failed = !self.removing && self.apply(input);
        if failed {
            self.error = message.to_owned();
        }
        failed
    }

    /// Does one thing that can be done now, and says why; `None` when it waits for somebody.
    pub(super) fn step(&mut self, out: &mut Vec<Output>) -> Option<&'static str> {
        if self.removing {
            return self.step_of_removal();
        }
        let session_is_down = self.link.bgp != SessionState::Established;
        match self.state {
            ConnectionState::ProvisioningStarted if !self.cabled && self.unattended => {
                self.cabled = true;
                Some("wired as the letter of authorization says")
            }
            ConnectionState::ProvisioningStarted | ConnectionState::TypeChangeInProgress => {
                match self.session {
                    Session::Absent if self.cabled && self.link.lag && session_is_down => {
                        self.session = Session::PendingAdd;
                        out.push(
                            Mail::AddressesAllocated.about(&self.name, &self.addresses_text()),
                        );
                        Some("the LAG runs: session addresses are allocated")
                    }
                    Session::PendingAdd => {
                        self.session = Session::Configured;
                        Some("BGP and BFD are configured on Microsoft's side")
                    }
                    Session::Stopped if session_is_down => {
                        self.session = Session::Configured;
                        Some("BGP and BFD are configured again on Microsoft's side")
                    }
                    Session::Configured if self.is_up() => self.came_up(),
                    Session::Absent | Session::Configured | Session::Stopped => None,
                }
            }
            ConnectionState::ProvisioningCompleted if self.is_up() => self.came_up(),
            ConnectionState::Validating if !self.is_up() => {
                self.apply(Input::WentDown);
                Some(self.what_is_down())
            }
            ConnectionState::Validating if self.unattended => {
                self.apply(Input::Validated);
                Some("end-to-end validation passed")
            }
            ConnectionState::None
            | ConnectionState::PendingApproval
            | ConnectionState::Approved
            | ConnectionState::ProvisioningFailed
            | ConnectionState::ProvisioningCompleted
            | ConnectionState::Validating
            | ConnectionState::Active
            | ConnectionState::TypeChangeRequested
            | ConnectionState::ExternalBlocker => None,
        }
    }

    fn came_up(&mut self) -> Option<&'static str> {
        self.apply(Input::CameUp);
        Some(match self.state {
            ConnectionState::Active => "LAG, BFD and BGP are up again: converted",
            ConnectionState::Validating => "end-to-end validation begins",
            _ => "LAG, BFD and BGP are up, under deny-all",
        })
    }

    /// First the session goes, then the light, then the connection.
    fn step_of_removal(&mut self) -> Option<&'static str> {
        if self.session != Session::Absent && self.link.bgp == SessionState::Established {
            None
        } else if self.cabled {
            self.cabled = false;
            Some("the port is shut down")
        } else if self.link.lag {
            None
        } else {
            self.apply(Input::Removed);
            Some("removed")
        }
    }

    /// Says what has changed since it was last said.
    pub(super) fn tell(&mut self, why: &str, out: &mut Vec<Output>) {
        let now = (self.state, self.session_state(), self.error.clone());
        if self.told.fact.as_ref() != Some(&now) {
            out.push(Output::Fact(Fact::Connection {
                connection: self.name.clone(),
                state: now.0.to_string(),
                session_state: now.1.to_string(),
                error: now.2.clone(),
                why: why.to_owned(),
            }));
            self.told.fact = Some(now);
        }
        let run = self.session == Session::Configured && !self.removing;
        if std::mem::replace(&mut self.told.run, run) != run {
            out.push(Output::Session {
                connection: self.name.clone(),
                run,
            });
        }
        if std::mem::replace(&mut self.told.lit, self.cabled) != self.cabled {
            out.push(Output::Port {
                connection: self.name.clone(),
                lit: self.cabled,
            });
        }
    }

    fn addresses_text(&self) -> String {
        let topology::SessionAddresses {
            prefix_len,
            peer,
            microsoft,
        } = self.addresses;
        format!(
            "peer {peer}/{prefix_len}, Microsoft {microsoft}/{prefix_len}; configure BGP and BFD"
        )
    }
}
