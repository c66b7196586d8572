//! Whole metros of pure cores in virtual time: no clock, no socket, no waiting.
//!
//! The routers, LACP actors and BFD sessions of a shipped topology are joined as the lab joins them, over cables that
//! delay, lose and reorder, and every fault of a scenario is made on them. Times are exact: what detects a fault does so
//! one Detection Time after the last packet, and what follows takes the delay of the links it crosses.

#[path = "simulate/cable.rs"]
mod cable;
#[path = "simulate/end.rs"]
mod end;
#[path = "simulate/metro.rs"]
mod metro;
#[path = "simulate/node.rs"]
mod node;
#[path = "simulate/story.rs"]
mod story;
#[path = "simulate/tcp.rs"]
mod tcp;

#[path = "simulate/bring_up.rs"]
mod bring_up;
#[path = "simulate/chaos.rs"]
mod chaos;
#[path = "simulate/faults.rs"]
mod faults;
#[path = "simulate/metros.rs"]
mod metros;
#[path = "simulate/microsoft.rs"]
mod microsoft;
#[path = "simulate/restarts.rs"]
mod restarts;
