//! What can be observed: every kind of fact, and its keys in JSON.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    AutoBackend, BfdDiscarded, BfdHeard, Common, Failure, InService, MalformedUpdate,
    MemberCounters, Message, MicroBfd, Nanos, NotTold, Punctuality, Refused, SourceText,
};
use crate::time::At;

/// What was observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "fact",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
pub enum Fact {
    /// The first line of a record: what is played, and where.
    Run {
        /// Version of peerlab.
        peerlab: String,
        /// Wall-clock time of [`At::ZERO`], RFC 3339.
        started: String,
        /// The scenario file.
        scenario: SourceText,
        /// The topology file.
        topology: SourceText,
        /// The binding file, if any.
        binding: Option<SourceText>,
        /// Kernel, CPUs, user.
        host: String,
    },
    /// A phase of the lab's life was completed: `build`, `devices`, `light`, `lacp`, `bfd`, `bgp`, `end-of-rib`, `routes`, `down`.
    Phase {
        /// Its name.
        phase: String,
        /// How long it took.
        took: Nanos,
    },
    /// A step began, counted from 0.
    StepStarted {
        /// Which.
        step: usize,
    },
    /// What the step does was observed to have happened: its clock starts here.
    StepActed {
        /// Which.
        step: usize,
    },
    /// A step could not be tried.
    StepBlocked {
        /// Which.
        step: usize,
        /// Why, and what would help.
        why: String,
    },
    /// A step is over.
    StepEnded {
        /// Which.
        step: usize,
    },
    /// A LAG gained or lost carrier, as its router sees it.
    Lag {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// Carrier.
        up: bool,
        /// Members distributing at that moment.
        distributing: u8,
    },
    /// A member's cable gained or lost light.
    Light {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// Member, counted from 1.
        member: u8,
        /// Light.
        up: bool,
    },
    /// A member's LACP state changed.
    Member {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// Member, counted from 1.
        member: u8,
        /// IEEE 802.1AX receive machine state, for example `CURRENT`, `EXPIRED`, `DEFAULTED`.
        receive: String,
        /// Collecting frames.
        collecting: bool,
        /// Distributing frames.
        distributing: bool,
        /// The partner: system priority, system, key, port, as text; empty when unknown.
        partner: String,
    },
    /// Something was seen of the other end of a member in its frames.
    LacpPartner {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// Member, counted from 1.
        member: u8,
        /// What.
        seen: super::LacpSeen,
    },
    /// What the members of a LAG have carried until now: once a second, and when a step ends.
    LagCounters {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// Its members, in order.
        members: Vec<MemberCounters>,
    },
    /// Members were added to a LAG, or taken from it, at both ends.
    InService(InService),
    /// Who plays an end of a LAG whose backend is `auto`.
    AutoBackend(AutoBackend),
    /// A BFD session changed its state.
    Bfd {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// `admin-down`, `down`, `init`, `up`.
        state: String,
        /// Local diagnostic, in the RFC's words, for example `control detection time expired`.
        diagnostic: String,
        /// When the last packet of the remote was received (kernel timestamp).
        last_received: Option<At>,
        /// Detection time in force, nanoseconds.
        detection_time: Option<Nanos>,
    },
    /// BFD on a member of a LAG (RFC 7130) changed its state.
    MicroBfd {
        /// Router.
        router: String,
        /// Connection.
        connection: String,
        /// Member, counted from 1.
        member: u8,
        /// How it is now.
        #[serde(flatten)]
        now: MicroBfd,
    },
    /// The other end of a BFD session says something else than before.
    BfdHeard {
        /// Router.
        router: String,
        /// As in [`Fact::Bfd`].
        connection: String,
        /// What it says.
        heard: BfdHeard,
    },
    /// The rhythm of the packets of a BFD partner since it came up or changed intervals. Told after 16 intervals, 32, 64 …, at the end.
    BfdRhythm {
        /// Router.
        router: String,
        /// As in [`Fact::Bfd`].
        connection: String,
        /// How it was.
        rhythm: super::BfdRhythm,
    },
    /// The other end of a BFD session answered a Poll.
    BfdAnswered {
        /// Router.
        router: String,
        /// As in [`Fact::Bfd`].
        connection: String,
        /// After the first packet that asked.
        after: Nanos,
    },
    /// A packet of the other end of a BFD session was discarded.
    BfdDiscarded(BfdDiscarded),
    /// A partner made a session or a member change faster than that is told.
    NotTold(NotTold),
    /// A BGP session changed its state.
    Bgp {
        /// Router.
        router: String,
        /// Connection; inside the WAN and the peer's core, the neighbour's name.
        session: String,
        /// RFC 4271 name: `Idle`, `Connect`, `Active`, `OpenSent`, `OpenConfirm`, `Established`.
        state: String,
        /// Why it left its last state, for example `BFD down`, `hold timer expired`, `received Cease/administrative shutdown`.
        why: String,
    },
    /// The neighbour connected, and the session took no connection.
    ConnectionRefused(Refused),
    /// The neighbour sent end-of-RIB.
    EndOfRib {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
    },
    /// The neighbour begins to send all its routes again, or has done so (RFC 7313): an edge is told.
    RouteRefresh {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// `begin` or `end`.
        mark: String,
    },
    /// The routes of a session that was lost stay as stale ones (RFC 4724), or are so no longer.
    StaleRoutes {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// How many stay; 0 when none is stale any more.
        routes: u32,
        /// Why.
        why: String,
    },
    /// A router's BGP was ended by the scenario, or has begun again.
    ControlPlane {
        /// Router.
        router: String,
        /// Whether it is there.
        up: bool,
        /// Its kernel went on forwarding meanwhile.
        graceful: bool,
    },
    /// The numbers of routes of a session after an UPDATE was worked in, either way, or the session was lost.
    RouteCount {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Routes in Adj-RIB-In.
        received: u32,
        /// Routes in Adj-RIB-Out.
        advertised: u32,
    },
    /// A session brought more routes than a share of what it may bring, or than all of it: then it is ended.
    MaximumPrefixes {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Routes in Adj-RIB-In.
        received: u32,
        /// How many it may bring.
        limit: u32,
    },
    /// More routes of a session came than could be written, or are kept: none is told by itself until a [`Fact::RouteCount`] of none.
    RoutesLeftOut {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Facts that were left out until now; told whenever it has doubled.
        count: u64,
    },
    /// A route entered or changed in an Adj-RIB-In of the Microsoft side (edges and WAN) or of the internet.
    RouteReceived {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Prefix.
        prefix: IpNet,
        /// AS path, for example `64500 64500`.
        as_path: Common<str>,
        /// Communities, for example `8075:8007`; large ones `8075:8007:0`, extended ones `rt:8075:8007`.
        communities: Common<[String]>,
        /// MULTI_EXIT_DISC, if it came with one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        med: Option<u32>,
    },
    /// An UPDATE had faults that did not end its session; told once of those that say the same (RFC 7606, section 8).
    MalformedUpdate(MalformedUpdate),
    /// A received route is not used: policy refuses it, its next hop cannot be reached, or it is malformed (treated as withdrawn).
    RouteRefused {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Prefix.
        prefix: IpNet,
        /// AS path; an AS_SET is written `{64501,64502}`.
        as_path: Common<str>,
        /// Communities as in [`Fact::RouteReceived`].
        communities: Common<[String]>,
        /// Stable name of the reason, for example `deny-all`.
        reason: String,
    },
    /// A received route may be used that was refused, or had not been seen, before.
    RouteAccepted {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Prefix.
        prefix: IpNet,
        /// LOCAL_PREF it was given.
        local_pref: u32,
    },
    /// A route left an Adj-RIB-In of the Microsoft side.
    RouteWithdrawn {
        /// Router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Prefix.
        prefix: IpNet,
        /// `withdrawn by the peer`, or why the session was lost.
        why: String,
    },
    /// The kernel's route for a watched prefix changed.
    KernelRoute {
        /// Router whose table it is.
        router: String,
        /// Prefix.
        prefix: IpNet,
        /// Interfaces of its next hops, sorted; empty when the route is gone.
        via: Vec<String>,
    },
    /// The kernel told more of a router's routes and links than could be read in time: what was before its present state is lost.
    EventsLost {
        /// Router.
        router: String,
    },
    /// A fault or repair was asked for.
    FaultAsked {
        /// What and how, in words.
        fault: String,
    },
    /// A fault or repair was observed to have happened.
    FaultHappened {
        /// What and how, in words.
        fault: String,
        /// Connections it touches; inside a network both ends, `wan/ams-edge-1`.
        connections: Vec<String>,
        /// True for a repair.
        repaired: bool,
        /// The cables carry badly, but carry: whoever does not notice is not at fault.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        impairment: bool,
    },
    /// A device was started, said something worth keeping, or ended.
    Device {
        /// Router.
        router: String,
        /// `started`, `said`, `exited`, `rejected its configuration`.
        event: String,
        /// Its own words.
        text: String,
    },
    /// Probe traffic of one direction began.
    ProbeStarted {
        /// Sender, `teams` or an endpoint.
        from: String,
        /// Receiver.
        to: String,
        /// Interval between packets of this direction.
        every: Nanos,
        /// Number of flows sent in turn.
        flows: u16,
    },
    /// Probe traffic of one direction ended.
    ProbeStopped {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
    },
    /// Packets in a row did not arrive. Of runs with one direction, flow and `first_sent` counts add up, and the last end holds.
    ProbeLost {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
        /// Flow, counted from 0.
        flow: u16,
        /// How many that no earlier fact counted; 0 when a run told before has only ended.
        count: u64,
        /// When the first of the run was sent.
        first_sent: At,
        /// When the last of the run was sent.
        last_sent: At,
        /// When the next packet of the flow arrived, if one did.
        next_received: Option<At>,
    },
    /// Packets of one direction that arrived twice, or after a later packet of their flow, since the last such fact.
    ProbeDisorder {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
        /// Arrived twice.
        duplicated: u64,
        /// Arrived after a later packet of their flow, and so were counted in a [`Fact::ProbeLost`] before.
        reordered: u64,
    },
    /// A flow's delivered packets changed the way they go: `at` is the arrival of the first one there.
    ProbeVia {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
        /// Flow, counted from 0.
        flow: u16,
        /// Connection, or `internet`.
        via: String,
        /// The member of the connection's LAG, counted from 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<u8>,
    },
    /// How one direction went in the last interval (100 ms), `at` being its end.
    ProbeTally {
        /// Sender.
        from: String,
        /// Receiver.
        to: String,
        /// Packets sent in the interval.
        sent: u64,
        /// Packets received in the interval.
        received: u64,
        /// The latest a packet was sent after it was due.
        send_late: Nanos,
        /// The longest one-way time of a packet.
        slowest: Nanos,
    },
    /// A thread of peerlab woke up later than it asked for, by more than 1 ms; `run` and `routers`, with coarser timers, by 2 ms.
    Late {
        /// `line`, `probe`, `routers`, `run`.
        thread: String,
        /// How much.
        by: Nanos,
    },
    /// How late our periodic packets of a protocol left, from when they were due to the link: told once, at the end.
    Punctuality {
        /// `lacp`, `bfd`.
        protocol: String,
        /// What was counted.
        figures: Punctuality,
    },
    /// What the host did to us in the last second: pressure stall information and foreign CPU.
    Pressure {
        /// Share of the time some task waited for a CPU, in percent (PSI `cpu some`), if the kernel tells.
        cpu_some_percent: Option<f32>,
        /// Share of all CPU time used by other processes, in percent, if the kernel tells.
        foreign_percent: Option<f32>,
    },
    /// The peer's AS number in the subscription: its `validationState`.
    PeerAsn {
        /// AS number.
        asn: u32,
        /// `None`, `Pending`, `Approved`, `Failed`.
        state: String,
        /// `errorMessage`; empty when there is none.
        error: String,
    },
    /// A peering resource changed its `provisioningState`.
    Peering {
        /// Its peering location: a metro.
        peering: String,
        /// `Succeeded`, `Updating`, `Deleting`, `Failed`, `Canceled`; `None` once it is gone.
        state: String,
        /// Why; empty when there is nothing to say.
        error: String,
    },
    /// A connection of a peering changed its `connectionState` or `sessionStateV4`.
    Connection {
        /// Connection.
        connection: String,
        /// `connectionState`, for example `ProvisioningStarted`.
        state: String,
        /// `sessionStateV4`, for example `Established`.
        session_state: String,
        /// `errorMessage`; empty when there is none.
        error: String,
        /// What moved it, for example `the LAG runs`.
        why: String,
    },
    /// A registered prefix came to a result, or to another one.
    RegisteredPrefix {
        /// Parent peering: a metro.
        peering: String,
        /// `prefix` as it was given, which may be no prefix at all.
        prefix: String,
        /// `prefixValidationState`.
        state: String,
        /// `peeringServicePrefixKey`, once issued.
        key: Option<String>,
        /// All checks that did not pass, warnings and unchecked ones too.
        failures: Vec<Failure>,
        /// `errorMessage`: what the portal shows first.
        message: Option<Message>,
    },
    /// A Peering Service prefix came to a result, or to another one.
    ServicePrefix {
        /// Peering Service resource.
        service: String,
        /// `prefix` as it was given.
        prefix: String,
        /// `prefixValidationState`.
        state: String,
        /// `learnedType`: `None`, `ViaServiceProvider`, `ViaSession`.
        learned_type: String,
        /// All checks that did not pass, warnings and unchecked ones too.
        failures: Vec<Failure>,
        /// `errorMessage`: what the portal shows first.
        message: Option<Message>,
    },
    /// A registered or Peering Service prefix was deleted.
    PrefixDeleted {
        /// `registered-prefix` or `service-prefix`.
        object: String,
        /// `prefix` as it was given.
        prefix: String,
    },
    /// A registered ASN was created or deleted; it has no validation state.
    RegisteredAsn {
        /// Parent peering: a metro.
        peering: String,
        /// `asn`.
        asn: u32,
        /// `peeringServicePrefixKey`, issued at once; none when it was deleted.
        key: Option<String>,
    },
    /// An event of the Microsoft side: of a Peering Service prefix, a milestone mail, a refused request.
    Event {
        /// `eventType`, for example `PrefixWithdrawalEvent`.
        event: String,
        /// `eventLevel`: `Information`, `Warning`, `Error`, `Critical`.
        level: String,
        /// What it is about: a prefix, a connection, a peering.
        subject: String,
        /// `eventSummary`.
        summary: String,
        /// `eventDescription`.
        description: String,
    },
    /// What a routing registry told, or that it fell silent.
    Registry {
        /// `irr` or `rpki`.
        registry: String,
        /// The file or server.
        source: String,
        /// `read`, `changed`, `lost`, `expired`, `back`.
        event: String,
        /// Objects or validated ROA payloads known now.
        entries: u64,
        /// Serial number of an RTR cache.
        serial: Option<u32>,
        /// Details; empty when there are none.
        text: String,
    },
    /// A router asked a registry that the lab serves.
    RegistryAsked {
        /// `irr` or `rpki`.
        registry: String,
        /// The router, or the address of something else.
        by: String,
        /// What it asked for.
        question: String,
    },
    /// A router's BMP collector heard of it, was lost, or could not be reached.
    Collector {
        /// The router.
        router: String,
        /// The collector's address.
        address: String,
        /// `connected`, `lost`, or `unreachable`, at first or again.
        event: String,
        /// Why it was lost, or is unreachable.
        text: String,
    },
    /// Monitoring did not keep up with a session: so much is in neither trace nor feed. Its table was told anew.
    MonitoringMissed {
        /// The router.
        router: String,
        /// Session as in [`Fact::Bgp`].
        session: String,
        /// Messages and changes of routes.
        count: u64,
    },
    /// The lab failed.
    Errored {
        /// What was tried, on what, why it failed, what to do.
        text: String,
    },
    /// The run was ended by a signal.
    Interrupted {
        /// `SIGINT` or `SIGTERM`.
        signal: String,
    },
}
