//! Selection logic: which ports may join the LAG's one Aggregator (IEEE 802.1AX, 6.4.14).
//!
//! All ports of a LAG have one actor key, so ports aggregate when their partners agree. The standard would give
//! ports with another partner another Aggregator; a LAG has one, so they stay unselected and say why.

use std::cmp::Reverse;
use std::fmt;

use super::pdu::{PortInfo, State, write_mac};

/// The selection logic's answer for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Selected {
    /// It may not join.
    Unselected(Obstacle),
    /// It could join and is held back.
    Standby(Obstacle),
    /// It joins.
    Selected,
}

/// `SELECTED`, or `UNSELECTED: no light`.
impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selected::Unselected(obstacle) => write!(f, "UNSELECTED: {obstacle}"),
            Selected::Standby(obstacle) => write!(f, "STANDBY: {obstacle}"),
            Selected::Selected => f.write_str("SELECTED"),
        }
    }
}

/// Why a port does not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// No light.
    NoLight,
    /// Light, but no partner speaks LACP.
    NotHeard,
    /// One end's identity changed just now; the port leaves the Aggregator before it may join again.
    Renewed,
    /// The partner is this system itself.
    LoopedBack,
    /// The LAG is joined to this other partner: the cable is in the wrong place, or the partner's keys differ.
    OtherPartner(PartnerId),
    /// Held in standby by command.
    Held,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::NoLight => f.write_str("no light"),
            Obstacle::NotHeard => f.write_str("no LACPDU was heard"),
            Obstacle::Renewed => f.write_str("an identity changed just now"),
            Obstacle::LoopedBack => f.write_str("the link leads back to this system"),
            Obstacle::OtherPartner(chosen) => {
                write!(f, "the LAG is joined to another partner, {chosen}")
            }
            Obstacle::Held => f.write_str("held in standby by command"),
        }
    }
}

/// The partner's half of a LAG identifier (6.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartnerId {
    /// System priority.
    pub system_priority: u16,
    /// System.
    pub system: [u8; 6],
    /// Operational key.
    pub key: u16,
    /// Port priority and number of an Individual link, which aggregates with no other.
    pub individual: Option<(u16, u16)>,
}

impl PartnerId {
    /// The half that `partner` gives.
    pub fn of(partner: &PortInfo) -> PartnerId {
        let individual = !partner.state.has(State::AGGREGATION);
        PartnerId {
            system_priority: partner.system_priority,
            system: partner.system,
            key: partner.key,
            individual: individual.then_some((partner.port_priority, partner.port)),
        }
    }
}

/// As people read it: `32768 02:00:00:00:00:01 key 1`.
impl fmt::Display for PartnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.system_priority)?;
        write_mac(f, self.system)?;
        write!(f, " key {}", self.key)?;
        match self.individual {
            Some((priority, port)) => write!(f, " individual port {priority}/{port}"),
            None => Ok(()),
        }
    }
}

/// A port that could join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Whom it leads to.
    pub partner: PartnerId,
    /// Own port priority and number; the lower goes before.
    pub rank: (u16, u16),
    /// It is part of the Aggregator already.
    pub attached: bool,
}

/// Chooses the partner the LAG is joined to: the one most ports lead to; of those the one whose ports are part of the
/// Aggregator already, so that a stray frame moves no traffic; of those the one with the lowest port.
pub(crate) fn choose(candidates: &[Candidate]) -> Option<PartnerId> {
    let merit = |partner: PartnerId| {
        let of_it = || candidates.iter().filter(move |c| c.partner == partner);
        (
            of_it().count(),
            of_it().filter(|c| c.attached).count(),
            of_it().map(|c| Reverse(c.rank)).max(),
        )
    };
    candidates
        .iter()
        .map(|c| c.partner)
        .max_by_key(|&partner| merit(partner))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(system: u8, port: u16) -> Candidate {
        let partner = PartnerId {
            system_priority: 1,
            system: [2, 0, 0, 0, 0, system],
            key: 1,
            individual: None,
        };
        Candidate {
            partner,
            rank: (128, port),
            attached: false,
        }
    }

    #[test]
    fn most_ports_win() {
        let all = [to(1, 1), to(2, 2), to(2, 3)];
        assert_eq!(choose(&all), Some(all[1].partner));
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn a_tie_goes_to_what_runs_then_to_the_lowest_port() {
        let mut all = [to(2, 2), to(1, 1)];
        assert_eq!(choose(&all), Some(all[1].partner));
        all[0].rank.0 = 1;
        assert_eq!(choose(&all), Some(all[0].partner), "priority before number");
        all[1].attached = true;
        assert_eq!(choose(&all), Some(all[1].partner));
    }

    #[test]
    fn individual_links_do_not_aggregate() {
        let info = |port, aggregation| PortInfo {
            port,
            state: State::default().with(State::AGGREGATION, aggregation),
            ..PortInfo::default()
        };
        assert_eq!(PartnerId::of(&info(1, true)), PartnerId::of(&info(2, true)));
        assert_ne!(
            PartnerId::of(&info(1, false)),
            PartnerId::of(&info(2, false))
        );
        assert_ne!(
            PartnerId::of(&info(1, false)),
            PartnerId::of(&info(1, true))
        );
    }
}
