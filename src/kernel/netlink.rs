//! A blocking NETLINK_ROUTE socket that sends many messages at once and waits once (RFC 3549, rtnetlink(7)).
//!
//! Messages are queued and committed together. Only the last message of a datagram asks for an acknowledgement: the
//! kernel works through a datagram in order and reports a refused message whether asked or not, so a batch of
//! 280 routes costs two system calls and one answer. A refused message does not stop those behind it.
//!
//! **Invariant:** a socket belongs to the namespace of the thread that opened it, for ever; after that any thread may use it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send, setsockopt, sockopt};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkSerializable,
};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::namespace::{Namespace, NamespaceError};

/// Messages in one datagram. If the kernel refuses all of them its answers still fit the receive buffer.
const DATAGRAM_MESSAGES: usize = 256;
/// Bytes in one datagram; a message that is longer goes alone.
const DATAGRAM_BYTES: usize = 64 * 1024;
/// Receive buffer asked for, in bytes: the limit the kernel sets by default (`net.core.rmem_max`).
const RECEIVE_BUFFER: usize = 212_992;
/// The same for events: the route changes of several thousand prefixes.
const EVENT_BUFFER: usize = 2 * 1024 * 1024;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;
/// `NLMSG_ERROR`, which is also the acknowledgement.
const NLMSG_ERROR: u16 = 2;
/// `NLMSG_DONE`.
const NLMSG_DONE: u16 = 3;
/// `NLMSGERR_ATTR_MSG`: the kernel's sentence.
const NLMSGERR_ATTR_MSG: u16 = 1;

/// A message the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for, in words, for example `add link ams-1 in ams-edge-1`.
    pub operation: String,
    /// The kernel's error number.
    pub errno: Errno,
    /// The kernel's own sentence (extended acknowledgement), when it gave one.
    pub sentence: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} ({:?})",
            self.operation,
            self.errno.desc(),
            self.errno
        )?;
        if let Some(sentence) = &self.sentence {
            write!(f, ", the kernel says: {sentence}")?;
        }
        Ok(())
    }
}

/// Why netlink work failed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel refused some of the messages; the others of the batch were done.
    #[error("{}", join(.0))]
    Refused(Vec<Refusal>),
    /// The socket failed, so it is not known what was done.
    #[error("{operation}: the netlink socket failed: {source}")]
    Socket {
        /// What was asked for.
        operation: String,
        /// The error of the system call.
        source: io::Error,
    },
    /// The kernel's answer could not be understood.
    #[error("{operation}: cannot read the kernel's answer: {reason}")]
    Answer {
        /// What was asked for.
        operation: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// A netlink socket could not be opened in a namespace.
    #[error("open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// A namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

impl NetlinkError {
    /// The refused messages, empty when the socket itself failed.
    pub fn refusals(&self) -> &[Refusal] {
        match self {
            NetlinkError::Refused(refusals) => refusals,
            NetlinkError::Socket { .. }
            | NetlinkError::Answer { .. }
            | NetlinkError::Open(_)
            | NetlinkError::Namespace(_) => &[],
        }
    }
}

fn join(refusals: &[Refusal]) -> String {
    let words: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// Says what a queued message was for; called only when it was refused.
type Operation = Box<dyn Fn() -> String + Send>;

/// A NETLINK_ROUTE socket with a queue of messages.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    /// Messages queued and not yet sent, in wire form.
    out: Vec<u8>,
    queued: Vec<Queued>,
    inbox: Vec<u8>,
}

struct Queued {
    start: usize,
    sequence: u32,
    operation: Operation,
}

impl fmt::Debug for Netlink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Netlink")
            .field("fd", &self.socket.as_raw_fd())
            .field("queued", &self.queued.len())
            .finish()
    }
}

impl Netlink {
    /// Opens a socket in the namespace of the calling thread.
    pub fn open() -> Result<Netlink, NetlinkError> {
        Self::open_with_groups(0)
    }

    /// Opens a socket in `namespace`.
    pub fn open_in(namespace: &Namespace) -> Result<Netlink, NetlinkError> {
        namespace.run(Self::open)?
    }

    /// Opens a socket that also hears multicast `groups` (bit n-1 is group n, as `RTMGRP_*`).
    pub(super) fn open_with_groups(groups: u32) -> Result<Netlink, NetlinkError> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            socket.set_netlink_get_strict_chk(true)?;
            socket.set_rx_buf_sz(RECEIVE_BUFFER as libc::c_int)?;
            if groups != 0 {
                // Events come in bursts, a table at a time. Beyond `net.core.rmem_max` only root is heard.
                let _ = setsockopt(&socket, sockopt::RcvBufForce, &EVENT_BUFFER);
                socket.bind(&SocketAddr::new(0, groups))?;
            }
            Ok(socket)
        };
        Ok(Netlink {
            socket: open().map_err(NetlinkError::Open)?,
            sequence: 0,
            out: Vec::new(),
            queued: Vec::new(),
            inbox: vec![0; 32 * 1024],
        })
    }

    /// Queues a message. `flags` are those beside `NLM_F_REQUEST`, for example `NLM_F_CREATE | NLM_F_EXCL`;
    /// `operation` says what it is for, for example `add link ams-1 in ams-edge-1`.
    pub fn queue(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        operation: impl Fn() -> String + Send + 'static,
    ) {
        let start = self.header(message.message_type(), flags, message.buffer_len());
        message.serialize(&mut self.out[start + HEADER..]);
        self.push(start, Box::new(operation));
    }

    /// Queues a message of any type from its body (what follows `struct nlmsghdr`, padded to 4 bytes or not).
    pub fn queue_raw(
        &mut self,
        message_type: u16,
        flags: u16,
        body: &[u8],
        operation: impl Fn() -> String + Send + 'static,
    ) {
        let start = self.header(message_type, flags, body.len());
        self.out[start + HEADER..start + HEADER + body.len()].copy_from_slice(body);
        self.push(start, Box::new(operation));
    }

    /// Sends all queued messages in order and waits until the kernel has worked through them.
    ///
    /// On [`NetlinkError::Refused`] every message that is not listed was done. The queue is empty afterwards in any case.
    pub fn commit(&mut self) -> Result<(), NetlinkError> {
        let queued = std::mem::take(&mut self.queued);
        let mut out = std::mem::take(&mut self.out);
        let result = self.commit_all(&queued, &mut out);
        out.clear();
        self.out = out;
        result
    }

    /// Asks one question with `NLM_F_DUMP`, and returns all answers.
    ///
    /// A dump that was disturbed by a change is repeated.
    pub fn dump(
        &mut self,
        message: RouteNetlinkMessage,
        operation: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        self.ask(message, NLM_F_DUMP, operation)
    }

    /// Asks for one thing, and returns the answer, if it says anything.
    pub fn one(
        &mut self,
        message: RouteNetlinkMessage,
        operation: &str,
    ) -> Result<Option<RouteNetlinkMessage>, NetlinkError> {
        Ok(self.ask(message, NLM_F_ACK, operation)?.pop())
    }

    fn ask(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        operation: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let mut body = vec![0; message.buffer_len()];
        message.serialize(&mut body);
        loop {
            let mut answers = Vec::new();
            let mut fault = None;
            let disturbed = self.ask_once(
                message.message_type(),
                flags,
                &body,
                operation,
                &mut |answer_type, payload| match parse(answer_type, payload) {
                    Ok(answer) => answers.push(answer),
                    Err(reason) => fault = Some(reason),
                },
            )?;
            if disturbed {
                continue;
            }
            return match fault {
                None => Ok(answers),
                Some(reason) => Err(NetlinkError::Answer {
                    operation: operation.into(),
                    reason,
                }),
            };
        }
    }

    /// Asks one question of any type, and gives each answer's type and body to `each`.
    ///
    /// `flags` beside `NLM_F_REQUEST` must hold `NLM_F_ACK` or `NLM_F_DUMP`. When the kernel says that a dump was
    /// disturbed, the question is asked again and answers come twice.
    pub fn ask_raw(
        &mut self,
        message_type: u16,
        flags: u16,
        body: &[u8],
        operation: &str,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<(), NetlinkError> {
        while self.ask_once(message_type, flags, body, operation, &mut each)? {}
        Ok(())
    }

    /// Returns true when the dump was disturbed.
    fn ask_once(
        &mut self,
        message_type: u16,
        flags: u16,
        body: &[u8],
        operation: &str,
        each: &mut dyn FnMut(u16, &[u8]),
    ) -> Result<bool, NetlinkError> {
        let failed = |source: Errno| NetlinkError::Socket {
            operation: operation.into(),
            source: source.into(),
        };
        let mut out = std::mem::take(&mut self.out);
        let kept = out.len();
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        write_header(
            &mut out,
            message_type,
            NLM_F_REQUEST | flags,
            sequence,
            body.len(),
        );
        out[kept + HEADER..kept + HEADER + body.len()].copy_from_slice(body);
        let sent = send(
            self.socket.as_raw_fd(),
            &out[kept..kept + HEADER + body.len()],
            MsgFlags::empty(),
        );
        out.truncate(kept);
        self.out = out;
        sent.map_err(failed)?;

        let mut disturbed = false;
        loop {
            let length = receive(&self.socket, &mut self.inbox).map_err(failed)?;
            for (header, payload) in messages(&self.inbox[..length]) {
                if header.sequence_number != sequence {
                    continue;
                }
                disturbed |= header.flags & NLM_F_DUMP_INTR != 0;
                match header.message_type {
                    NLMSG_ERROR | NLMSG_DONE => {
                        return match outcome(header.flags, header.message_type, payload) {
                            None => Ok(disturbed),
                            Some((errno, sentence)) => Err(NetlinkError::Refused(vec![Refusal {
                                operation: operation.into(),
                                errno,
                                sentence,
                            }])),
                        };
                    }
                    other => each(other, payload),
                }
            }
        }
    }

    /// Appends a header and room for a body; returns where the message starts.
    fn header(&mut self, message_type: u16, flags: u16, body: usize) -> usize {
        self.sequence = self.sequence.wrapping_add(1);
        write_header(
            &mut self.out,
            message_type,
            NLM_F_REQUEST | flags,
            self.sequence,
            body,
        )
    }

    fn push(&mut self, start: usize, operation: Operation) {
        self.queued.push(Queued {
            start,
            sequence: self.sequence,
            operation,
        });
    }

    fn commit_all(&mut self, queued: &[Queued], out: &mut [u8]) -> Result<(), NetlinkError> {
        let mut refusals = Vec::new();
        let mut first = 0;
        while first < queued.len() {
            let begin = queued[first].start;
            let ends = |index: usize| queued.get(index + 1).map_or(out.len(), |next| next.start);
            let mut last = first;
            while last + 1 < queued.len()
                && last + 1 - first < DATAGRAM_MESSAGES
                && ends(last + 1) - begin <= DATAGRAM_BYTES
            {
                last += 1;
            }
            let end = ends(last);
            let flags_at = queued[last].start + 6;
            let flags = u16::from_ne_bytes([out[flags_at], out[flags_at + 1]]) | NLM_F_ACK;
            out[flags_at..flags_at + 2].copy_from_slice(&flags.to_ne_bytes());
            self.exchange(&queued[first..=last], &out[begin..end], &mut refusals)?;
            first = last + 1;
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(NetlinkError::Refused(refusals))
        }
    }

    /// Sends one datagram and reads answers until its last message is acknowledged.
    fn exchange(
        &mut self,
        queued: &[Queued],
        datagram: &[u8],
        refusals: &mut Vec<Refusal>,
    ) -> Result<(), NetlinkError> {
        let last = &queued[queued.len() - 1];
        let failed = |source: Errno| NetlinkError::Socket {
            operation: (queued[0].operation)(),
            source: source.into(),
        };
        send(self.socket.as_raw_fd(), datagram, MsgFlags::empty()).map_err(failed)?;
        loop {
            let length = receive(&self.socket, &mut self.inbox).map_err(failed)?;
            for (header, payload) in messages(&self.inbox[..length]) {
                let sent = |message: &&Queued| message.sequence == header.sequence_number;
                let Some(message) = queued.iter().find(sent) else {
                    continue;
                };
                if header.message_type != NLMSG_ERROR {
                    continue;
                }
                if let Some((errno, sentence)) = outcome(header.flags, header.message_type, payload)
                {
                    refusals.push(Refusal {
                        operation: (message.operation)(),
                        errno,
                        sentence,
                    });
                }
                if message.sequence == last.sequence {
                    return Ok(());
                }
            }
        }
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Reads one datagram, waiting for it. A signal does not end the wait.
pub(super) fn receive(socket: &Socket, inbox: &mut Vec<u8>) -> Result<usize, Errno> {
    loop {
        match recv(socket.as_raw_fd(), inbox, MsgFlags::MSG_TRUNC) {
            Err(Errno::EINTR) => {}
            // A dump's datagram is at most 32 KiB, which the inbox holds. A longer one has lost its end.
            Ok(length) if length > inbox.len() => {
                inbox.resize(length, 0);
                return Err(Errno::EMSGSIZE);
            }
            other => return other,
        }
    }
}

/// The messages of a datagram, header and body each; ends at the first that is cut off.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (NetlinkHeader, &[u8])> {
    std::iter::from_fn(move || {
        let field = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let length = field(0)? as usize;
        let mut header = NetlinkHeader::default();
        header.length = length as u32;
        header.message_type = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
        header.flags = u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?);
        header.sequence_number = field(8)?;
        header.port_number = field(12)?;
        let payload = bytes.get(HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((header, payload))
    })
}

/// Parses one message of the route family.
pub(super) fn parse(message_type: u16, payload: &[u8]) -> Result<RouteNetlinkMessage, String> {
    use rtnetlink::packet_core::NetlinkDeserializable;
    let mut header = NetlinkHeader::default();
    header.message_type = message_type;
    RouteNetlinkMessage::deserialize(&header, payload).map_err(|error| error.to_string())
}

/// What `NLMSG_ERROR` or `NLMSG_DONE` says: `None` is success.
fn outcome(flags: u16, message_type: u16, payload: &[u8]) -> Option<(Errno, Option<String>)> {
    const NLM_F_CAPPED: u16 = 0x100;
    const NLM_F_ACK_TLVS: u16 = 0x200;
    let code = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    if code >= 0 {
        return None;
    }
    // An error repeats the header of the request, and all of it unless it was capped.
    let attributes = match message_type {
        NLMSG_DONE => 4,
        _ if flags & NLM_F_CAPPED != 0 => 4 + HEADER,
        _ => {
            let length = payload.get(4..8).map_or(0, |bytes| {
                u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
            });
            4 + length.next_multiple_of(4)
        }
    };
    let sentence = (flags & NLM_F_ACK_TLVS != 0)
        .then(|| payload.get(attributes..).and_then(sentence))
        .flatten();
    Some((Errno::from_raw(-code), sentence))
}

/// The text attribute of an extended acknowledgement.
fn sentence(mut attributes: &[u8]) -> Option<String> {
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        if kind & 0x3fff == NLMSGERR_ATTR_MSG {
            let text = attributes.get(4..length)?;
            let text = text.split(|byte| *byte == 0).next().unwrap_or(text);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

/// Reads bytes as if the kernel had sent them: for the fuzz target `netlink`.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    for (header, payload) in messages(bytes) {
        let _ = parse(header.message_type, payload);
        let _ = outcome(header.flags, header.message_type, payload);
    }
}

/// Appends a header and zeroed room for a body, padded to 4 bytes; returns where the message starts.
fn write_header(
    out: &mut Vec<u8>,
    message_type: u16,
    flags: u16,
    sequence: u32,
    body: usize,
) -> usize {
    let start = out.len();
    let length = HEADER + body;
    out.resize(start + length.next_multiple_of(4), 0);
    out[start..start + 4].copy_from_slice(&(length as u32).to_ne_bytes());
    out[start + 4..start + 6].copy_from_slice(&message_type.to_ne_bytes());
    out[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
    out[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
    start
}
