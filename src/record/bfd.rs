//! Changes of BFD sessions, read alike whichever fact tells them.

use std::borrow::Cow;

use super::Fact;

/// A BFD session changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BfdChange<'f> {
    /// The router that tells.
    pub router: &'f str,
    /// The session as a scenario names it: `ams-1`, `ams-1/ipv6`; on a member `ams-1/1`.
    pub session: Cow<'f, str>,
    /// As in [`Fact::Bfd`], or `off` on a member.
    pub state: &'f str,
    /// Why, in the RFC's words.
    pub diagnostic: &'f str,
}

impl Fact {
    /// The change of a BFD session that this fact tells of.
    pub fn bfd_change(&self) -> Option<BfdChange<'_>> {
        match self {
            Fact::Bfd {
                router,
                connection,
                state,
                diagnostic,
                ..
            } => Some(BfdChange {
                router,
                session: Cow::Borrowed(connection),
                state,
                diagnostic,
            }),
            Fact::MicroBfd {
                router,
                connection,
                member,
                now,
            } => Some(BfdChange {
                router,
                session: Cow::Owned(format!("{connection}/{member}")),
                state: &now.state,
                diagnostic: &now.diagnostic,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
impl super::BfdDiscarded {
    /// A packet of the session of that name at a router.
    pub(crate) fn of(
        router: &str,
        session: &str,
        (reason, why): (super::BfdDiscardReason, &str),
    ) -> Fact {
        Fact::BfdDiscarded(super::BfdDiscarded {
            router: router.to_owned(),
            connection: session.to_owned(),
            why: why.to_owned(),
            reason,
        })
    }
}

#[cfg(test)]
impl super::BfdHeard {
    /// What a partner says of itself, but for its state of no interest.
    pub(crate) fn saying(state: &str) -> Self {
        use super::Nanos;
        super::BfdHeard {
            state: state.to_owned(),
            diagnostic: String::new(),
            desired_min_tx: Nanos(1),
            required_min_rx: Nanos(1),
            multiplier: 3,
            required_min_echo_rx: Nanos(0),
            demand: false,
            control_plane_independent: false,
            authentication: None,
            unasked: false,
            detected_after: None,
            detection_time: Nanos(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BfdDiscardReason, BfdDiscarded, MicroBfd};

    #[test]
    fn a_session_on_a_member_has_the_name_of_a_scenario() {
        let (router, connection) = ("ams-edge-1".to_owned(), "ams-1".to_owned());
        let member = Fact::MicroBfd {
            router,
            connection,
            member: 2,
            now: MicroBfd {
                state: "off".to_owned(),
                diagnostic: "no diagnostic".to_owned(),
                last_received: None,
                detection_time: None,
            },
        };
        let expected = BfdChange {
            router: "ams-edge-1",
            session: Cow::Borrowed("ams-1/2"),
            state: "off",
            diagnostic: "no diagnostic",
        };
        assert_eq!(member.bfd_change(), Some(expected));
        assert_eq!(Fact::StepStarted { step: 1 }.bfd_change(), None);
    }
    #[test]
    fn a_record_without_the_reason_of_a_discarded_packet_is_read() {
        let told = (BfdDiscardReason::Ttl, "TTL is too low");
        let fact = BfdDiscarded::of("ams-edge-1", "ams-1", told);
        let mut line = serde_json::to_value(&fact).expect("a fact is JSON");
        assert_eq!(line["reason"], "ttl");
        line.as_object_mut().expect("an object").remove("reason");
        let read: Fact = serde_json::from_value(line).expect("an older line");
        let other = (BfdDiscardReason::Other, told.1);
        assert_eq!(read, BfdDiscarded::of("ams-edge-1", "ams-1", other));
    }
}
