//! Profiles: what the Microsoft side does in a kind of interconnect, as files that are part of the program.

use std::num::NonZeroU8;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::parse::{stem, with_microsoft};
use super::raw::{RawMicrosoft, RawProfile, RawProfileFile};
use super::{
    BfdOptions, BfdTimers, BgpSettings, Inside, LacpSettings, Policy, Profile, Registers,
    SessionAddressProvider, UtilisationLimit,
};
use crate::policy::Policies;
use crate::source::{Diagnostics, Located, Mistakes, Source, Span, list, read};

/// The path and the text of a profile's file.
macro_rules! file {
    ($name:literal) => {
        (
            concat!("topologies/profiles/", $name, ".toml"),
            include_str!(concat!("../../topologies/profiles/", $name, ".toml")),
        )
    };
}

// Gap: BFD is not asked for with a route server, and its sessions run all the same, as for voice. Nor is the full mesh of
// sessions made that Microsoft makes with a route server (E-17): a connection has one session.
static VOICE: LazyLock<Profile> = LazyLock::new(|| shipped(file!("voice")));
static EXCHANGE_ROUTE_SERVER: LazyLock<Profile> =
    LazyLock::new(|| shipped(file!("exchange-route-server")));

/// The profiles there are.
const NAMES: [&str; 2] = ["voice", "exchange-route-server"];

/// What a profile supplies; one that is not supported yet is none.
pub(super) fn supplied(profile: RawProfile) -> Option<&'static Profile> {
    match profile {
        RawProfile::Voice => Some(&VOICE),
        RawProfile::ExchangeRouteServer => Some(&EXCHANGE_ROUTE_SERVER),
        RawProfile::PeeringService | RawProfile::Direct | RawProfile::Exchange => None,
    }
}

/// The profile of this name, or a mistake: it is not supported yet.
pub(super) fn named(
    name: Located<RawProfile>,
    mistakes: &mut Mistakes,
) -> Option<&'static Profile> {
    let profile = supplied(name.value);
    if profile.is_none() {
        let text = &mistakes.source().text[mistakes.source().range(name.span)];
        let message = format!("the profile {text} is not supported yet");
        let diagnostic = mistakes.error(name.span, message, "not yet");
        mistakes.push(diagnostic.note(format!("supported: {}", list(NAMES))));
    }
    profile
}

fn shipped((path, text): (&str, &str)) -> Profile {
    let profile = parse(&Source::new(path, text));
    profile.unwrap_or_else(|mistakes| panic!("the program has a wrong profile:\n{mistakes}"))
}

/// Parses a profile. Its name is the file's stem.
///
/// # Errors
/// Every mistake in it.
pub fn parse(source: &Arc<Source>) -> Result<Profile, Diagnostics> {
    let (raw, mut mistakes) = read::<RawProfileFile>(source);
    let profile = raw.and_then(|raw| model(&raw, &mut mistakes));
    mistakes.finish(profile)
}

fn model(raw: &RawProfileFile, mistakes: &mut Mistakes) -> Option<Profile> {
    let base = match &raw.like {
        Some(like) => named(*like, mistakes).cloned(),
        None => complete(raw, mistakes).then(blank),
    };
    let base = base?;
    let profile = Profile {
        name: stem(&mistakes.source().path),
        network: raw
            .network
            .as_ref()
            .map_or(base.network, |key| key.value.clone()),
        peering_type: raw
            .peering_type
            .as_ref()
            .map_or(base.peering_type, |key| key.value.clone()),
        session_address_provider: (raw.session_address_provider)
            .map_or(base.session_address_provider, |key| key.value),
        fewest_connections: (raw.fewest_connections)
            .map_or(base.fewest_connections, |key| usize::from(key.value)),
        registers: raw.registers.map_or(base.registers, |key| key.value),
        policies: base
            .policies
            .with(&raw.policy, &raw.prefix_set, &raw.asn_set, mistakes),
        ..base
    };
    let policies = profile.policies.clone();
    Some(match &raw.microsoft {
        Some(microsoft) => with_microsoft(profile, microsoft, &policies, mistakes),
        None => profile,
    })
}

/// Nothing of it is left once a profile is [`complete`].
fn blank() -> Profile {
    Profile {
        name: String::new(),
        network: String::new(),
        peering_type: String::new(),
        session_address_provider: SessionAddressProvider::Microsoft,
        fewest_connections: 1,
        registers: Registers::Prefixes,
        bfd: BfdTimers {
            interval: Duration::ZERO,
            multiplier: NonZeroU8::MIN,
        },
        bfd_options: BfdOptions::default(),
        bgp: BgpSettings::default(),
        lacp: LacpSettings {
            fast: true,
            active: true,
            min_links: 1,
        },
        utilisation: UtilisationLimit::default(),
        routes: 0,
        ipv6_routes: 0,
        wan: Inside::default(),
        policy: Policy::default(),
        import: String::new(),
        export: String::new(),
        policies: Policies::default(),
    }
}

/// Whether a profile that is like no other says everything; if not, a mistake for each key.
fn complete(raw: &RawProfileFile, mistakes: &mut Mistakes) -> bool {
    let none = RawMicrosoft::default();
    let microsoft = raw.microsoft.as_ref().unwrap_or(&none);
    let bfd = microsoft.bfd.as_ref().map(|bfd| &bfd.value);
    let bgp = microsoft.bgp.as_ref().map(|bgp| &bgp.value);
    let lacp = microsoft.lacp.as_ref().map(|lacp| &lacp.value);
    let keys = [
        ("network", raw.network.is_some()),
        ("peering-type", raw.peering_type.is_some()),
        (
            "session-address-provider",
            raw.session_address_provider.is_some(),
        ),
        ("fewest-connections", raw.fewest_connections.is_some()),
        ("registers", raw.registers.is_some()),
        ("microsoft.import", microsoft.import.is_some()),
        ("microsoft.export", microsoft.export.is_some()),
        ("microsoft.routes", microsoft.routes.is_some()),
        ("microsoft.ipv6-routes", microsoft.ipv6_routes.is_some()),
        (
            "microsoft.bfd.interval",
            bfd.is_some_and(|bfd| bfd.interval.is_some()),
        ),
        (
            "microsoft.bfd.multiplier",
            bfd.is_some_and(|bfd| bfd.multiplier.is_some()),
        ),
        (
            "microsoft.bgp.keepalive",
            bgp.is_some_and(|bgp| bgp.keepalive.is_some()),
        ),
        (
            "microsoft.bgp.hold",
            bgp.is_some_and(|bgp| bgp.hold.is_some()),
        ),
        (
            "microsoft.bgp.connect-retry",
            bgp.is_some_and(|bgp| bgp.connect_retry.is_some()),
        ),
        (
            "microsoft.lacp.rate",
            lacp.is_some_and(|lacp| lacp.rate.is_some()),
        ),
        (
            "microsoft.lacp.mode",
            lacp.is_some_and(|lacp| lacp.mode.is_some()),
        ),
        (
            "microsoft.lacp.min-links",
            lacp.is_some_and(|lacp| lacp.min_links.is_some()),
        ),
    ];
    let missing = keys.iter().filter(|(_, given)| !given);
    let missing: Vec<&str> = missing.map(|(key, _)| *key).collect();
    if missing.is_empty() {
        return true;
    }
    let message = format!("the profile lacks {}", list(missing));
    let diagnostic = mistakes.error(Span::default(), message, "");
    mistakes.push(
        diagnostic
            .help("a profile that says only what is different begins with `like = \"voice\"`"),
    );
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_profiles_are_right_and_named_after_their_files() {
        for (profile, name) in [
            (RawProfile::Voice, "voice"),
            (RawProfile::ExchangeRouteServer, "exchange-route-server"),
        ] {
            let profile = supplied(profile).expect("supported");
            assert_eq!(profile.name, name);
        }
        // What a route server's profile does not say is that of voice.
        assert_eq!(EXCHANGE_ROUTE_SERVER.bfd, VOICE.bfd);
        assert_eq!(EXCHANGE_ROUTE_SERVER.registers, Registers::Asns);
        assert!(VOICE.bgp.options.enforces_first_as());
        assert!(!EXCHANGE_ROUTE_SERVER.bgp.options.enforces_first_as());
        assert_eq!(VOICE.bfd.interval, Duration::from_millis(150));
    }

    #[test]
    fn a_profile_that_is_like_no_other_says_everything() {
        let source = Source::new(
            "p.toml",
            "network = \"x\"\n[microsoft.bfd]\ninterval = \"1s\"\n",
        );
        let told = parse(&source).expect_err("incomplete").to_string();
        assert!(told.contains("lacks `peering-type`, "), "{told}");
        assert!(told.contains("`microsoft.bfd.multiplier`"), "{told}");
        assert!(!told.contains("`microsoft.bfd.interval`"), "{told}");
        let source = Source::new("p.toml", "like = \"direct\"\n");
        let told = parse(&source).expect_err("not yet").to_string();
        assert!(told.contains("not supported yet"), "{told}");
    }
}
