//! What a router holds for one of its sessions.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::config::{OriginatedAttributes, RouterConfig, Scope, SessionIndex, SessionSpec};
use super::export::Relation;
use super::faulty::Faulty;
use super::limits::Brought;
use super::table::Table;
use super::telling::Telling;
use crate::bgp::attributes::Attributes;
use crate::bgp::family::{ByFamily, Families};
use crate::bgp::message::malformed::Malformation;
use crate::bgp::rib::AdjRibOut;
use crate::bgp::rib::numbers::{Number, Numbered};
use crate::bgp::session::{Session, SessionConfig};
use crate::time::At;

/// One session of a router, with its tables.
#[derive(Debug)]
pub(super) struct Peer {
    pub index: SessionIndex,
    pub spec: SessionSpec,
    pub session: Session,
    rng: StdRng,
    pub rib_out: AdjRibOut,
    /// Routes originated or withheld on this session, whatever routing says.
    pub pins: Numbered<Option<Pin>>,
    pub interface: Arc<str>,
    /// The link has carrier.
    pub link: bool,
    /// Our link-local address there.
    pub link_local: Option<Ipv6Addr>,
    pub subnet: IpNet,
    /// iBGP.
    pub internal: bool,
    /// What is wrong with the next UPDATEs that tell of these prefixes.
    pub malformed: Vec<(Number, &'static Malformation)>,
    /// Shut down by hand; outlives a crash, as a configuration does.
    pub stopped: bool,
    /// The session is established.
    pub up: bool,
    /// What is exchanged, while established.
    pub families: Families,
    /// Families in which the neighbour sends several paths of a prefix (RFC 7911).
    pub add_path: Families,
    /// Families whose routes are being sent again, with a mark at the end (RFC 7313).
    pub refreshing: Families,
    /// How many of its routes outlived its loss, as it was told last.
    pub stale: u32,
    /// Those whose refresh waits for the End-of-RIB marker of the first time.
    pub refresh_later: Families,
    /// The neighbour announced the graceful restart capability, and so sends End-of-RIB markers.
    pub restarts: bool,
    /// Families whose marker came.
    pub ended_ribs: Families,
    /// Families of which the neighbour sends everything again, up to a mark (RFC 7313).
    pub refreshed: Families,
    /// When what is stale goes at the latest.
    pub stale_until: ByFamily<Option<At>>,
    /// The routes are about to go: when the session is to be shut down, and with which words (RFC 8326).
    pub draining: Option<(At, String)>,
    /// Nothing is announced before (RFC 4271, section 9.2.1.1).
    pub advertise_at: Option<At>,
    /// What was last told of the number of its routes.
    pub brought: ByFamily<Brought>,
    /// The session is being ended for what it brought: nothing more is taken from it.
    pub ended: bool,
    /// The numbers of routes received and advertised that were recorded last.
    pub counted: (u32, u32),
    /// What is told of its single routes.
    pub telling: Telling,
    /// What was malformed of what it brought.
    pub faulty: Faulty,
}

/// What is announced for a prefix on a session, whatever routing says.
#[derive(Debug, Clone)]
pub(super) enum Pin {
    /// This route of our own, before the own AS and NEXT_HOP are added.
    Announced(Arc<Attributes>),
    /// Nothing.
    Withdrawn,
}

impl Peer {
    pub fn new(index: SessionIndex, spec: SessionSpec, config: &RouterConfig, seed: u64) -> Peer {
        // Sessions of one router must not move in step.
        let seed = seed ^ (u64::from(index.0) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let session = Session::new(SessionConfig {
            asn: config.asn,
            id: config.router_id,
            peer_asn: spec.peer_asn,
            passive: spec.passive,
            use_bfd: spec.use_bfd,
            bfd_strict: spec.bfd_strict,
            wait_for_bfd: spec.wait_for_bfd,
            capabilities: spec.capabilities.clone(),
            timers: spec.timers,
            options: spec.options,
            seed,
        });
        let subnet = IpNet::new(spec.local, spec.prefix_len)
            .unwrap_or_else(|_| IpNet::from(spec.local))
            .trunc();
        Peer {
            index,
            interface: spec.interface.as_str().into(),
            link: true,
            link_local: None,
            subnet,
            internal: spec.peer_asn == config.asn,
            stopped: spec.start_stopped,
            session,
            spec,
            rng: StdRng::seed_from_u64(!seed),
            rib_out: AdjRibOut::default(),
            pins: Numbered::default(),
            malformed: Vec::new(),
            up: false,
            families: Families::NONE,
            add_path: Families::NONE,
            refreshing: Families::NONE,
            stale: 0,
            refresh_later: Families::NONE,
            restarts: false,
            ended_ribs: Families::NONE,
            refreshed: Families::NONE,
            stale_until: ByFamily::default(),
            draining: None,
            advertise_at: None,
            brought: ByFamily::default(),
            ended: false,
            counted: (0, 0),
            telling: Telling::default(),
            faulty: Faulty::default(),
        }
    }

    /// What the neighbour is to the router.
    pub fn relation(&self) -> Relation {
        Relation {
            internal: self.internal,
            client: self.internal && self.spec.reflector_client,
        }
    }

    /// Everything that may be announced is to be looked at.
    pub fn queue_all(&mut self, table: &Table) {
        for (number, pin) in self.pins.iter() {
            if pin.is_some() {
                self.rib_out.queue(number);
            }
        }
        if self.spec.scope == Scope::All {
            for number in table.all() {
                self.offer(number, table);
            }
        }
    }

    /// Another route may be the one to announce for a prefix.
    pub fn offer(&mut self, number: Number, table: &Table) {
        if !self.up || self.spec.scope != Scope::All || !self.families.contains(number.family()) {
            return;
        }
        // What came from the neighbour does not go back, and there is nothing to take back: the usual case.
        let best = table.best(number);
        let several = self.rib_out.several().contains(number.family());
        let from_others = best.is_some_and(|path| several || path.session != self.index);
        if from_others || self.rib_out.knows(number) {
            self.rib_out.queue(number);
        }
    }

    /// The session is lost, or begins.
    pub fn reset(&mut self, add_path_send: Families) {
        self.rib_out.clear(add_path_send);
        self.refreshing = Families::NONE;
        self.refresh_later = Families::NONE;
        self.ended_ribs = Families::NONE;
        self.refreshed = Families::NONE;
        self.advertise_at = None;
        self.brought = ByFamily::default();
        self.ended = false;
        self.telling.forget();
        self.faulty.forget();
    }

    /// When announcing is allowed again after something was announced now.
    pub fn next_advertisement(&mut self, now: At) -> Option<At> {
        let interval = self.spec.advertisement_interval;
        // Section 10: 75 to 100 % of the time.
        let share = self.rng.random_range(0.75..=1.0);
        (!interval.is_zero()).then(|| now + interval.mul_f64(share))
    }

    /// When it is to be looked at again for what it announces.
    pub fn deadline(&self) -> Option<At> {
        let waits = self.advertise_at.filter(|_| self.rib_out.is_pending());
        let draining = self.draining.as_ref().map(|(at, _)| *at);
        let stale = self.stale_until.values().flatten().copied();
        waits.into_iter().chain(draining).chain(stale).min()
    }

    /// The next UPDATE that tells of a prefix is malformed; it is told even if it was told so already.
    pub fn malform(&mut self, number: Number, malformation: &'static Malformation) {
        self.malformed.push((number, malformation));
        self.rib_out.renew(number);
    }

    /// What was decided by hand for a prefix.
    pub fn pin(&self, number: Number) -> Option<&Pin> {
        self.pins.get(number)?.as_ref()
    }

    /// Ourselves as a next hop: the address of our end, and the link-local one if the neighbour is on the same subnet
    /// (RFC 2545, section 3).
    pub fn ourselves(&self) -> (IpAddr, Option<Ipv6Addr>) {
        let shares_link = self.spec.local.is_ipv6() && self.subnet.contains(&self.spec.peer);
        (self.spec.local, self.link_local.filter(|_| shares_link))
    }

    /// Whether a prefix has to keep its number because of this session.
    pub fn needs(&self, number: Number) -> bool {
        self.pin(number).is_some() || self.rib_out.knows(number)
    }
}

impl OriginatedAttributes {
    /// As a set; NEXT_HOP is filled in when it is announced.
    pub(super) fn to_set(&self) -> Attributes {
        Attributes {
            origin: self.origin,
            as_path: self.as_path.clone(),
            as_set: self.as_set.clone(),
            med: self.med,
            communities: self.communities.clone(),
            large_communities: self.large_communities.clone(),
            extended_communities: self.extended_communities.clone(),
            only_to_customer: self.only_to_customer,
            ..Attributes::originated(Ipv4Addr::UNSPECIFIED)
        }
    }
}
