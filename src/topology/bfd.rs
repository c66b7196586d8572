//! What a BFD session is told by a file: the keys of `[microsoft.bfd]`, `[connection.NAME.bfd]` and
//! `[router.NAME.bfd]`.
//!
//! The first are those of both ends of every connection when simulated; the others are those of one connection's edge, and
//! of a simulated router of the peer, where it does otherwise.

use std::num::NonZeroU8;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Topology;
use crate::bfd::{Authentication, Key, Kind, Secret};
use crate::bgp::family::Family;
use crate::source::{Duration as RawDuration, Located, Mistakes, Span, in_words};

/// Timers and options of a BFD session at one of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdSettings {
    /// Its timers.
    pub timers: BfdTimers,
    /// Everything else.
    pub options: BfdOptions,
}

/// BFD timers (RFC 5880, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdTimers {
    /// Desired min TX and required min RX interval.
    pub interval: Duration,
    /// Detect multiplier.
    pub multiplier: NonZeroU8,
}

/// BFD on the members of a LAG (RFC 7130).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MicroBfd {
    /// Timers and options of the edge's end; that BGP waits for it means nothing here.
    pub microsoft: BfdSettings,
    /// Those of the other end.
    pub peer: BfdSettings,
    /// The family of its packets: of the two that section 2.1 allows, one.
    pub family: Family,
}

impl BfdTimers {
    /// A sender that is so late makes the session fall by itself.
    pub fn bears(&self) -> Duration {
        self.interval * u32::from(self.multiplier.get().saturating_sub(1)).max(1)
    }
}

impl Topology {
    /// Whether BGP of a connection waits for BFD; if not, there is none on it.
    pub fn wants_bfd(&self, connection: &str) -> bool {
        let mut all = self.connections.iter();
        all.find(|it| it.name == connection)
            .is_some_and(|it| it.bfd.options.required)
    }

    /// The timers that bear the least lateness, of all sessions.
    pub fn first_bfd_to_fall(&self) -> BfdTimers {
        let edges = self.connections.iter().map(|it| it.bfd.timers);
        let routers = self.routers.iter().map(|it| it.bfd.timers);
        let members = self.connections.iter().filter_map(|it| it.micro_bfd);
        let members = members.flat_map(|it| [it.microsoft.timers, it.peer.timers]);
        let all = edges.chain(routers).chain(members);
        all.fold(self.profile.bfd, |first, other| {
            std::cmp::min_by_key(first, other, BfdTimers::bears)
        })
    }
}

/// What a BFD session does besides what every session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdOptions {
    /// The shortest interval at which Echo packets may come, which are returned (RFC 5880, section 6.4).
    pub echo: Option<Duration>,
    /// Authentication of every packet (RFC 5880, section 6.7).
    pub authentication: Option<Authentication>,
    /// The C bit of its packets (RFC 5880, section 4.1): it does not share fate with the control plane.
    pub control_plane_independent: bool,
    /// BGP of the connection waits for BFD and ends with it. If not, there is no BFD on the connection: a router that has none
    /// can exchange routes.
    pub required: bool,
}

impl Default for BfdOptions {
    /// What a session of the voice profile does. A lab's BFD has a thread of its own, which is no router's.
    fn default() -> BfdOptions {
        BfdOptions {
            echo: None,
            authentication: None,
            control_plane_independent: true,
            required: true,
        }
    }
}

/// Timers and options of a BFD session (RFC 5880).
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawBfd {
    /// Desired min TX and required min RX interval. The voice profile has 150 ms.
    pub interval: Option<Located<RawDuration>>,
    /// Detect multiplier. The voice profile has 3.
    #[schemars(range(min = 1))]
    pub multiplier: Option<Located<u8>>,
    /// Return Echo packets that come no faster than this (Required Min Echo RX Interval); none are welcome if not given.
    pub echo: Option<Located<RawDuration>>,
    /// Authentication of every packet (RFC 5880, section 6.7), which both ends must have.
    pub authentication: Option<Located<RawAuthentication>>,
    /// Tell the other end that BFD does not share fate with the control plane (the C bit of RFC 5880, section 4.1); true if
    /// not given.
    pub control_plane_independent: Option<Located<bool>>,
    /// Of `microsoft.bfd` and of a connection: whether BGP waits for BFD and ends with it, as Microsoft wants for voice. With `false`
    /// there is no BFD on the connection, for a router that has none, and nothing that needs it can be proven. True if not given.
    pub required: Option<Located<bool>>,
}

/// BFD on every member of a LAG (RFC 7130), at both ends but for what `peer` says.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMicroBfd {
    /// Desired min TX and required min RX interval; that of the BFD of the connection if not given.
    pub interval: Option<Located<RawDuration>>,
    /// Detect multiplier; that of the BFD of the connection if not given.
    #[schemars(range(min = 1))]
    pub multiplier: Option<Located<u8>>,
    /// Say that Echo packets are returned that come no faster than this (Required Min Echo RX Interval). RFC 7130 leaves them out: they
    /// are forwarded as any packet, over whichever member.
    pub echo: Option<Located<RawDuration>>,
    /// Authentication of every packet (RFC 5880, section 6.7), on every member.
    pub authentication: Option<Located<RawAuthentication>>,
    /// The C bit of its packets (RFC 5880, section 4.1); true if not given.
    pub control_plane_independent: Option<Located<bool>>,
    /// What the peer's end does otherwise: the keys of `bfd`, but for `required`.
    pub peer: Option<Located<RawBfd>>,
    /// Between which addresses of the connection packets go; those of IPv4 if not given.
    pub family: Option<Located<RawMicroFamily>>,
}

/// A family of BFD on members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawMicroFamily {
    /// `ipv4` of the connection.
    Ipv4,
    /// `ipv6` of the connection.
    Ipv6,
}

/// Authentication of BFD packets.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAuthentication {
    /// How.
    #[schemars(required)]
    pub r#type: Option<Located<RawKind>>,
    /// The number of the key, by which the other end finds it; 1 if not given.
    pub key_id: Option<Located<u8>>,
    /// What both ends know: at most 16 bytes, with SHA1 20. It is never shown.
    #[schemars(required)]
    pub password: Option<Located<String>>,
    /// Another key that is accepted as well, while keys are exchanged.
    pub other_key_id: Option<Located<u8>>,
    /// What both ends know of it.
    pub password_of_other_key: Option<Located<String>>,
}

/// A type of authentication (RFC 5880, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawKind {
    /// A password that everyone on the way can read.
    SimplePassword,
    /// MD5; the sequence number grows when a packet says something new.
    KeyedMd5,
    /// MD5; the sequence number grows with every packet.
    MeticulousKeyedMd5,
    /// SHA1; the sequence number grows when a packet says something new.
    KeyedSha1,
    /// SHA1; the sequence number grows with every packet.
    MeticulousKeyedSha1,
}

impl RawKind {
    fn kind(self) -> Kind {
        match self {
            RawKind::SimplePassword => Kind::SimplePassword,
            RawKind::KeyedMd5 => Kind::KeyedMd5,
            RawKind::MeticulousKeyedMd5 => Kind::MeticulousKeyedMd5,
            RawKind::KeyedSha1 => Kind::KeyedSha1,
            RawKind::MeticulousKeyedSha1 => Kind::MeticulousKeyedSha1,
        }
    }
}

impl BfdSettings {
    /// These, where the file does not say otherwise.
    pub(super) fn with(
        self,
        raw: Option<&Located<RawBfd>>,
        mistakes: &mut Mistakes,
    ) -> BfdSettings {
        let Some(raw) = raw.map(|raw| &raw.value) else {
            return self;
        };
        let mut settings = self;
        if let Some(given) = raw.interval {
            settings.timers.interval = interval(given, "a BFD interval", mistakes);
        }
        if let Some(multiplier) = raw.multiplier {
            match NonZeroU8::new(multiplier.value) {
                Some(value) => settings.timers.multiplier = value,
                None => mistakes.push(
                    mistakes
                        .error(multiplier.span, "the BFD multiplier is 0", "1 to 255")
                        .note(
                            "RFC 5880, section 6.8.6: a packet with detect multiplier 0 is discarded",
                        ),
                ),
            }
        }
        if let Some(given) = raw.echo {
            settings.options.echo = Some(interval(given, "an interval of Echo packets", mistakes));
        }
        if let Some(raw) = &raw.authentication {
            settings.options.authentication = authentication(raw, mistakes);
        }
        if let Some(independent) = raw.control_plane_independent {
            settings.options.control_plane_independent = independent.value;
        }
        if let Some(required) = raw.required {
            settings.options.required = required.value;
        }
        settings
    }
}

impl MicroBfd {
    /// What a table says of it, where these are the timers of BFD over the LAG.
    pub(super) fn new(
        raw: &RawMicroBfd,
        timers: BfdTimers,
        has_ipv6: bool,
        mistakes: &mut Mistakes,
    ) -> MicroBfd {
        let ipv6 = raw
            .family
            .filter(|family| family.value == RawMicroFamily::Ipv6);
        if let Some(family) = ipv6.filter(|_| !has_ipv6) {
            let message = "the connection has no IPv6 addresses";
            let diagnostic = mistakes.error(family.span, message, "nothing to send from");
            mistakes.push(diagnostic.help("give the connection an `ipv6`"));
        }
        if let Some(required) = raw.peer.as_ref().and_then(|peer| peer.value.required) {
            let message = "`required` says nothing of BFD on members";
            let diagnostic = mistakes.error(
                required.span,
                message,
                "a member that has it always waits for it",
            );
            mistakes.push(diagnostic.help("leave it out"));
        }
        let settings = BfdSettings {
            timers,
            options: BfdOptions::default(),
        };
        let both = RawBfd {
            interval: raw.interval,
            multiplier: raw.multiplier,
            echo: raw.echo,
            authentication: raw.authentication.clone(),
            control_plane_independent: raw.control_plane_independent,
            required: None,
        };
        let both = Located {
            value: both,
            span: Span::default(),
        };
        let microsoft = settings.with(Some(&both), mistakes);
        MicroBfd {
            microsoft,
            peer: microsoft.with(raw.peer.as_ref(), mistakes),
            family: match ipv6 {
                Some(_) => Family::Ipv6Unicast,
                None => Family::Ipv4Unicast,
            },
        }
    }
}

fn interval(given: Located<RawDuration>, what: &str, mistakes: &mut Mistakes) -> Duration {
    let value = given.value.0;
    if value < Duration::from_millis(1) || value > Duration::from_secs(60) {
        let message = format!("{what} of {} is not possible", in_words(value));
        mistakes.push(mistakes.error(given.span, message, "1ms to 60s"));
    }
    value
}

fn authentication(
    raw: &Located<RawAuthentication>,
    mistakes: &mut Mistakes,
) -> Option<Authentication> {
    let (at, raw) = (raw.span, &raw.value);
    let owner = "the authentication";
    let kind = mistakes.require(raw.r#type, at, owner, "type", "type = \"keyed-sha1\"");
    let password = raw.password.as_ref();
    let password = mistakes.require(password, at, owner, "password", "password = \"…\"");
    let kind = kind?.value.kind();
    let key = Key {
        id: raw.key_id.map_or(1, |id| id.value),
        secret: secret(password?, kind, mistakes)?,
    };
    let other_key = match (&raw.other_key_id, &raw.password_of_other_key) {
        (Some(id), _) if id.value == key.id => {
            let message = "both keys have the same number";
            mistakes.push(mistakes.error(id.span, message, "that of the first key"));
            None
        }
        (Some(id), Some(password)) => Some(Key {
            id: id.value,
            secret: secret(password, kind, mistakes)?,
        }),
        (None, None) => None,
        (Some(Located { span, .. }), None) | (None, Some(Located { span, .. })) => {
            let message = "another key has a number and a password";
            let diagnostic = mistakes.error(*span, message, "one of them alone is of no use");
            let help = "write `other-key-id` and `password-of-other-key`";
            mistakes.push(diagnostic.help(help));
            None
        }
    };
    Some(Authentication {
        kind,
        key,
        other_key,
    })
}

fn secret(password: &Located<String>, kind: Kind, mistakes: &mut Mistakes) -> Option<Secret> {
    let length = password.value.len();
    let longest = kind.longest_secret();
    if !(1..=longest).contains(&length) {
        let message = format!("a password of {length} bytes is not possible");
        let diagnostic = mistakes.error(password.span, message, format!("1 to {longest} bytes"));
        mistakes.push(diagnostic.note("RFC 5880, sections 4.2 to 4.4"));
        return None;
    }
    Secret::new(password.value.as_bytes())
}
