//! Why a prefix does not pass: stable names, the checks they belong to, and the headings under which the portal tells them.
//!
//! Headings are those of the two troubleshooting articles (b.3 and b.4 of the documents), word for word. Where no text is
//! documented the heading is ours, and says so.

use crate::provider::reason as names;
use crate::record::{Failure, Message, Severity};

/// Which of the two objects is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A registered prefix, below a peering.
    Registered,
    /// A Peering Service prefix, below a Peering Service resource.
    Service,
}

/// Why a prefix does not pass a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No IPv4 prefix at all.
    NotIpv4Prefix,
    /// Bits beyond the prefix length are set.
    HostBitsSet,
    /// Longer than /24, where those are not accepted (E-01).
    SmallerThan24NotAccepted,
    /// The peering is not for Peering Service.
    PeeringNotForPeeringService,
    /// The peering has no connection that is Active.
    NoActiveConnection,
    /// The prefix is registered already.
    AlreadyRegistered,
    /// The prefix is activated under this service already; it can only be deleted and created again.
    DifferentPrefix,
    /// Microsoft's side fails.
    InternalError,
    /// The provider is not known.
    ProviderNotFound,
    /// The primary location has fewer than two sessions.
    TooFewSessionsInPrimary,
    /// The sessions of the primary location end on one router.
    SameRouterInPrimary,
    /// The backup location has no session.
    NoSessionInBackup,
    /// A session does not have the prefix.
    PrefixNotReceived,
    /// The community 8075:8007 is missing.
    MissingCommunity,
    /// Another Peering Service prefix overlaps.
    OverlapsAnotherPrefix,
    /// More than three AS numbers.
    AsPathTooLong,
    /// An AS number is repeated.
    AsPathPrepended,
    /// An AS_SET.
    AsSet,
    /// A private AS number (RFC 6996).
    PrivateAsnInPath,
    /// Another AS number that is nobody's.
    SpecialAsnInPath,
    /// There is no registered prefix with a key.
    NotRegistered,
    /// The key is not that of the prefix.
    WrongKey,
    /// No registry has the origin AS.
    OriginNotInRegistry,
    /// The registry cannot be asked.
    RegistryUnavailable,
    /// No registry was configured.
    RegistryNotConfigured,
    /// The prefix is in a private range.
    PrivateRange,
    /// The origin is not the peering's AS.
    OriginNotPeerAsn,
    /// The RPKI says the origin or length is wrong.
    RpkiInvalid,
    /// The RPKI says nothing.
    RpkiNotFound,
    /// No route object for the prefix and its origin.
    NoRouteObject,
}

use Kind::{Registered, Service};
use Reason::*;

impl Reason {
    /// All of them, in the order in which the portal would tell them: b.2 of the documents, where the order of the
    /// headings is proposed; ours, which have no text, come where b.2 puts their check, or last.
    pub const ALL: [Reason; 30] = [
        InternalError,
        NotIpv4Prefix,
        HostBitsSet,
        SmallerThan24NotAccepted,
        PeeringNotForPeeringService,
        NoActiveConnection,
        DifferentPrefix,
        AlreadyRegistered,
        ProviderNotFound,
        TooFewSessionsInPrimary,
        SameRouterInPrimary,
        NoSessionInBackup,
        PrefixNotReceived,
        MissingCommunity,
        OverlapsAnotherPrefix,
        AsPathTooLong,
        AsPathPrepended,
        AsSet,
        PrivateAsnInPath,
        SpecialAsnInPath,
        NotRegistered,
        WrongKey,
        OriginNotInRegistry,
        RegistryUnavailable,
        PrivateRange,
        OriginNotPeerAsn,
        RpkiInvalid,
        RpkiNotFound,
        NoRouteObject,
        RegistryNotConfigured,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            NotIpv4Prefix => names::NOT_IPV4_PREFIX,
            HostBitsSet => names::HOST_BITS_SET,
            SmallerThan24NotAccepted => names::SMALLER_THAN_24_NOT_ACCEPTED,
            PeeringNotForPeeringService => names::PEERING_NOT_FOR_PEERING_SERVICE,
            NoActiveConnection => names::NO_ACTIVE_CONNECTION,
            AlreadyRegistered => names::ALREADY_REGISTERED,
            DifferentPrefix => names::DIFFERENT_PREFIX,
            InternalError => names::INTERNAL_ERROR,
            ProviderNotFound => names::PROVIDER_NOT_FOUND,
            TooFewSessionsInPrimary => names::TOO_FEW_SESSIONS_IN_PRIMARY,
            SameRouterInPrimary => names::SAME_ROUTER_IN_PRIMARY,
            NoSessionInBackup => names::NO_SESSION_IN_BACKUP,
            PrefixNotReceived => names::PREFIX_NOT_RECEIVED,
            MissingCommunity => names::MISSING_COMMUNITY,
            OverlapsAnotherPrefix => names::OVERLAPS_ANOTHER_PREFIX,
            AsPathTooLong => names::AS_PATH_TOO_LONG,
            AsPathPrepended => names::AS_PATH_PREPENDED,
            AsSet => names::AS_SET,
            PrivateAsnInPath => names::PRIVATE_ASN_IN_PATH,
            SpecialAsnInPath => names::SPECIAL_ASN_IN_PATH,
            NotRegistered => names::NOT_REGISTERED,
            WrongKey => names::WRONG_KEY,
            OriginNotInRegistry => names::ORIGIN_NOT_IN_REGISTRY,
            RegistryUnavailable => names::REGISTRY_UNAVAILABLE,
            RegistryNotConfigured => names::REGISTRY_NOT_CONFIGURED,
            PrivateRange => names::PRIVATE_RANGE,
            OriginNotPeerAsn => names::ORIGIN_NOT_PEER_ASN,
            RpkiInvalid => names::RPKI_INVALID,
            RpkiNotFound => names::RPKI_NOT_FOUND,
            NoRouteObject => names::NO_ROUTE_OBJECT,
        }
    }

    /// The check it belongs to. That of the registries says itself which.
    pub(super) fn check(self, kind: Kind) -> &'static str {
        match (self, kind) {
            (NotIpv4Prefix | HostBitsSet, _) => "V-10",
            (SmallerThan24NotAccepted, _) => "E-01",
            (PeeringNotForPeeringService, _) => "V-17",
            (NoActiveConnection, _) => "V-16",
            (AlreadyRegistered, _) => "V-15",
            (DifferentPrefix, _) => "PFX-14",
            (InternalError, Registered) => "RP-E4",
            (InternalError, Service) => "PS-E9",
            (ProviderNotFound, _) => "V-13",
            (TooFewSessionsInPrimary | SameRouterInPrimary, _) => "V-11",
            (NoSessionInBackup, _) => "V-12",
            (PrefixNotReceived, Registered) => "V-03",
            (PrefixNotReceived, Service) => "V-04",
            (MissingCommunity, _) => "V-05",
            (OverlapsAnotherPrefix, _) => "V-14",
            (AsPathTooLong | AsSet, _) => "V-06",
            (AsPathPrepended, _) => "V-08",
            (PrivateAsnInPath | SpecialAsnInPath, _) => "V-07",
            (NotRegistered | WrongKey, _) => "V-09",
            (OriginNotInRegistry | RegistryUnavailable | RegistryNotConfigured, _) => "V-02",
            (PrivateRange, _) => "V-01",
            (OriginNotPeerAsn, _) => "E-22",
            (RpkiInvalid | RpkiNotFound, _) => "E-21",
            (NoRouteObject, _) => "POL-11",
        }
    }

    /// The heading, and whether Microsoft's documents have it.
    pub fn heading(self, kind: Kind) -> (&'static str, bool) {
        match (self, kind) {
            (InternalError, _) => ("Internal server error", true),
            (PrefixNotReceived, Registered) => ("Prefix not received from IP", true),
            (MissingCommunity, Registered) => ("Advertisement missing MAPS community", true),
            // One message for path length and private ASNs; prepending is mapped to it (E-03), and so are the others.
            (
                AsPathTooLong | AsPathPrepended | AsSet | PrivateAsnInPath | SpecialAsnInPath,
                Registered,
            ) => ("AS path isn't correct", true),
            (TooFewSessionsInPrimary | SameRouterInPrimary, _) => {
                let heading = "Provider has fewer than two sessions in its primary location";
                (heading, true)
            }
            (NoSessionInBackup, _) => ("Provider has no sessions in its backup location", true),
            (NotIpv4Prefix | HostBitsSet, Service) => ("Peering service prefix is invalid", true),
            (PrefixNotReceived, Service) => {
                let heading = "Not receiving prefix advertisement from IP for prefix";
                (heading, true)
            }
            (MissingCommunity, Service) => {
                let heading =
                    "Received route for prefix should have the Peering Service community 8075:8007";
                (heading, true)
            }
            (AsPathTooLong | AsPathPrepended, Service) => {
                ("AS path length for prefix should be <=3 for prefix", true)
            }
            (PrivateAsnInPath, Service) => ("AS path for prefix can't include private ASNs", true),
            (ProviderNotFound, _) => ("Peering service provider not found", true),
            // One of the portal's shorter messages (PSPORTAL).
            (OverlapsAnotherPrefix, _) => ("Prefix overlaps with an existing prefix", true),
            (AsSet, Service) => ("AS path for prefix can't include an AS_SET", false),
            (SpecialAsnInPath, Service) => {
                ("AS path for prefix can't include reserved ASNs", false)
            }
            (NotIpv4Prefix | HostBitsSet, Registered) => {
                ("Prefix is not a valid IPv4 prefix", false)
            }
            (SmallerThan24NotAccepted, _) => ("Prefix is smaller than /24", false),
            (PeeringNotForPeeringService, _) => {
                ("Operation not supported for this peering type", false)
            }
            (NoActiveConnection, _) => ("Peering has no active connection", false),
            (AlreadyRegistered, _) => ("Prefix is already registered", false),
            (DifferentPrefix, _) => ("Prefix can't be modified", false),
            (NotRegistered, _) => ("Prefix isn't registered", false),
            (WrongKey, _) => ("Prefix key doesn't match", false),
            (OriginNotInRegistry, _) => {
                ("Origin ASN isn't registered in a routing registry", false)
            }
            (RegistryUnavailable, _) => ("Routing registry can't be read", false),
            (RegistryNotConfigured, _) => ("No routing registry", false),
            (PrivateRange, _) => ("Prefix is in a private range", false),
            (OriginNotPeerAsn, _) => ("Origin ASN isn't the ASN of the peering", false),
            (RpkiInvalid, _) => ("Route is RPKI invalid", false),
            (RpkiNotFound, _) => ("Route isn't covered by the RPKI", false),
            (NoRouteObject, _) => ("No route object for the prefix", false),
        }
    }

    /// The reason of a stable name.
    pub fn of(name: &str) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.name() == name)
    }

    fn rank(self) -> usize {
        let place = Reason::ALL.iter().position(|reason| *reason == self);
        place.unwrap_or(Reason::ALL.len())
    }
}

/// Puts failures in the order in which the portal would tell them; those of one reason keep theirs.
pub(super) fn order(failures: &mut [Failure]) {
    if failures.len() > 1 {
        failures.sort_by_key(|failure| Reason::of(&failure.reason).map(Reason::rank));
    }
}

/// What the portal would show: the first heading among what failed, or else what could not be decided.
/// `failures` are in order.
pub fn message(kind: Kind, failures: &[Failure]) -> Option<Message> {
    let reason = |failure: &Failure| Reason::of(&failure.reason);
    let failed = |failure: &&Failure| failure.severity == Severity::Fail;
    let undecided = |failure: &&Failure| is_undecided(failure);
    let first = failures.iter().find(failed);
    let first = first.or_else(|| failures.iter().find(undecided))?;
    let (heading, documented) = reason(first)?.heading(kind);
    let alike = failures.iter().filter(|failure| {
        failure.severity == first.severity
            && reason(failure).is_some_and(|reason| reason.heading(kind).0 == heading)
    });
    let texts: Vec<&str> = alike.map(|failure| failure.text.as_str()).collect();
    Some(Message {
        heading: heading.to_owned(),
        documented,
        text: texts.join("; "),
    })
}

/// A check that must be decided before a prefix is verified, and could not be.
pub(super) fn is_undecided(failure: &Failure) -> bool {
    failure.severity == Severity::Unchecked && failure.reason == RegistryUnavailable.name()
}
