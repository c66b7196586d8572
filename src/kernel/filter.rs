//! The data path of a LAG and the faults of its cables, as traffic control filters (tc-bpf(8), tc-mirred(8)).
//!
//! A LAG's line card is a namespace with a hidden veth end, whose peer is the router's interface, and the members.
//! Filters on the hidden end spread what the router sends over the distributing members by flow hash; filters on a
//! collecting member hand what arrives to the router. LACP alone passes up, to the engine's packet socket, and BFD on
//! members where there is any. What no
//! filter takes is dropped: nothing reaches the line card's own stack.
//!
//! Filters run in the order of their preference number: faults, then the data path, then the drop of the rest. So
//! a fault is set and cleared without the data path knowing. A fault drops frames as a broken cable would, in each
//! direction apart; a packet socket that sends into one gets `ENOBUFS`.
//!
//! **Invariant:** while members distribute, every flow has one: a new spread is complete before the old one goes.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption,
    TcActionType, TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcMessage,
    TcMirror, TcMirrorActionType, TcOption,
};
use nix::errno::Errno;
use rtnetlink::packet_core::{DefaultNla, Emitable, NLM_F_CREATE, NLM_F_EXCL};

use super::bpf::Program;
use super::bpf::programs::{Pattern, Upward, all_but, drop_pattern, flow_buckets, only_up};
use super::netlink::{Netlink, NetlinkError};
use super::spread;

/// Prepares a link for filters, both ways: `tc qdisc add dev … clsact`.
///
/// Queued only; the caller commits.
pub fn queue_clsact(netlink: &mut Netlink, link: u32) {
    let mut message = TcMessage::with_index(link as i32);
    message.header.handle = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    message.header.parent = TcHandle::CLSACT;
    message
        .attributes
        .push(TcAttribute::Kind("clsact".to_owned()));
    netlink.queue(
        RouteNetlinkMessage::NewQueueDiscipline(message),
        NLM_F_CREATE | NLM_F_EXCL,
        move || format!("prepare link {link} for filters (clsact; needs CONFIG_NET_SCH_INGRESS)"),
    );
}

/// The data path of one end of a LAG: which members send and which receive.
#[derive(Debug)]
pub struct DataPath {
    hidden: u32,
    members: Vec<u32>,
    /// What members pass up.
    upward: Upward,
    distributing: Vec<u32>,
    collecting: Vec<u32>,
    /// Where the present spread stands; the next one takes the other place.
    spread: Spread,
}

impl DataPath {
    /// Closes the data path: members pass up LACP, and nothing else goes anywhere.
    ///
    /// `hidden` and `members` are interface indexes in the namespace of `netlink`, each with a clsact qdisc.
    pub fn close(
        netlink: &mut Netlink,
        hidden: u32,
        members: &[u32],
    ) -> Result<DataPath, NetlinkError> {
        DataPath::close_but(netlink, hidden, members, Upward::SlowProtocols)
    }

    /// The same, with what members pass up in any case.
    pub fn close_but(
        netlink: &mut Netlink,
        hidden: u32,
        members: &[u32],
        upward: Upward,
    ) -> Result<DataPath, NetlinkError> {
        queue_program(
            netlink,
            hidden,
            Direction::In,
            REST,
            &drop_pattern(Pattern::Everything),
        );
        for member in members {
            queue_program(netlink, *member, Direction::In, REST, &only_up(upward));
        }
        netlink.commit()?;
        Ok(DataPath {
            hidden,
            members: members.to_vec(),
            upward,
            distributing: Vec::new(),
            collecting: Vec::new(),
            spread: Spread::Second,
        })
    }

    /// Makes exactly these members distribute and collect: one batch that adds, one that removes.
    ///
    /// The flow with hash h (see [`flow_hash`]) takes the member that [`spread::member`] says, so that a change moves no flow
    /// but those of a member that comes or goes. It loses no frame but those already on their way through a member that is dead.
    ///
    /// # Errors
    /// When a filter is refused. The members distribute and collect as before, and the same call may be tried again.
    ///
    /// [`flow_hash`]: super::bpf::programs::flow_hash
    pub fn set(
        &mut self,
        netlink: &mut Netlink,
        distributing: &[u32],
        collecting: &[u32],
    ) -> Result<(), NetlinkError> {
        // Receive before sending, and send no longer before receiving no longer.
        let changed = |from: &[u32], to: &[u32]| -> Vec<u32> {
            let changed = |member: &&u32| to.contains(member) && !from.contains(member);
            self.members.iter().filter(changed).copied().collect()
        };
        let opened = changed(&self.collecting, collecting);
        let closed = changed(collecting, &self.collecting);
        let respread = self.distributing != distributing;
        let spread_now = self.spread.other();

        let everything_else = all_but(self.upward);
        for member in &opened {
            queue_redirect(
                netlink,
                (*member, COLLECT, 1),
                &everything_else,
                self.hidden,
            );
        }
        if respread {
            let takes: Vec<bool> = self
                .members
                .iter()
                .map(|m| distributing.contains(m))
                .collect();
            let sets = spread::sets(&takes);
            let shares = self.members.iter().zip(&sets).zip(1..);
            for ((member, buckets), handle) in shares.filter(|((m, _), _)| distributing.contains(m))
            {
                let place = (self.hidden, spread_now.preference(), handle);
                queue_redirect(netlink, place, &flow_buckets(buckets), *member);
            }
        }
        let added = netlink.commit();

        let (gone, closed) = match added {
            Ok(()) => (self.spread, &closed),
            // What was added goes again, so that nothing of it is in the way next time.
            Err(_) => (spread_now, &opened),
        };
        if respread {
            queue_delete(netlink, self.hidden, Direction::In, gone.preference());
        }
        for member in closed {
            queue_delete(netlink, *member, Direction::In, COLLECT);
        }
        let removed = commit_removal(netlink);
        added?;
        if respread {
            self.distributing = distributing.to_vec();
            self.spread = self.spread.other();
        }
        self.collecting = collecting.to_vec();
        removed
    }
}

/// The two places a spread may stand in. Both are there for a moment, so that no flow is ever without a member.
///
/// A new spread that stands before the old one takes over flow by flow, and what it does not match yet falls to
/// the old one; one that stands behind it takes over when the old one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spread {
    First,
    Second,
}

impl Spread {
    fn other(self) -> Spread {
        match self {
            Spread::First => Spread::Second,
            Spread::Second => Spread::First,
        }
    }

    fn preference(self) -> u16 {
        match self {
            Spread::First => 1001,
            Spread::Second => 1002,
        }
    }
}

/// Preference of the filter by which a member collects.
const COLLECT: u16 = 1000;
/// Preference of the filter that drops what is left.
const REST: u16 = 2000;

/// A direction as seen from the member: in from the cable, or out to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the cable.
    In,
    /// To the cable.
    Out,
}

/// Frames lost on a cable, one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Interface index of the member.
    pub member: u32,
    /// Which way.
    pub direction: Direction,
    /// Which frames.
    pub pattern: Pattern,
}

/// Sets faults, in one batch. A fault that is set already stays; a random loss takes the new share.
pub fn set_faults(netlink: &mut Netlink, faults: &[Fault]) -> Result<(), NetlinkError> {
    for fault in faults {
        let program = drop_pattern(fault.pattern);
        queue_program(
            netlink,
            fault.member,
            fault.direction,
            preference(fault.pattern),
            &program,
        );
    }
    netlink.commit()
}

/// Clears faults, in one batch. A fault that is not set is no error; the share of a random loss does not matter.
pub fn clear_faults(netlink: &mut Netlink, faults: &[Fault]) -> Result<(), NetlinkError> {
    for fault in faults {
        queue_delete(
            netlink,
            fault.member,
            fault.direction,
            preference(fault.pattern),
        );
    }
    commit_removal(netlink)
}

/// Commits removals: that something is not there is no error.
fn commit_removal(netlink: &mut Netlink) -> Result<(), NetlinkError> {
    match netlink.commit() {
        Err(NetlinkError::Refused(mut refusals)) => {
            refusals.retain(|refusal| refusal.errno != Errno::ENOENT);
            if refusals.is_empty() {
                Ok(())
            } else {
                Err(NetlinkError::Refused(refusals))
            }
        }
        other => other,
    }
}

/// Each kind of fault has a place of its own, so that they are set and cleared apart.
fn preference(pattern: Pattern) -> u16 {
    match pattern {
        Pattern::Everything => 1,
        Pattern::Lacp => 2,
        Pattern::Bfd => 3,
        Pattern::Bgp => 4,
        Pattern::Random(_) => 5,
        Pattern::OwnLacp => 6,
    }
}

/// Queues a program that gives the verdict itself.
fn queue_program(
    netlink: &mut Netlink,
    link: u32,
    direction: Direction,
    preference: u16,
    program: &Program,
) {
    let flags = TcFilterBpfOption::Flags(TcBpfFlags::DirectAction);
    queue_filter(netlink, link, direction, preference, 1, program, flags);
}

/// Queues a program whose matches leave through another link: `action mirred egress redirect`.
///
/// The place is a link, a preference and a handle in it.
fn queue_redirect(netlink: &mut Netlink, place: (u32, u16, u32), program: &Program, to: u32) {
    let (link, preference, handle) = place;
    const TCA_BPF_ACT: u16 = 1;
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = to;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(
            mirror,
        ))]),
    ];
    let actions = [action];
    let mut bytes = vec![0; actions.as_slice().buffer_len()];
    actions.as_slice().emit(&mut bytes);
    let actions = TcFilterBpfOption::Other(DefaultNla::new(TCA_BPF_ACT, bytes));
    queue_filter(
        netlink,
        link,
        Direction::In,
        preference,
        handle,
        program,
        actions,
    );
}

fn queue_filter(
    netlink: &mut Netlink,
    link: u32,
    direction: Direction,
    preference: u16,
    handle: u32,
    program: &Program,
    what_it_does: TcFilterBpfOption,
) {
    const TCA_BPF_OPS_LEN: u16 = 4;
    const TCA_BPF_OPS: u16 = 5;
    let length = program.instructions().len() as u16;
    let options = [
        TcFilterBpfOption::Other(DefaultNla::new(
            TCA_BPF_OPS_LEN,
            length.to_ne_bytes().to_vec(),
        )),
        TcFilterBpfOption::Other(DefaultNla::new(TCA_BPF_OPS, program.to_bytes())),
        what_it_does,
    ];
    let mut message = filter_message(link, direction, preference);
    message.header.handle = TcHandle::from(handle);
    message
        .attributes
        .push(TcAttribute::Options(options.map(TcOption::Bpf).to_vec()));
    // Without NLM_F_EXCL a filter of the same handle is replaced.
    netlink.queue(RouteNetlinkMessage::NewTrafficFilter(message), NLM_F_CREATE, move || {
        format!(
            "add filter {preference}/{handle} on link {link}, {} (needs CONFIG_NET_CLS_BPF and CONFIG_NET_ACT_MIRRED)",
            words(direction)
        )
    });
}

/// Queues the removal of all filters of a preference at once.
fn queue_delete(netlink: &mut Netlink, link: u32, direction: Direction, preference: u16) {
    let message = filter_message(link, direction, preference);
    netlink.queue(
        RouteNetlinkMessage::DelTrafficFilter(message),
        0,
        move || {
            format!(
                "delete filter {preference} on link {link}, {}",
                words(direction)
            )
        },
    );
}

fn filter_message(link: u32, direction: Direction, preference: u16) -> TcMessage {
    let mut message = TcMessage::with_index(link as i32);
    message.header.parent = TcHandle {
        major: 0xffff,
        minor: match direction {
            Direction::In => TcHandle::MIN_INGRESS,
            Direction::Out => TcHandle::MIN_EGRESS,
        },
    };
    let all_protocols = (libc::ETH_P_ALL as u16).to_be();
    message.header.info = u32::from(preference) << 16 | u32::from(all_protocols);
    message.attributes = vec![TcAttribute::Kind(TcFilterBpf::KIND.to_owned())];
    message
}

fn words(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "ingress",
        Direction::Out => "egress",
    }
}
