//! The receive machine's transitions (IEEE 802.1AX, 6.4.12, figure 6-18).
//!
//! INITIALIZE is the making of a port. LACP_DISABLED is absent, because a port of a LAG always speaks LACP, and so is
//! port_moved, because a cable that was moved shows itself by another partner.

use std::fmt;

/// State of the receive machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiveState {
    /// No light.
    PortDisabled,
    /// Light, and nothing heard for a while; what the partner last said is kept, but it counts as out of sync.
    Expired,
    /// The partner does not speak LACP: its administrative default is in force.
    Defaulted,
    /// The partner is heard.
    Current,
}

impl ReceiveState {
    /// Every state.
    pub const ALL: [ReceiveState; 4] = [
        ReceiveState::PortDisabled,
        ReceiveState::Expired,
        ReceiveState::Defaulted,
        ReceiveState::Current,
    ];

    /// The standard's name, for example `CURRENT`.
    pub const fn name(self) -> &'static str {
        match self {
            ReceiveState::PortDisabled => "PORT_DISABLED",
            ReceiveState::Expired => "EXPIRED",
            ReceiveState::Defaulted => "DEFAULTED",
            ReceiveState::Current => "CURRENT",
        }
    }

    /// The state to enter, `None` to stay. CURRENT is entered anew by every LACPDU.
    pub(crate) const fn next(self, event: ReceiveEvent) -> Option<ReceiveState> {
        use ReceiveEvent::{CurrentWhileExpired, Disabled, Enabled, Pdu};
        use ReceiveState::{Current, Defaulted, Expired, PortDisabled};
        match (self, event) {
            (PortDisabled, Enabled) => Some(Expired),
            (PortDisabled, Disabled | Pdu | CurrentWhileExpired) => None,
            (Expired, Pdu) => Some(Current),
            (Expired, CurrentWhileExpired) => Some(Defaulted),
            (Defaulted, Pdu) => Some(Current),
            (Defaulted, CurrentWhileExpired) => None,
            (Current, Pdu) => Some(Current),
            (Current, CurrentWhileExpired) => Some(Expired),
            (Expired | Defaulted | Current, Disabled) => Some(PortDisabled),
            (Expired | Defaulted | Current, Enabled) => None,
        }
    }
}

impl fmt::Display for ReceiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What moves the receive machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiveEvent {
    /// port_enabled became true: light.
    Enabled,
    /// port_enabled became false: no light.
    Disabled,
    /// A LACPDU was received.
    Pdu,
    /// current_while_timer expired.
    CurrentWhileExpired,
}

#[cfg(test)]
mod tests {
    use super::ReceiveEvent::{CurrentWhileExpired, Disabled, Enabled, Pdu};
    use super::ReceiveState::{self, Current, Defaulted, Expired, PortDisabled};

    #[test]
    fn whole_table() {
        let stay = None;
        let table = [
            //               Enabled        Disabled            Pdu            CurrentWhileExpired
            (PortDisabled, [Some(Expired), stay, stay, stay]),
            (
                Expired,
                [stay, Some(PortDisabled), Some(Current), Some(Defaulted)],
            ),
            (Defaulted, [stay, Some(PortDisabled), Some(Current), stay]),
            (
                Current,
                [stay, Some(PortDisabled), Some(Current), Some(Expired)],
            ),
        ];
        assert_eq!(table.map(|(state, _)| state), ReceiveState::ALL);
        for (state, row) in table {
            let events = [Enabled, Disabled, Pdu, CurrentWhileExpired];
            assert_eq!(events.map(|event| state.next(event)), row, "from {state}");
        }
    }
}
