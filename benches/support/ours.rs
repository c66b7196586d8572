//! Our simulated routers on a bed: one thread for BGP, one for BFD, as in a lab.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use peerlab::bfd::{Config, State, Timers};
use peerlab::line::{BfdPort, BfdSpec, End, Line, LineEvent};
use peerlab::record::{Entry, Recorder};
use peerlab::router::driver::{Driver, RouterHandle};
use peerlab::router::{
    Export, ExportPolicy, Originated, OriginatedAttributes, RouterConfig, SessionIndex,
    SessionSpec, Sessions,
};
use peerlab::time::Clock;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

use super::bed::{Bed, INTERFACES, address_of, index, router_id};
use super::{ASNS, Outcome, announced};

/// Running routers; they end when this is dropped.
pub struct Ours {
    pub facts: UnboundedReceiver<Entry>,
    thread: Option<JoinHandle<()>>,
    end: Option<oneshot::Sender<()>>,
}

/// Starts every router of a bed. Returns when all are started.
pub fn start(bed: &Bed, bfd_ms: u64, clock: Clock) -> Outcome<Ours> {
    let (recorder, facts) = Recorder::new(clock);
    let (end, ended) = oneshot::channel();
    let (started, starting) = channel();
    let routers: Vec<_> = bed
        .routers()
        .map(|(pair, side, namespace)| (pair, side, Arc::clone(namespace)))
        .collect();
    let thread = std::thread::Builder::new()
        .name("routers".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let run = async {
                let (events, line_events) = unbounded_channel();
                let line = Line::start(recorder.clone(), events)?;
                let mut handles = HashMap::new();
                for (pair, side, namespace) in routers {
                    let config = configuration(pair, side);
                    let (driver, handle) = Driver::open(
                        Arc::clone(&namespace),
                        config,
                        seed(pair, side, 0),
                        recorder.clone(),
                    )?;
                    tokio::spawn(driver.run());
                    for link in 0..2 {
                        let spec = bfd(pair, side, link, bfd_ms)?;
                        handles.insert(
                            spec.end.clone(),
                            (handle.clone(), SessionIndex(link as u16)),
                        );
                        line.add_bfd(BfdPort::open(&namespace, spec)?);
                    }
                }
                tokio::spawn(tell_routers(line_events, handles));
                Outcome::Ok(line)
            };
            let Ok(runtime) = runtime else { return };
            match runtime.block_on(run) {
                Ok(line) => {
                    let _ = started.send(Ok(()));
                    let _ = runtime.block_on(ended);
                    drop(line);
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
        })?;
    starting.recv()??;
    Ok(Ours {
        facts,
        thread: Some(thread),
        end: Some(end),
    })
}

/// Passes BFD changes on to the routers.
async fn tell_routers(
    mut events: UnboundedReceiver<LineEvent>,
    handles: HashMap<End, (RouterHandle, SessionIndex)>,
) {
    while let Some(event) = events.recv().await {
        let LineEvent::Bfd { end, change, .. } = event else {
            continue;
        };
        let Some((router, session)) = handles.get(&end) else {
            continue;
        };
        if change.to == State::Up {
            router.bfd(*session, true);
        } else if change.from == State::Up {
            router.bfd(*session, false);
        }
    }
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
        export: ExportPolicy {
            what: Export::Own,
            ..ExportPolicy::default()
        },
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
                prefix,
                attributes: OriginatedAttributes::default(),
                sessions: Sessions::All,
            })
            .collect(),
        multipath: 2,
    }
}

fn bfd(pair: usize, side: usize, link: usize, interval_ms: u64) -> Outcome<BfdSpec> {
    let seed = seed(pair, side, link);
    Ok(BfdSpec {
        end: End {
            router: name(pair, side),
            connection: INTERFACES[link].to_owned(),
        },
        device: INTERFACES[link].to_owned(),
        link: index(side, link),
        local: IpAddr::V4(address_of(pair, link, side)),
        remote: IpAddr::V4(address_of(pair, link, 1 - side)),
        config: Config {
            my_discriminator: NonZeroU32::new(u32::try_from(seed)?).ok_or("discriminator 0")?,
            timers: Timers::symmetric(
                Duration::from_millis(interval_ms),
                NonZeroU8::new(3).ok_or("multiplier 0")?,
            ),
            passive: false,
            jitter_seed: seed,
        },
    })
}

impl Drop for Ours {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
