//! A router's side of RTR: keeps a table of VRPs as a cache has it.
//!
//! Asks for everything first (Reset Query), then for changes (Serial Query) when the refresh interval has passed or the
//! cache says that there are some (Serial Notify). Without a cache, the table is kept for the expire interval, and then
//! forgotten (RFC 8210, section 6).
//!
//! A table is replaced as a whole, at End of Data: what a cache began to say and did not finish changes nothing.

mod answers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Intervals;
use super::pdu::{self, Fault, Incoming, Pdu, Version};
use crate::bgp::origin_validation::VrpTable;
use crate::time::At;

/// A TCP connection must be there after this.
const CONNECTING: Duration = Duration::from_secs(10);
/// A cache that owes an answer may be silent for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// A whole answer must be there after this, however slowly it comes.
const ANSWER: Duration = Duration::from_secs(600);
/// From the loss of a connection to the next try; doubled each time, up to the retry interval.
const SOON: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Begin.
    Start,
    /// The connection of [`Output::Connect`] is there.
    Connected,
    /// Bytes were read.
    Bytes(&'a [u8]),
    /// The connection was closed, or did not come to be: why. Not told after [`Output::Close`].
    Closed(&'a str),
    /// The moment of [`Client::deadline`] has come.
    Deadline,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Connect to the cache.
    Connect,
    /// Write to the connection.
    Write(Vec<u8>),
    /// Close the connection, or give up connecting; what was written before should still go out.
    Close,
    /// The table or what is known of the cache changed.
    Update(Update),
}

/// A change, with the table as it is now.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// What happened.
    pub event: Event,
    /// All VRPs that may be used now.
    pub table: Arc<VrpTable>,
    /// The cache's serial number of this table; `None` without a table.
    pub serial: Option<u32>,
    /// Details, for people.
    pub text: String,
}

/// What happened to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The first whole table is there.
    Read,
    /// The cache has other VRPs than before.
    Changed,
    /// The cache does not answer, or not properly; what it told is still used. Told once, until it is back.
    Lost,
    /// What was told too long ago is used no more.
    Expired,
    /// The cache that was lost has told its table; it may have changed.
    Back,
}

impl Event {
    /// The word in a record.
    pub fn name(self) -> &'static str {
        match self {
            Event::Read => "read",
            Event::Changed => "changed",
            Event::Lost => "lost",
            Event::Expired => "expired",
            Event::Back => "back",
        }
    }
}

/// A router's side of RTR, with one cache.
#[derive(Debug)]
pub struct Client {
    version: Version,
    link: Link,
    known: Option<Known>,
    intervals: Intervals,
    /// Whether the loss of the cache was told.
    lost: bool,
    /// Whether there ever was a table.
    ever: bool,
    /// To wait before the next connection.
    pause: Duration,
    connect_again: Option<At>,
    refresh: Option<At>,
    expire: Option<At>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Link {
    Down,
    Connecting { until: At },
    Up(Connection),
}

#[derive(Debug, Default)]
struct Connection {
    incoming: Incoming,
    /// Whether the cache has said in which version it speaks.
    negotiated: bool,
    /// The answer that is waited for.
    owed: Option<Owed>,
    /// A serial number told while an answer was on its way.
    notified: Option<u32>,
}

/// An answer that is waited for.
#[derive(Debug)]
struct Owed {
    /// The question was a Reset Query.
    reset: bool,
    /// The next sign of the cache must come before.
    silence: At,
    /// The end of the answer must come before.
    end: At,
    /// What has come since Cache Response.
    response: Option<Response>,
}

#[derive(Debug)]
struct Response {
    session: u16,
    table: Arc<VrpTable>,
    announced: u64,
    withdrawn: u64,
}

/// A whole table.
#[derive(Debug)]
struct Known {
    table: Arc<VrpTable>,
    serial: u32,
    /// The session in which changes can be asked for, and the version it belongs to (RFC 8210, section 5.1).
    session: Option<(Version, u16)>,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            version: Version::V1,
            link: Link::Down,
            known: None,
            intervals: Intervals::DEFAULT,
            lost: false,
            ever: false,
            pause: SOON,
            connect_again: None,
            refresh: None,
            expire: None,
            outputs: VecDeque::new(),
        }
    }
}

impl Client {
    /// Takes what happened.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        match (input, &mut self.link) {
            (Input::Start, Link::Down) => self.connect(now),
            (Input::Connected, Link::Connecting { .. }) => {
                self.link = Link::Up(Connection::default());
                self.ask(now);
            }
            (Input::Bytes(bytes), Link::Up(connection)) => {
                connection.incoming.push(bytes);
                self.read(now);
            }
            (Input::Closed(why), Link::Connecting { .. } | Link::Up(_)) => {
                self.closed(now, why.to_owned());
            }
            (Input::Deadline, _) => self.timers(now),
            // Belongs to a connection that is over.
            (Input::Start | Input::Connected | Input::Bytes(_) | Input::Closed(_), _) => {}
        }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The moment of the next [`Input::Deadline`].
    pub fn deadline(&self) -> Option<At> {
        let (connecting, owed) = match &self.link {
            Link::Down => (None, None),
            Link::Connecting { until } => (Some(*until), None),
            Link::Up(connection) => (None, connection.owed.as_ref()),
        };
        let owed = owed.map(|owed| owed.silence.min(owed.end));
        let timers = [
            connecting,
            owed,
            self.connect_again,
            self.refresh,
            self.expire,
        ];
        timers.into_iter().flatten().min()
    }

    fn connect(&mut self, now: At) {
        self.connect_again = None;
        self.link = Link::Connecting {
            until: now + CONNECTING,
        };
        self.outputs.push_back(Output::Connect);
    }

    fn timers(&mut self, now: At) {
        let due = |timer: Option<At>| timer.is_some_and(|at| at <= now);
        if due(self.expire) {
            let kept = self.intervals.expire.as_secs();
            self.forget();
            self.tell(Event::Expired, format!("nothing was heard for {kept} s"));
        }
        let late = match &self.link {
            Link::Connecting { until } if *until <= now => Some("no connection in time"),
            Link::Up(Connection {
                owed: Some(owed), ..
            }) if owed.silence <= now => Some("no answer in time"),
            Link::Up(Connection {
                owed: Some(owed), ..
            }) if owed.end <= now => Some("the answer does not end"),
            _ => None,
        };
        if let Some(why) = late {
            self.outputs.push_back(Output::Close);
            self.closed(now, why.to_owned());
        }
        if due(self.connect_again) {
            self.connect(now);
        }
        if due(self.refresh) {
            self.ask(now);
        }
    }

    /// Asks for changes if that is possible, else for everything.
    fn ask(&mut self, now: At) {
        self.refresh = None;
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let known = self.known.as_ref().and_then(|known| {
            let (version, session_id) = known.session?;
            let serial = known.serial;
            (version == self.version).then_some(Pdu::SerialQuery { session_id, serial })
        });
        connection.notified = None;
        connection.owed = Some(Owed {
            reset: known.is_none(),
            silence: now + SILENCE,
            end: now + ANSWER,
            response: None,
        });
        self.write(&known.unwrap_or(Pdu::ResetQuery));
    }

    fn write(&mut self, pdu: &Pdu) {
        let mut bytes = Vec::new();
        pdu::write(&mut bytes, self.version, pdu);
        self.outputs.push_back(Output::Write(bytes));
    }

    fn read(&mut self, now: At) {
        while let Link::Up(connection) = &mut self.link {
            let taken = match connection.incoming.take() {
                Ok(None) => return,
                Ok(Some((version, pdu))) => self.pdu(now, version, pdu),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = taken {
                self.fail(now, fault);
            }
        }
    }

    /// Ends the connection, says why to the cache, and begins with a whole table the next time.
    fn fail(&mut self, now: At, fault: Fault) {
        if !fault.of_error_report {
            self.write(&fault.report());
        }
        self.begin_anew();
        self.outputs.push_back(Output::Close);
        self.closed(now, format!("the cache is wrong: {}", fault.text));
    }

    fn closed(&mut self, now: At, why: String) {
        let link = std::mem::replace(&mut self.link, Link::Down);
        self.refresh = None;
        // Caches of RFC 6810 may hang up on a version they do not know (RFC 8210, section 7).
        if matches!(&link, Link::Up(connection) if !connection.negotiated) {
            let tried = self.version;
            self.version = match tried {
                Version::V1 => Version::V0,
                Version::V0 => Version::V1,
            };
            if tried == Version::V1 {
                return self.connect(now);
            }
        }
        self.connect_again = Some(now + self.pause);
        self.pause = (self.pause * 2).min(self.intervals.retry);
        self.loss(why);
    }

    fn loss(&mut self, why: String) {
        if !self.lost {
            self.lost = true;
            self.tell(Event::Lost, why);
        }
    }

    /// What is known stays in use, but the next question is for everything.
    fn begin_anew(&mut self) {
        if let Some(known) = &mut self.known {
            known.session = None;
        }
    }

    fn forget(&mut self) {
        self.known = None;
        self.expire = None;
    }

    fn tell(&mut self, event: Event, text: String) {
        let known = self.known.as_ref();
        self.outputs.push_back(Output::Update(Update {
            event,
            table: known
                .map(|known| Arc::clone(&known.table))
                .unwrap_or_default(),
            serial: known.map(|known| known.serial),
            text,
        }));
    }
}

#[cfg(test)]
mod tests;
