//! The states Azure gives to a peer ASN, a peering, a connection and its session, and the moves between them.
//!
//! Each table lists the moves that exist and refuses every other pair of state and input; the tests write out all pairs.
//! Sources: facts c.1 to c.4 and d.2, E-13.

use std::fmt;

/// An enum whose variants are spelled as Azure spells them.
macro_rules! azure {
    ($(#[$meta:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$inner])* $variant),* }

        impl $name {
            /// Every value, in Azure's order.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The value as Azure spells it.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant)),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

azure! {
    /// `validationState` of a peer ASN (facts c.1).
    ValidationState {
        /// Not associated with the subscription.
        None,
        /// Microsoft reviews it, up to twelve hours.
        Pending,
        /// Peerings may be requested.
        Approved,
        /// Refused, with an `errorMessage`.
        Failed,
    }
}

azure! {
    /// `provisioningState` of a peering: of the object in Azure, not of its connections (facts d.2).
    ProvisioningState {
        /// The object is as it was asked for.
        Succeeded,
        /// Its type is being converted.
        Updating,
        /// It is being deprovisioned (E-13).
        Deleting,
        /// Microsoft rejected it.
        Failed,
        /// It was removed before Microsoft approved it.
        Canceled,
    }
}

azure! {
    /// `connectionState` (facts c.2): of the connection, not of its BGP session.
    ConnectionState {
        /// Not requested.
        None,
        /// Requested; Microsoft has not approved it.
        PendingApproval,
        /// Approved, in an Exchange peering. A Direct one goes on to `ProvisioningStarted` at once.
        Approved,
        /// Approved: cabling, LACP, addresses, BFD and BGP come up.
        ProvisioningStarted,
        /// Stopped, with an `errorMessage`.
        ProvisioningFailed,
        /// BGP was established under deny-all.
        ProvisioningCompleted,
        /// End-to-end validation, under deny-all.
        Validating,
        /// Routes are exchanged.
        Active,
        /// Active, and waiting for its turn to be converted.
        TypeChangeRequested,
        /// Being converted, under deny-all.
        TypeChangeInProgress,
        /// In the model of 2025-05-01, described nowhere; never taken here.
        ExternalBlocker,
    }
}

azure! {
    /// `sessionStateV4` of a connection's BGP session (facts c.2).
    SessionState {
        /// There is no `bgpSession`: addresses are not allocated.
        None,
        /// RFC 4271.
        Idle,
        /// RFC 4271.
        Connect,
        /// RFC 4271: it tries to connect. Not to be mixed up with [`ConnectionState::Active`].
        Active,
        /// RFC 4271.
        OpenSent,
        /// RFC 4271.
        OpenConfirm,
        /// In Azure's model; no state of RFC 4271, so never observed.
        OpenReceived,
        /// RFC 4271.
        Established,
        /// Addresses are allocated, Microsoft's side is not configured.
        PendingAdd,
        /// Addresses are being changed. Those of a lab never are.
        PendingUpdate,
        /// Being deprovisioned (E-13).
        PendingRemove,
    }
}

impl SessionState {
    /// The state an edge's BGP session was observed in, by its RFC 4271 name.
    pub fn observed(name: &str) -> SessionState {
        let known = SessionState::ALL.iter().find(|state| state.name() == name);
        known.copied().unwrap_or(SessionState::Idle)
    }
}

/// What happens to a peer ASN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsnInput {
    /// The peer associates it with the subscription.
    Register,
    /// Microsoft approves.
    Approve,
    /// Microsoft refuses.
    Fail,
}

impl ValidationState {
    /// The state after an input; `None` refuses it. What is approved stays: the portal can neither modify nor delete it.
    pub const fn next(self, input: AsnInput) -> Option<ValidationState> {
        use ValidationState::{Approved, Failed, None as Unknown, Pending};
        match (input, self) {
            (AsnInput::Register, Unknown | Failed) => Some(Pending),
            (AsnInput::Approve, Pending) => Some(Approved),
            (AsnInput::Fail, Pending) => Some(Failed),
            (AsnInput::Register, Pending | Approved)
            | (AsnInput::Approve | AsnInput::Fail, Unknown | Approved | Failed) => Option::None,
        }
    }
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It is part of a peering that was requested.
    Requested,
    /// Microsoft approves the peering, or takes up again what failed.
    Approved,
    /// Microsoft rejects the peering.
    Rejected,
    /// Its LAG, BFD and BGP are up.
    CameUp,
    /// One of them is not any more.
    WentDown,
    /// End-to-end validation passed.
    Validated,
    /// Provisioning failed.
    Failed,
    /// A conversion of its peering was requested.
    ConversionRequested,
    /// That conversion was rejected.
    ConversionRejected,
    /// It is this connection's turn.
    ConversionStarted,
    /// It may be deprovisioned: no change of state, which stays until it is gone (E-13).
    Removing,
    /// It is gone.
    Removed,
}

impl Input {
    /// Every input.
    pub const ALL: [Input; 12] = [
        Input::Requested,
        Input::Approved,
        Input::Rejected,
        Input::CameUp,
        Input::WentDown,
        Input::Validated,
        Input::Failed,
        Input::ConversionRequested,
        Input::ConversionRejected,
        Input::ConversionStarted,
        Input::Removing,
        Input::Removed,
    ];
}

impl ConnectionState {
    /// The state after an input; `None` refuses it.
    ///
    /// Only the moves that exist are listed: all other pairs, most of the table, are refusals of one kind.
    pub const fn next(self, input: Input) -> Option<ConnectionState> {
        use ConnectionState::{
            Active, None as Absent, PendingApproval, ProvisioningCompleted, ProvisioningFailed,
            ProvisioningStarted, TypeChangeInProgress, TypeChangeRequested, Validating,
        };
        let next = match (input, self) {
            (Input::Requested, Absent | ProvisioningFailed) => PendingApproval,
            (Input::Approved, PendingApproval | ProvisioningFailed) => ProvisioningStarted,
            (Input::Rejected, PendingApproval) => ProvisioningFailed,
            (Input::CameUp, ProvisioningStarted) => ProvisioningCompleted,
            (Input::CameUp, ProvisioningCompleted) => Validating,
            (Input::CameUp, TypeChangeInProgress) => Active,
            (Input::WentDown, Validating) => ProvisioningCompleted,
            // An active connection stays so: its state is not that of its BGP session.
            (
                Input::WentDown,
                ProvisioningStarted
                | ProvisioningCompleted
                | TypeChangeInProgress
                | TypeChangeRequested
                | Active,
            ) => self,
            (Input::Validated, Validating) => Active,
            (
                Input::Failed,
                ProvisioningStarted | ProvisioningCompleted | Validating | TypeChangeInProgress,
            ) => ProvisioningFailed,
            (Input::ConversionRequested, Active) => TypeChangeRequested,
            (Input::ConversionRejected, TypeChangeRequested) => Active,
            // Also to take up a conversion that failed.
            (Input::ConversionStarted, TypeChangeRequested | ProvisioningFailed) => {
                TypeChangeInProgress
            }
            (Input::Removing, PendingApproval | ProvisioningFailed | Validating | Active) => self,
            (Input::Removed, PendingApproval | ProvisioningFailed | Validating | Active) => Absent,
            _ => return Option::None,
        };
        Some(next)
    }

    /// Whether routes are exchanged: in every other state the edge's policy is deny-all.
    pub const fn exchanges_routes(self) -> bool {
        matches!(
            self,
            ConnectionState::Active | ConnectionState::TypeChangeRequested
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::names;

    /// The whole table of a peer ASN.
    #[test]
    fn peer_asn() {
        use ValidationState as S;
        let table = [
            (S::None, [Some(S::Pending), None, None]),
            (S::Pending, [None, Some(S::Approved), Some(S::Failed)]),
            (S::Approved, [None, None, None]),
            (S::Failed, [Some(S::Pending), None, None]),
        ];
        assert_eq!(table.map(|(state, _)| state), S::ALL);
        for (state, row) in table {
            let inputs = [AsnInput::Register, AsnInput::Approve, AsnInput::Fail];
            assert_eq!(inputs.map(|input| state.next(input)), row, "{state}");
        }
    }

    /// The whole table of a connection, in the order of [`Input::ALL`]; `-` refuses, `=` stays.
    #[test]
    fn connection() {
        let heading = "Requested Approved Rejected CameUp WentDown Validated Failed ConversionRequested \
                       ConversionRejected ConversionStarted Removing Removed";
        let named: Vec<String> = Input::ALL
            .iter()
            .map(|input| format!("{input:?}"))
            .collect();
        assert_eq!(named, heading.split_whitespace().collect::<Vec<_>>());
        let short = |state: ConnectionState| match state {
            ConnectionState::None => "None",
            ConnectionState::PendingApproval => "Pend",
            ConnectionState::Approved => "Appr",
            ConnectionState::ProvisioningStarted => "Start",
            ConnectionState::ProvisioningFailed => "Fail",
            ConnectionState::ProvisioningCompleted => "Compl",
            ConnectionState::Validating => "Valid",
            ConnectionState::Active => "Active",
            ConnectionState::TypeChangeRequested => "TcReq",
            ConnectionState::TypeChangeInProgress => "TcIn",
            ConnectionState::ExternalBlocker => "Block",
        };
        //          Reque Appr  Rej  CameUp Went  Valid  Fail CReq  CRej   CStart Remg Removed
        let table = "
            None    Pend  -     -    -      -     -      -    -     -      -      -    -
            Pend    -     Start Fail -      -     -      -    -     -      -      =    None
            Appr    -     -     -    -      -     -      -    -     -      -      -    -
            Start   -     -     -    Compl  =     -      Fail -     -      -      -    -
            Fail    Pend  Start -    -      -     -      -    -     -      TcIn   =    None
            Compl   -     -     -    Valid  =     -      Fail -     -      -      -    -
            Valid   -     -     -    -      Compl Active Fail -     -      -      =    None
            Active  -     -     -    -      =     -      -    TcReq -      -      =    None
            TcReq   -     -     -    -      =     -      -    -     Active TcIn   -    -
            TcIn    -     -     -    Active =     -      Fail -     -      -      -    -
            Block   -     -     -    -      -     -      -    -     -      -      -    -";
        let rows: Vec<&str> = table.trim().lines().map(str::trim).collect();
        assert_eq!(rows.len(), ConnectionState::ALL.len());
        for (row, state) in rows.iter().zip(ConnectionState::ALL) {
            let after = Input::ALL.map(|input| match state.next(input) {
                None => "-",
                Some(next) if next == *state => "=",
                Some(next) => short(next),
            });
            let row: Vec<&str> = row.split_whitespace().collect();
            assert_eq!(row[0], short(*state));
            assert_eq!(row[1..], after, "{state}");
        }
    }

    /// What a scenario can expect is what there is.
    #[test]
    fn names_are_those_of_scenarios() {
        fn all<T>(values: &[T], name: fn(&T) -> &'static str) -> Vec<&'static str> {
            values.iter().map(name).collect()
        }
        assert_eq!(
            all(ConnectionState::ALL, |s| s.name()),
            names::CONNECTION_STATES
        );
        assert_eq!(all(SessionState::ALL, |s| s.name()), names::SESSION_STATES);
        assert_eq!(
            all(ValidationState::ALL, |s| s.name()),
            names::PEER_ASN_STATES
        );
        let mut peering = all(ProvisioningState::ALL, |s| s.name());
        peering.push("None");
        assert_eq!(peering, names::PEERING_STATES);
        for name in [
            "Idle",
            "Connect",
            "Active",
            "OpenSent",
            "OpenConfirm",
            "Established",
        ] {
            assert_eq!(SessionState::observed(name).name(), name);
        }
        assert_eq!(SessionState::observed("?"), SessionState::Idle);
    }
}
