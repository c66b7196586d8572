//! Sockets of the network outside of the lab.
//!
//! A lab is in a network namespace of its own, from which no way leads out. But a socket belongs for ever to the
//! namespace it was made in, whoever holds it. So the outer process ([`super::enter`]) makes TCP sockets on request and
//! passes them in over a pair of unix(7) sockets made before the fork; the inner process connects and uses them itself.
//!
//! A question is a number and the address family; the answer is the number, an errno, and with errno 0 the socket. A lab
//! that goes into the background asks the outer process to let go of the terminal, too.
//!
//! **Invariant:** the outer process never blocks here, and all it can be brought to do is to make a TCP socket, or to let
//! go of its terminal.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    recv, recvmsg, send, sendmsg, socket, socketpair,
};
use tokio::io::Interest;
use tokio::net::{TcpSocket, TcpStream, UnixDatagram};
use tokio::sync::Mutex;

use super::background;

/// The outer process answers in microseconds, unless it is stopped (SIGSTOP).
const PATIENCE: Duration = Duration::from_secs(2);
/// Flags of all calls: neither side ever waits in the kernel, and the end of one is no signal to the other.
const AT_ONCE: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// The two ends of a new pair: the inner process's, and what the outer process answers with.
pub(super) fn pair() -> Result<(OwnedFd, SocketMaker), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (inside, outside) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    Ok((inside, SocketMaker(outside)))
}

/// What is asked for: 4 or 6 is a socket of that family.
type Wish = u8;
/// Let go of the terminal.
const LET_GO: Wish = 0;

/// A question in its wire form.
fn question(number: u32, wish: Wish) -> [u8; 5] {
    let [a, b, c, d] = number.to_ne_bytes();
    [a, b, c, d, wish]
}

/// The outer process's end.
#[derive(Debug)]
pub(super) struct SocketMaker(OwnedFd);

impl SocketMaker {
    /// Answers one question; `false` when the inner process is gone.
    pub(super) fn answer(&self) -> bool {
        let mut bytes = [0; 5];
        let [number @ .., wish] = match recv(self.0.as_raw_fd(), &mut bytes, AT_ONCE) {
            Ok(0) => return false,
            Ok(5) => bytes,
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => return true,
            Err(_) => return false,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let made = match wish {
            LET_GO => {
                // Without /dev/null it goes on holding it.
                let _ = background::let_go();
                Ok(None)
            }
            4 => socket(AddressFamily::Inet, SockType::Stream, flags, None).map(Some),
            _ => socket(AddressFamily::Inet6, SockType::Stream, flags, None).map(Some),
        };
        let errno = made.as_ref().map_or_else(|errno| *errno as i32, |_| 0);
        let made: Vec<RawFd> = made.iter().flatten().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&made)];
        let rights = if made.is_empty() { &[] } else { &rights[..] };
        let errno = errno.to_ne_bytes();
        let text = [IoSlice::new(&number), IoSlice::new(&errno)];
        // Whoever does not take his answers gets none; he does not wait for them for ever.
        let _ = sendmsg::<UnixAddr>(self.0.as_raw_fd(), &text, rights, AT_ONCE, None);
        true
    }
}

impl AsFd for SocketMaker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The inner process's way to the network outside.
#[derive(Debug)]
pub struct Outside {
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    pair: OwnedFd,
    /// Number of the last question. An answer with another one belongs to a question that was given up.
    number: u32,
}

impl Outside {
    pub(super) fn new(pair: OwnedFd) -> Outside {
        let line = Line { pair, number: 0 };
        Outside {
            line: Mutex::new(line),
        }
    }

    /// Connects to an address of the network outside. Names are resolved before the lab is entered: inside there is
    /// nobody to ask.
    ///
    /// Waits as long as the kernel tries to connect, which is minutes; the caller sets the limit. Must be called in a
    /// tokio runtime with I/O and time, be it one or several.
    pub async fn tcp(&self, remote: SocketAddr) -> io::Result<TcpStream> {
        let family = if remote.is_ipv4() { 4 } else { 6 };
        match self.ask(family).await? {
            Some(made) => {
                let made = TcpSocket::from_std_stream(made.into());
                made.connect(remote).await
            }
            None => Err(io::Error::other("no room for another open file")),
        }
    }

    /// Makes the outer process let go of the terminal. Must be called as [`Outside::tcp`].
    pub async fn let_go(&self) -> io::Result<()> {
        self.ask(LET_GO).await.map(drop)
    }

    async fn ask(&self, wish: Wish) -> io::Result<Option<OwnedFd>> {
        let answered = tokio::time::timeout(PATIENCE, self.answer(wish)).await;
        answered.map_err(|_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the process outside did not answer within {PATIENCE:?}"),
            )
        })?
    }

    async fn answer(&self, wish: Wish) -> io::Result<Option<OwnedFd>> {
        let mut line = self.line.lock().await;
        line.number = line.number.wrapping_add(1);
        let question = question(line.number, wish);
        // Registered for each question, so that every runtime may ask.
        let pair = UnixDatagram::from_std(line.pair.try_clone()?.into())?;
        let ask = || Ok(send(pair.as_raw_fd(), &question, AT_ONCE)?);
        pair.async_io(Interest::WRITABLE, ask).await?;
        loop {
            let answer = pair.async_io(Interest::READABLE, || receive(&pair)).await?;
            if answer.number != line.number {
                continue;
            }
            return match answer.errno {
                0 => Ok(answer.socket),
                errno => Err(io::Error::from_raw_os_error(errno)),
            };
        }
    }
}

struct Answer {
    number: u32,
    errno: i32,
    socket: Option<OwnedFd>,
}

fn receive(pair: &UnixDatagram) -> io::Result<Answer> {
    let (mut number, mut errno) = ([0; 4], [0; 4]);
    let mut rights = cmsg_space!(RawFd);
    let mut text = [IoSliceMut::new(&mut number), IoSliceMut::new(&mut errno)];
    let flags = AT_ONCE | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(pair.as_raw_fd(), &mut text, Some(&mut rights), flags)?;
    if message.bytes == 0 {
        let gone = "the process outside is gone";
        return Err(io::Error::new(io::ErrorKind::BrokenPipe, gone));
    }
    let mut socket = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(passed) = control {
            for fd in passed {
                // SAFETY: the kernel has just put this descriptor into our table for this message, which is read once;
                // nobody else knows of it, so it is ours to close.
                socket = Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok(Answer {
        number: u32::from_ne_bytes(number),
        errno: i32::from_ne_bytes(errno),
        socket,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_comes_too_late_is_nobody_elses() {
        let (inside, maker) = pair().expect("a pair");
        let outside = Outside::new(inside);
        let asked = async {
            let mut byte = [0];
            let peek = AT_ONCE | MsgFlags::MSG_PEEK;
            while recv(maker.0.as_raw_fd(), &mut byte, peek).is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = outside.answer(6) => unreachable!("nobody has answered"),
            () = asked => {}
        }
        let answering = async {
            while maker.answer() {
                tokio::task::yield_now().await;
            }
        };
        let made = tokio::select! {
            made = outside.answer(4) => made,
            () = answering => unreachable!("the other end is there"),
        };
        let made = made.expect("an answer").expect("a socket");
        let domain = socket2::Socket::from(made).domain();
        assert_eq!(domain.expect("a domain"), socket2::Domain::IPV4);
    }

    #[tokio::test]
    async fn the_end_of_either_side_is_noticed() {
        let (inside, maker) = pair().expect("a pair");
        drop(maker);
        let error = Outside::new(inside).tcp(([127, 0, 0, 1], 1).into()).await;
        assert_eq!(error.expect_err("gone").kind(), io::ErrorKind::BrokenPipe);
        let (inside, maker) = pair().expect("a pair");
        drop(inside);
        assert!(!maker.answer());
    }
}
