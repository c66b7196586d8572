//! A prefix is announced or withdrawn, by the peer or by Microsoft.

use ipnet::IpNet;

use crate::bgp::family::Family;
use crate::bgp::message::malformed::Malformation;
use crate::plan::microsoft;
use crate::provider::received::{AsPath, Segment};
use crate::scenario::raw::{RawAnnounce, RawSpeaker, RawWithdraw, malformations};
use crate::scenario::stage::Stage;
use crate::scenario::{Act, Announcement, Speaker};
use crate::source::{AnyPrefix, Community, Located, Mistakes, Names, Numbers, list};
use crate::topology::of_session;

/// Microsoft's community of Peering Service (PFX-02).
pub(in crate::scenario) const PEERING_SERVICE: Community = Community(8075, 8007);
/// Microsoft's AS number.
const MICROSOFT: u32 = 8075;

pub(super) fn announce(
    raw: &Located<RawAnnounce>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let example = "prefix = \"203.0.113.0/24\"";
    let prefix = mistakes.require(raw.prefix, at, "`announce`", "prefix", example);
    let by = speaker(raw.by);
    let from = connections(raw.from.as_ref(), prefix, stage, mistakes);
    let as_path = match &raw.as_path {
        Some(path) => as_path(path, by, stage, mistakes),
        None => AsPath::default(),
    };
    let communities = match (&raw.communities, by) {
        (Some(given), _) => given.iter().map(|c| (c.value.0, c.value.1)).collect(),
        (None, Speaker::Peer) => vec![(PEERING_SERVICE.0, PEERING_SERVICE.1)],
        (None, Speaker::Microsoft) => Vec::new(),
    };
    let malformed = match &raw.malformed {
        Some(name) if !mistakes.known(name, "malformation", malformations()) => return None,
        Some(name) => Malformation::named(&name.value),
        None => None,
    };
    let large = raw.large_communities.iter().map(|c| c.value);
    let extended = raw.extended_communities.iter().map(|c| c.value.0);
    let prefix = prefix?.value.0;
    let announced = stage.announced(by);
    if !announced.contains(&prefix) {
        announced.push(prefix);
    }
    Some(Act::Announce(Announcement {
        by,
        prefix,
        from: from?,
        as_path,
        communities,
        large_communities: large.map(|c| (c.0, c.1, c.2)).collect(),
        extended_communities: extended.collect(),
        med: raw.med.map(|med| med.value),
        only_to_customer: only_to_customer(raw.only_to_customer, by, mistakes),
        malformed,
    }))
}

/// The AS number of only-to-customer.
fn only_to_customer(
    asn: Option<Located<u32>>,
    by: Speaker,
    mistakes: &mut Mistakes,
) -> Option<u32> {
    let asn = asn?;
    if asn.value == 0 {
        let message = "AS 0 cannot have told anybody of a route";
        let diagnostic = mistakes.error(asn.span, message, "not an AS number");
        mistakes.push(diagnostic.note("RFC 7607"));
    }
    if by == Speaker::Microsoft {
        let message = "Microsoft leaks no route";
        let diagnostic = mistakes.error(asn.span, message, "only of what the peer announces");
        mistakes.push(diagnostic.help("leave `by` or `only-to-customer` out"));
    }
    Some(asn.value)
}

pub(super) fn withdraw(
    raw: &Located<RawWithdraw>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let example = "prefix = \"198.51.100.0/24\"";
    let prefix = mistakes.require(raw.prefix, at, "`withdraw`", "prefix", example);
    let by = speaker(raw.by);
    let from = connections(raw.from.as_ref(), prefix, stage, mistakes);
    let prefix = prefix?;
    if !announces(by, prefix.value.0, stage) {
        let who = match by {
            Speaker::Peer => "the peer",
            Speaker::Microsoft => "Microsoft",
        };
        let message = format!("{who} does not announce {}", prefix.value.0);
        let diagnostic = mistakes.error(prefix.span, message, "nothing to withdraw");
        let announced: Vec<String> = match by {
            Speaker::Peer => stage.prefixes.iter().map(ToString::to_string).collect(),
            Speaker::Microsoft => microsoft_announces(stage),
        };
        let announced = list(announced.iter().map(String::as_str));
        mistakes.push(diagnostic.note(format!("announced: {announced}")));
        return None;
    }
    Some(Act::Withdraw {
        by,
        prefix: prefix.value.0,
        from: from?,
    })
}

fn speaker(by: Option<Located<RawSpeaker>>) -> Speaker {
    match by.map(|by| by.value) {
        Some(RawSpeaker::Microsoft) => Speaker::Microsoft,
        Some(RawSpeaker::Peer) | None => Speaker::Peer,
    }
}

fn announces(by: Speaker, prefix: IpNet, stage: &mut Stage<'_>) -> bool {
    let usual = by == Speaker::Microsoft && usual(stage).any(|net| net == prefix);
    usual || stage.announced(by).contains(&prefix)
}

/// What Microsoft announces by itself, those of one metro alone included.
fn usual(stage: &Stage<'_>) -> impl Iterator<Item = IpNet> + use<> {
    let count = stage.microsoft_routes;
    let regions = 0..stage.topology.metros.len().max(1);
    let ipv4 = regions.flat_map(move |region| {
        let routes = microsoft::routes(count, region).into_iter();
        routes.map(|(prefix, _)| prefix.into())
    });
    let dual_stack = stage.topology.connections.iter().any(|c| c.ipv6.is_some());
    let ipv6 = microsoft::ipv6_routes(stage.topology.profile.ipv6_routes).into_iter();
    ipv4.chain(ipv6.filter(move |_| dual_stack).map(|(prefix, _)| prefix))
}

/// The first and the last of Microsoft's usual prefixes, and what was announced besides.
fn microsoft_announces(stage: &mut Stage<'_>) -> Vec<String> {
    let usual: Vec<IpNet> = usual(stage).collect();
    let ends = match usual.as_slice() {
        [first, .., last] => vec![*first, *last],
        few => few.to_vec(),
    };
    let more = stage.announced(Speaker::Microsoft).iter().copied();
    ends.into_iter()
        .chain(more)
        .map(|net| net.to_string())
        .collect()
}

/// The connections of `from`; if it is not given, all that have a session for the prefix.
fn connections(
    from: Option<&Located<Names>>,
    prefix: Option<Located<AnyPrefix>>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Vec<String>> {
    let prefix = prefix?;
    let all = Located {
        value: Names::One("all".to_owned()),
        span: prefix.span,
    };
    let family = Family::of(&prefix.value.0);
    let sessions = stage.sessions_of(family, from.unwrap_or(&all), mistakes)?;
    let connections = sessions.iter().map(|session| of_session(session).0);
    Some(connections.map(str::to_owned).collect())
}

/// The path; it begins with the speaker's own AS.
fn as_path(
    raw: &Located<Vec<Located<Numbers>>>,
    by: Speaker,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> AsPath {
    let (who, asn) = match by {
        Speaker::Peer => ("the peer", stage.topology.peer.asn),
        Speaker::Microsoft => ("Microsoft", MICROSOFT),
    };
    if let Some(first) = raw.value.first()
        && first.value != Numbers::One(asn)
    {
        let text = match &first.value {
            Numbers::One(other) => other.to_string(),
            Numbers::Several(_) => "an AS_SET".to_owned(),
        };
        let message = format!("the AS path begins with {text}, not with {who}'s AS");
        let diagnostic = mistakes.error(first.span, message, format!("{who} is AS {asn}"));
        let there = &mistakes.source().text[mistakes.source().range(first.span)];
        let instead = format!("{asn}, {there}");
        mistakes.push(diagnostic.replace("begin with it", first.span, instead));
    }
    let mut path = AsPath::default();
    for hop in &raw.value {
        let asns: &[u32] = match &hop.value {
            Numbers::One(asn) => std::slice::from_ref(asn),
            Numbers::Several(asns) => asns,
        };
        if asns.contains(&0) {
            let message = "AS 0 cannot be in an AS path";
            let diagnostic = mistakes.error(hop.span, message, "not an AS number");
            mistakes.push(diagnostic.note("RFC 7607"));
        }
        match (&hop.value, path.0.last_mut()) {
            (Numbers::Several(asns), _) if asns.is_empty() => {
                let message = "an AS_SET without an AS number";
                mistakes.push(mistakes.error(hop.span, message, "an empty list"));
            }
            (Numbers::Several(asns), _) => path.0.push(Segment::Set(asns.clone())),
            (Numbers::One(asn), Some(Segment::Sequence(sequence))) => sequence.push(*asn),
            (Numbers::One(asn), _) => path.0.push(Segment::Sequence(vec![*asn])),
        }
    }
    path
}
