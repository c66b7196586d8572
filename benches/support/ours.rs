//! Our simulated routers on a bed, on the threads on which a lab has them: one for BGP, one for BFD.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::Duration;

use peerlab::bfd::{Config, Timers};
use peerlab::lab::control_plane::ControlPlane;
use peerlab::line::{BfdSpec, End, Line, Reach};
use peerlab::record::{Entries, Recorder};
use peerlab::router::{
    Originated, OriginatedAttributes, RouterConfig, RouterOptions, Scope, SessionSpec, Sessions,
};
use peerlab::time::Clock;
use tokio::sync::mpsc::unbounded_channel;

use super::bed::{Bed, INTERFACES, address_of, index, router_id};
use super::{ASNS, Outcome, announced};

/// Running routers; they end when this is dropped.
pub struct Ours {
    pub facts: Entries,
    _control_plane: ControlPlane,
    _line: Line,
}

/// Starts every router of a bed. Returns when all are started.
pub fn start(bed: &Bed, bfd_ms: u64, clock: Clock) -> Outcome<Ours> {
    let (recorder, facts) = Recorder::new(clock);
    let (events, line_events) = unbounded_channel();
    let line = Line::start(recorder.clone(), events)?;
    let control_plane = ControlPlane::start()?;
    let mut routers = BTreeMap::new();
    for (pair, side, namespace) in bed.routers() {
        let handle = control_plane.start_router(
            Arc::clone(namespace),
            configuration(pair, side),
            seed(pair, side, 0),
            recorder.clone(),
            &[],
        )?;
        routers.insert(name(pair, side), handle);
        for link in 0..2 {
            let spec = bfd(pair, side, link, bfd_ms)?;
            line.add_bfd(namespace, spec)?;
        }
    }
    control_plane.follow_line(line_events, routers);
    Ok(Ours {
        facts,
        _control_plane: control_plane,
        _line: line,
    })
}

fn name(pair: usize, side: usize) -> String {
    format!("{}{pair}", ["e", "p"][side])
}

fn seed(pair: usize, side: usize, link: usize) -> u64 {
    ((pair * 2 + side) * 2 + link) as u64 + 1
}

fn configuration(pair: usize, side: usize) -> RouterConfig {
    let session = |link: usize| SessionSpec {
        use_bfd: true,
        scope: Scope::Own,
        ..SessionSpec::new(
            INTERFACES[link],
            INTERFACES[link],
            address_of(pair, link, side),
            address_of(pair, link, 1 - side),
            31,
            ASNS[1 - side],
        )
    };
    RouterConfig {
        name: name(pair, side),
        asn: ASNS[side],
        router_id: router_id(pair, side),
        sessions: (0..2).map(session).collect(),
        originate: announced(side)
            .into_iter()
            .map(|prefix| Originated {
                prefix: prefix.into(),
                attributes: OriginatedAttributes::default(),
                sessions: Sessions::All,
            })
            .collect(),
        multipath: 2,
        options: RouterOptions::default(),
    }
}

fn bfd(pair: usize, side: usize, link: usize, interval_ms: u64) -> Outcome<BfdSpec> {
    let seed = seed(pair, side, link);
    Ok(BfdSpec {
        end: End {
            router: name(pair, side),
            connection: INTERFACES[link].to_owned(),
        },
        reach: Reach::OneHop {
            device: INTERFACES[link].to_owned(),
            link: index(side, link),
        },
        local: IpAddr::V4(address_of(pair, link, side)),
        remote: IpAddr::V4(address_of(pair, link, 1 - side)),
        config: Config::single_hop(
            NonZeroU32::new(u32::try_from(seed)?).ok_or("discriminator 0")?,
            Timers::symmetric(
                Duration::from_millis(interval_ms),
                NonZeroU8::new(3).ok_or("multiplier 0")?,
            ),
            seed,
        ),
    })
}
