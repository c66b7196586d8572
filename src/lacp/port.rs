//! One port: its variables, and the only functions that change its states (IEEE 802.1AX, 6.4.7 to 6.4.16).

use std::time::Duration;

use super::asked::Asked;
use super::lag::AGGREGATE_WAIT;
use super::misbehaviour::{Misbehaviour, Outbox, Refusal};
use super::mux::{MuxConditions, MuxState};
use super::observation::Observer;
use super::pdu::{self, DecodeError, Lacpdu, Pdu, PortInfo, State};
use super::periodic::{FAST_PERIODIC_TIME, PeriodicConditions, PeriodicState, SLOW_PERIODIC_TIME};
use super::receive::{ReceiveEvent, ReceiveState};
use super::select::{Candidate, Obstacle, PartnerId, Selected};
use super::transmit::Sent;
use crate::time::At;

/// Short_Timeout_Time (6.4.4).
pub const SHORT_TIMEOUT_TIME: Duration = Duration::from_secs(3);
/// Long_Timeout_Time (6.4.4).
pub const LONG_TIMEOUT_TIME: Duration = Duration::from_secs(90);

/// The administrative partner (recordDefault, 6.4.9): passive, not aggregatable and out of sync, so that a port
/// without LACP never distributes. Its short timeout keeps an active actor knocking once a second.
const PARTNER_ADMIN: PortInfo = PortInfo {
    system_priority: 0,
    system: [0; 6],
    key: 0,
    port_priority: 0,
    port: 0,
    state: State::TIMEOUT,
};

/// A port of a LAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortConfig {
    /// Its address, the source of its frames.
    pub mac: [u8; 6],
    /// Its number, from 1.
    pub number: u16,
    /// Its priority; the lower goes before.
    pub priority: u16,
}

/// What a port is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortStatus {
    /// Light, port_enabled in the standard.
    pub light: bool,
    /// State of the receive machine.
    pub receive: ReceiveState,
    /// State of the mux machine.
    pub mux: MuxState,
    /// The selection logic's answer, with the obstacle if there is one.
    pub selected: Selected,
    /// Takes frames.
    pub collecting: bool,
    /// Sends frames.
    pub distributing: bool,
    /// The partner as last heard; `None` while its administrative default is in force.
    pub partner: Option<PortInfo>,
}

/// Frames of a port since it was made (aAggPortStats, 7.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// LACPDUs sent.
    pub lacpdus_sent: u64,
    /// LACPDUs received.
    pub lacpdus_received: u64,
    /// Marker PDUs received.
    pub markers_received: u64,
    /// Answers to Marker PDUs sent.
    pub marker_responses_sent: u64,
    /// Answers to Marker PDUs received, also those that are none to a marker of ours.
    pub marker_responses_received: u64,
    /// Frames that are no PDU.
    pub illegal: u64,
    /// Why the last of them was none.
    pub last_illegal: Option<DecodeError>,
}

/// Why a port sends no marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoMarker {
    /// It has no light.
    #[error("the member has no light")]
    Dark,
    /// It was told to be silent.
    #[error("this end was told to be silent")]
    Silent,
}

#[derive(Debug, Clone)]
pub(crate) struct Port {
    mac: [u8; 6],
    light: bool,
    /// Who it is, as it is configured.
    own: PortInfo,
    /// Actor_Oper values; its state octet is what the next LACPDU says.
    actor: PortInfo,
    /// Partner_Oper values.
    partner: PortInfo,
    receive: ReceiveState,
    periodic: PeriodicState,
    mux: MuxState,
    selected: Selected,
    how: Misbehaviour,
    /// It must not distribute, whatever the partner says.
    pub spared: bool,
    outbox: Outbox,
    pub observer: Observer,
    /// Our markers.
    pub asked: Asked,
    /// Need To Transmit.
    ntt: bool,
    sent: Sent,
    /// The last LACPDU as it should have been.
    said: Option<Lacpdu>,
    current_while: Option<At>,
    periodic_timer: Option<At>,
    /// Runs in WAITING; `None` there means that the port has waited enough.
    wait_while: Option<At>,
    /// LACPDUs wait until then, in WAITING.
    answer_at: At,
    counters: Counters,
}

impl Port {
    /// INITIALIZE of the receive machine, BEGIN of the others.
    pub fn new(config: &PortConfig, actor: PortInfo) -> Port {
        let actor = PortInfo {
            port: config.number,
            port_priority: config.priority,
            state: actor
                .state
                .with(State::AGGREGATION, true)
                .with(State::DEFAULTED, true),
            ..actor
        };
        Port {
            mac: config.mac,
            light: false,
            own: actor,
            actor,
            partner: PARTNER_ADMIN,
            receive: ReceiveState::PortDisabled,
            periodic: PeriodicState::NoPeriodic,
            mux: MuxState::Detached,
            selected: Selected::Unselected(Obstacle::NoLight),
            how: Misbehaviour::default(),
            spared: false,
            outbox: Outbox::default(),
            observer: Observer::default(),
            asked: Asked::default(),
            ntt: false,
            sent: Sent::default(),
            said: None,
            current_while: None,
            periodic_timer: None,
            wait_while: None,
            answer_at: At::ZERO,
            counters: Counters::default(),
        }
    }

    pub fn status(&self) -> PortStatus {
        PortStatus {
            light: self.light,
            receive: self.receive,
            mux: self.mux,
            selected: self.selected,
            collecting: self.actor.state.has(State::COLLECTING),
            distributing: self.actor.state.has(State::DISTRIBUTING),
            partner: self.heard().then_some(self.partner),
        }
    }

    pub fn actor(&self) -> &PortInfo {
        &self.actor
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn misbehaviour(&self) -> &Misbehaviour {
        &self.how
    }

    /// The next moment at which the port must act by itself.
    pub fn deadline(&self) -> Option<At> {
        let told = self.observer.deadline();
        self.sends_at().into_iter().chain(told).min()
    }

    /// The next moment at which something may leave.
    pub fn sends_at(&self) -> Option<At> {
        let all = [
            self.outbox.deadline(),
            self.current_while,
            self.periodic_timer,
            self.wait_while,
            self.ntt.then(|| self.transmit_at()),
        ];
        all.into_iter().flatten().min()
    }

    // Commands and events.

    /// Light came or went.
    pub fn set_light(&mut self, now: At, light: bool) {
        self.light = light;
        let event = match light {
            true => ReceiveEvent::Enabled,
            false => ReceiveEvent::Disabled,
        };
        self.step_receive(now, event);
    }

    /// Takes a frame, and answers it if it is a marker (6.5.4.2).
    pub fn take_frame(&mut self, now: At, bytes: &[u8]) {
        match pdu::decode(bytes) {
            Ok(Pdu::Lacp(pdu)) => {
                self.counters.lacpdus_received += 1;
                self.take_lacpdu(now, &pdu);
            }
            Ok(Pdu::Marker(marker)) => {
                self.counters.markers_received += 1;
                if self.light {
                    let answer = pdu::encode(&Pdu::MarkerResponse(marker), self.mac);
                    let sent = self.outbox.answer(now, answer, &self.how);
                    self.counters.marker_responses_sent += u64::from(sent);
                }
            }
            // Answering an answer would make two responders talk for ever (6.5.4).
            Ok(Pdu::MarkerResponse(marker)) => {
                self.counters.marker_responses_received += 1;
                self.asked.heard(now, &marker);
            }
            Err(error) => {
                self.counters.illegal += 1;
                self.counters.last_illegal = Some(error);
            }
        }
    }

    /// The marker that asks the partner whether it answers.
    pub fn ask_marker(&mut self, now: At) -> Result<pdu::Frame, NoMarker> {
        if !self.light {
            return Err(NoMarker::Dark);
        }
        if self.how.silent {
            return Err(NoMarker::Silent);
        }
        let marker = self.asked.next(&self.actor);
        self.asked.sent(now, marker);
        Ok(pdu::encode(&Pdu::Marker(marker), self.mac))
    }

    /// Changes a bit of what this end wants.
    pub fn set_wish(&mut self, now: At, bit: State, set: bool) {
        let before = self.actor.state;
        self.set_actor_bit(bit, set);
        if self.actor.state == before {
            return;
        }
        self.ntt = true;
        // The timer that was started for a short timeout would run out before a partner that keeps the new rate speaks.
        if bit == State::TIMEOUT && !set && self.receive == ReceiveState::Current {
            self.current_while = Some(now + LONG_TIMEOUT_TIME);
        }
    }

    /// Misbehaves in this way, and in no other. A new identity makes the port leave the Aggregator first, because its
    /// partner will do the same. What is said from now on is said at once; what becomes of markers is said in no LACPDU.
    pub fn misbehave(&mut self, how: Misbehaviour) {
        let before = std::mem::replace(&mut self.how, how);
        // What is on its way stays there.
        if before.says_as(&how) {
            return;
        }
        self.outbox.clear();
        self.observer.meter.restart();
        let state = self.actor.state;
        let actor = how.identity.of(PortInfo { state, ..self.own });
        if actor != self.actor {
            self.actor = actor;
            self.unselect();
            self.set_partner_bit(State::SYNCHRONIZATION, false);
        }
        self.ntt = true;
    }

    /// Runs what of current_while_timer and wait_while_timer ran out at `until` or before.
    pub fn expire(&mut self, now: At, until: At) {
        if take_due(&mut self.current_while, until) {
            self.step_receive(now, ReceiveEvent::CurrentWhileExpired);
        }
        take_due(&mut self.wait_while, until);
    }

    // Receive machine (6.4.12).

    fn step_receive(&mut self, now: At, event: ReceiveEvent) {
        if let Some(next) = self.receive.next(event) {
            self.enter_receive(now, next);
        }
    }

    fn take_lacpdu(&mut self, now: At, pdu: &Lacpdu) {
        let Some(next) = self.receive.next(ReceiveEvent::Pdu) else {
            return;
        };
        let asked_for = match self.actor.state.has(State::TIMEOUT) {
            true => FAST_PERIODIC_TIME,
            false => SLOW_PERIODIC_TIME,
        };
        self.observer.heard(now, pdu, asked_for, &self.actor);
        self.update_selected(&pdu.actor);
        self.update_ntt(&pdu.partner);
        self.record_pdu(pdu);
        self.enter_receive(now, next);
    }

    fn enter_receive(&mut self, now: At, next: ReceiveState) {
        let came_from = self.receive;
        self.receive = next;
        match next {
            ReceiveState::PortDisabled => {
                self.current_while = None;
                self.set_partner_bit(State::SYNCHRONIZATION, false);
                self.outbox.clear();
                self.observer.lost();
            }
            ReceiveState::Expired => {
                self.set_partner_bit(State::SYNCHRONIZATION, false);
                self.set_partner_bit(State::TIMEOUT, true);
                self.current_while = Some(now + SHORT_TIMEOUT_TIME);
                self.set_actor_bit(State::EXPIRED, true);
                // The standard waits for the periodic machine; with light the partner is told at once.
                self.ntt |= came_from == ReceiveState::PortDisabled;
            }
            ReceiveState::Defaulted => {
                // update_Default_Selected is the selection logic's: who is not heard is unselected.
                self.partner = PARTNER_ADMIN;
                self.observer.lost();
                self.set_actor_bit(State::DEFAULTED, true);
                self.set_actor_bit(State::EXPIRED, false);
            }
            ReceiveState::Current => {
                let timeout = match self.actor.state.has(State::TIMEOUT) {
                    true => SHORT_TIMEOUT_TIME,
                    false => LONG_TIMEOUT_TIME,
                };
                self.current_while = Some(now + timeout);
                self.set_actor_bit(State::EXPIRED, false);
            }
        }
    }

    /// update_Selected (6.4.9): another partner must be selected anew.
    fn update_selected(&mut self, theirs: &PortInfo) {
        let same = theirs.same_port(&self.partner)
            && theirs.state.agrees(self.partner.state, State::AGGREGATION);
        if !same {
            self.unselect();
        }
    }

    /// update_NTT (6.4.9): the partner must hear from us when what it holds of us is out of date.
    fn update_ntt(&mut self, ours: &PortInfo) {
        let compared = State(
            State::ACTIVITY.0 | State::TIMEOUT.0 | State::SYNCHRONIZATION.0 | State::AGGREGATION.0,
        );
        let up_to_date =
            ours.same_port(&self.actor) && ours.state.agrees(self.actor.state, compared);
        self.ntt |= !up_to_date;
    }

    /// recordPDU (6.4.9).
    fn record_pdu(&mut self, pdu: &Lacpdu) {
        let theirs = pdu.actor.state;
        // The partner is in sync with us only if it means us, or aggregates with nobody.
        let means_us = pdu.partner.same_port(&self.actor)
            && pdu
                .partner
                .state
                .agrees(self.actor.state, State::AGGREGATION);
        // LACP must be kept going by one end: two passive ends would time out.
        let maintained = theirs.has(State::ACTIVITY)
            || (self.actor.state.has(State::ACTIVITY) && pdu.partner.state.has(State::ACTIVITY));
        let in_sync = theirs.has(State::SYNCHRONIZATION)
            && (means_us || !theirs.has(State::AGGREGATION))
            && maintained;
        self.partner = PortInfo {
            state: theirs.with(State::SYNCHRONIZATION, in_sync),
            ..pdu.actor
        };
        self.set_actor_bit(State::DEFAULTED, false);
    }

    // Periodic transmission machine (6.4.13).

    pub fn run_periodic(&mut self, now: At) {
        let mut expired = take_due(&mut self.periodic_timer, now);
        while let Some(next) = self.periodic.next(PeriodicConditions {
            speaking: self.light && self.speaks(),
            partner_short: self.partner.state.has(State::TIMEOUT),
            expired,
        }) {
            self.enter_periodic(now, next);
            expired = false;
        }
    }

    fn enter_periodic(&mut self, now: At, next: PeriodicState) {
        self.periodic = next;
        match next {
            PeriodicState::NoPeriodic => self.periodic_timer = None,
            PeriodicState::FastPeriodic => self.periodic_timer = Some(now + FAST_PERIODIC_TIME),
            PeriodicState::SlowPeriodic => self.periodic_timer = Some(now + SLOW_PERIODIC_TIME),
            PeriodicState::PeriodicTx => self.ntt = true,
        }
    }

    // Selection logic (6.4.14); the choice among candidates is the LAG's.

    /// The port as a candidate, or the obstacle.
    pub fn candidate(&self) -> Result<Candidate, Obstacle> {
        if !self.light {
            return Err(Obstacle::NoLight);
        }
        if !self.heard() {
            return Err(Obstacle::NotHeard);
        }
        if self.partner.system == self.actor.system {
            return Err(Obstacle::LoopedBack);
        }
        Ok(Candidate {
            partner: PartnerId::of(&self.partner),
            rank: (self.actor.port_priority, self.actor.port),
            attached: self.mux >= MuxState::Attached,
        })
    }

    pub fn select(&mut self, chosen: Option<PartnerId>) {
        self.selected = match (self.candidate(), chosen) {
            (Err(obstacle), _) => Selected::Unselected(obstacle),
            (Ok(own), Some(chosen)) if own.partner != chosen => {
                Selected::Unselected(Obstacle::OtherPartner(chosen))
            }
            (Ok(_), _) if self.how.refuses == Some(Refusal::Synchronization) => {
                Selected::Standby(Obstacle::Held)
            }
            (Ok(_), _) => Selected::Selected,
        };
    }

    /// Whether the port may yet hear a partner for the first time.
    pub fn listens(&self) -> bool {
        self.receive == ReceiveState::Expired && !self.heard()
    }

    fn unselect(&mut self) {
        self.selected = Selected::Unselected(Obstacle::Renewed);
    }

    // Mux machine (6.4.15).

    /// Runs the mux machine to rest; `wait` is how long the port waits for others that may join with it.
    ///
    /// The standard's Ready lets ports attach only together; here each has its own wait, so that one restless port
    /// cannot keep the others out.
    pub fn run_mux(
        &mut self,
        now: At,
        wait: Duration,
        mut changed: impl FnMut(/* collecting */ bool, /* distributing */ bool),
    ) {
        // Who does not collect acts as if the partner were out of sync, and who does not distribute as if it did not collect.
        let refuses = |what| self.how.refuses == Some(what);
        let may_collect = !refuses(Refusal::Collecting);
        let may_distribute = !self.spared && !refuses(Refusal::Distributing);
        while let Some(next) = self.mux.next(MuxConditions {
            selected: self.selected,
            ready: self.wait_while.is_none(),
            partner_sync: may_collect && self.partner.state.has(State::SYNCHRONIZATION),
            partner_collecting: may_distribute && self.partner.state.has(State::COLLECTING),
        }) {
            let before = self.actor.state;
            self.enter_mux(now, next, wait);
            let after = self.actor.state;
            if !after.agrees(before, State(State::COLLECTING.0 | State::DISTRIBUTING.0)) {
                changed(after.has(State::COLLECTING), after.has(State::DISTRIBUTING));
            }
        }
    }

    /// Ends the wait: no other port may yet join with this one.
    pub fn end_wait(&mut self) {
        self.wait_while = None;
    }

    fn enter_mux(&mut self, now: At, next: MuxState, wait: Duration) {
        self.mux = next;
        self.wait_while = None;
        self.answer_at = At::ZERO;
        match next {
            MuxState::Waiting => {
                self.wait_while = (!wait.is_zero()).then_some(now + wait);
                // An answer now would be outdated when the wait ends, and would use up one of three.
                if self.selected == Selected::Selected {
                    self.answer_at = now + wait.min(AGGREGATE_WAIT);
                }
            }
            MuxState::Detached | MuxState::Attached | MuxState::Collecting => self.ntt = true,
            // The standard says nothing here, and its partner would learn it up to 30 s later; coupled control tells it, too.
            MuxState::Distributing => self.ntt = true,
        }
        self.set_actor_bit(State::SYNCHRONIZATION, next >= MuxState::Attached);
        self.set_actor_bit(State::COLLECTING, next >= MuxState::Collecting);
        self.set_actor_bit(State::DISTRIBUTING, next == MuxState::Distributing);
    }

    // Transmit machine (6.4.16).

    /// Makes the LACPDU that must leave now, if any.
    pub fn transmit(&mut self, now: At) {
        if !self.speaks() || !self.light {
            self.ntt = false;
        }
        if !self.ntt || now < self.transmit_at() {
            return;
        }
        self.ntt = false;
        let mut pdu = Lacpdu {
            actor: self.actor,
            partner: self.partner,
            collector_max_delay: 0,
        };
        self.how.spoil(&mut pdu, self.counters.lacpdus_sent as u16);
        // One that says something new, or names another partner, may be answered.
        if self.said != Some(pdu) || self.how.other_partner {
            self.said = Some(pdu);
            self.observer.meter.skip(now);
        }
        let frame = pdu::encode(&Pdu::Lacp(pdu), self.mac);
        let leaving = match self.how.reorders {
            true => self.outbox.put_reordered(now, frame, &self.how),
            false => self.outbox.put(now, frame, &self.how),
        };
        if leaving > 0 {
            self.sent.note(now);
        }
        self.counters.lacpdus_sent += leaving;
    }

    /// The next frame that leaves now.
    pub fn take_out(&mut self, now: At) -> Option<pdu::Frame> {
        self.outbox.take(now)
    }

    /// A passive end does not speak unless spoken to by an active one (6.4.2.3, LACP_Activity).
    fn speaks(&self) -> bool {
        self.actor.state.has(State::ACTIVITY) || self.partner.state.has(State::ACTIVITY)
    }

    fn transmit_at(&self) -> At {
        self.sent.free_at().max(self.answer_at)
    }

    // Variables.

    /// Actor_Oper_Port_State.Defaulted is false: the partner was heard, lately or before silence or darkness.
    fn heard(&self) -> bool {
        !self.actor.state.has(State::DEFAULTED)
    }

    fn set_actor_bit(&mut self, bit: State, set: bool) {
        self.actor.state = self.actor.state.with(bit, set);
    }

    fn set_partner_bit(&mut self, bit: State, set: bool) {
        self.partner.state = self.partner.state.with(bit, set);
    }
}

/// Stops a timer that is due.
fn take_due(timer: &mut Option<At>, now: At) -> bool {
    timer.take_if(|due| *due <= now).is_some()
}
