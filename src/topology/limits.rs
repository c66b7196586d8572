//! How many routes a session may bring, and how often it may announce: `maximum-prefixes` and `advertisement-interval`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::policy::OverDeclared;
use super::raw::RawConnection;
use crate::bgp::family::Family;
use crate::source::{Duration as RawDuration, Located, Mistakes, in_words};

/// The longest time between announcements that routers know, as FRR and IOS have it.
const INTERVAL_LONGEST: Duration = Duration::from_secs(600);

/// How many routes a neighbour may bring on a session, whatever policy makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaximumPrefixes {
    /// On an IPv4 session; `None` is any number.
    pub ipv4: Option<u32>,
    /// On an IPv6 session.
    pub ipv6: Option<u32>,
    /// From this share on, in percent, it is told.
    pub warn_at: u8,
    /// With more it is told, and no more than that: the session goes on.
    pub warning_only: bool,
    /// How long a session rests that has brought more; `None` until it is started by hand.
    pub restart: Option<Duration>,
}

impl Default for MaximumPrefixes {
    /// Any number; FRR's and IOS's threshold.
    fn default() -> MaximumPrefixes {
        MaximumPrefixes {
            ipv4: None,
            ipv6: None,
            warn_at: 75,
            warning_only: false,
            restart: None,
        }
    }
}

/// How many routes a neighbour may bring.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMaximumPrefixes {
    /// Routes that the neighbour may send on an IPv4 session, whatever policy makes of them. With one more the session is
    /// ended (Cease / Maximum Number of Prefixes Reached, RFC 4486).
    #[schemars(range(min = 1))]
    pub ipv4: Option<Located<u32>>,
    /// The same on an IPv6 session, for each family that it carries.
    #[schemars(range(min = 1))]
    pub ipv6: Option<Located<u32>>,
    /// From this share of them on, in percent, it is told; 75 if not given.
    #[schemars(range(min = 1, max = 100))]
    pub warn_at: Option<Located<u8>>,
    /// With more routes it is told, too, but the session goes on.
    pub warning_only: Option<Located<bool>>,
    /// How long a session rests that has brought more, before it is tried again; without it, until it is started by hand.
    pub restart: Option<Located<RawDuration>>,
}

impl MaximumPrefixes {
    /// These, where the file does not say otherwise.
    pub(super) fn with(self, raw: &RawMaximumPrefixes, mistakes: &mut Mistakes) -> MaximumPrefixes {
        for limit in [raw.ipv4, raw.ipv6].into_iter().flatten() {
            if limit.value == 0 {
                let message = "a session that may bring no route is of no use";
                let diagnostic = mistakes.error(limit.span, message, "at least 1");
                mistakes.push(diagnostic.help("leave the key out for any number"));
            }
        }
        if let Some(share) = raw.warn_at
            && !(1..=100).contains(&share.value)
        {
            let message = format!("{} % of the maximum are never reached", share.value);
            let diagnostic = mistakes.error(share.span, message, "1 to 100, in percent");
            mistakes.push(diagnostic.help("`warn-at = 100` warns when the maximum is reached"));
        }
        if let Some(restart) = raw.restart
            && restart.value.0 < Duration::from_secs(1)
        {
            let message = format!("a rest of {} is none", in_words(restart.value.0));
            let diagnostic = mistakes.error(restart.span, message, "1s or more");
            mistakes
                .push(diagnostic.help("leave the key out for a session that is started by hand"));
        }
        if let (Some(only), Some(restart)) = (raw.warning_only, raw.restart)
            && only.value
        {
            let message = "a session that is only warned never restarts";
            let diagnostic = mistakes.error(restart.span, message, "of no use");
            mistakes.push(diagnostic.help("leave `warning-only` or `restart` out"));
        }
        MaximumPrefixes {
            ipv4: raw.ipv4.map(|limit| limit.value).or(self.ipv4),
            ipv6: raw.ipv6.map(|limit| limit.value).or(self.ipv6),
            warn_at: raw.warn_at.map_or(self.warn_at, |share| share.value),
            warning_only: (raw.warning_only).map_or(self.warning_only, |only| only.value),
            restart: raw.restart.map(|time| time.value.0).or(self.restart),
        }
    }

    /// On a session of this family.
    pub fn of(&self, family: Family) -> Option<u32> {
        match family {
            Family::Ipv4Unicast => self.ipv4,
            Family::Ipv6Unicast => self.ipv6,
        }
    }
}

/// How many prefixes the peer has declared to advertise on the sessions of a connection (BGP-08).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeclaredPrefixes {
    /// `maxPrefixesAdvertisedV4`.
    pub ipv4: Option<u32>,
    /// `maxPrefixesAdvertisedV6`.
    pub ipv6: Option<u32>,
}

impl DeclaredPrefixes {
    /// What a connection says, within what Azure's tools take.
    pub(super) fn of(raw: &RawConnection, mistakes: &mut Mistakes) -> DeclaredPrefixes {
        let keys = [
            (raw.max_prefixes_advertised_v4, 20_000),
            (raw.max_prefixes_advertised_v6, 2_000),
        ];
        for (key, most) in keys {
            let Some(key) = key.filter(|key| !(1..=most).contains(&key.value)) else {
                continue;
            };
            let message = format!("{} prefixes cannot be declared", key.value);
            let diagnostic = mistakes.error(key.span, message, format!("1 to {most}"));
            mistakes.push(diagnostic.note("BGP-08: what Azure PowerShell takes"));
        }
        if let Some(key) = raw.max_prefixes_advertised_v6
            && raw.ipv6.is_none()
        {
            let message = "this connection has no IPv6 session";
            let diagnostic = mistakes.error(key.span, message, "of no use");
            mistakes.push(diagnostic.help("give the connection an `ipv6`"));
        }
        let [ipv4, ipv6] = keys.map(|(key, _)| key.map(|key| key.value));
        DeclaredPrefixes { ipv4, ipv6 }
    }

    /// The maximum of the edge's sessions, where they have none of their own.
    pub(super) fn enforced(self, how: OverDeclared, maximum: MaximumPrefixes) -> MaximumPrefixes {
        if how == OverDeclared::Ignore {
            return maximum;
        }
        MaximumPrefixes {
            ipv4: maximum.ipv4.or(self.ipv4),
            ipv6: maximum.ipv6.or(self.ipv6),
            warning_only: maximum.warning_only || how == OverDeclared::Warn,
            ..maximum
        }
    }
}

/// The time between announcements.
pub(super) fn interval(time: Located<RawDuration>, mistakes: &mut Mistakes) -> Duration {
    let value = time.value.0;
    if value > INTERVAL_LONGEST {
        let message = format!(
            "an advertisement interval of {} is too long",
            in_words(value)
        );
        let label = format!("at most {}", in_words(INTERVAL_LONGEST));
        let diagnostic = mistakes.error(time.span, message, label);
        mistakes
            .push(diagnostic.note("RFC 4271, section 10, suggests 30s for eBGP and 5s for iBGP"));
    }
    value
}
