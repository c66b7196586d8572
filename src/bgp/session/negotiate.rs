//! What we announce, what we refuse (RFC 4271, section 6.2), and what follows from two OPENs.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Graceful, Negotiated, Session};
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{Capabilities, Open, Role};
use crate::bgp::notification::Notification;

/// Why an OPEN is refused.
pub(super) struct Refusal {
    pub notification: Notification,
    /// For our people.
    pub detail: String,
}

impl Session {
    fn is_internal(&self) -> bool {
        self.config.asn == self.config.peer_asn
    }

    /// The capabilities of our OPEN.
    pub(super) fn announced(&self) -> Capabilities {
        let mut announced = self.config.capabilities.clone();
        if let Some(graceful) = &mut announced.graceful_restart {
            let restarting = self.restarting.filter(|r| r.until > self.now);
            graceful.restarting = restarting.is_some();
            if let Some(restarting) = restarting {
                graceful.preserved = restarting.preserved;
            }
        }
        if self.is_internal() {
            // RFC 9234, section 4: roles are of external sessions.
            announced.role = None;
        }
        self.omitted.strip(&mut announced);
        announced
    }

    /// Section 6.2, RFC 6286 for the identifier, RFC 5492 for families, RFC 9234 for roles.
    pub(super) fn examine(&self, open: &Open) -> Result<(), Refusal> {
        let refuse = |subcode: u8, detail: String| {
            Err(Refusal {
                notification: Notification::new(2, subcode),
                detail,
            })
        };
        let config = &self.config;
        if open.asn != config.peer_asn {
            let (theirs, wanted) = (open.asn, config.peer_asn);
            return refuse(
                2,
                format!("the peer is AS {theirs}, expected is AS {wanted}"),
            );
        }
        if open.id == Ipv4Addr::UNSPECIFIED {
            return refuse(3, "the peer has 0.0.0.0".to_owned());
        }
        if self.is_internal() && open.id == config.id {
            return refuse(3, format!("the peer has ours, {}", open.id));
        }
        let proposed = Duration::from_secs(open.hold_time.into());
        let least = config.options.minimum_hold;
        if matches!(open.hold_time, 1 | 2) || proposed.min(config.timers.hold) < least {
            let least = least.as_secs().max(3);
            let detail = format!("the peer proposes {proposed:?}, the least is {least} s");
            return refuse(6, detail);
        }
        self.examine_families(open)?;
        self.examine_role(&open.capabilities)
    }

    fn examine_families(&self, open: &Open) -> Result<(), Refusal> {
        let ours = self.config.capabilities.families;
        let required = self.config.options.required_families;
        let common = ours.and(open.capabilities.families);
        let lacks = |wanted: Families| -> Vec<Family> {
            wanted.iter().filter(|&f| !common.contains(f)).collect()
        };
        let mut missing = lacks(required);
        if missing.is_empty() && common.is_empty() {
            missing = lacks(ours);
        }
        if missing.is_empty() {
            return Ok(());
        }
        // RFC 5492, section 5: the data are the capabilities that are missed.
        let data = missing.iter().flat_map(|family| {
            let [high, low] = family.afi().to_be_bytes();
            [1, 4, high, low, 0, family.safi()]
        });
        let names: Vec<String> = missing.iter().map(Family::to_string).collect();
        Err(Refusal {
            notification: Notification {
                data: data.collect(),
                ..Notification::new(2, 7)
            },
            detail: format!("the peer lacks {}", names.join(" and ")),
        })
    }

    fn examine_role(&self, theirs: &Capabilities) -> Result<(), Refusal> {
        let Some(ours) = self
            .config
            .capabilities
            .role
            .filter(|_| !self.is_internal())
        else {
            return Ok(());
        };
        let detail = match theirs.role {
            _ if theirs.unfit_role => {
                format!("we are {ours:?}, and the peer has a role without a meaning")
            }
            Some(theirs) if theirs == counterpart(ours) => return Ok(()),
            None if !self.config.options.require_role => return Ok(()),
            Some(theirs) => format!("we are {ours:?}, and the peer is {theirs:?}"),
            None => format!("we are {ours:?}, and the peer does not say what it is"),
        };
        Err(Refusal {
            notification: Notification::new(2, 11),
            detail,
        })
    }

    pub(super) fn negotiate(&self, open: Open) -> Negotiated {
        let hold = self.config.timers.hold.as_secs().min(open.hold_time.into());
        let ours = self.announced();
        let theirs = open.capabilities;
        let mut reads = ours.clone();
        if reads.families.is_empty() {
            // As what we announced is read (RFC 4760, section 8).
            reads.families = Families::IPV4;
        }
        let dialect = reads.dialect(&theirs, self.is_internal());
        let both = ours.graceful_restart.zip(theirs.graceful_restart);
        let notification =
            both.is_some_and(|(ours, theirs)| ours.notification && theirs.notification);
        let graceful = both.and_then(|(_, theirs)| {
            let families = theirs.families.and(dialect.families);
            (!families.is_empty()).then(|| Graceful {
                families,
                time: Duration::from_secs(theirs.time.into()),
                again: notification,
            })
        });
        Negotiated {
            peer_asn: open.asn,
            peer_id: open.id,
            hold: (hold > 0).then(|| Duration::from_secs(hold)),
            dialect,
            graceful,
            graceful_notification: graceful.is_some() && notification,
            capabilities: theirs,
        }
    }
}

/// RFC 9234, section 4.2: the only role the other end may have.
fn counterpart(role: Role) -> Role {
    match role {
        Role::Provider => Role::Customer,
        Role::Customer => Role::Provider,
        Role::RouteServer => Role::RouteServerClient,
        Role::RouteServerClient => Role::RouteServer,
        Role::Peer => Role::Peer,
    }
}

/// Whether capabilities are left out, because the neighbour refused an OPEN for them. Remembered until the session is
/// started again.
#[derive(Debug, Clone, Default)]
pub(super) struct Omitted {
    all: bool,
}

impl Omitted {
    pub(super) fn forget(&mut self) {
        *self = Omitted::default();
    }

    /// RFC 5492, section 3: who does not know optional parameters is spoken to without. An IPv6 session cannot do
    /// without, so nothing is left out there, nor with IPv4 routes over IPv6 next hops. Unsupported Capability (2/7) is no
    /// such refusal: it names what we lack.
    pub(super) fn learn(&mut self, notification: &Notification, announced: &Capabilities) {
        if announced.extended_next_hop || !announced.families.contains(Family::Ipv4Unicast) {
            return;
        }
        self.all |= (notification.code, notification.subcode) == (2, 4);
    }

    /// Takes them out of what is announced.
    fn strip(&self, announced: &mut Capabilities) {
        if self.all {
            *announced = Capabilities::none();
        }
    }
}

/// What a neighbour misses (RFC 5492, section 5), by the names of their capabilities as far as we know them; empty when it
/// does not say.
pub(super) fn missed(notification: &Notification) -> String {
    if (notification.code, notification.subcode) != (2, 7) {
        return String::new();
    }
    let mut names: Vec<String> = Vec::new();
    let mut rest = &notification.data[..];
    while let [code, length, value @ ..] = rest {
        let own = value.get(..usize::from(*length)).unwrap_or_default();
        let name = match (code, own) {
            (1, [high, low, _, safi, ..]) => {
                Family::from_codes(u16::from_be_bytes([*high, *low]), *safi)
                    .map_or_else(|| "a family".to_owned(), |family| family.to_string())
            }
            (2, _) => "route refresh".to_owned(),
            (5, _) => "extended next hop".to_owned(),
            (6, _) => "extended messages".to_owned(),
            (9, _) => "a role".to_owned(),
            (64, _) => "graceful restart".to_owned(),
            (65, _) => "four-octet AS numbers".to_owned(),
            (69, _) => "several paths".to_owned(),
            (70, _) => "enhanced route refresh".to_owned(),
            (code, _) => format!("capability {code}"),
        };
        if !names.contains(&name) {
            names.push(name);
        }
        rest = value.get(usize::from(*length)..).unwrap_or_default();
    }
    if names.is_empty() {
        return String::new();
    }
    format!(": we lack {}", names.join(" and "))
}
