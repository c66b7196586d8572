//! A micro session with its socket: BFD on one member of a LAG (RFC 7130), beside LACP.

use super::End;
use super::bfd::{BfdStatus, drain, random_start, seen};
use super::punctuality::Protocol;
use super::telling::{Kind, Telling, Tidings};
use super::thread::Surroundings;
use crate::bfd::{Micro, MicroConfig, MicroInput, MicroOutput, Order};
use crate::kernel::socket::{Socket, SocketError};
use crate::record::{Fact, MicroBfd};
use crate::time::At;

/// A micro session that runs, or waits to be wanted.
#[derive(Debug)]
pub(super) struct MicroLine {
    socket: Socket,
    micro: Micro,
    wanted: bool,
    alive: bool,
    /// Frames that were sent and received.
    frames: (u64, u64),
    unsent: u64,
    /// When the packets were due that leave while timers run.
    due: Option<At>,
    telling: Telling,
}

impl MicroLine {
    /// Opens the socket of a member, in the line card's namespace.
    pub fn open(link: u32, config: MicroConfig) -> Result<MicroLine, SocketError> {
        Ok(MicroLine {
            socket: Socket::micro_bfd(link, config.local.is_ipv6())?,
            micro: Micro::new(MicroConfig {
                session: random_start(config.session),
                ..config
            }),
            wanted: false,
            alive: false,
            frames: (0, 0),
            unsent: 0,
            due: None,
            telling: Telling::default(),
        })
    }

    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    pub fn deadline(&self) -> Option<At> {
        let all = [self.micro.deadline(), self.telling.deadline()];
        all.into_iter().flatten().min()
    }

    /// Whether the load balancer may use the member.
    pub fn alive(&self) -> bool {
        self.alive
    }

    pub fn status(&self) -> BfdStatus {
        let config = self.micro.config();
        let addresses = [config.local, config.remote];
        BfdStatus {
            misbehaviour: *self.micro.misbehaviour(),
            foreign: self.micro.foreign(),
            unsent: self.unsent,
            ..match self.micro.session() {
                Some(session) => BfdStatus::of(session, addresses),
                None => BfdStatus::off(&config.session, addresses),
            }
        }
    }

    pub fn order(&mut self, order: Order, now: At) {
        self.micro.handle(now, MicroInput::Order(order));
    }

    /// What was measured and not told yet is told.
    pub fn finish(&mut self) {
        self.micro.finish();
    }

    /// Tells all there is.
    pub fn finish_telling(&mut self, whose: (&End, u8), around: &Surroundings) {
        self.telling.finish(|| names(whose), around);
    }

    /// Frames that were sent and received.
    pub fn frames(&self) -> (u64, u64) {
        self.frames
    }

    /// Reads one frame; whether there was one.
    pub fn read(&mut self, around: &mut Surroundings) -> Option<At> {
        let received = self.socket.receive(&around.clock, around.buffer).ok()??;
        self.frames.1 += 1;
        let bytes = &around.buffer[..received.length];
        let at = received.at;
        self.micro
            .handle(around.clock.now(), MicroInput::Frame { bytes, at });
        Some(at)
    }

    /// Lets the timers run, a loss only after the frames that came before it.
    pub fn timer(&mut self, around: &mut Surroundings) {
        let now = around.clock.now();
        if self.micro.deadline().is_none_or(|due| due > now) {
            return;
        }
        let drained = match self.micro.detection_deadline() {
            Some(due) if due <= now => drain(now, || self.read(around)),
            Some(_) | None => At::ZERO,
        };
        self.due = self.micro.deadline().filter(|due| *due <= now);
        self.micro.handle(now, MicroInput::Timer { drained });
    }

    /// LACP has the member distribute or stand by, or has it no longer.
    pub fn want(&mut self, wanted: bool, whose: (&End, u8), around: &mut Surroundings) {
        if std::mem::replace(&mut self.wanted, wanted) != wanted {
            self.micro
                .handle(around.clock.now(), MicroInput::Wanted(wanted));
            if !wanted {
                let off = MicroBfd {
                    state: "off".to_owned(),
                    diagnostic: "LACP does not have the member distribute".to_owned(),
                    last_received: None,
                    detection_time: None,
                };
                let at = around.clock.now();
                let off = Tidings::new(Kind::State, at, fact(whose, off));
                self.telling.put(off);
                self.telling.tell(|| names(whose), around);
            }
        }
    }

    /// Does what the session wants done; whether the member came alive or is no longer.
    pub fn act(&mut self, whose: (&End, u8), around: &mut Surroundings) -> bool {
        let before = self.alive;
        let due = self.due.take();
        while let Some(output) = self.micro.poll() {
            match output {
                MicroOutput::Send(frame) => {
                    around.due = due;
                    let sent =
                        around.send(Protocol::Bfd, &self.socket, |socket| socket.send(&frame));
                    around.due = None;
                    self.frames.0 += u64::from(sent.is_ok());
                    self.unsent += u64::from(sent.is_err());
                }
                MicroOutput::State(change) => {
                    let now = MicroBfd {
                        state: change.to.name().to_owned(),
                        diagnostic: change.diagnostic.words().to_owned(),
                        last_received: change.last_received,
                        detection_time: change.detection_time.map(Into::into),
                    };
                    let at = around.clock.now();
                    let now = Tidings::new(Kind::State, at, fact(whose, now));
                    self.telling.put(now);
                }
                MicroOutput::Alive(alive) => self.alive = alive,
                MicroOutput::Seen(what) => {
                    let end = whose.0.of_member(whose.1);
                    let tidings = seen(&end, &what, around.clock.now());
                    tidings.into_iter().for_each(|it| self.telling.put(it));
                }
            }
            self.telling.tell(|| names(whose), around);
        }
        self.telling.tell(|| names(whose), around);
        self.alive != before
    }
}

fn names((end, member): (&End, u8)) -> (String, String) {
    end.of_member(member).names()
}

fn fact((end, member): (&End, u8), now: MicroBfd) -> Fact {
    Fact::MicroBfd {
        router: end.router.clone(),
        connection: end.connection.clone(),
        member,
        now,
    }
}
