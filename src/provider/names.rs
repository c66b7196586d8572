//! Azure's own names of states and events (2025-05-01 API), as facts and scenarios write them.

/// `prefixValidationState` of registered and Peering Service prefixes.
pub const PREFIX_STATES: [&str; 7] = [
    "None", "Invalid", "Verified", "Failed", "Pending", "Warning", "Unknown",
];

/// `learnedType` of a Peering Service prefix.
pub const LEARNED_TYPES: [&str; 3] = ["None", "ViaServiceProvider", "ViaSession"];

/// `validationState` of a peer ASN.
pub const PEER_ASN_STATES: [&str; 4] = ["None", "Pending", "Approved", "Failed"];

/// `provisioningState` of a peering.
pub const PEERING_STATES: [&str; 5] = ["Succeeded", "Updating", "Deleting", "Failed", "Canceled"];

/// `connectionState`; `PendingRemove` is in the walkthrough for Direct peering alone.
pub const CONNECTION_STATES: [&str; 12] = [
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
    "PendingRemove",
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

/// `eventType`: of a Peering Service prefix as documented; of milestones and refused requests in our own words.
pub const EVENTS: [&str; 18] = [
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
    "PeeringActive",
    "ConversionRequested",
    "ConversionApproved",
    "SessionAddressesChanged",
    "ConversionCompleted",
    "ResourceRemoved",
    "RequestRefused",
];
