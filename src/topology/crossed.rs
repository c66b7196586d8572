//! Cables that somebody has plugged in wrongly at the peer's end, so that a lab begins as such a site does.

use super::{Connection, impairment};
use crate::source::{Located, Mistakes, Names};

/// A member of a connection, counted from 1.
pub type Member = (String, u8);

/// The far ends of two members are exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed(pub Member, pub Member);

impl Crossed {
    /// Two members that are there, and are no others' partners yet; `None` after a mistake.
    pub(super) fn of(
        pair: &Located<Names>,
        earlier: &[Located<Names>],
        connections: &[Connection],
        mistakes: &mut Mistakes,
    ) -> Option<Crossed> {
        let names = pair.value.located(pair.span);
        let [one, other] = names.as_slice() else {
            let message = "two cables are crossed";
            let diagnostic = mistakes.error(pair.span, message, "a pair of members");
            mistakes.push(diagnostic.help("write `crossed = [[\"ams-1/2\", \"ams-2/2\"]]`"));
            return None;
        };
        let earlier: Vec<Located<String>> = earlier
            .iter()
            .flat_map(|pair| pair.value.located(pair.span))
            .collect();
        let again = |name: &Located<String>| earlier.iter().any(|e| e.value == name.value);
        let twice = [one, other].into_iter().find(|name| again(name));
        if let Some(twice) = twice.or((one.value == other.value).then_some(other)) {
            let message = format!("the cable of `{}` is crossed twice", twice.value);
            mistakes.push(mistakes.error(twice.span, message, "the second time"));
            return None;
        }
        let one = impairment::of_member(one, connections, mistakes);
        let other = impairment::of_member(other, connections, mistakes);
        Some(Crossed(one?, other?))
    }
}
