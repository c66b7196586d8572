//! The BGP sessions of a router: in one line each, and one of them in full.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::{Change, History, seconds};
use crate::bgp::family::{self, Families};
use crate::bgp::message::{Capabilities, Role};
use crate::bgp::notification::Notification;
use crate::bgp::session::{self, Activity, Direction, Options};
use crate::router::{Router, SessionIndex};
use crate::time::At;

/// A BGP session as its router sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Session {
    /// The router.
    pub router: String,
    /// The session's name: the connection's, or the neighbour's inside the WAN and the peer's core.
    pub session: String,
    /// The neighbour's address.
    pub neighbour: IpAddr,
    /// The neighbour's AS number.
    pub neighbour_asn: u32,
    /// RFC 4271 name of its state.
    pub state: String,
    /// Seconds since it came there.
    pub since: Option<f64>,
    /// Why it came there.
    pub why: Option<String>,
    /// How often it was lost.
    pub lost: u64,
    /// When it was lost last, and why.
    pub last_lost: Option<Change>,
    /// Routes received: Adj-RIB-In.
    pub received: usize,
    /// Those of them that may be used.
    pub accepted: usize,
    /// Routes refused by policy or for a next hop that cannot be reached, or malformed and treated as withdrawn.
    pub refused: usize,
    /// Routes kept from before the session was lost, or not yet refreshed (RFC 4724, RFC 7313).
    pub stale: usize,
    /// Routes advertised: Adj-RIB-Out.
    pub advertised: usize,
}

/// A BGP session in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SessionDetail {
    /// What a line shows.
    #[serde(flatten)]
    pub session: Session,
    /// Our address.
    pub local: IpAddr,
    /// Our AS number; the neighbour's, if the session is internal.
    pub local_asn: u32,
    /// Our BGP Identifier.
    pub local_id: Ipv4Addr,
    /// The neighbour's BGP Identifier, while established.
    pub neighbour_id: Option<Ipv4Addr>,
    /// The interface of the link.
    pub interface: String,
    /// What it does now besides being in its state: `runs`, `withholds its KEEPALIVE until BFD is up`, `stopped`, ….
    pub doing: String,
    /// Waits for the neighbour to connect.
    pub passive: bool,
    /// Who opened the established connection: `us` or `the neighbour`.
    pub opened_by: Option<String>,
    /// `off`; `on`: the session is lost with BFD; `strict`: it waits for BFD, too, because it is told so, or because both ends
    /// announce it (draft-ietf-idr-bgp-bfd-strict-mode).
    pub bfd: String,
    /// What guards its connection besides BFD: TCP MD5 (RFC 2385), TTL security (RFC 5082).
    pub guards: Vec<String>,
    /// Times.
    pub timers: Timers,
    /// What the neighbour is refused without: a least hold time, families, a role.
    pub demands: Vec<String>,
    /// How many routes the neighbour may bring, if that is limited.
    pub maximum_prefixes: Option<MaximumPrefixes>,
    /// Seconds until the session is stopped, while it is being shut down gracefully (RFC 8326).
    pub drained_in: Option<f64>,
    /// Something is still to be told the neighbour.
    pub advertising: bool,
    /// Timers that run, with the seconds that are left, by the names of RFC 4271.
    pub running: Vec<(String, f64)>,
    /// Capabilities (RFC 5492) that we announce.
    pub our_capabilities: Vec<String>,
    /// Those the neighbour announced, while established.
    pub neighbour_capabilities: Vec<String>,
    /// What both can and is in use, while established.
    pub in_use: Vec<String>,
    /// What it has counted since it was made.
    pub counters: Counters,
    /// UPDATEs with faults that did not end the session (RFC 7606).
    pub malformed_updates: u64,
    /// The last one of them: the gravest of its faults, and how it was treated.
    pub last_malformed: Option<Change>,
    /// The last NOTIFICATION sent.
    pub notification_sent: Option<Change>,
    /// The last NOTIFICATION received.
    pub notification_received: Option<Change>,
    /// The last changes of its state, the latest last.
    pub changes: Vec<Change>,
}

/// Times of a session, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Timers {
    /// The hold time we propose; 0 is off.
    pub hold_proposed: f64,
    /// The hold time agreed on, while established; 0 is off.
    pub hold: Option<f64>,
    /// The keepalive time in use: what we are configured with, or a third of the hold time agreed on if that is less.
    pub keepalive: f64,
    /// MinRouteAdvertisementInterval (RFC 4271, section 9.2.1.1); 0 is off.
    pub advertisement: f64,
    /// Between attempts to connect.
    pub connect_retry: f64,
    /// The rest after a failure.
    pub idle_hold: f64,
    /// How long the neighbour's OPEN may take to come.
    pub open_hold: f64,
    /// How long the neighbour may take nothing of what is sent (RFC 9687): beside the hold time agreed on, or the one we
    /// propose; 0 is off.
    pub send_hold: f64,
    /// How long the first OPEN is left to the neighbour (DelayOpen); 0 is off.
    pub delay_open: f64,
}

/// How many routes the neighbour may bring, and how near it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct MaximumPrefixes {
    /// So many; with one more the session is ended.
    pub limit: u32,
    /// With more it is only told, and the session goes on.
    pub warning_only: bool,
    /// From so many on it is told.
    pub warn_at: u32,
    /// That was told.
    pub warned: bool,
    /// The session was ended for it, and rests or is stopped.
    pub ended: bool,
    /// How long it rests then, in seconds; none until it is started by hand.
    pub restart_after: Option<f64>,
}

/// What a session has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// Messages sent.
    pub sent: Messages,
    /// Messages received.
    pub received: Messages,
    /// Connection attempts.
    pub attempts: u64,
    /// Connections the neighbour opened.
    pub accepted: u64,
    /// Of them, those that the session did not take.
    pub refused: u64,
    /// How often the session was established.
    pub established: u64,
    /// How often it was lost again.
    pub lost: u64,
    /// The ConnectRetryCounter (RFC 4271, section 8.1.1): failures since the last start.
    pub connect_retry: u32,
}

/// Messages by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl From<session::Messages> for Messages {
    fn from(of: session::Messages) -> Messages {
        Messages {
            open: of.open,
            update: of.update,
            notification: of.notification,
            keepalive: of.keepalive,
            route_refresh: of.route_refresh,
        }
    }
}

/// The sessions of a router, in the order of its configuration. What [`Session::told`] fills in is still missing.
///
/// Counting looks at every received route once.
pub fn sessions(router: &Router) -> Vec<Session> {
    let count = router.config().sessions.len();
    let indexes = (0..=u16::MAX).map(SessionIndex).take(count);
    indexes.filter_map(|index| one(router, index)).collect()
}

fn one(router: &Router, index: SessionIndex) -> Option<Session> {
    let config = router.config();
    let spec = config.sessions.get(index.index())?;
    let received = router.adj_rib_in(index).into_iter();
    let (mut accepted, mut refused, mut stale) = (0, 0, 0);
    for route in received.flat_map(|rib| rib.iter()) {
        stale += usize::from(route.stale);
        match route.refused {
            None => accepted += 1,
            Some(_) => refused += 1,
        }
    }
    Some(Session {
        router: config.name.clone(),
        session: spec.name.clone(),
        neighbour: spec.peer,
        neighbour_asn: spec.peer_asn,
        state: router.state(index).to_string(),
        since: None,
        why: None,
        lost: 0,
        last_lost: None,
        received: router.adj_rib_in(index).map_or(0, |rib| rib.len()),
        accepted,
        refused,
        stale,
        advertised: router.adj_rib_out(index).map_or(0, |rib| rib.len()),
    })
}

/// A session in full. What [`SessionDetail::told`] fills in is still missing.
pub fn session(router: &Router, index: SessionIndex, now: At) -> Option<SessionDetail> {
    let config = router.config();
    let spec = config.sessions.get(index.index())?;
    let status = router.session_status(index)?;
    let negotiated = status.negotiated;
    let notification = |state: &str, of: Option<&(At, Notification)>| {
        of.map(|(at, notification)| Change {
            ago: seconds(now.since(*at)),
            state: state.to_owned(),
            why: notification.to_string(),
        })
    };
    let malformed = router.malformed(index);
    let maximum_prefixes = spec.maximum_prefixes.map(|maximum| {
        let sent = status.notification_sent.map(|(_, last)| last);
        let rests = matches!(status.activity, Activity::Rests | Activity::Stopped);
        MaximumPrefixes {
            limit: maximum.limit,
            warning_only: maximum.warning_only,
            warn_at: (u64::from(maximum.limit) * u64::from(maximum.warn_at)).div_ceil(100) as u32,
            warned: router.is_warned(index),
            ended: rests && sent.is_some_and(Notification::is_maximum_prefixes),
            restart_after: maximum.restart_after.map(seconds),
        }
    });
    let hold = negotiated.map(|negotiated| negotiated.hold);
    let keepalive = match hold {
        Some(Some(hold)) => spec.timers.keepalive.min(hold / 3),
        Some(None) => Duration::ZERO,
        None => spec.timers.keepalive,
    };
    let proposed = Some(spec.timers.hold).filter(|hold| !hold.is_zero());
    let send_hold = spec.timers.send_hold(hold.unwrap_or(proposed));
    let ours = &spec.capabilities;
    let both_strict =
        ours.bfd_strict && negotiated.is_some_and(|negotiated| negotiated.capabilities.bfd_strict);
    let bfd = match (
        spec.use_bfd || ours.bfd_strict,
        spec.bfd_strict || both_strict,
    ) {
        (_, true) => "strict",
        (true, false) => "on",
        (false, false) => "off",
    };
    let in_use = negotiated.map(|negotiated| {
        let dialect = negotiated.dialect;
        let mut in_use = words(&Capabilities {
            route_refresh: ours.route_refresh && negotiated.capabilities.route_refresh,
            enhanced_route_refresh: dialect.enhanced_refresh,
            four_octet: dialect.four_octet,
            families: dialect.families,
            extended_message: dialect.extended_message,
            extended_next_hop: dialect.extended_next_hop,
            add_path_receive: dialect.add_path_receive,
            add_path_send: dialect.add_path_send,
            bfd_strict: both_strict,
            ..Capabilities::none()
        });
        if let Some(graceful) = negotiated.graceful {
            let and = match negotiated.graceful_notification {
                true => ", after a NOTIFICATION, too",
                false => "",
            };
            in_use.push(format!(
                "{} kept for {} s while the neighbour restarts{and}",
                names(graceful.families),
                graceful.time.as_secs()
            ));
        }
        in_use
    });
    Some(SessionDetail {
        session: one(router, index)?,
        local: spec.local,
        local_asn: config.asn,
        local_id: config.router_id,
        neighbour_id: negotiated.map(|negotiated| negotiated.peer_id),
        interface: spec.interface.clone(),
        doing: status.activity.to_string(),
        passive: spec.passive,
        opened_by: status.opened_by.map(|direction| {
            match direction {
                Direction::Outgoing => "us",
                Direction::Incoming => "the neighbour",
            }
            .to_owned()
        }),
        bfd: bfd.to_owned(),
        guards: spec
            .md5
            .iter()
            .map(|_| "TCP MD5".to_owned())
            .chain(
                spec.ttl_security
                    .map(|hops| format!("TTL security, {hops} hops")),
            )
            .collect(),
        timers: Timers {
            hold_proposed: seconds(spec.timers.hold),
            hold: hold.map(|hold| seconds(hold.unwrap_or_default())),
            keepalive: seconds(keepalive),
            advertisement: seconds(spec.advertisement_interval),
            connect_retry: seconds(spec.timers.connect_retry),
            idle_hold: seconds(spec.timers.idle_hold),
            open_hold: seconds(spec.timers.open_hold),
            send_hold: seconds(send_hold.unwrap_or_default()),
            delay_open: seconds(spec.options.delay_open.unwrap_or_default()),
        },
        demands: demands(&spec.options),
        maximum_prefixes,
        drained_in: router.drained_at(index).map(|at| seconds(at.since(now))),
        advertising: router
            .adj_rib_out(index)
            .is_some_and(|out| out.is_pending()),
        running: status
            .timers
            .iter()
            .map(|(name, at)| ((*name).to_owned(), seconds(at.since(now))))
            .collect(),
        our_capabilities: words(&spec.capabilities),
        neighbour_capabilities: negotiated.map_or_else(Vec::new, |n| words(&n.capabilities)),
        in_use: in_use.unwrap_or_default(),
        counters: Counters {
            sent: status.counters.sent.into(),
            received: status.counters.received.into(),
            attempts: status.counters.attempts,
            accepted: status.counters.accepted,
            refused: status.counters.refused,
            established: status.counters.established,
            lost: status.counters.lost,
            connect_retry: status.counters.connect_retry,
        },
        malformed_updates: malformed.map_or(0, |malformed| malformed.count),
        last_malformed: malformed.map(|malformed| Change {
            ago: seconds(now.since(malformed.at)),
            state: "malformed".to_owned(),
            why: malformed.fault.to_owned(),
        }),
        notification_sent: notification("sent", status.notification_sent),
        notification_received: notification("received", status.notification_received),
        changes: Vec::new(),
    })
}

impl Session {
    /// With what the record tells about it.
    pub fn told(mut self, history: &History, now: At) -> Session {
        let past = history.bgp(&self.router, &self.session);
        if let Some((since, why)) = past.last(now) {
            self.since = Some(since);
            self.why = Some(why.to_owned()).filter(|why| !why.is_empty());
        }
        if let Some((times, ago, why)) = past.lost(now) {
            self.lost = times;
            self.last_lost = Some(Change {
                ago,
                state: "lost".to_owned(),
                why: why.to_owned(),
            });
        }
        self
    }
}

impl SessionDetail {
    /// With what the record tells about it.
    pub fn told(self, history: &History, now: At) -> SessionDetail {
        let past = history.bgp(&self.session.router, &self.session.session);
        SessionDetail {
            session: self.session.told(history, now),
            changes: past.changes(now),
            ..self
        }
    }
}

/// What a neighbour is refused without, in words.
fn demands(options: &Options) -> Vec<String> {
    let least = Some(options.minimum_hold).filter(|least| !least.is_zero());
    let least = least.map(|least| format!("a hold time of at least {} s", least.as_secs()));
    let families = options.required_families.iter();
    let families = families.map(|family| family.to_string());
    let role = options.require_role.then(|| "a role".to_owned());
    least.into_iter().chain(families).chain(role).collect()
}

/// What daemons announce by themselves and we have no use for, by the names of IANA's registry of capability codes.
const UNUSED: [(u8, &str); 9] = [
    (3, "outbound route filtering"),
    (8, "multiple labels"),
    (67, "dynamic capability"),
    (71, "long-lived graceful restart"),
    (73, "FQDN"),
    (75, "software version"),
    (76, "paths limit"),
    (77, "link-local next hop"),
    (128, "prestandard route refresh"),
];

/// Capabilities in words.
fn words(capabilities: &Capabilities) -> Vec<String> {
    let mut words: Vec<String> = capabilities
        .families
        .iter()
        .map(|f| f.to_string())
        .collect();
    let plain = [
        (capabilities.four_octet, "four-octet AS numbers"),
        (capabilities.route_refresh, "route refresh"),
        (
            capabilities.enhanced_route_refresh,
            "enhanced route refresh",
        ),
        (capabilities.extended_message, "extended messages"),
        (capabilities.extended_next_hop, "IPv4 over IPv6 next hops"),
        (capabilities.bfd_strict, "BFD strict mode"),
    ];
    let there = plain.into_iter().filter(|(there, _)| *there);
    words.extend(there.map(|(_, name)| name.to_owned()));
    if let Some(restart) = &capabilities.graceful_restart {
        words.push(match restart.families.is_empty() {
            true => "graceful restart as helper".to_owned(),
            false => {
                let kept = names(restart.families);
                format!("graceful restart within {} s ({kept})", restart.time)
            }
        });
    }
    if let Some(role) = capabilities.role {
        words.push(format!("role {}", role_name(role)));
    }
    for (of, name) in [
        (capabilities.add_path_receive, "receives"),
        (capabilities.add_path_send, "sends"),
    ] {
        if !of.is_empty() {
            words.push(format!("{name} several paths of {}", names(of)));
        }
    }
    let others = capabilities.other_families.iter();
    words.extend(others.map(|&(afi, safi)| format!("{} (not used)", family::name(afi, safi))));
    words.extend(capabilities.ignored.iter().map(|code| {
        let known = UNUSED.iter().find(|(known, _)| known == code);
        match (known, code) {
            (Some((_, name)), _) => format!("{name} (not used)"),
            // These are used where their values make sense.
            (None, 1 | 2 | 5 | 6 | 9 | 64 | 65 | 69 | 70) => format!("malformed {code}"),
            (None, code) => format!("unknown {code}"),
        }
    }));
    words
}

fn names(families: Families) -> String {
    let names: Vec<String> = families.iter().map(|family| family.to_string()).collect();
    names.join(", ")
}

/// A role as RFC 9234, section 4.1, calls it.
fn role_name(role: Role) -> &'static str {
    match role {
        Role::Provider => "Provider",
        Role::RouteServer => "RS",
        Role::RouteServerClient => "RS-Client",
        Role::Customer => "Customer",
        Role::Peer => "Peer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::Input;
    use crate::router::tests::bed::{end, router};
    use crate::router::tests::net::{Net, ms};
    use crate::view::tests::two_edges;

    #[test]
    fn capabilities_without_use_have_names() {
        let capabilities = Capabilities {
            families: Families::IPV4,
            other_families: vec![(1, 128), (25, 70), (16_388, 71), (99, 1)],
            ignored: vec![71, 73, 128, 200, 65],
            ..Capabilities::none()
        };
        assert_eq!(
            words(&capabilities),
            [
                "IPv4 unicast",
                "IPv4 VPN (not used)",
                "L2VPN EVPN (not used)",
                "BGP-LS (not used)",
                "AFI 99, SAFI 1 (not used)",
                "long-lived graceful restart (not used)",
                "FQDN (not used)",
                "prestandard route refresh (not used)",
                "unknown 200",
                "malformed 65"
            ]
        );
    }

    /// draft-ietf-idr-bgp-bfd-strict-mode: the session waits for BFD where both ends announce it, whatever each is told besides.
    #[test]
    fn bfd_is_strict_where_both_ends_announce_it() {
        for (theirs, bfd) in [(true, "strict"), (false, "on")] {
            let mut pe = router("pe", 64500, 9, vec![end("ams-1", 1, 0, 8075)]);
            let mut edge = router("edge", 8075, 1, vec![end("ams-1", 1, 1, 64500)]);
            pe.sessions[0].capabilities.bfd_strict = true;
            edge.sessions[0].capabilities.bfd_strict = theirs;
            let mut net = Net::new(vec![pe, edge], ms(1));
            net.start();
            for router in [0, 1] {
                let session = SessionIndex(0);
                net.input(router, Input::BfdUp { session });
            }
            assert!(net.run_until(ms(10_000), Net::all_established));
            let view = session(&net.routers[0], SessionIndex(0), net.now).expect("a session");
            assert_eq!(view.bfd, bfd);
            let in_use = view.in_use.iter().any(|word| word == "BFD strict mode");
            assert_eq!(in_use, theirs);
        }
    }

    /// RFC 4271, section 8.1.1.
    #[test]
    fn failures_since_the_last_start_are_shown() {
        let mut net = two_edges();
        let counted = |net: &Net| {
            let pe = &net.routers[net.named("pe")];
            let view = session(pe, SessionIndex(0), net.now).expect("a session");
            view.counters.connect_retry
        };
        assert_eq!(counted(&net), 0);
        net.input(1, Input::Crash);
        net.run(ms(200));
        assert!(counted(&net) > 0);
    }
}
