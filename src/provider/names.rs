//! Azure's own names of states and events (2025-05-01 API), as facts and scenarios write them.

/// `prefixValidationState` of registered and Peering Service prefixes.
pub const PREFIX_STATES: [&str; 7] = [
    "None", "Invalid", "Verified", "Failed", "Pending", "Warning", "Unknown",
];

/// `learnedType` of a Peering Service prefix.
pub const LEARNED_TYPES: [&str; 3] = ["None", "ViaServiceProvider", "ViaSession"];

/// `validationState` of a peer ASN.
pub const PEER_ASN_STATES: [&str; 4] = ["None", "Pending", "Approved", "Failed"];

/// `provisioningState` of a peering; `None` once it is gone.
pub const PEERING_STATES: [&str; 6] = [
    "Succeeded",
    "Updating",
    "Deleting",
    "Failed",
    "Canceled",
    "None",
];

/// `connectionState`. `PendingRemove`, which the walkthrough for Direct peering has here, is one of a session (E-13).
pub const CONNECTION_STATES: [&str; 11] = [
    "None",
    "PendingApproval",
    "Approved",
    "ProvisioningStarted",
    "ProvisioningFailed",
    "ProvisioningCompleted",
    "Validating",
    "Active",
    "TypeChangeRequested",
    "TypeChangeInProgress",
    "ExternalBlocker",
];

/// `sessionStateV4`.
pub const SESSION_STATES: [&str; 11] = [
    "None",
    "Idle",
    "Connect",
    "Active",
    "OpenSent",
    "OpenConfirm",
    "OpenReceived",
    "Established",
    "PendingAdd",
    "PendingUpdate",
    "PendingRemove",
];

/// `eventLevel`.
pub const EVENT_LEVELS: [&str; 4] = ["Information", "Warning", "Error", "Critical"];

/// `eventType` of the alarm that a LAG must be augmented (L1-02), and of its end; our own words.
pub const UTILISATION_EVENTS: [&str; 2] = [AUGMENTATION_REQUIRED, AUGMENTATION_NO_LONGER_REQUIRED];
pub(super) const AUGMENTATION_REQUIRED: &str = "LagAugmentationRequired";
pub(super) const AUGMENTATION_NO_LONGER_REQUIRED: &str = "LagAugmentationNoLongerRequired";

/// `eventType`: of a Peering Service prefix as documented; of milestones, refused requests, advice and too many prefixes in our own words.
pub const EVENTS: [&str; 24] = [
    "PrefixAnnouncementEvent",
    "PrefixWithdrawalEvent",
    "PrefixBackupRouteAnnouncementEvent",
    "PrefixBackupRouteWithdrawalEvent",
    "PrefixActivePath",
    "PrefixBackupPath",
    "PrefixOriginAsChangeEvent",
    "PrefixBackupRouteOriginAsChangeEvent",
    "AsnApproved",
    "LetterOfAuthorizationSent",
    "AddressesAllocated",
    "ConnectionActive",
    "PeeringActive",
    "ConversionRequested",
    "ConversionApproved",
    "SessionAddressesChanged",
    "ConversionCompleted",
    "ResourceRemoved",
    "RequestRefused",
    "Advice",
    "MaximumPrefixesWarning",
    "MaximumPrefixesExceeded",
    AUGMENTATION_REQUIRED,
    AUGMENTATION_NO_LONGER_REQUIRED,
];
