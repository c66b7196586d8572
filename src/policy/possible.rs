//! Whether conditions can hold together: which families and lengths of prefixes they leave.
//!
//! Sets that mean what Microsoft has concluded may hold anything, and so may what is not asked of a prefix.

use std::collections::BTreeSet;

use super::raw::RawRule;
use super::{Condition, Policies, Prefixes};
use crate::bgp::family::Family;
use crate::bgp::policy::PrefixRange;
use crate::source::Mistakes;

/// Families and lengths that a prefix may have.
type Room = BTreeSet<(Family, u8)>;

fn everything() -> Room {
    let of = |(family, longest)| (0..=longest).map(move |length| (family, length));
    let families = [(Family::Ipv4Unicast, 32), (Family::Ipv6Unicast, 128)];
    families.into_iter().flat_map(of).collect()
}

impl Policies {
    /// Conditions of which no route meets all are a mistake, told at the one too many.
    pub(super) fn tell_contradiction(
        &self,
        raw: &RawRule,
        when: &[Condition],
        mistakes: &mut Mistakes,
    ) {
        let Some(place) = self.contradiction(when) else {
            return;
        };
        let family = raw.family.as_ref().map(|key| key.span);
        let prefix = raw.prefix.as_ref().map(|key| key.span);
        let length = raw.prefix_length.as_ref().map(|key| key.span);
        let path = raw.as_path_length.as_ref().map(|key| key.span);
        let (span, others, label) = match &when[place] {
            // An entry that is none was told, and may have been what is missing.
            Condition::Prefix(list) => match &raw.prefix {
                Some(key) if key.value.located(key.span).len() == list.len() => {
                    (prefix, vec![family], "no prefix of this family")
                }
                _ => return,
            },
            Condition::PrefixLength(_) => {
                (length, vec![family, prefix], "no prefix has such a length")
            }
            Condition::PathContains(_) => {
                let key = raw.as_path_contains.as_ref();
                (
                    key.map(|key| key.span),
                    vec![path],
                    "an empty path has no AS number",
                )
            }
            Condition::Origin(_) => {
                let key = raw.origin_asn.as_ref();
                (
                    key.map(|key| key.span),
                    vec![path],
                    "an empty path has no AS number",
                )
            }
            // An empty list was told.
            Condition::Any(list) if list.is_empty() => return,
            _ => {
                let key = raw.any.as_ref().map(|key| key.span);
                (
                    key,
                    vec![family, prefix, length],
                    "none of these is possible",
                )
            }
        };
        let Some(span) = span else { return };
        let message = "no route meets all of this";
        let mut diagnostic = mistakes.error(span, message, label);
        for other in others.into_iter().flatten() {
            diagnostic = diagnostic.at(mistakes.source(), other, "together with this");
        }
        let help = "take out what is not meant, or make rules of their own of what is";
        mistakes.push(diagnostic.help(help));
    }

    /// The place of the first of these conditions that no route meets which meets those before it.
    pub(super) fn contradiction(&self, when: &[Condition]) -> Option<usize> {
        let mut room = everything();
        let mut empty_path = false;
        when.iter().position(|condition| {
            match condition {
                Condition::PathLength(range) => empty_path = *range.end() == 0,
                Condition::PathContains(_) | Condition::Origin(_) if empty_path => return true,
                _ => self.narrow(&mut room, condition),
            }
            room.is_empty()
        })
    }

    fn narrow(&self, room: &mut Room, condition: &Condition) {
        match condition {
            Condition::Family(of) => room.retain(|(family, _)| family == of),
            Condition::PrefixLength(range) => room.retain(|(_, length)| range.contains(length)),
            Condition::Prefix(list) => {
                let mut named = Room::new();
                for one in list {
                    match one {
                        Prefixes::Range(range) => named.extend(lengths(range)),
                        Prefixes::Set(name) => match self.prefix_sets.get(name) {
                            Some(ranges) => named.extend(ranges.iter().flat_map(lengths)),
                            None => return,
                        },
                    }
                }
                room.retain(|kind| named.contains(kind));
            }
            Condition::Any(list) => {
                let mut any = Room::new();
                for inner in list {
                    let mut own = room.clone();
                    inner.iter().for_each(|one| self.narrow(&mut own, one));
                    any.extend(own);
                }
                *room = any;
            }
            Condition::If(_)
            | Condition::PathLength(_)
            | Condition::PathContains(_)
            | Condition::Origin(_)
            | Condition::Community(_)
            | Condition::Rpki(_)
            | Condition::Not(_) => {}
        }
    }
}

fn lengths(range: &PrefixRange) -> impl Iterator<Item = (Family, u8)> + use<> {
    let family = Family::of(&range.prefix);
    range.lengths.clone().map(move |length| (family, length))
}
