//! Sockets of the protocols and of measuring, with what each RFC asks of them set.
//!
//! A socket belongs to the namespace of the thread that makes it, for ever: make it inside [`Namespace::run`] and
//! hand it over. All of them are non-blocking and close on exec.
//!
//! - LACP: an AF_PACKET socket that sees only Slow Protocols frames of one link (IEEE 802.1AX, section 6.2.7).
//! - BFD: UDP ports 3784 and 49152 and up, TTL 255 (RFC 5881, sections 4 and 5).
//! - BFD on members of a LAG: AF_PACKET sockets that see UDP to port 6784 alone (RFC 7130, section 2).
//! - BGP: TCP port 179, with TTL security and TCP MD5 signatures on demand (`bgp.rs`).
//! - Probes and taps: UDP, and copies of frames as a link sends and receives them; of data that comes (`data.rs`), the first few.
//!
//! **Invariant:** everything received carries the kernel's receive time.
//!
//! [`Namespace::run`]: super::namespace::Namespace::run

use std::io::{self, IoSliceMut};
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, SockaddrStorage, TimestampingFlag, Timestamps,
    recvmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Type};

mod bgp;
mod data;

pub(super) use bgp::set_md5;
pub use bgp::{MD5_KEY_MAX, Md5, Reach, address, bgp_accepted, bgp_connect, bgp_listen};

use super::bpf::Program;
use super::bpf::programs::{SLOW_PROTOCOLS, udp_to_ports};
use crate::time::{At, Clock};

/// Slow_Protocols_Multicast address (IEEE 802.3, annex 57A).
pub const SLOW_PROTOCOLS_ADDRESS: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x02];
/// Where BFD control packets of one hop are sent to (RFC 5881, section 4).
pub const BFD_PORT: u16 = 3784;
/// Where those of several hops are sent to (RFC 5883, section 5).
pub const BFD_MULTIHOP_PORT: u16 = 4784;
/// Where BFD control packets on members of a LAG are sent to (RFC 7130, section 2.2).
pub const MICRO_BFD_PORT: u16 = 6784;
/// The dedicated MAC address of such packets (RFC 7130, section 2.3).
pub const MICRO_BFD_ADDRESS: [u8; 6] = [0x01, 0x00, 0x5e, 0x90, 0x00, 0x01];
/// Where BGP listens (RFC 4271, section 8.2.1).
pub const BGP_PORT: u16 = 179;

/// The first source port for BFD (RFC 5881, section 4).
const BFD_SOURCE_PORTS: u16 = 49152;
/// Longer than the longest frame with a BFD packet: headers, 24 bytes, and authentication.
const MICRO_BFD_LONGEST: u32 = 256;
/// Class selector 6, network control (RFC 2474, RFC 4594), as a TOS or traffic class byte.
const NETWORK_CONTROL: u8 = 0xc0;
/// A `sock_extended_err` and the longest address behind it (recvmsg(2), `MSG_ERRQUEUE`).
const ERROR_LEN: usize = size_of::<libc::sock_extended_err>() + size_of::<libc::sockaddr_in6>();
/// The kernel's priority for network control (`TC_PRIO_CONTROL`).
const PRIORITY_CONTROL: u32 = 7;

/// A socket could not be made.
#[derive(Debug, thiserror::Error)]
#[error("make a socket for {purpose}: {step}: {source}")]
pub struct SocketError {
    /// What it is for, for example `BFD at 192.0.2.1`.
    pub purpose: String,
    /// What was refused, for example `bind`.
    pub step: &'static str,
    /// Why.
    pub source: io::Error,
}

/// A datagram or frame that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of it in the buffer.
    pub length: usize,
    /// When the kernel received it, or sent it if `outgoing`.
    pub at: At,
    /// TTL or hop limit, on sockets that ask for it.
    pub ttl: Option<u8>,
    /// Sender, on UDP sockets.
    pub from: Option<SocketAddr>,
    /// A copy of a frame that this host sent (taps only).
    pub outgoing: bool,
}

/// A non-blocking UDP or AF_PACKET socket.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
}

impl Socket {
    /// Sees and sends Slow Protocols frames on one link, and nothing else.
    pub fn slow_protocols(link: u32) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("LACP on link {link}"));
        let inner = trying.socket(Domain::PACKET, Type::RAW, None)?;
        // A socket bound to one ethertype gets no copies of what this host sends.
        trying.step("bind", bind_link(&inner, link, SLOW_PROTOCOLS))?;
        trying.step(
            "join the group",
            join_group(&inner, link, SLOW_PROTOCOLS_ADDRESS),
        )?;
        trying.step("priority", inner.set_priority(PRIORITY_CONTROL))?;
        trying.timestamps(&inner)?;
        trying.transmit_timestamps(&inner)?;
        Ok(Socket { inner })
    }

    /// Sees and sends BFD packets on one member of a LAG (RFC 7130): UDP to port 6784, of one family, as whole frames.
    ///
    /// Frames are seen behind the filters on ingress, so that what a fault drops is not seen.
    pub fn micro_bfd(link: u32, ipv6: bool) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("BFD on link {link}"));
        let ethertype = match ipv6 {
            true => libc::ETH_P_IPV6,
            false => libc::ETH_P_IP,
        };
        let inner = trying.socket(Domain::PACKET, Type::RAW, None)?;
        let filter = udp_to_ports(MICRO_BFD_PORT, MICRO_BFD_PORT, MICRO_BFD_LONGEST);
        trying.filter(&inner, &filter)?;
        trying.step("bind", bind_link(&inner, link, ethertype as u16))?;
        trying.step(
            "join the group",
            join_group(&inner, link, MICRO_BFD_ADDRESS),
        )?;
        trying.step("priority", inner.set_priority(PRIORITY_CONTROL))?;
        trying.timestamps(&inner)?;
        trying.transmit_timestamps(&inner)?;
        Ok(Socket { inner })
    }

    /// Sees copies of the frames that one link sends and receives and `filter` keeps, as long as `filter` says.
    ///
    /// Frames are seen before filters on ingress and after filters on egress.
    pub fn tap(link: u32, filter: &Program) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("a tap on link {link}"));
        let inner = trying.socket(Domain::PACKET, Type::RAW, None)?;
        trying.filter(&inner, filter)?;
        trying.timestamps(&inner)?;
        trying.step("receive buffer", inner.set_recv_buffer_size(PROBE_BUFFER))?;
        trying.step("bind", bind_link(&inner, link, libc::ETH_P_ALL as u16))?;
        Ok(Socket { inner })
    }

    /// Receives BFD control packets for a local address: those of one hop, from the interface that `device` names, or those
    /// of several hops, from anywhere.
    pub fn bfd_receive(local: IpAddr, device: Option<&str>) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("receiving BFD at {local}"));
        let inner = trying.udp(local, device)?;
        match local {
            IpAddr::V4(_) => trying.set(&inner, "receive the TTL", sockopt::Ipv4RecvTtl, &true)?,
            IpAddr::V6(_) => {
                trying.set(
                    &inner,
                    "receive the hop limit",
                    sockopt::Ipv6RecvHopLimit,
                    &true,
                )?;
            }
        }
        let port = match device {
            Some(_) => BFD_PORT,
            None => BFD_MULTIHOP_PORT,
        };
        trying.step("bind", inner.bind(&SocketAddr::new(local, port).into()))?;
        Ok(Socket { inner })
    }

    /// Sends BFD control packets: TTL 255, network control, a source port of its own of 49152 and up.
    ///
    /// `first` is where to begin looking for a free source port, counted from 49152.
    pub fn bfd_send(
        local: IpAddr,
        device: Option<&str>,
        first: u16,
    ) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("sending BFD from {local}"));
        let inner = trying.udp(local, device)?;
        trying.hops(&inner, local, 255)?;
        trying.network_control(&inner, local)?;
        trying.transmit_timestamps(&inner)?;
        let ports = u16::MAX - BFD_SOURCE_PORTS;
        let free = (0..=ports).find_map(|offset| {
            let offset = (u32::from(first) + u32::from(offset)) % (u32::from(ports) + 1);
            let port = BFD_SOURCE_PORTS + offset as u16;
            match inner.bind(&SocketAddr::new(local, port).into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
                other => Some(other),
            }
        });
        trying.step(
            "bind",
            free.unwrap_or_else(|| Err(io::ErrorKind::AddrInUse.into())),
        )?;
        Ok(Socket { inner })
    }

    /// Sends or receives probe packets at a local address and port; port 0 takes a free one.
    pub fn probe(local: SocketAddr) -> Result<Socket, SocketError> {
        let trying = Trying(|| format!("probes at {local}"));
        let inner = trying.udp(local.ip(), None)?;
        trying.step("receive buffer", inner.set_recv_buffer_size(PROBE_BUFFER))?;
        trying.step("bind", inner.bind(&local.into()))?;
        Ok(Socket { inner })
    }

    /// Sends with this TTL or hop limit from now on.
    ///
    /// # Errors
    /// What ip(7) and ipv6(7) say of `IP_TTL` and `IPV6_UNICAST_HOPS`.
    pub fn set_ttl(&self, ttl: u8) -> io::Result<()> {
        match self.local_address() {
            Some(SocketAddr::V6(_)) => self.inner.set_unicast_hops_v6(ttl.into()),
            Some(SocketAddr::V4(_)) | None => self.inner.set_ttl_v4(ttl.into()),
        }
    }

    /// The address a UDP socket is bound to.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.inner.local_addr().ok()?.as_socket()
    }

    /// Sends a whole Ethernet frame on the link of an AF_PACKET socket.
    ///
    /// A frame that a fault on this side of the cable drops counts as sent: the kernel tells of it (`ENOBUFS`), a
    /// cable would not.
    ///
    /// # Errors
    /// `ENETDOWN` when the link is down, `EAGAIN` when the send buffer is full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.inner.send(frame) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Sends a datagram.
    ///
    /// # Errors
    /// `ENETUNREACH` without a route, `EAGAIN` when the send buffer is full, and what udp(7) says.
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.inner.send_to(datagram, &to.into()).map(drop)
    }

    /// Gives a UDP socket the only address it sends to, so that the way there is not looked for with each datagram.
    ///
    /// # Errors
    /// `ENETUNREACH` without a route, and what udp(7) says.
    pub fn connect(&self, to: SocketAddr) -> io::Result<()> {
        self.inner.connect(&to.into())
    }

    /// Sends a datagram to the address that was given to [`Socket::connect`].
    ///
    /// # Errors
    /// As [`Socket::send_to`].
    pub fn send_connected(&self, datagram: &[u8]) -> io::Result<()> {
        // What an ICMP message said of an earlier datagram is told instead of sending this one, once.
        let sent = self.inner.send(datagram);
        sent.or_else(|_| self.inner.send(datagram)).map(drop)
    }

    /// When the kernel handed to the link what was sent at `since` or later through a socket that sends LACP or BFD, the first
    /// of it; `None` when it has not told: it does not stamp, or the packet waits in a queue. Stamps of earlier packets are taken
    /// away: as long as there are any, epoll(7) reports the socket (`EPOLLERR`).
    pub fn sent_at(&self, since: At, clock: &Clock) -> Option<At> {
        // Without the packet (`OPT_TSONLY`), but with the error it is told as.
        let mut control = nix::cmsg_space!(TimeSpec, Timestamps, [u8; ERROR_LEN]);
        loop {
            let mut iov: [IoSliceMut<'_>; 0] = [];
            let message = recvmsg::<SockaddrStorage>(
                self.inner.as_raw_fd(),
                &mut iov,
                Some(&mut control),
                MsgFlags::MSG_ERRQUEUE,
            );
            let Ok(message) = message else { return None };
            let Ok(controls) = message.cmsgs() else {
                continue;
            };
            for control in controls {
                if let ControlMessageOwned::ScmTimestampsns(stamps) = control {
                    let stamp = stamps.system;
                    let at = clock.at_realtime(stamp.tv_sec(), stamp.tv_nsec());
                    if at >= since {
                        return Some(at);
                    }
                }
            }
        }
    }

    /// Receives one datagram or frame into `buffer`, cut off at its end; `None` when there is none.
    ///
    /// # Errors
    /// What recvmsg(2) says. That a link went down is none: its frames come again when it is up.
    pub fn receive(&self, clock: &Clock, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let at = |stamp: Option<(i64, i64)>| match stamp {
            Some((seconds, nanos)) => clock.at_realtime(seconds, nanos),
            None => clock.now(),
        };
        self.receive_with(at, buffer)
    }

    /// The same, for who reads many packets at once and has his own way from timestamps (seconds and nanoseconds) to moments.
    ///
    /// # Errors
    /// As [`Socket::receive`].
    pub fn receive_with(
        &self,
        moment: impl Fn(Option<(i64, i64)>) -> At,
        buffer: &mut [u8],
    ) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(TimeSpec, libc::c_int, Timestamps);
        loop {
            let mut iov = [IoSliceMut::new(buffer)];
            let message = match recvmsg::<SockaddrStorage>(
                self.inner.as_raw_fd(),
                &mut iov,
                Some(&mut control),
                MsgFlags::empty(),
            ) {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR | Errno::ENETDOWN) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let (mut stamped, mut ttl) = (None, None);
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::ScmTimestampns(stamp) => {
                        stamped = Some((stamp.tv_sec(), stamp.tv_nsec()));
                    }
                    ControlMessageOwned::Ipv4Ttl(hops)
                    | ControlMessageOwned::Ipv6HopLimit(hops) => {
                        ttl = u8::try_from(hops).ok();
                    }
                    // Nothing else was asked for.
                    _ => {}
                }
            }
            let from = message.address.as_ref().and_then(socket_address);
            let outgoing = message
                .address
                .as_ref()
                .and_then(SockaddrStorage::as_link_addr)
                .is_some_and(|link| link.pkttype() == libc::PACKET_OUTGOING);
            return Ok(Some(Received {
                length: message.bytes,
                // The kernel begins to stamp a moment after the first socket asks for it.
                at: moment(stamped),
                ttl,
                from,
                outgoing,
            }));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// Half a second of probes of 16 flows at 1 ms, many times over.
const PROBE_BUFFER: usize = 1 << 20;

/// Adds to each refusal what the socket was for.
struct Trying<F>(F);

impl<F: Fn() -> String> Trying<F> {
    fn step<T>(&self, step: &'static str, result: io::Result<T>) -> Result<T, SocketError> {
        result.map_err(|source| SocketError {
            purpose: (self.0)(),
            step,
            source,
        })
    }

    fn set<O: nix::sys::socket::SetSockOpt>(
        &self,
        socket: &socket2::Socket,
        step: &'static str,
        option: O,
        value: &O::Val,
    ) -> Result<(), SocketError> {
        self.step(
            step,
            setsockopt(socket, option, value).map_err(io::Error::from),
        )
    }

    fn socket(
        &self,
        domain: Domain,
        kind: Type,
        protocol: Option<Protocol>,
    ) -> Result<socket2::Socket, SocketError> {
        self.step(
            "socket",
            socket2::Socket::new(domain, kind.nonblocking(), protocol),
        )
    }

    fn udp(&self, local: IpAddr, device: Option<&str>) -> Result<socket2::Socket, SocketError> {
        let domain = Domain::for_address(SocketAddr::new(local, 0));
        let inner = self.socket(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if let Some(device) = device {
            self.step(
                "bind to the interface",
                inner.bind_device(Some(device.as_bytes())),
            )?;
        }
        self.timestamps(&inner)?;
        Ok(inner)
    }

    /// To be done before `bind`: until then nothing arrives, after it nothing unwanted.
    fn filter(&self, socket: &socket2::Socket, filter: &Program) -> Result<(), SocketError> {
        let instructions: Vec<_> = filter
            .instructions()
            .iter()
            .map(|i| socket2::SockFilter::new(i.code, i.jt, i.jf, i.k))
            .collect();
        self.step("attach a filter", socket.attach_filter(&instructions))
    }

    fn timestamps(&self, socket: &socket2::Socket) -> Result<(), SocketError> {
        self.set(socket, "timestamps", sockopt::ReceiveTimestampns, &true)
    }

    /// A kernel or a link that stamps nothing is no error.
    fn transmit_timestamps(&self, socket: &socket2::Socket) -> Result<(), SocketError> {
        let wanted = TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE
            | TimestampingFlag::SOF_TIMESTAMPING_OPT_TSONLY;
        self.set(
            socket,
            "transmit timestamps",
            sockopt::Timestamping,
            &wanted,
        )
    }

    fn hops(&self, socket: &socket2::Socket, local: IpAddr, hops: u32) -> Result<(), SocketError> {
        self.step(
            "TTL",
            match local {
                IpAddr::V4(_) => socket.set_ttl_v4(hops),
                IpAddr::V6(_) => socket.set_unicast_hops_v6(hops),
            },
        )
    }

    fn network_control(&self, socket: &socket2::Socket, local: IpAddr) -> Result<(), SocketError> {
        self.step(
            "traffic class",
            match local {
                IpAddr::V4(_) => socket.set_tos_v4(u32::from(NETWORK_CONTROL)),
                IpAddr::V6(_) => socket.set_tclass_v6(u32::from(NETWORK_CONTROL)),
            },
        )?;
        // Setting the TOS sets a lower priority, so this comes after it.
        self.step("priority", socket.set_priority(PRIORITY_CONTROL))
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || {
        address
            .as_sockaddr_in()
            .map(|a| SocketAddr::V4((*a).into()))
    };
    let v6 = || {
        address
            .as_sockaddr_in6()
            .map(|a| SocketAddr::V6((*a).into()))
    };
    v4().or_else(v6)
}

/// Binds an AF_PACKET socket to one link and one ethertype (packet(7)).
fn bind_link(socket: &socket2::Socket, link: u32, ethertype: u16) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ethertype.to_be(),
        sll_ifindex: link as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer is to a complete sockaddr_ll, whose family and size are given; it is only read, and copied.
    let address = unsafe { SockaddrStorage::from_raw((&raw const address).cast(), Some(length)) }
        .expect("a sockaddr_ll is an address");
    nix::sys::socket::bind(socket.as_raw_fd(), &address).map_err(io::Error::from)
}

/// Lets frames to a group address in (packet(7), PACKET_ADD_MEMBERSHIP), on interfaces that filter by address.
fn join_group(socket: &socket2::Socket, link: u32, group: [u8; 6]) -> io::Result<()> {
    let mut request = libc::packet_mreq {
        mr_ifindex: link as i32,
        mr_type: libc::PACKET_MR_MULTICAST as u16,
        mr_alen: 6,
        mr_address: [0; 8],
    };
    request.mr_address[..6].copy_from_slice(&group);
    packet_option(socket, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Leaves out copies of what the link sends (packet(7), PACKET_IGNORE_OUTGOING).
fn ignore_outgoing(socket: &socket2::Socket) -> io::Result<()> {
    let yes: libc::c_int = 1;
    packet_option(socket, libc::PACKET_IGNORE_OUTGOING, &yes)
}

/// Sets an option of an AF_PACKET socket (packet(7)).
fn packet_option<T: Copy>(
    socket: &socket2::Socket,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which the kernel copies; of what an option wants to be longer it
    // reads nothing and returns EINVAL.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
