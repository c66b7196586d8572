//! UNIX sockets with a name in the abstract namespace (unix(7)): how a kept lab is found and spoken to.
//!
//! Such a name belongs to the network namespace it was bound in, lies in no file system, and goes with the last process
//! that holds the socket. Anybody may take a name, so both ends look at whom the kernel says they speak to.
//!
//! **Invariant:** no call here waits longer than the timeout it was given.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{PeerCredentials, ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, bind, connect, getsockopt, listen, recvmsg, sendmsg, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{Gid, Pid, Uid, geteuid, seteuid};

/// Connections that wait to be accepted; more are refused at once.
const BACKLOG: i32 = 16;
/// Descriptors one message carries at most.
pub const MOST_DESCRIPTORS: usize = 4;
/// `SO_ACCEPTCON` in the column `Flags` of /proc/net/unix.
const LISTENS: u32 = 1 << 16;

/// Who is at the other end, as the kernel saw it when it connected or began to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process; 0 when that is not visible from here.
    pub pid: Pid,
    /// Its effective user, in our user namespace.
    pub uid: Uid,
    /// Its effective group.
    pub gid: Gid,
}

impl Peer {
    /// Who is at the other end of a connection.
    pub fn of(socket: &impl AsFd) -> io::Result<Peer> {
        let peer = getsockopt(socket, PeerCredentials)?;
        Ok(Peer {
            pid: Pid::from_raw(peer.pid()),
            uid: Uid::from_raw(peer.uid()),
            gid: Gid::from_raw(peer.gid()),
        })
    }
}

/// Takes a name. [`io::ErrorKind::AddrInUse`] when somebody has it.
pub fn claim(name: &str) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    bind(
        socket.as_raw_fd(),
        &UnixAddr::new_abstract(name.as_bytes())?,
    )?;
    Ok(socket)
}

/// Lets others connect. Whoever does is told that the calling process is the other end ([`Peer::of`]).
pub fn open(claimed: &OwnedFd) -> io::Result<()> {
    Ok(listen(claimed, Backlog::new(BACKLOG)?)?)
}

/// Connects to a name as the user `uid`, which must be our own or we root. Each read and write of the connection fails
/// after `timeout`.
pub fn reach(name: &str, uid: Uid, timeout: Duration) -> io::Result<UnixStream> {
    let socket = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let micros = i64::try_from(timeout.as_micros()).unwrap_or(i64::MAX);
    let timeout = TimeVal::microseconds(micros);
    setsockopt(&socket, SendTimeout, &timeout)?;
    setsockopt(&socket, ReceiveTimeout, &timeout)?;
    let address = UnixAddr::new_abstract(name.as_bytes())?;
    let own = geteuid();
    if uid == own {
        connect(socket.as_raw_fd(), &address)?;
    } else {
        // Inside a user namespace root of the system is nobody: the lab of a user knows that user alone.
        seteuid(uid)?;
        let connected = connect(socket.as_raw_fd(), &address);
        seteuid(own)?;
        connected?;
    }
    Ok(socket.into())
}

/// The abstract names on which somebody listens in this network namespace and that begin with `prefix`, in order.
pub fn names(prefix: &str) -> io::Result<Vec<String>> {
    let text = fs::read("/proc/self/net/unix")?;
    Ok(listed(&String::from_utf8_lossy(&text), prefix))
}

/// Lines are `Num: RefCount Protocol Flags Type St Inode Path` (proc_net_unix(5)); an abstract path begins with `@`.
fn listed(text: &str, prefix: &str) -> Vec<String> {
    let name = |line: &str| {
        let mut columns = line.split_whitespace();
        let flags = u32::from_str_radix(columns.nth(3)?, 16).ok()?;
        let path = columns.nth(3)?.strip_prefix('@')?;
        (flags & LISTENS != 0 && path.starts_with(prefix)).then(|| path.to_owned())
    };
    let mut names: Vec<String> = text.lines().filter_map(name).collect();
    names.sort();
    names
}

/// Sends bytes and, with them, descriptors; at once or not at all. Returns how many bytes were taken.
pub fn send(socket: &impl AsFd, bytes: &[u8], passed: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let raw: Vec<RawFd> = passed.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &[] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let text = [IoSlice::new(bytes)];
    let socket = socket.as_fd().as_raw_fd();
    Ok(sendmsg::<UnixAddr>(socket, &text, rights, flags, None)?)
}

/// Receives bytes, and the descriptors that came with them.
pub fn receive(
    socket: &impl AsFd,
    bytes: &mut [u8],
    passed: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut rights = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let mut text = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let socket = socket.as_fd().as_raw_fd();
    let message = loop {
        match recvmsg::<UnixAddr>(socket, &mut text, Some(&mut rights), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control {
            // SAFETY: the kernel has just put these descriptors into our table for this message, which is read once;
            // nobody else knows of them, so they are ours to close.
            passed.extend(
                fds.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok(message.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(what: &str) -> String {
        format!("peerlab-test/{}/{what}", std::process::id())
    }

    #[test]
    fn a_name_is_taken_once_and_free_when_its_socket_is_closed() {
        let name = name("once");
        let claimed = claim(&name).expect("free");
        let again = claim(&name).expect_err("taken");
        assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
        drop(claimed);
        claim(&name).expect("free again");
    }

    #[test]
    fn only_names_on_which_somebody_listens_are_listed() {
        let (one, other) = (name("listed"), name("claimed"));
        let (claimed, _quiet) = (claim(&one).expect("free"), claim(&other).expect("free"));
        let refused = reach(&one, geteuid(), Duration::from_secs(1)).expect_err("nobody listens");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        open(&claimed).expect("listens");
        let stream = reach(&one, geteuid(), Duration::from_secs(1)).expect("somebody listens");
        let peer = Peer::of(&stream).expect("credentials");
        assert_eq!((peer.pid, peer.uid), (Pid::this(), geteuid()));
        let mine = format!("peerlab-test/{}/", std::process::id());
        let names = names(&mine).expect("readable");
        assert!(names.contains(&one) && !names.contains(&other), "{names:?}");
    }

    #[test]
    fn the_kernels_list_is_read_as_it_is_written() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 100 @peerlab/0/one\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 101 @peerlab/0/one\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 102 /run/peerlab/0/file\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 103\n";
        assert_eq!(listed(text, "peerlab/"), ["peerlab/0/one"]);
    }

    #[test]
    fn descriptors_arrive_with_the_bytes_they_were_sent_with() {
        let (a, b) = UnixStream::pair().expect("a pair");
        let file = fs::File::open("/proc/self/status").expect("there");
        assert_eq!(
            send(&a, b"two", &[file.as_fd(), a.as_fd()]).expect("sent"),
            3
        );
        let (mut bytes, mut passed) = ([0; 16], Vec::new());
        let length = receive(&b, &mut bytes, &mut passed).expect("received");
        assert_eq!((&bytes[..length], passed.len()), (&b"two"[..], 2));
    }
}
