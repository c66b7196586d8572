//! The probe thread: sends on time, reads sockets in batches, and turns what [`Account`] tells into facts.
//!
//! Packets wait in their sockets with the kernel's receive times, so the thread need not wake for each: it wakes to
//! send, and reads every 10 ms, also while it makes up for being late: sockets hold no more than half a second of packets. Then it
//! rests as long as it works, since those it measures, and the kernel that carries the packets, may have no other CPU.
//!
//! **Invariant:** deadlines are absolute; being late never changes how many packets are sent, only when.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use tokio::sync::oneshot;

use super::Stream;
use super::account::{Account, Output, Via};
use super::packet::{FRAME_LENGTH, Packet};
use super::trial::{Trial, Way};
use crate::kernel::priority;
use crate::kernel::socket::Socket;
use crate::record::{Fact, Recorder};
use crate::time::{At, Clock, Reading};

/// How often sockets are read.
const READ_EVERY: Duration = Duration::from_millis(10);
/// Packets sent before sockets are read: half of what one holds.
const MOST_AT_ONCE: usize = 256;
/// How often they are read while somebody waits for the packets on their way.
const READ_SOON: Duration = Duration::from_millis(1);
/// How often counts are recorded.
const TALLY_EVERY: Duration = Duration::from_millis(100);
/// How long packets on their way are waited for.
const ON_THE_WAY: Duration = Duration::from_millis(200);
/// Waking up later than this is a fact.
const LATE: Duration = Duration::from_millis(1);

/// What the rest of the program asks of the thread.
#[derive(Debug)]
pub(super) enum Command {
    Tap(Tap),
    Try(Box<Trial>),
    Send {
        id: u32,
        stream: Stream,
    },
    /// One stream, or all.
    Stop {
        id: Option<u32>,
        reply: oneshot::Sender<()>,
    },
    Flush {
        reply: oneshot::Sender<()>,
    },
    End,
}

/// Sees packets pass.
#[derive(Debug)]
pub(super) struct Tap {
    pub via: String,
    pub member: Option<u8>,
    pub socket: Socket,
}

/// A stream being sent, or waiting for its last packets.
struct Running {
    id: u32,
    stream: Stream,
    account: Account,
    /// When the next packet is due; `None` once stopped.
    due: Option<At>,
    /// Packets sent so far.
    sent: u64,
    /// The latest a packet was since the last tally.
    send_late: Duration,
}

/// Somebody waits for the packets sent up to `cut`.
struct Waiting {
    streams: Vec<u32>,
    stopping: bool,
    cut: At,
    give_up: At,
    reply: oneshot::Sender<()>,
}

/// The state of the thread.
pub(super) struct Loop {
    recorder: Recorder,
    clock: Clock,
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    taps: Vec<Tap>,
    streams: Vec<Running>,
    waiting: Vec<Waiting>,
    trials: Vec<Trial>,
    next_read: At,
    next_tally: At,
}

impl Loop {
    pub(super) fn new(recorder: Recorder, inbox: Receiver<Command>, wake: Arc<EventFd>) -> Loop {
        Loop {
            clock: recorder.clock(),
            recorder,
            inbox,
            wake,
            taps: Vec::new(),
            streams: Vec::new(),
            waiting: Vec::new(),
            trials: Vec::new(),
            next_read: At::ZERO,
            next_tally: At::ZERO,
        }
    }

    /// Works until told to end.
    pub(super) fn run(mut self) {
        if let Err(errno) = priority::real_time(priority::PROBES) {
            tracing::debug!(%errno, "the probe thread has no real-time priority");
        }
        let mut rest = Duration::ZERO;
        loop {
            let deadline = self.deadline();
            self.wait(deadline, rest);
            let woke = self.clock.now();
            let late = deadline.map_or(Duration::ZERO, |deadline| woke.since(deadline));
            if late > LATE {
                let thread = "probe".to_owned();
                self.recorder.at(
                    woke,
                    Fact::Late {
                        thread,
                        by: late.into(),
                    },
                );
            }
            if self.obey().is_err() {
                break;
            }
            let (behind, now) = self.send_due(woke);
            if behind
                || now >= self.next_read
                || !self.waiting.is_empty()
                || !self.trials.is_empty()
            {
                self.next_read = next_multiple(now, READ_EVERY);
                self.read();
            }
            if now >= self.next_tally {
                self.next_tally = next_multiple(now, TALLY_EVERY);
                self.streams
                    .iter_mut()
                    .for_each(|running| running.tally(&self.recorder, now));
            }
            self.answer(now);
            for trial in self.trials.extract_if(.., |trial| trial.is_over(now)) {
                trial.answer(&self.taps);
            }
            rest = match behind {
                true => self.clock.now().since(woke),
                false => Duration::ZERO,
            };
        }
        // Nobody waits for the last packets: what is missing by now is lost.
        let now = self.clock.now();
        self.read();
        for mut running in self.streams {
            running.report(&self.recorder, &self.taps, now, now);
            running.stopped(&self.recorder, now);
        }
    }

    /// When there is something to do; `None` until the next command.
    fn deadline(&self) -> Option<At> {
        let due = self.streams.iter().filter_map(|running| running.due);
        let give_up = self.waiting.iter().map(|waiting| waiting.give_up);
        let periodic = [self.next_read, self.next_tally];
        let now_and_then = (!self.streams.is_empty())
            .then_some(periodic)
            .into_iter()
            .flatten();
        // Somebody who waits wants the packets read as they come.
        let hasty = !self.waiting.is_empty() || !self.trials.is_empty();
        let soon = hasty.then(|| self.clock.now() + READ_SOON);
        due.chain(give_up).chain(now_and_then).chain(soon).min()
    }

    /// Waits until the deadline, `rest` at least, or for a command.
    fn wait(&self, deadline: Option<At>, rest: Duration) {
        let timeout = deadline.map(|at| at.since(self.clock.now()).max(rest));
        let timeout = timeout.map(TimeSpec::from_duration);
        let mut ready = [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
        // Interrupted or not, the loop looks at what is due.
        if ppoll(&mut ready, timeout, None).is_ok_and(|ready| ready > 0) {
            let _ = self.wake.read();
        }
    }

    /// Does what was asked for. The error says that the thread is to end.
    fn obey(&mut self) -> Result<(), ()> {
        loop {
            let command = match self.inbox.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(()),
            };
            let now = self.clock.now();
            match command {
                Command::Tap(tap) => self.taps.push(tap),
                Command::Try(mut trial) => {
                    trial.begin(now);
                    self.trials.push(*trial);
                }
                Command::Send { id, stream } => {
                    self.streams
                        .push(Running::start(&self.recorder, now, id, stream))
                }
                Command::Stop { id, reply } => {
                    let stopping = |running: &&mut Running| id.is_none_or(|id| id == running.id);
                    let streams = self.streams.iter_mut().filter(stopping).map(|running| {
                        running.due = None;
                        running.id
                    });
                    let streams = streams.collect();
                    self.wait_for(streams, true, now, reply);
                }
                Command::Flush { reply } => {
                    let streams = self.streams.iter().map(|running| running.id).collect();
                    self.wait_for(streams, false, now, reply);
                }
                Command::End => return Err(()),
            }
        }
    }

    fn wait_for(&mut self, streams: Vec<u32>, stopping: bool, cut: At, reply: oneshot::Sender<()>) {
        self.waiting.push(Waiting {
            streams,
            stopping,
            cut,
            give_up: cut + ON_THE_WAY,
            reply,
        });
    }

    /// Sends packets that are due, the earliest first, from `woke` on; whether more are due than may be sent before sockets are
    /// read, and the present moment.
    fn send_due(&mut self, woke: At) -> (bool, At) {
        let enough = woke + READ_EVERY;
        let mut now = woke;
        for _ in 0..MOST_AT_ONCE {
            let streams = self.streams.iter_mut();
            let earliest = streams.filter_map(|running| Some((running.due?, running)));
            let Some((due, running)) = earliest.min_by_key(|(due, _)| *due) else {
                return (false, now);
            };
            if now < due {
                return (false, now);
            }
            if now >= enough {
                break;
            }
            running.due = Some(due + running.stream.every);
            running.send(due, now);
            now = self.clock.now();
        }
        (true, now)
    }

    /// Reads all sockets: taps first, so that a packet's way is mostly known when it arrives.
    fn read(&mut self) {
        let mut buffer = [0; FRAME_LENGTH];
        let reading = self.clock.reading();
        for (via, tap) in (0..).zip(&self.taps) {
            let outcome = read_all(&tap.socket, reading, &mut buffer, |frame, _| {
                let Some(packet) = Packet::in_frame(frame) else {
                    return;
                };
                match running(&mut self.streams, packet.stream) {
                    Some(running) => running.account.seen(packet.flow, packet.sequence, via),
                    None => self
                        .trials
                        .iter_mut()
                        .for_each(|trial| trial.see(&packet, via)),
                }
            });
            if let Err(error) = outcome {
                tracing::warn!(%error, tap = tap.via, "cannot read a tap");
            }
        }
        for index in 0..self.streams.len() {
            // A packet is accounted to the stream it names, which is this one unless somebody forged it.
            let mut arrivals = Vec::new();
            let receiver = &self.streams[index].stream.receiver;
            let outcome = read_all(receiver, reading, &mut buffer, |payload, at| {
                arrivals.extend(Packet::decode(payload).map(|packet| (packet, at)));
            });
            if let Err(error) = outcome {
                tracing::warn!(%error, to = self.streams[index].stream.to, "cannot receive probes");
            }
            let running = &mut self.streams[index];
            for (packet, at) in arrivals {
                if packet.stream == running.id {
                    running.account.arrived(at, packet.flow, packet.sequence);
                }
            }
        }
        let now = self.clock.now();
        for running in &mut self.streams {
            running.tell(&self.recorder, &self.taps, now);
        }
    }

    /// Tells those who wait, once all their packets arrived or have had their time.
    fn answer(&mut self, now: At) {
        let mut index = 0;
        while index < self.waiting.len() {
            let waiting = &self.waiting[index];
            let concerned = |running: &Running| waiting.streams.contains(&running.id);
            let settled = |running: &Running| running.account.settled(waiting.cut);
            let all_settled = self.streams.iter().filter(|r| concerned(r)).all(settled);
            if !all_settled && now < waiting.give_up {
                index += 1;
                continue;
            }
            for running in self.streams.iter_mut().filter(|running| concerned(running)) {
                running.report(&self.recorder, &self.taps, waiting.cut, now);
                if waiting.stopping {
                    running.stopped(&self.recorder, now);
                }
            }
            let waiting = self.waiting.swap_remove(index);
            if waiting.stopping {
                self.streams
                    .retain(|running| !waiting.streams.contains(&running.id));
            }
            // It no longer matters to somebody who went away.
            let _ = waiting.reply.send(());
        }
    }
}

fn running(streams: &mut [Running], id: u32) -> Option<&mut Running> {
    streams.iter_mut().find(|running| running.id == id)
}

/// Reads a socket empty.
fn read_all(
    socket: &Socket,
    reading: Reading,
    buffer: &mut [u8],
    mut each: impl FnMut(&[u8], At),
) -> std::io::Result<()> {
    while let Some(received) = socket.receive_with(|stamp| reading.at(stamp), buffer)? {
        each(&buffer[..received.length], received.at);
    }
    Ok(())
}

/// The first multiple of `period` after `at`, so that deadlines of all streams fall together.
fn next_multiple(at: At, period: Duration) -> At {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    At::from_nanos((at.as_nanos() / period + 1).saturating_mul(period))
}

impl Running {
    fn start(recorder: &Recorder, now: At, id: u32, stream: Stream) -> Running {
        let flows = stream.senders.len() as u16;
        recorder.at(
            now,
            Fact::ProbeStarted {
                from: stream.from.clone(),
                to: stream.to.clone(),
                every: stream.every.into(),
                flows,
            },
        );
        Running {
            id,
            due: Some(next_multiple(now, stream.every)),
            stream,
            account: Account::new(flows),
            sent: 0,
            send_late: Duration::ZERO,
        }
    }

    fn send(&mut self, due: At, now: At) {
        let (flow, sequence) = self.account.sent(now);
        let packet = Packet {
            stream: self.id,
            flow,
            sequence,
            number: self.sent,
            sent: now,
        };
        self.sent += 1;
        self.send_late = self.send_late.max(now.since(due));
        let sender = &self.stream.senders[usize::from(flow)];
        if let Err(error) = sender.send_to(&packet.encode(), self.stream.destination) {
            // No route is a way of losing packets: the account will tell.
            tracing::trace!(%error, from = self.stream.from, "a probe could not be sent");
        }
    }

    /// Records what the account has to tell.
    fn tell(&mut self, recorder: &Recorder, taps: &[Tap], now: At) {
        while let Some(output) = self.account.poll() {
            let (from, to) = self.names();
            match output {
                Output::Lost {
                    flow,
                    count,
                    first_sent,
                    last_sent,
                    next_received,
                } => {
                    let at = next_received.unwrap_or(now);
                    recorder.at(
                        at,
                        Fact::ProbeLost {
                            from,
                            to,
                            flow,
                            count,
                            first_sent,
                            last_sent,
                            next_received,
                        },
                    );
                }
                Output::Via { flow, via, at } => {
                    let (via, member) = name_of(taps, via);
                    recorder.at(
                        at,
                        Fact::ProbeVia {
                            from,
                            to,
                            flow,
                            via,
                            member,
                        },
                    );
                }
            }
        }
    }

    /// Records what of the packets sent up to `cut` is missing, and disorder so far.
    fn report(&mut self, recorder: &Recorder, taps: &[Tap], cut: At, now: At) {
        self.account.report_open(cut);
        self.tell(recorder, taps, now);
        self.disorder(recorder, now);
    }

    fn disorder(&mut self, recorder: &Recorder, now: At) {
        let disorder = self.account.take_disorder();
        if disorder != Default::default() {
            let (from, to) = self.names();
            recorder.at(
                now,
                Fact::ProbeDisorder {
                    from,
                    to,
                    duplicated: disorder.duplicated,
                    reordered: disorder.reordered,
                },
            );
        }
    }

    fn tally(&mut self, recorder: &Recorder, now: At) {
        self.disorder(recorder, now);
        let tally = self.account.take_tally();
        let (from, to) = self.names();
        recorder.at(
            now,
            Fact::ProbeTally {
                from,
                to,
                sent: tally.sent,
                received: tally.received,
                send_late: std::mem::take(&mut self.send_late).into(),
                slowest: tally.slowest.into(),
            },
        );
    }

    fn stopped(&mut self, recorder: &Recorder, now: At) {
        self.tally(recorder, now);
        let (from, to) = self.names();
        recorder.at(now, Fact::ProbeStopped { from, to });
    }

    fn names(&self) -> (String, String) {
        (self.stream.from.clone(), self.stream.to.clone())
    }
}

/// The way a tap stands on.
pub(super) fn name_of(taps: &[Tap], via: Via) -> Way {
    let tap = taps.get(usize::from(via));
    tap.map(|tap| (tap.via.clone(), tap.member))
        .unwrap_or_default()
}
