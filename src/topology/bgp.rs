//! What a BGP session is told by a file: the keys of `[microsoft.bgp]`, `[connection.NAME.bgp]` and `[router.NAME.bgp]`.
//!
//! The first are those of all edges, the second those of one connection's edge, where it does otherwise. The third are
//! those of a simulated router of the peer, which has the edges' timers and none of their options unless it says so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bgp_times::{self, or};
use super::limits::{self, MaximumPrefixes, RawMaximumPrefixes};
use super::raw::RawTopology;
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{Capabilities, GracefulRestart, Role};
use crate::bgp::session::{Options, Timers};
use crate::source::{Duration as RawDuration, Located, Mistakes, in_words};

/// The longest key of TCP MD5 that Linux takes (`TCP_MD5SIG_MAXKEYLEN`).
const MD5_LONGEST: usize = 80;
/// The longest restart time that a capability can tell (RFC 4724, section 3), seconds.
const RESTART_LONGEST: u64 = 4095;

/// The timers and options of a session at one of its ends.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BgpSettings {
    /// Its times: unless said otherwise ExpressRoute's, since nothing is published for AS8075.
    pub timers: Timers,
    /// Everything else.
    pub options: BgpOptions,
}

/// What a session does besides what every session does.
#[derive(Debug, Clone, PartialEq)]
pub struct BgpOptions {
    /// Wait for the neighbour to connect.
    pub passive: bool,
    /// Key of TCP MD5 (RFC 2385).
    pub md5: Option<Password>,
    /// Send with TTL 255 and accept nothing below it (RFC 5082).
    pub ttl_security: bool,
    /// What it announces (RFC 5492), as if it were a session of both families.
    pub capabilities: Capabilities,
    /// What RFCs leave to it. The families that it requires are as if it were a session of both.
    pub choices: Options,
    /// Do not connect before BFD is up.
    pub wait_for_bfd: bool,
    /// Take no route whose AS path does not begin with the neighbour's AS (RFC 4271, section 6.3); if nothing is said, all ends
    /// do but the clients of a route server.
    pub enforce_first_as: Option<bool>,
    /// How many routes the neighbour may bring.
    pub maximum_prefixes: MaximumPrefixes,
    /// MinRouteAdvertisementInterval (RFC 4271, section 9.2.1.1); zero is off.
    pub advertisement_interval: Duration,
}

impl Default for BgpOptions {
    /// What a session of the voice profile does.
    fn default() -> BgpOptions {
        BgpOptions {
            passive: false,
            md5: None,
            ttl_security: false,
            capabilities: Capabilities {
                families: Families::ALL,
                ..Capabilities::of(Family::Ipv4Unicast)
            },
            choices: Options::default(),
            wait_for_bfd: false,
            enforce_first_as: None,
            maximum_prefixes: MaximumPrefixes::default(),
            advertisement_interval: Duration::ZERO,
        }
    }
}

/// A secret: it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A BGP role (RFC 9234, section 4.1): what the end that says it is to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawRole {
    /// Of a customer.
    Provider,
    /// Of a client.
    RouteServer,
    /// Of a route server.
    RouteServerClient,
    /// Of a provider.
    Customer,
    /// Of a peer.
    Peer,
}

/// Which way several paths of a prefix are told (RFC 7911).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawAddPath {
    /// They can be received.
    Receive,
    /// They can be sent.
    Send,
    /// Both.
    Both,
}

impl From<RawRole> for Role {
    fn from(role: RawRole) -> Role {
        match role {
            RawRole::Provider => Role::Provider,
            RawRole::RouteServer => Role::RouteServer,
            RawRole::RouteServerClient => Role::RouteServerClient,
            RawRole::Customer => Role::Customer,
            RawRole::Peer => Role::Peer,
        }
    }
}

/// Timers and options of a BGP session.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawBgp {
    /// Keepalive time. The voice profile has 60 s.
    pub keepalive: Option<Located<RawDuration>>,
    /// Hold time, at least 3 s, or "0s" for none. The voice profile has 180 s.
    pub hold: Option<Located<RawDuration>>,
    /// Time between attempts to connect, at least 10 ms. The voice profile has 5 s.
    pub connect_retry: Option<Located<RawDuration>>,
    /// Time from a start by hand to the first attempt to connect; none if not given.
    pub connect_delay: Option<Located<RawDuration>>,
    /// Rest after a failure before the next attempt (IdleHoldTime), at least 10 ms; 100 ms if not given.
    pub idle_hold: Option<Located<RawDuration>>,
    /// While failures repeat, rest twice as long after each, up to 16 times (DampPeerOscillations); true if not given.
    pub damp_peer_oscillations: Option<Located<bool>>,
    /// How long the neighbour's OPEN may take to come: the hold time in OpenSent; 4 minutes if not given, as RFC 4271 suggests.
    pub open_hold: Option<Located<RawDuration>>,
    /// How long the neighbour may take nothing of what is sent (SendHoldTime, RFC 9687), longer than the hold time; "0s" is for
    /// ever. The greater of 8 minutes and two hold times if not given.
    pub send_hold: Option<Located<RawDuration>>,
    /// The least hold time that is accepted of the neighbour, else it is refused (OPEN Message Error / unacceptable hold time).
    /// Any, and none at all, if not given.
    pub minimum_hold: Option<Located<RawDuration>>,
    /// Leave the first OPEN to the neighbour for so long (DelayOpen, RFC 4271, section 8.1.1), at most 4 minutes; "0s", as if
    /// not given, sends ours at once.
    pub delay_open: Option<Located<RawDuration>>,
    /// Let a new connection replace an established one as RFC 4271, section 6.8, decides (CollisionDetectEstablishedState).
    pub collision_detect_established: Option<Located<bool>>,
    /// Refuse a neighbour that lacks one of the families of a session of both, see `extended-next-hop` (OPEN Message Error /
    /// unsupported capability).
    pub require_families: Option<Located<bool>>,
    /// Wait for the neighbour to connect, and never connect first.
    pub passive: Option<Located<bool>>,
    /// Key of TCP MD5 (RFC 2385), which both ends must have; it is never shown.
    pub md5: Option<Located<String>>,
    /// TTL security (RFC 5082), which both ends must have.
    pub ttl_security: Option<Located<bool>>,
    /// Announce four-octet AS numbers (RFC 6793); true if not given.
    pub four_octet_asn: Option<Located<bool>>,
    /// Announce route refresh (RFC 2918); true if not given.
    pub route_refresh: Option<Located<bool>>,
    /// Announce enhanced route refresh (RFC 7313).
    pub enhanced_route_refresh: Option<Located<bool>>,
    /// Announce messages of up to 65,535 octets (RFC 8654).
    pub extended_messages: Option<Located<bool>>,
    /// Let the IPv6 session carry IPv4 routes, too, with IPv6 next hops (RFC 8950); the IPv4 session stays as it is.
    pub extended_next_hop: Option<Located<bool>>,
    /// Announce BFD strict mode (draft-ietf-idr-bgp-bfd-strict-mode). Edges wait for BFD with or without it.
    pub bfd_strict: Option<Located<bool>>,
    /// Do not even connect before BFD is up.
    pub wait_for_bfd: Option<Located<bool>>,
    /// How long BFD may take to come up while the hold time agreed on is off, where the session waits for it; 30 s if not given.
    pub bfd_hold: Option<Located<RawDuration>>,
    /// Announce graceful restart (RFC 4724), with this restart time.
    pub graceful_restart: Option<Located<RawDuration>>,
    /// Keep the neighbour's routes for its restart time when BFD goes down that shares fate with the control plane at either
    /// end, as its C bit tells (RFC 5882, section 4.3.2.2). Without it BFD that goes down ends everything at once.
    pub bfd_check_control_plane: Option<Located<bool>>,
    /// BGP role (RFC 9234): what this end is to the other.
    pub role: Option<Located<RawRole>>,
    /// Refuse a neighbour that says no role (RFC 9234, section 4.2).
    pub require_role: Option<Located<bool>>,
    /// Take no route whose AS path does not begin with the neighbour's AS (RFC 4271, section 6.3); true if not given, but for a
    /// `role = "route-server-client"`, since a route server does not put its own there (RFC 7947).
    pub enforce_first_as: Option<Located<bool>>,
    /// Several paths of a prefix (RFC 7911).
    pub add_path: Option<Located<RawAddPath>>,
    /// How many routes the neighbour may bring, and what happens when it brings more.
    pub maximum_prefixes: Option<Located<RawMaximumPrefixes>>,
    /// MinRouteAdvertisementInterval (RFC 4271, section 9.2.1.1): for so long after it announced, or up to a quarter less,
    /// it announces nothing more. At most "600s"; none if not given.
    pub advertisement_interval: Option<Located<RawDuration>>,
}

impl BgpSettings {
    /// These, where the file does not say otherwise.
    pub(super) fn with(
        &self,
        raw: Option<&Located<RawBgp>>,
        mistakes: &mut Mistakes,
    ) -> BgpSettings {
        let Some(raw) = raw else {
            return self.clone();
        };
        let settings = BgpSettings {
            timers: bgp_times::timers(self.timers, raw, mistakes),
            options: self.options.with(&raw.value, mistakes),
        };
        bgp_times::minimum_hold(&settings.timers, &raw.value, mistakes);
        settings
    }

    /// What the peer's simulated routers have: the same times, and options of their own.
    pub(super) fn of_the_peer(&self) -> BgpSettings {
        BgpSettings {
            timers: self.timers,
            options: BgpOptions::default(),
        }
    }
}

impl BgpOptions {
    /// Whether the AS path of a route has to begin with the neighbour's AS.
    pub fn enforces_first_as(&self) -> bool {
        let transparent = self.capabilities.role == Some(Role::RouteServerClient);
        self.enforce_first_as.unwrap_or(!transparent)
    }

    fn with(&self, raw: &RawBgp, mistakes: &mut Mistakes) -> BgpOptions {
        let options = BgpOptions {
            passive: or(raw.passive, self.passive),
            md5: match &raw.md5 {
                Some(key) => Some(password(key, mistakes)),
                None => self.md5.clone(),
            },
            ttl_security: or(raw.ttl_security, self.ttl_security),
            capabilities: capabilities(&self.capabilities, raw, mistakes),
            choices: bgp_times::options(self.choices, raw, mistakes),
            wait_for_bfd: or(raw.wait_for_bfd, self.wait_for_bfd),
            enforce_first_as: (raw.enforce_first_as.map(|key| key.value)).or(self.enforce_first_as),
            maximum_prefixes: match &raw.maximum_prefixes {
                Some(maximum) => self.maximum_prefixes.with(&maximum.value, mistakes),
                None => self.maximum_prefixes,
            },
            advertisement_interval: match raw.advertisement_interval {
                Some(time) => limits::interval(time, mistakes),
                None => self.advertisement_interval,
            },
        };
        // Where neither is said, the mistake was told where they come from.
        if options.capabilities.enhanced_route_refresh
            && !options.capabilities.route_refresh
            && let Some(key) = raw.enhanced_route_refresh.or(raw.route_refresh)
        {
            let message = "enhanced route refresh is an addition to route refresh";
            let diagnostic = mistakes.error(key.span, message, "not one without the other");
            mistakes.push(diagnostic.note("RFC 7313, section 3.1"));
        }
        if options.choices.require_role
            && options.capabilities.role.is_none()
            && let Some(key) = raw.require_role
        {
            let message = "a role is required of the neighbour, but this end says none";
            let diagnostic = mistakes.error(key.span, message, "nothing to compare it with");
            mistakes.push(diagnostic.help("write `role = \"peer\"`"));
        }
        if let Some(key) = raw.require_families.filter(|key| key.value)
            && !options.capabilities.extended_next_hop
        {
            let message = "a session carries one family, and is refused without it anyway";
            let diagnostic = mistakes.error(key.span, message, "of no use");
            mistakes.push(
                diagnostic.help("write `extended-next-hop = true` for an IPv6 session of both"),
            );
        }
        if options.choices.bfd_check_control_plane
            && options.capabilities.graceful_restart.is_none()
            && let Some(key) = raw.bfd_check_control_plane
        {
            let message = "without graceful restart no route outlives BFD";
            let diagnostic = mistakes.error(key.span, message, "nothing to keep");
            let diagnostic = diagnostic.note("RFC 5882, section 4.3.2");
            mistakes.push(diagnostic.help("write `graceful-restart = \"60s\"`"));
        }
        options
    }
}

/// These capabilities, where the file does not say otherwise.
fn capabilities(default: &Capabilities, raw: &RawBgp, mistakes: &mut Mistakes) -> Capabilities {
    let several = |ways: [RawAddPath; 2], default| match raw.add_path {
        Some(way) if ways.contains(&way.value) => Families::ALL,
        Some(_) => Families::NONE,
        None => default,
    };
    Capabilities {
        four_octet: or(raw.four_octet_asn, default.four_octet),
        route_refresh: or(raw.route_refresh, default.route_refresh),
        enhanced_route_refresh: or(raw.enhanced_route_refresh, default.enhanced_route_refresh),
        extended_message: or(raw.extended_messages, default.extended_message),
        extended_next_hop: or(raw.extended_next_hop, default.extended_next_hop),
        bfd_strict: or(raw.bfd_strict, default.bfd_strict),
        graceful_restart: match raw.graceful_restart {
            Some(time) => Some(graceful_restart(time, mistakes)),
            None => default.graceful_restart,
        },
        role: raw.role.map(|role| role.value.into()).or(default.role),
        add_path_receive: several(
            [RawAddPath::Receive, RawAddPath::Both],
            default.add_path_receive,
        ),
        add_path_send: several([RawAddPath::Send, RawAddPath::Both], default.add_path_send),
        ..default.clone()
    }
}

fn password(key: &Located<String>, mistakes: &mut Mistakes) -> Password {
    let length = key.value.len();
    if !(1..=MD5_LONGEST).contains(&length) {
        let message = format!("a key of {length} bytes is not possible");
        let label = format!("1 to {MD5_LONGEST} bytes");
        mistakes.push(mistakes.error(key.span, message, label));
    }
    Password(key.value.clone())
}

/// Graceful restart with this restart time, after a NOTIFICATION, too (RFC 8538).
fn graceful_restart(time: Located<RawDuration>, mistakes: &mut Mistakes) -> GracefulRestart {
    let value = time.value.0;
    if value.subsec_nanos() != 0 || !(1..=RESTART_LONGEST).contains(&value.as_secs()) {
        let message = format!("a restart time of {} is not possible", in_words(value));
        let label = format!("whole seconds, 1s to {RESTART_LONGEST}s");
        let diagnostic = mistakes.error(time.span, message, label);
        mistakes.push(diagnostic.note("RFC 4724, section 3"));
    }
    GracefulRestart {
        restarting: false,
        notification: true,
        time: u16::try_from(value.as_secs()).unwrap_or(u16::MAX),
        families: Families::ALL,
        preserved: Families::ALL,
    }
}

/// IPv6 next hops are told by IPv6 sessions.
pub(super) fn next_hops_have_sessions(raw: &RawTopology, mistakes: &mut Mistakes) {
    for (name, connection) in &raw.connection.0 {
        let key = (connection.bgp.as_ref()).and_then(|bgp| bgp.value.extended_next_hop);
        if let Some(key) = key.filter(|key| key.value)
            && connection.ipv6.is_none()
        {
            let message = format!("`{}` has no IPv6 session to carry IPv4 routes", name.value);
            let diagnostic = mistakes.error(key.span, message, "of no use");
            let diagnostic = diagnostic.note("RFC 8950: IPv4 routes with IPv6 next hops");
            mistakes.push(diagnostic.help("give the connection an `ipv6`"));
        }
    }
}

/// Who knows two octets only is no AS of four, and knows none (RFC 6793).
pub(super) fn numbers_fit(raw: &RawTopology, mistakes: &mut Mistakes) {
    let asn = raw.peer.as_ref().and_then(|peer| peer.value.asn);
    let Some(asn) = asn.filter(|asn| asn.value > u32::from(u16::MAX)) else {
        return;
    };
    let said =
        |bgp: &Option<Located<RawBgp>>| bgp.as_ref().and_then(|bgp| bgp.value.four_octet_asn);
    let microsoft = raw.microsoft.as_ref().and_then(|m| said(&m.bgp));
    let edges = raw.connection.0.iter();
    let edges = edges.filter_map(|(_, connection)| said(&connection.bgp).or(microsoft));
    let routers = raw.router.0.iter();
    let routers = routers.filter_map(|(_, router)| said(&router.bgp));
    let knows = edges.map(|key| (key, "know"));
    let mut told = Vec::new();
    for (key, verb) in knows.chain(routers.map(|key| (key, "be"))) {
        if key.value || told.contains(&key.span) {
            continue;
        }
        told.push(key.span);
        let message = format!(
            "a router that knows AS numbers of two octets only cannot {verb} AS {}",
            asn.value
        );
        let source = Arc::clone(mistakes.source());
        let diagnostic = mistakes.error(key.span, message, "the session never comes up");
        let diagnostic = diagnostic.at(&source, asn.span, "four octets");
        mistakes.push(diagnostic.note("RFC 6793: on the wire it is AS_TRANS, 23456"));
    }
}

/// Two ends that both wait never meet.
pub(super) fn somebody_connects(raw: &RawTopology, mistakes: &mut Mistakes) {
    let passive = |bgp: &Option<Located<RawBgp>>| bgp.as_ref().and_then(|bgp| bgp.value.passive);
    let microsoft = raw.microsoft.as_ref().and_then(|m| passive(&m.bgp));
    for (name, connection) in &raw.connection.0 {
        let router = connection.router.as_ref().and_then(|router| {
            let mut routers = raw.router.0.iter();
            routers.find(|(other, _)| other.value == router.value)
        });
        let edge = passive(&connection.bgp).or(microsoft);
        let peer = router.and_then(|(_, router)| passive(&router.bgp));
        if let (Some(edge), Some(peer)) = (edge, peer)
            && edge.value
            && peer.value
        {
            let message = format!(
                "both ends of `{}` wait for the other to connect",
                name.value
            );
            let source = Arc::clone(mistakes.source());
            let diagnostic = mistakes.error(edge.span, message, "the edge is passive");
            mistakes.push(diagnostic.at(&source, peer.span, "so is the router"));
        }
    }
}
