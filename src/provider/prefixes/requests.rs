//! What people ask: create, delete, validate again. What is not done is told with its reason.

use ipnet::Ipv4Net;

use super::asns::origin;
use super::ground::Ground;
use super::object::{Object, Parent, ValidationState};
use super::reason::{Kind, Reason};
use super::{Prefixes, gates, key, key_of_asn};
use crate::provider::reason::NOT_IN_THIS_PROFILE;
use crate::provider::request::{Key, Request};
use crate::record::{Fact, Failure};
use crate::time::At;
use crate::topology::Registers;

impl Prefixes {
    /// Does what is asked, if it is about prefixes.
    pub fn request(&mut self, now: At, ground: &Ground<'_>, request: &Request) {
        match request {
            Request::Register { prefix, .. }
                if ground.topology.profile.registers == Registers::Asns =>
            {
                let why =
                    "AS numbers are registered with a peering of this profile, and not prefixes";
                self.refused(prefix, NOT_IN_THIS_PROFILE, why);
            }
            Request::RegisterAsn { asn, peering } => {
                let peering = peering.clone().unwrap_or_else(|| default_peering(ground));
                self.register_asn(now, ground, *asn, &peering);
            }
            Request::UnregisterAsn { asn } => self.unregister_asn(now, ground, *asn),
            Request::Register { prefix, peering } => {
                let peering = peering.clone().unwrap_or_else(|| default_peering(ground));
                self.register(now, ground, prefix, peering);
            }
            Request::Activate {
                prefix,
                service,
                key,
                provider,
            } => {
                let first = ground
                    .topology
                    .services
                    .first()
                    .map(|service| service.name.as_str());
                match service
                    .as_deref()
                    .or(first)
                    .filter(|name| ground.service(name).is_some())
                {
                    Some(service) => {
                        self.activate(now, ground, prefix, service, key, provider.as_deref())
                    }
                    None => self.refused(
                        prefix,
                        "no-such-service",
                        "there is no such Peering Service resource",
                    ),
                }
            }
            Request::Unregister { prefix } => self.delete(now, ground, Kind::Registered, prefix),
            Request::Deactivate { prefix } => self.delete(now, ground, Kind::Service, prefix),
            Request::Validate { prefix } => self.validate(now, ground, prefix),
            Request::Everything
            | Request::PeerAsn(_)
            | Request::Peering { .. }
            | Request::Connections { .. }
            | Request::Health(_) => {}
        }
    }

    fn register(&mut self, now: At, ground: &Ground<'_>, text: &str, peering: String) {
        let same = self.registered_prefix(text);
        let gate = gates::Registration {
            text,
            peering: &peering,
            registered_with: same.map(Object::parent),
        };
        let exists = same.is_some();
        let parent = Parent::Peering {
            peering: peering.clone(),
        };
        match gates::register(ground, gate) {
            Ok(prefix) => {
                let mut object = Object::new(text, Some(prefix), parent);
                object.key = ground.policy.key_on_create.then(|| key(prefix));
                self.create(now, ground, object);
                self.registration_changed(now, ground, prefix);
            }
            Err(failures) => self.refuse(text, parent, failures, exists),
        }
    }

    fn activate(
        &mut self,
        now: At,
        ground: &Ground<'_>,
        text: &str,
        service: &str,
        given: &Key,
        chosen: Option<&str>,
    ) {
        let prefix = gates::prefix(text);
        let key = match (given, &prefix) {
            (Key::Given(key), _) => key.clone(),
            (Key::OfAsn(asn), _) => key_of_asn(*asn),
            (Key::Right, Ok(prefix)) => match ground.topology.profile.registers {
                Registers::Prefixes => key(*prefix),
                Registers::Asns => key_of_asn(origin(ground, *prefix)),
            },
            (Key::OfAnother, Ok(prefix)) => match ground.topology.profile.registers {
                Registers::Prefixes => self.key_of_another(*prefix),
                Registers::Asns => self.key_of_another_asn(origin(ground, *prefix)),
            },
            (Key::Right | Key::OfAnother, Err(_)) => String::new(),
        };
        let provider = provider(ground, service, chosen);
        let parent = Parent::Service {
            service: service.to_owned(),
            provider,
            key,
        };
        let exists = self
            .services()
            .any(|other| other.text == text && other.parent() == service);
        if exists {
            let failure = gates::activated_already(text, service);
            return self.refuse(text, parent, vec![failure], true);
        }
        match prefix {
            Ok(prefix) => self.create(now, ground, Object::new(text, Some(prefix), parent)),
            // PS-E3: it exists, and can only be deleted.
            Err(wrong) => {
                let failures = vec![wrong.failure(Kind::Service, text)];
                let object = Object::refused(text, parent, ValidationState::Invalid, failures);
                self.facts.push_back(object.fact());
                self.insert(object);
            }
        }
    }

    fn delete(&mut self, now: At, ground: &Ground<'_>, kind: Kind, text: &str) {
        let ids = self.those(|object| object.kind() == kind && object.text == text);
        if ids.is_empty() {
            return self.refused(text, "no-such-prefix", "there is no such prefix to delete");
        }
        for id in ids {
            self.remove(now, ground, id);
        }
    }

    fn validate(&mut self, now: At, ground: &Ground<'_>, text: &str) {
        let ids = self.those(|object| object.kind() == Kind::Registered && object.text == text);
        if ids.is_empty() {
            self.refused(
                text,
                "no-such-prefix",
                "there is no such registered prefix to validate",
            );
        }
        self.mark_all(now, ground, ids);
    }

    /// An object that is not created, told; one that exists is never overwritten.
    fn refuse(&mut self, text: &str, parent: Parent, failures: Vec<Failure>, exists: bool) {
        let Some(first) = failures.first() else {
            return;
        };
        let (reason, why) = (first.reason.clone(), first.text.clone());
        if !exists {
            let state = match Reason::of(&reason) {
                Some(Reason::NotIpv4Prefix | Reason::HostBitsSet) => ValidationState::Invalid,
                _ => ValidationState::None,
            };
            self.facts
                .push_back(Object::refused(text, parent, state, failures).fact());
        }
        self.refused(text, &reason, &why);
    }

    pub(super) fn refused(&mut self, subject: &str, reason: &str, why: &str) {
        self.facts.push_back(Fact::Event {
            event: "RequestRefused".to_owned(),
            level: "Error".to_owned(),
            subject: subject.to_owned(),
            summary: reason.to_owned(),
            description: why.to_owned(),
        });
    }

    /// A key that is not a prefix's: another one's, if there is any.
    fn key_of_another(&self, prefix: Ipv4Net) -> String {
        let mut others = self
            .registered()
            .filter(|other| other.prefix != Some(prefix));
        let issued = others.find_map(|other| other.key.clone());
        // That of the whole address space, which nobody registers.
        issued.unwrap_or_else(|| key(Ipv4Net::default()))
    }

    fn registered_prefix(&self, text: &str) -> Option<&Object> {
        let prefix = gates::prefix(text).ok()?;
        let mut ids = self.index.get(&prefix)?.iter();
        ids.find_map(|id| {
            self.objects
                .get(id)
                .filter(|object| object.kind() == Kind::Registered)
        })
    }
}

/// The parent peering of a registered prefix when none is named: the first service's primary location, else the first metro.
fn default_peering(ground: &Ground<'_>) -> String {
    let service = ground
        .topology
        .services
        .first()
        .map(|service| &service.primary);
    let metro = || ground.topology.metros.first().map(|metro| &metro.name);
    service.or_else(metro).cloned().unwrap_or_default()
}

/// The provider of an activation: the one chosen, else that of the service, else the peer.
pub(super) fn provider(ground: &Ground<'_>, service: &str, chosen: Option<&str>) -> String {
    let own = || {
        ground
            .service(service)
            .and_then(|service| service.provider.as_deref())
    };
    let provider = chosen.or_else(own).unwrap_or(&ground.topology.peer.name);
    provider.to_owned()
}
