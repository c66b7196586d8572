//! A neighbour's connections against the real kernel: a second one beside the first, and what still lies in a socket
//! when the connection is lost or a timer is due. The neighbour is played with a bare socket on `l0`.

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ipnet::Ipv4Net;
use libtest_mimic::{Failed, Trial};
use peerlab::bgp::family::Family;
use peerlab::bgp::message::GracefulRestart;
use peerlab::bgp::session::State;
use peerlab::record::Fact;
use peerlab::router::driver::RouterHandle;
use peerlab::router::{RouterConfig, SessionIndex};

use super::bed::{Bed, PATIENCE, config, expect, originated, routes_to, run};
use super::hostile::{connect, establish, establish_with, message, until, update};

const SESSION: SessionIndex = SessionIndex(0);

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("connections::a_silent_one_gives_way", silent_gives_way),
        Trial::test("connections::a_new_one_is_a_restart", new_one_is_a_restart),
        Trial::test(
            "connections::the_last_notification_is_heard",
            last_notification_is_heard,
        ),
        Trial::test(
            "connections::a_keepalive_in_the_socket_counts",
            keepalive_in_the_socket_counts,
        ),
    ]
}

/// An edge that waits for the neighbour.
fn edge(bed: &Bed, adapt: impl Fn(&mut RouterConfig)) -> Result<RouterHandle, Failed> {
    let mut edge = config(true, |_| {});
    edge.sessions.truncate(1);
    edge.sessions[0].passive = true;
    adapt(&mut edge);
    bed.start(edge)
}

/// Plays the neighbour in its namespace.
async fn neighbour<T: Send + 'static>(
    bed: &Bed,
    play: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failed> {
    let namespace = bed.peer.clone();
    let played = tokio::task::spawn_blocking(move || namespace.run(play));
    Ok(played.await???)
}

/// The type of the next message.
fn next_type(stream: &mut TcpStream) -> std::io::Result<u8> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut header = [0; 19];
    stream.read_exact(&mut header)?;
    Ok(header[18])
}

/// A second connection gets an OPEN, and the first one an end.
fn second(mut first: TcpStream) -> std::io::Result<(TcpStream, u8)> {
    let mut second = connect()?;
    let kind = next_type(&mut second)?;
    first.read_to_end(&mut Vec::new())?;
    Ok((second, kind))
}

async fn until_established(edge: &RouterHandle) -> Result<(), Failed> {
    let up = async || {
        let state = edge.inspect(|router, _| router.state(SESSION)).await;
        Ok(state == Some(State::Established))
    };
    until("the session", up).await
}

/// Stalls the edge while the neighbour acts.
async fn stall(
    bed: &Bed,
    edge: &RouterHandle,
    act: impl FnOnce() -> std::io::Result<Option<TcpStream>> + Send + 'static,
) -> Result<Option<TcpStream>, Failed> {
    let (stalled, begun) = channel();
    let (done, over) = channel();
    let acting = neighbour(bed, move || {
        let _ = begun.recv_timeout(PATIENCE);
        let acted = act();
        let _ = done.send(());
        acted
    });
    let stalling = edge.inspect(move |_, _| {
        let _ = stalled.send(());
        over.recv_timeout(PATIENCE).is_ok()
    });
    let (acted, waited) = tokio::join!(acting, stalling);
    expect(waited, Some(true))?;
    acted
}

fn silent_gives_way() -> Result<(), Failed> {
    run(async {
        let bed = Bed::new()?;
        let _edge = edge(&bed, |_| {})?;
        let played = neighbour(&bed, || {
            let mut first = connect()?;
            // The edge has it.
            next_type(&mut first)?;
            second(first)
        });
        let (_second, kind) = played.await?;
        expect(kind, 1)
    })
}

/// RFC 4724, section 5.
fn new_one_is_a_restart() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let _edge = edge(&bed, |edge| {
            edge.sessions[0].capabilities.graceful_restart = Some(GracefulRestart {
                restarting: false,
                notification: false,
                time: 120,
                families: Family::Ipv4Unicast.into(),
                preserved: Family::Ipv4Unicast.into(),
            });
        })?;
        let first = neighbour(&bed, || {
            use std::io::Write as _;
            // Graceful restart within 120 s, of IPv4 unicast with its forwarding state preserved.
            let mut first = establish_with(&[64, 6, 0, 120, 0, 1, 1, 0x80])?;
            first.write_all(&update(&[0x0b00_0000]))?;
            Ok(first)
        });
        let first = first.await?;
        let namespace = bed.edge.clone();
        let carried = async || Ok(routes_to(&namespace, "11.0.0.0/8")?.len() == 1);
        bed.until("the route", carried).await?;
        let (_second, kind) = neighbour(&bed, || second(first)).await?;
        expect(kind, 1)?;
        expect(routes_to(&bed.edge, "11.0.0.0/8")?.len(), 1)?;
        let anew = std::iter::from_fn(|| bed.facts.try_recv().ok())
            .any(|entry| matches!(&entry.fact, Fact::Bgp { why, .. } if why.contains("anew")));
        expect(anew, true)
    })
}

fn last_notification_is_heard() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let edge = edge(&bed, |edge| {
            // More than the kernel's buffers hold of it.
            for n in 0..100_000_u32 {
                let address = Ipv4Addr::from(0x0b00_0000 + (n << 8));
                let mut route = originated(Ipv4Net::new_assert(address, 24));
                route.attributes.med = Some(n);
                edge.originate.push(route);
            }
        })?;
        let mut stream = neighbour(&bed, establish).await?;
        until_established(&edge).await?;
        let gone = stall(&bed, &edge, move || {
            use std::io::Write as _;
            // Cease / administrative shutdown, and a reset, since so much is unread.
            stream.write_all(&message(3, b"\x06\x02\x0cmoving house"))?;
            drop(stream);
            Ok(None)
        });
        gone.await?;
        let ended = async || {
            let state = edge.inspect(|router, _| router.state(SESSION)).await;
            Ok(state != Some(State::Established))
        };
        until("the end", ended).await?;
        let seen: Vec<String> = std::iter::from_fn(|| bed.facts.try_recv().ok())
            .filter_map(|entry| match entry.fact {
                Fact::Bgp { why, .. } => Some(why),
                _ => None,
            })
            .collect();
        let heard = seen.iter().any(|why| why.contains("moving house"));
        if heard {
            Ok(())
        } else {
            Err(format!("nobody heard the NOTIFICATION: {seen:?}").into())
        }
    })
}

fn keepalive_in_the_socket_counts() -> Result<(), Failed> {
    const HOLD: Duration = Duration::from_secs(3);
    run(async {
        let bed = Bed::new()?;
        let edge = edge(&bed, |edge| {
            edge.sessions[0].timers.hold = HOLD;
            edge.sessions[0].timers.keepalive = Duration::from_secs(1);
        })?;
        let mut stream = neighbour(&bed, establish).await?;
        until_established(&edge).await?;
        let kept = stall(&bed, &edge, move || {
            use std::io::Write as _;
            stream.write_all(&message(4, &[]))?;
            // Longer than the hold time.
            let (_nobody, silence): (Sender<()>, _) = channel();
            let _ = silence.recv_timeout(HOLD + HOLD / 6);
            Ok(Some(stream))
        });
        let _stream = kept.await?;
        let heard = async || {
            let seen = edge.inspect(|router, _| {
                let status = router.session_status(SESSION)?;
                Some((status.state, status.counters.received.keepalive))
            });
            let (state, keepalives) = seen.await.flatten().ok_or("no session")?;
            expect(state, State::Established)?;
            Ok(keepalives >= 2)
        };
        until("the KEEPALIVE", heard).await
    })
}
