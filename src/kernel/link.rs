//! Links: veth pairs, up and down, and what the kernel says about them (ip-link(8), veth(4)).
//!
//! Functions that change something queue their message on a [`Netlink`]; nothing happens before its `commit`.
//! `place` is the namespace's name, for the words of an error.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoVeth, LinkAttribute, LinkFlags,
    LinkHeader, LinkMessage, State,
};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::netlink::{Netlink, NetlinkError};

/// Index of `lo` in every namespace.
pub const LOOPBACK: u32 = 1;

/// One end of a veth pair to be made.
#[derive(Debug, Clone, Copy)]
pub struct VethEnd<'a> {
    /// Interface name, at most 15 bytes.
    pub name: &'a str,
    /// Interface index; the two ends must differ, or carrier loss is reported 500–780 ms late
    /// (`linkwatch_urgent_event` in net/core/link_watch.c).
    pub index: u32,
    /// Hardware address; the kernel makes one up when it is `None`.
    pub mac: Option<[u8; 6]>,
}

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Interface name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// It has carrier: administratively up, and so is the other end (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Packets can pass: operational state up, or unknown as for `lo` (RFC 2863, section 3.1.14).
    pub operational: bool,
    /// Hardware address, when it has one of 6 bytes.
    pub mac: Option<[u8; 6]>,
}

/// Makes a veth pair with both ends down: `a` in the socket's namespace, `b` in the namespace of the descriptor.
///
/// The peer's descriptor must stay open until the commit.
pub fn add_veth(
    netlink: &mut Netlink,
    place: &str,
    a: VethEnd<'_>,
    b: VethEnd<'_>,
    b_namespace: BorrowedFd<'_>,
) {
    // The kernel refuses (ENOTCONN) to make a peer that is up.
    let mut peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(b.name)
        .index(b.index)
        .setns_by_fd(b_namespace.as_raw_fd());
    if let Some(mac) = b.mac {
        peer = peer.address(mac.to_vec());
    }
    let mut link = LinkMessageBuilder::<LinkVeth>::new(a.name, b.name)
        .index(a.index)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
    if let Some(mac) = a.mac {
        link = link.address(mac.to_vec());
    }
    let (place, a, b) = (place.to_owned(), a.name.to_owned(), b.name.to_owned());
    netlink.queue(
        RouteNetlinkMessage::NewLink(link.build()),
        NLM_F_CREATE | NLM_F_EXCL,
        move || format!("add link {a} in {place} with peer {b}"),
    );
}

/// Brings a link up (`true`) or down.
pub fn set_up(netlink: &mut Netlink, place: &str, name: &str, index: u32, up: bool) {
    let builder = LinkUnspec::new_with_index(index);
    let message = if up { builder.up() } else { builder.down() }.build();
    let (place, name) = (place.to_owned(), name.to_owned());
    netlink.queue(RouteNetlinkMessage::NewLink(message), 0, move || {
        let state = if up { "up" } else { "down" };
        format!("set link {name} {state} in {place}")
    });
}

/// Makes IPv6 give a link no address of its own, so that it sends no router solicitation, neighbour solicitation or
/// listener report. To be done while the link is down. Addresses can be added still.
///
/// The sysctl `disable_ipv6` would do too, but the first look into /proc/sys/net/ipv6 of a namespace costs up to half a
/// millisecond where there are a thousand of them.
pub fn silence_ipv6(netlink: &mut Netlink, place: &str, name: &str, index: u32) {
    let none = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    let families = vec![AfSpecUnspec::Inet6(vec![none])];
    let message = LinkUnspec::new_with_index(index)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(families))
        .build();
    let (place, name) = (place.to_owned(), name.to_owned());
    netlink.queue(RouteNetlinkMessage::NewLink(message), 0, move || {
        format!("set link {name} addrgenmode none in {place}")
    });
}

/// All links of the socket's namespace, in the kernel's order.
pub fn list(netlink: &mut Netlink) -> Result<Vec<Link>, NetlinkError> {
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = netlink.dump(question, "list links")?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(message) => Some(Link::from(message)),
            _ => None,
        })
        .collect())
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Link {
        let LinkHeader { index, flags, .. } = message.header;
        let mut link = Link {
            index,
            name: String::new(),
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            operational: false,
            mac: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::OperState(state) => {
                    link.operational = matches!(state, State::Up | State::Unknown) && link.up;
                }
                LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
                _ => {}
            }
        }
        link
    }
}
