//! TCP sockets of BGP sessions, with what protects them: TTL security (RFC 5082) and TCP MD5 signatures (RFC 2385).
//!
//! **Invariant:** a key goes to the kernel and nowhere else; no error and no `Debug` prints it.

use std::io;
use std::mem::size_of;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockRef, Type};

use super::{BGP_PORT, SocketError, Trying};

/// Connections that wait to be accepted; the kernel lets as many more wait half open (tcp(7), listen(2)), and answers
/// further ones with SYN cookies or not at all.
const BACKLOG: i32 = 64;
/// `TCP_MD5SIG_MAXKEYLEN` of linux/tcp.h.
pub const MD5_KEY_MAX: usize = 80;
/// Not in libc: linux/in6.h.
const IPV6_MINHOPCOUNT: libc::c_int = 73;

/// How far away the neighbours of a socket are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// On the same link: packets are sent with TTL 1 (RFC 4271 says nothing of it; every router does it).
    #[default]
    Link,
    /// At most so many hops away, 1 being on the same link: packets are sent with TTL 255, and received ones whose
    /// TTL is below 256 less the hops are dropped by the kernel (RFC 5082, section 3).
    Secured {
        /// Hops, 1 to 254.
        hops: u8,
    },
    /// Packets are sent with TTL 255 and received with any: for a listener some of whose neighbours are secured.
    Mixed,
}

impl Reach {
    /// TTL of what is sent, and the lowest TTL of what is received; 0 is any.
    fn ttl(self) -> (u8, u8) {
        match self {
            Reach::Link => (1, 0),
            Reach::Secured { hops } => (255, u8::MAX - (hops.max(1) - 1)),
            Reach::Mixed => (255, 0),
        }
    }
}

/// A neighbour's key for TCP MD5 signatures: at most [`MD5_KEY_MAX`] bytes.
#[derive(Clone, Copy)]
pub struct Md5<'a> {
    /// The neighbour's address.
    pub peer: IpAddr,
    /// The key both ends know.
    pub key: &'a [u8],
}

/// Listens for BGP at a local address. Accepted connections inherit everything and send at once. The address need
/// not be there yet.
///
/// `scope` is the interface's index of a link-local address, else 0. A neighbour that has a key is heard only when its
/// segments are signed with it, others only when theirs are not.
/// For tokio: `tokio::net::TcpListener::from_std`.
pub fn bgp_listen(
    local: IpAddr,
    scope: u32,
    reach: Reach,
    keys: &[Md5<'_>],
) -> Result<TcpListener, SocketError> {
    let trying = Trying(|| format!("BGP at {local}"));
    let inner = bgp_socket(&trying, local, reach)?;
    trying.step("bind", inner.bind(&address(local, BGP_PORT, scope).into()))?;
    for key in keys {
        trying.step("set a TCP MD5 key", set_md5(&inner, *key, scope))?;
    }
    trying.step("listen", inner.listen(BACKLOG))?;
    Ok(inner.into())
}

/// A socket for a BGP connection from a local address, bound and not yet connected.
///
/// For tokio: `tokio::net::TcpSocket::from_std_stream`, then `connect` to [`address`].
pub fn bgp_connect(
    local: IpAddr,
    scope: u32,
    reach: Reach,
    key: Option<Md5<'_>>,
) -> Result<TcpStream, SocketError> {
    let trying = Trying(|| format!("BGP from {local}"));
    let inner = bgp_socket(&trying, local, reach)?;
    trying.step("bind", inner.bind(&address(local, 0, scope).into()))?;
    if let Some(key) = key {
        trying.step("set a TCP MD5 key", set_md5(&inner, key, scope))?;
    }
    Ok(inner.into())
}

/// Gives an accepted connection the reach of its neighbour, where the listener's is wider.
pub fn bgp_accepted(stream: &impl AsFd, peer: IpAddr, reach: Reach) -> io::Result<()> {
    set_reach(&SockRef::from(stream), peer, reach)
}

/// An address with the scope that a link-local one needs.
pub fn address(ip: IpAddr, port: u16, scope: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(ip) => {
            let scope = if ip.is_unicast_link_local() { scope } else { 0 };
            SocketAddrV6::new(ip, port, 0, scope).into()
        }
    }
}

fn bgp_socket<F: Fn() -> String>(
    trying: &Trying<F>,
    local: IpAddr,
    reach: Reach,
) -> Result<socket2::Socket, SocketError> {
    let domain = Domain::for_address(SocketAddr::new(local, 0));
    let inner = trying.socket(domain, Type::STREAM, Some(Protocol::TCP))?;
    trying.step("reuse the address", inner.set_reuse_address(true))?;
    trying.step("send at once", inner.set_tcp_nodelay(true))?;
    let freely = match local {
        IpAddr::V4(_) => inner.set_freebind_v4(true),
        IpAddr::V6(_) => inner
            .set_only_v6(true)
            .and_then(|()| inner.set_freebind_v6(true)),
    };
    trying.step("bind before the address is there", freely)?;
    trying.network_control(&inner, local)?;
    trying.step("TTL", set_reach(&inner, local, reach))?;
    Ok(inner)
}

fn set_reach(socket: &socket2::Socket, family: IpAddr, reach: Reach) -> io::Result<()> {
    let (sent, received) = reach.ttl();
    let received = libc::c_int::from(received);
    match family {
        IpAddr::V4(_) => {
            socket.set_ttl_v4(sent.into())?;
            set(socket, libc::IPPROTO_IP, libc::IP_MINTTL, &received)
        }
        IpAddr::V6(_) => {
            socket.set_unicast_hops_v6(sent.into())?;
            set(socket, libc::IPPROTO_IPV6, IPV6_MINHOPCOUNT, &received)
        }
    }
}

/// Signs segments to a neighbour, and wants its segments signed (tcp(7), TCP_MD5SIG).
///
/// # Errors
/// `ENOPROTOOPT` when the kernel is built without, `EINVAL` for an empty or too long key.
pub(in crate::kernel) fn set_md5(
    socket: &socket2::Socket,
    key: Md5<'_>,
    scope: u32,
) -> io::Result<()> {
    if key.key.is_empty() || key.key.len() > MD5_KEY_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut option = TcpMd5Sig {
        address: [0; 128],
        flags: 0,
        prefix_len: 0,
        key_len: key.key.len() as u16,
        ifindex: 0,
        key: [0; MD5_KEY_MAX],
    };
    let peer = socket2::SockAddr::from(address(key.peer, 0, scope));
    let length = peer.len() as usize;
    // SAFETY: a SockAddr holds `len` bytes of an address, at most those of a sockaddr_storage.
    let bytes = unsafe { std::slice::from_raw_parts(peer.as_ptr().cast::<u8>(), length) };
    option.address[..length].copy_from_slice(bytes);
    option.key[..key.key.len()].copy_from_slice(key.key);
    let result = set(socket, libc::IPPROTO_TCP, libc::TCP_MD5SIG, &option);
    option.key.fill(0);
    result
}

/// `struct tcp_md5sig` of linux/tcp.h.
#[repr(C)]
struct TcpMd5Sig {
    address: [u8; 128],
    flags: u8,
    prefix_len: u8,
    key_len: u16,
    ifindex: libc::c_int,
    key: [u8; MD5_KEY_MAX],
}

fn set<T>(
    socket: &socket2::Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of a value that outlives the call; the kernel copies it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
