//! TTL security (RFC 5082) and TCP MD5 signatures (RFC 2385) with the real kernel, over IPv4 and IPv6.

use std::net::IpAddr;

use libtest_mimic::{Failed, Trial};
use peerlab::bgp::session::State;
use peerlab::record::Fact;
use peerlab::router::driver::RouterHandle;
use peerlab::router::{Secret, SessionIndex, SessionSpec};

use super::bed::{Bed, both, config, ip, run};

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("md5_keys_that_agree", md5_agrees),
        Trial::test("md5_keys_that_differ", md5_differs),
        Trial::test("ttl_security_of_both", ttl_of_both),
        Trial::test("ttl_security_drops_an_ordinary_neighbour", ttl_of_one),
        Trial::test("ipv6_sessions", ipv6),
        Trial::test("ipv6_sessions_with_everything", ipv6_protected),
    ]
}

fn secret(key: &[u8]) -> Option<Secret> {
    Secret::new(key).ok()
}

fn md5_agrees() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        // One session of two: the other neighbour's segments are not signed.
        both(&mut bed, |session| {
            if session.name == "s0" {
                session.md5 = secret(b"correct horse");
            }
        })
        .await?;
        Ok(())
    })
}

/// Starts both routers and waits until the edge says why a session is not up.
async fn reason(
    bed: &mut Bed,
    edge: impl Fn(&mut SessionSpec),
    peer: impl Fn(&mut SessionSpec),
    words: &str,
) -> Result<(), Failed> {
    let edge = bed.start(config(true, edge))?;
    let _peer = bed.start(config(false, peer))?;
    let mut told = false;
    while !told {
        let entry = tokio::time::timeout(super::PATIENCE, bed.facts.recv());
        let entry = entry.await.map_err(|_| format!("nobody said {words:?}"))?;
        told = entry.is_some_and(|entry| match entry.fact {
            Fact::Bgp { router, why, .. } => router == "edge" && why.contains(words),
            _ => false,
        });
    }
    let up = edge
        .inspect(|router, _| router.state(SessionIndex(0)) == State::Established)
        .await;
    super::expect(up, Some(false))
}

fn md5_differs() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        // Both call, so that each kernel sees a wrong signature and counts it.
        let words = "another TCP MD5 key or none; segments dropped here: ";
        let wrong = |session: &mut SessionSpec| session.md5 = secret(b"incorrect horse");
        let right = |session: &mut SessionSpec| session.md5 = secret(b"correct horse");
        reason(&mut bed, right, wrong, words).await
    })
}

fn ttl_of_both() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        both(&mut bed, |session| {
            if session.name == "s0" {
                session.ttl_security = Some(1);
            }
        })
        .await?;
        Ok(())
    })
}

fn ttl_of_one() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let secured = |session: &mut SessionSpec| session.ttl_security = Some(1);
        let words = "sends with a low TTL; segments dropped here: ";
        reason(&mut bed, secured, |_| {}, words).await
    })
}

/// Gives both links IPv6 addresses: of the first link-local ones alone, of the second global ones.
fn with_ipv6(bed: &Bed) -> Result<(), Failed> {
    for (namespace, host) in [(&bed.edge, 1), (&bed.peer, 2)] {
        ip(namespace, &format!("addr add fe80::{host}/64 dev l0 nodad"))?;
        ip(
            namespace,
            &format!("addr add fd00:1::{host}/64 dev l1 nodad"),
        )?;
    }
    Ok(())
}

/// The sessions of [`config`] between IPv6 addresses.
fn over_ipv6(session: &mut SessionSpec, edge: bool) {
    let net = if session.name == "s0" {
        "fe80::"
    } else {
        "fd00:1::"
    };
    let host = |edge: bool| -> IpAddr {
        let text = format!("{net}{}", if edge { 1 } else { 2 });
        text.parse().expect("an address")
    };
    // What is carried stays as it is: what is of interest here is what carries it.
    (session.local, session.peer, session.prefix_len) = (host(edge), host(!edge), 64);
}

async fn establish(bed: &mut Bed, adapt: impl Fn(&mut SessionSpec)) -> Result<(), Failed> {
    with_ipv6(bed)?;
    let mut routers: Vec<RouterHandle> = Vec::new();
    for edge in [true, false] {
        routers.push(bed.start(config(edge, |session| {
            over_ipv6(session, edge);
            adapt(session);
        }))?);
    }
    bed.until("all sessions", async || {
        let mut up = true;
        for router in &routers {
            let states = router
                .inspect(|router, _| [0, 1].map(|n| router.state(SessionIndex(n))))
                .await;
            up &= states == Some([State::Established; 2]);
        }
        Ok(up)
    })
    .await?;
    Ok(())
}

fn ipv6() -> Result<(), Failed> {
    run(async { establish(&mut Bed::new()?, |_| {}).await })
}

fn ipv6_protected() -> Result<(), Failed> {
    run(async {
        establish(&mut Bed::new()?, |session| {
            session.md5 = secret(b"correct horse");
            session.ttl_security = Some(1);
        })
        .await
    })
}
