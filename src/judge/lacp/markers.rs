//! What became of markers, against what is expected of them.

use super::{end, holds, member_instead};
use crate::judge::condition;
use crate::judge::state::{Marker, MemberView, State};
use crate::record::{Entry, Fact, LacpSeen};
use crate::scenario::Expect;
use crate::topology::Topology;

/// Whether a marker was answered, or was sent and is not answered, as it is wanted.
pub(super) fn answers(view: Option<&MemberView>, wanted: Option<bool>) -> bool {
    let marker = view.map(|view| &view.marker);
    wanted.is_none_or(|wanted| match wanted {
        true => marker == Some(&Marker::Answered),
        false => marker == Some(&Marker::Unanswered),
    })
}

/// Why it cannot be said whether a marker is answered as it is wanted, where nothing else is otherwise: none could be sent. With the
/// entry that says it.
pub(in crate::judge) fn untried<'e>(
    what: &Expect,
    state: &State,
    topology: &Topology,
    mut entries: impl DoubleEndedIterator<Item = &'e (usize, Entry)>,
) -> Option<(String, Option<&'e (usize, Entry)>)> {
    let (c, _) = condition::concerned(what, topology).next()?;
    let mut else_wanted = what.clone();
    let Expect::Member {
        member,
        at,
        answers_marker,
        ..
    } = &mut else_wanted
    else {
        return None;
    };
    answers_marker.take()?;
    let (router, of) = (end(c, *at), *member);
    let view = state.member(router, &c.name, of)?;
    let unsent = matches!(view.marker, Marker::Unsent(_));
    if !unsent || !holds(&else_wanted, state, topology, c) {
        return None;
    }
    let says_so = |fact: &Fact| {
        matches!(fact, Fact::LacpPartner { router: at, connection, member, seen: LacpSeen::NoMarker(_) }
            if at == router && *connection == c.name && *member == of)
    };
    let told = entries.rfind(|(_, entry)| says_so(&entry.fact));
    Some((member_instead(what, state, c, false), told))
}
