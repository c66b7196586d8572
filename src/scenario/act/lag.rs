//! Members are added to a LAG, or taken from it.

use crate::lacp::MOST_PORTS;
use crate::scenario::Act;
use crate::scenario::raw::RawAugment;
use crate::scenario::stage::Stage;
use crate::source::{Located, Mistakes};

pub(super) fn augment(
    raw: &Located<RawAugment>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (at, raw) = (raw.span, &raw.value);
    let connection = raw.connection.as_ref();
    let example = "connection = \"…\"";
    let name = mistakes.require(connection, at, "`augment`", "connection", example)?;
    if !mistakes.known(name, "connection", stage.connection_names()) {
        return None;
    }
    let (more, span) = raw.members.map_or((1, at), |more| (more.value, more.span));
    let there = stage.in_service(&name.value);
    let free = (1..=MOST_PORTS as u8).filter(|number| !there.contains(number));
    let members: Vec<u8> = free.take(usize::from(more)).collect();
    if more == 0 || members.len() < usize::from(more) {
        let message = format!(
            "{more} more members are not possible: `{}` has {}",
            name.value,
            there.len()
        );
        mistakes.push(mistakes.error(span, message, "a LAG has 1 to 8 members"));
        return None;
    }
    there.extend(&members);
    Some(Act::Augment {
        connection: name.value.clone(),
        members,
    })
}

pub(super) fn reduce(
    name: &Located<String>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (connection, member) = stage.member(name, mistakes)?;
    let mut all = stage.topology.connections.iter();
    let lacp = all.find(|it| it.name == connection).map(|it| it.lacp);
    let min_links = lacp.map_or(1, |ends| ends.microsoft.min_links.max(ends.peer.min_links));
    let min_links = usize::from(min_links);
    let there = stage.in_service(&connection);
    if there.len() <= min_links.max(1) {
        let message = format!("the LAG of `{connection}` would go down without this member");
        let left = format!(
            "{} left, of which {min_links} must distribute",
            there.len() - 1
        );
        mistakes.push(mistakes.error(name.span, message, left));
        return None;
    }
    stage.leaving = Some((connection.clone(), member));
    Some(Act::Reduce { connection, member })
}
