//! Sessions both ways, the routes they carry, and how these are asked for again.

use std::collections::BTreeSet;

use ipnet::IpNet;
use libtest_mimic::Failed;
use peerlab::bgp::family::Family;
use peerlab::binding::Daemon;
use peerlab::router::{Direction, Originated};

use super::Cells;
use crate::bed::{Bed, SESSION};
use crate::daemons::{AS_TRANS, DUT_ASN, EDGE_ASN, TwoOctets, Wish};
use crate::routes::{originated, ours, theirs};
use crate::wire::Wire;

/// A number that two octets hold, for the daemon.
const OLD_DUT_ASN: u32 = 64510;
/// And for us.
const OLD_EDGE_ASN: u32 = 8075;

/// Each end connects once, and each time all routes go both ways. AS numbers do not fit two octets.
pub async fn sessions(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let active = Wish::over(bed.over);
    bed.edge(|session| session.passive = true)?;
    bed.daemon(&active).await?;
    both_ways(bed, 0, Direction::Incoming).await?;
    cells.met();
    bed.leave().await;
    bed.stop().await;
    let since = bed.seen.len();
    let passive = Wish {
        passive: true,
        ..active
    };
    bed.daemon(&passive).await?;
    bed.edge(|_| {})?;
    bed.established(since).await?;
    opened_by(bed, Direction::Outgoing).await?;
    cells.met();
    bed.all_out(EDGE_ASN).await?;
    cells.met();
    bed.all_in(since).await?;
    cells.met();
    // The numbers in the paths that were compared.
    assert!(EDGE_ASN > u16::MAX.into() && DUT_ASN > u16::MAX.into());
    cells.met();
    Ok(())
}

async fn both_ways(bed: &mut Bed, since: usize, by: Direction) -> Result<(), Failed> {
    bed.established(since).await?;
    opened_by(bed, by).await?;
    bed.all_in(since).await?;
    bed.all_out(EDGE_ASN).await
}

async fn opened_by(bed: &Bed, wanted: Direction) -> Result<(), Failed> {
    match bed.opened_by().await? {
        Some(by) if by == wanted => Ok(()),
        other => Err(format!("opened by {other:?} and not {wanted:?}").into()),
    }
}

/// The daemon announces no capability for AS numbers of four octets: our number, or one behind it, reaches it as AS_TRANS, and
/// whole in AS4_PATH.
pub async fn it_is_old(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let (told, shown) = match bed.dut.lacks.two_octets {
        TwoOctets::Known { told, shown } => (told, shown),
        TwoOctets::Refuses { .. } => (AS_TRANS, AS_TRANS),
        TwoOctets::Never(why) => {
            cells.blocked(why);
            return Ok(());
        }
    };
    if bed.dut.daemon == Daemon::Frr && bed.over == Family::Ipv6Unicast {
        cells.blocked(
            "FRR leaves out four-octet AS numbers only with all its capabilities, of which IPv6 is one",
        );
        return Ok(());
    }
    let wish = Wish {
        asn: OLD_DUT_ASN,
        edge_asn: told,
        two_octets: true,
        ..Wish::over(bed.over)
    };
    bed.edge_for(&wish, EDGE_ASN, |_| {})?;
    bed.daemon(&wish).await?;
    if let TwoOctets::Refuses { why, says } = bed.dut.lacks.two_octets {
        bed.says(says, 0).await?;
        it_takes_one_behind(bed, &wish).await?;
        cells.met_with(why);
        return Ok(());
    }
    bed.all_in(0).await?;
    bed.all_out(shown).await?;
    in_two_octets(bed).await?;
    cells.met();
    Ok(())
}

/// Our number fits; our routes tell of an origin whose number does not.
async fn it_takes_one_behind(bed: &mut Bed, wish: &Wish) -> Result<(), Failed> {
    bed.leave().await;
    bed.stop().await;
    let since = bed.seen.len();
    let wish = Wish {
        edge_asn: OLD_EDGE_ASN,
        ..*wish
    };
    bed.edge_for(&wish, OLD_EDGE_ASN, |_| {})?;
    for Originated {
        prefix,
        mut attributes,
        sessions,
    } in originated(wish.carries)
    {
        attributes.as_path = vec![EDGE_ASN];
        bed.router()?.announce(Originated {
            prefix,
            attributes,
            sessions,
        });
    }
    bed.daemon(&wish).await?;
    bed.all_in(since).await?;
    bed.all_out(format!("{OLD_EDGE_ASN} {EDGE_ASN}")).await?;
    in_two_octets(bed).await
}

/// Paths went over the wire in two octets: that they are whole is the work of AS4_PATH.
async fn in_two_octets(bed: &mut Bed) -> Result<(), Failed> {
    bed.told("a session in two octets", Wire::is_in_two_octets)
        .await
}

/// We announce none: the daemon's number reaches us as AS_TRANS, and whole in AS4_PATH.
pub async fn we_are_old(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        edge_asn: OLD_EDGE_ASN,
        ..Wish::over(bed.over)
    };
    bed.edge_for(&wish, OLD_EDGE_ASN, |session| {
        session.capabilities.four_octet = false;
    })?;
    bed.daemon(&wish).await?;
    bed.all_in(0).await?;
    bed.all_out(OLD_EDGE_ASN).await?;
    in_two_octets(bed).await?;
    cells.met();
    Ok(())
}

/// A session over IPv6 carries IPv4 routes; their next hops are the addresses of the link.
pub async fn next_hop(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        carries: Family::Ipv4Unicast,
        ..Wish::over(bed.over)
    };
    if cells.refused(bed, &wish, "IPv6 next hops of IPv4 routes") {
        return Ok(());
    }
    bed.edge_for(&wish, EDGE_ASN, |_| {})?;
    bed.daemon(&wish).await?;
    bed.all_in(0).await?;
    bed.all_out(EDGE_ASN).await?;
    bed.told("next hops", |wire| {
        let over = |routes: &[(IpNet, std::net::IpAddr)], wanted: &str| {
            !routes.is_empty() && routes.iter().all(|(_, hop)| hop.to_string() == wanted)
        };
        over(&wire.received.routes, wish.local()) && over(&wire.sent.routes, wish.neighbor())
    })
    .await?;
    cells.met();
    Ok(())
}

/// Each end asks once, and is told every route of the other again.
pub async fn refresh(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    bed.edge(|_| {})?;
    bed.daemon(&Wish::over(bed.over)).await?;
    bed.all_in(0).await?;
    bed.all_out(EDGE_ASN).await?;
    we_ask(bed, cells).await?;
    bed.forget()?;
    bed.ask(&(bed.dut.refresh)(&bed.wish)).await?;
    if let Some(why) = bed.dut.lacks.asks {
        // It answers in the order in which it hears: when its routes are here again, what it was told before is done.
        bed.router()?.request_refresh(SESSION);
        again(bed).await?;
        let asked = bed
            .wire
            .as_ref()
            .is_some_and(|wire| wire.received.refreshes > 0);
        if asked {
            return Err("it asks after all".into());
        }
        cells.blocked(why);
        return Ok(());
    }
    let wanted: BTreeSet<IpNet> = ours(bed.over).into_iter().collect();
    bed.told("280 routes once more after its ROUTE-REFRESH", |wire| {
        wire.received.refreshes > 0 && wire.sent.prefixes() == wanted
    })
    .await?;
    cells.met();
    Ok(())
}

async fn we_ask(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    bed.forget()?;
    let since = bed.seen.len();
    bed.router()?.request_refresh(SESSION);
    if let Some((why, says)) = bed.dut.lacks.answers {
        let answer = bed.says(says, since).await?;
        cells.blocked(&format!("{why} ({answer})"));
        return Ok(());
    }
    again(bed).await?;
    cells.met();
    Ok(())
}

/// Waits until the daemon has told its 10 routes once more, asked by us.
async fn again(bed: &mut Bed) -> Result<(), Failed> {
    let wanted: BTreeSet<IpNet> = theirs(bed.over)
        .into_iter()
        .map(|(_, prefix)| prefix)
        .collect();
    bed.told("10 routes once more after our ROUTE-REFRESH", |wire| {
        wire.sent.refreshes > 0 && wire.received.prefixes().is_superset(&wanted)
    })
    .await
}
