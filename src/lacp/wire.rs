//! LAGs joined by cables in virtual time, with delay, loss and reordering; for tests.
//!
//! Every step also checks what must hold of any LAG at any time: a LACPDU says what the data path does already, no port
//! distributes without collecting, no port sends more than three LACPDUs in a second, and no deadline is in the past.
//! Only names of `super` are used, so that a test outside this crate can include the file by its path.

use std::collections::BTreeMap;
use std::time::Duration;

use super::pdu::{self, Pdu, State};
use super::{AGGREGATE_WAIT, Admin, At, Input, Lag, LagConfig, Misbehaviour, Output, PortConfig};

/// A port of a LAG of a [`Wire`].
pub(crate) type End = (usize, usize);

/// A cable between two ports. What it does may be changed at any time.
#[derive(Debug, Clone)]
pub(crate) struct Cable {
    pub ends: [End; 2],
    /// Least delay.
    pub delay: Duration,
    /// Delay beyond it at most, drawn for each frame, so that frames overtake one another.
    pub jitter: Duration,
    /// Percentage of frames lost, from the first end and from the second.
    pub loss: [u64; 2],
}

/// What a LAG put out, but for frames, and when.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub at: At,
    pub lag: usize,
    pub output: Output,
}

/// What is known of a port from outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    pub collecting: bool,
    pub distributing: bool,
    /// When its LACPDUs were sent.
    pub sent: Vec<At>,
    /// When it was last handed a frame.
    pub received: Option<At>,
}

/// LAGs and the cables between them.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub now: At,
    pub lags: Vec<Lag>,
    pub cables: Vec<Cable>,
    pub events: Vec<Event>,
    /// What was seen of partners.
    pub observations: Vec<Event>,
    pub observed: BTreeMap<End, Observed>,
    /// Every frame sent, lost ones too.
    pub tapped: Vec<pdu::Frame>,
    /// LAGs whose LACPDUs need not be right.
    pub misbehaving: Vec<usize>,
    in_flight: BTreeMap<(At, usize), (End, pdu::Frame)>,
    random: u64,
}

/// A LAG with `ports` ports, active, fast, min-links 1, whose addresses are made from `system`.
pub(crate) fn config(system: u8, ports: u8) -> LagConfig {
    LagConfig {
        system: [2, 0, 0, 0, 0, system],
        system_priority: 0x8000,
        key: 1,
        fast: true,
        active: true,
        min_links: 1,
        aggregate_wait: AGGREGATE_WAIT,
        ports: (1..=ports)
            .map(|port| PortConfig {
                mac: [2, 0, 0, 0, system, port],
                number: u16::from(port),
                priority: 0x80,
            })
            .collect(),
    }
}

impl Wire {
    /// LAGs without cables, with every port dark.
    pub fn of(configs: &[LagConfig]) -> Wire {
        let lags = configs.iter().map(|c| Lag::new(c).unwrap()).collect();
        Wire {
            now: At::ZERO,
            lags,
            cables: Vec::new(),
            events: Vec::new(),
            observations: Vec::new(),
            observed: BTreeMap::new(),
            tapped: Vec::new(),
            misbehaving: Vec::new(),
            in_flight: BTreeMap::new(),
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// Two LAGs joined port by port, with a delay of 0.1 ms, dark.
    pub fn pair(a: &LagConfig, b: &LagConfig) -> Wire {
        let mut wire = Wire::of(&[a.clone(), b.clone()]);
        for port in 0..a.ports.len().min(b.ports.len()) {
            wire.join((0, port), (1, port));
        }
        wire
    }

    /// Chooses what is lost and how frames overtake one another.
    pub fn seed(mut self, seed: u64) -> Wire {
        self.random ^= seed.wrapping_mul(0xd134_2543_de82_ef95) | 1;
        self
    }

    pub fn join(&mut self, a: End, b: End) {
        self.cables.push(Cable {
            ends: [a, b],
            delay: Duration::from_micros(100),
            jitter: Duration::ZERO,
            loss: [0; 2],
        });
    }

    /// Loses this percentage of the frames of every cable, both ways.
    pub fn lose(&mut self, percent: u64) {
        for cable in &mut self.cables {
            cable.loss = [percent; 2];
        }
    }

    /// Light of a cable, at both ends at once.
    pub fn light(&mut self, cable: usize, up: bool) {
        for end in self.cables[cable].ends {
            self.light_at(end, up);
        }
    }

    /// Light of every cable.
    pub fn light_all(&mut self, up: bool) {
        (0..self.cables.len()).for_each(|cable| self.light(cable, up));
    }

    /// Light as one end alone sees it.
    pub fn light_at(&mut self, (lag, port): End, up: bool) {
        self.handle(lag, Input::Light { port, up });
    }

    pub fn admin(&mut self, lag: usize, command: Admin) {
        self.handle(lag, Input::Admin(command));
    }

    /// Makes a LAG misbehave, and in no other way.
    pub fn misbehave(&mut self, lag: usize, change: impl Fn(&mut Misbehaviour)) {
        let mut how = Misbehaviour::default();
        change(&mut how);
        self.admin(lag, Admin::Misbehave { port: None, how });
    }

    /// Makes one port misbehave, and in no other way.
    pub fn misbehave_at(&mut self, (lag, port): End, change: impl Fn(&mut Misbehaviour)) {
        let mut how = Misbehaviour::default();
        change(&mut how);
        let port = Some(port);
        self.admin(lag, Admin::Misbehave { port, how });
    }

    pub fn inject(&mut self, (lag, port): End, bytes: &[u8]) {
        self.handle(lag, Input::Frame { port, bytes });
    }

    /// Puts a new LAG in the place of one, as when its process starts anew; light is as it was.
    pub fn restart(&mut self, lag: usize, config: &LagConfig) {
        let light: Vec<bool> = (0..self.lags[lag].port_count())
            .map(|port| self.lags[lag].status(port).unwrap().light)
            .collect();
        self.lags[lag] = Lag::new(config).unwrap();
        self.observed.retain(|end, _| end.0 != lag);
        for (port, up) in light.into_iter().enumerate() {
            self.light_at((lag, port), up);
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(until, |_| false);
    }

    /// Runs until `done`, at most for `limit`; says how long it took.
    pub fn wait_for(&mut self, limit: Duration, done: impl Fn(&Wire) -> bool) -> Option<Duration> {
        let begun = self.now;
        self.run_until(begun + limit, &done)
            .then(|| self.now.since(begun))
    }

    /// Whether every port of every LAG distributes.
    pub fn all_distributing(&self) -> bool {
        self.lags
            .iter()
            .all(|lag| usize::from(lag.distributing()) == lag.port_count())
    }

    /// The carrier changes of a LAG.
    pub fn carriers(&self, lag: usize) -> Vec<(At, bool)> {
        let of_lag = self.events.iter().filter(|event| event.lag == lag);
        of_lag
            .filter_map(|event| match event.output {
                Output::Carrier { up, .. } => Some((event.at, up)),
                _ => None,
            })
            .collect()
    }

    pub fn seen(&self, end: End) -> Observed {
        self.observed.get(&end).cloned().unwrap_or_default()
    }

    fn run_until(&mut self, until: At, done: impl Fn(&Wire) -> bool) -> bool {
        while !done(self) {
            let arrival = self.in_flight.keys().next().copied();
            let due = (0..self.lags.len())
                .filter_map(|lag| Some((self.lags[lag].deadline()?, lag)))
                .min();
            let next = match (arrival, due) {
                (Some((at, _)), Some((deadline, _))) => at.min(deadline),
                (Some((at, _)), None) => at,
                (None, Some((deadline, _))) => deadline,
                (None, None) => until,
            };
            if next >= until {
                self.now = until;
                return done(self);
            }
            self.now = next;
            match (arrival, due) {
                (Some(key), _) if key.0 == next => {
                    let ((lag, port), frame) = self.in_flight.remove(&key).unwrap();
                    self.observed.entry((lag, port)).or_default().received = Some(next);
                    let bytes = &frame;
                    self.handle(lag, Input::Frame { port, bytes });
                }
                (_, Some((_, lag))) => self.handle(lag, Input::Tick),
                (_, None) => unreachable!("something was next"),
            }
        }
        true
    }

    fn handle(&mut self, lag: usize, input: Input<'_>) {
        let before_timers = matches!(input, Input::Frame { .. });
        self.lags[lag].handle(self.now, input);
        while let Some(output) = self.lags[lag].poll() {
            match &output {
                Output::Send { port, frame } => self.send((lag, *port), frame),
                Output::Mux {
                    port,
                    collecting,
                    distributing,
                } => {
                    assert!(
                        *collecting || !*distributing,
                        "distributes, does not collect"
                    );
                    let seen = self.observed.entry((lag, *port)).or_default();
                    seen.collecting = *collecting;
                    seen.distributing = *distributing;
                }
                Output::Carrier { .. }
                | Output::PortChanged { .. }
                | Output::Heard { .. }
                | Output::Rhythm { .. }
                | Output::MarkerAnswered { .. }
                | Output::NoMarker { .. } => {}
            }
            let at = self.now;
            match output {
                Output::Send { .. } => {}
                Output::Heard { .. }
                | Output::Rhythm { .. }
                | Output::MarkerAnswered { .. }
                | Output::NoMarker { .. } => {
                    self.observations.push(Event { at, lag, output });
                }
                Output::Mux { .. } | Output::Carrier { .. } | Output::PortChanged { .. } => {
                    self.events.push(Event { at, lag, output });
                }
            }
        }
        let deadline = self.lags[lag].deadline();
        let late = deadline.is_some_and(|at| at < self.now || at == self.now && !before_timers);
        assert!(!late, "deadline is past");
    }

    fn send(&mut self, end: End, frame: &pdu::Frame) {
        if let Pdu::Lacp(pdu) = pdu::decode(frame).unwrap() {
            let now = self.now;
            let seen = self.observed.entry(end).or_default();
            let state = pdu.actor.state;
            seen.sent.push(now);
            if !self.misbehaving.contains(&end.0) {
                assert_eq!(state.has(State::COLLECTING), seen.collecting);
                assert_eq!(state.has(State::DISTRIBUTING), seen.distributing);
                let fourth = seen.sent.iter().rev().nth(3);
                assert!(fourth.is_none_or(|at| now.since(*at) >= Duration::from_secs(1)));
            }
        }
        self.tapped.push(*frame);
        let serial = self.tapped.len();
        let cable = self.cables.iter().find(|cable| cable.ends.contains(&end));
        let Some(cable) = cable.cloned() else {
            return;
        };
        let from = usize::from(cable.ends[1] == end);
        if self.draw(100) < cable.loss[from] {
            return;
        }
        let jitter = self.draw(cable.jitter.as_nanos() as u64 + 1);
        let arrives = self.now + cable.delay + Duration::from_nanos(jitter);
        self.in_flight
            .insert((arrives, serial), (cable.ends[1 - from], *frame));
    }

    /// A number below `bound`, by xorshift.
    fn draw(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % bound
    }
}
