//! Ends of a session: with notice, with words, and without a word.

use std::collections::BTreeSet;
use std::time::Duration;

use ipnet::IpNet;
use libtest_mimic::Failed;
use peerlab::record::{Entry, Fact};

use super::{Cells, came_to};
use crate::bed::{Bed, SESSION};
use crate::daemons::{EDGE_ASN, ITS_WORDS, Wish};
use crate::routes::{ours, theirs};

/// What we say when we end a session.
const OUR_WORDS: &str = "night work";

/// How long a neighbour has for other paths, when we take a session out of use.
const LEAVING: Duration = Duration::from_secs(3);

/// What the daemon marks as about to go is our last choice; what we mark, it hears before the session ends.
pub async fn graceful_shutdown(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        leaving: true,
        ..Wish::over(bed.over)
    };
    bed.daemon(&wish).await?;
    bed.edge(|session| session.honour_graceful_shutdown = true)?;
    let wanted: BTreeSet<IpNet> = theirs(bed.over)
        .into_iter()
        .map(|(_, prefix)| prefix)
        .collect();
    bed.until("10 routes with local preference 0", async |bed| {
        let last = |entry: &Entry| match entry.fact {
            Fact::RouteAccepted {
                prefix,
                local_pref: 0,
                ..
            } => Some(prefix),
            _ => None,
        };
        Ok(bed.seen.iter().filter_map(last).collect::<BTreeSet<_>>() == wanted)
    })
    .await?;
    cells.met();
    // FRR that leaves marks what it hears, too: it starts again as one that stays.
    bed.stop().await;
    bed.daemon(&Wish::over(bed.over)).await?;
    bed.all_out(EDGE_ASN).await?;
    let since = bed.seen.len();
    bed.router()?.graceful_shutdown(SESSION, LEAVING, OUR_WORDS);
    bed.until(
        "280 routes with GRACEFUL_SHUTDOWN at the daemon",
        async |bed| {
            let heard = bed.heard().await.unwrap_or_default();
            let marked = heard.iter().filter(|route| {
                let names = ["65535:0", "graceful-shutdown", "graceful_shutdown"];
                let is = |community: &String| names.contains(&community.to_lowercase().as_str());
                route.communities.iter().any(is)
            });
            let marked: BTreeSet<_> = marked.map(|route| route.prefix).collect();
            Ok(marked == ours(bed.over).into_iter().collect())
        },
    )
    .await?;
    // Until now nothing was lost.
    if bed.seen[since..]
        .iter()
        .any(|entry| came_to(&entry.fact, "Idle"))
    {
        return Err("the session ended before its routes were marked".into());
    }
    bed.fact("the end of the session", since, |fact| {
        came_to(fact, "Idle")
    })
    .await?;
    cells.met();
    Ok(())
}

/// Each end shuts the session down with words, which the other shows (Cease / Administrative Shutdown, RFC 9003).
pub async fn words(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    bed.edge(|_| {})?;
    bed.daemon(&Wish::over(bed.over)).await?;
    bed.all_in(0).await?;
    // OpenBGPD that is still busy with UPDATEs when the connection ends forgets what came after them.
    bed.all_out(EDGE_ASN).await?;
    let since = bed.seen.len();
    bed.router()?.stop_session(SESSION, OUR_WORDS);
    match bed.dut.lacks.shows {
        None => {
            bed.says(OUR_WORDS, since).await?;
            cells.met();
        }
        Some((why, says)) => {
            bed.says(says, since).await?;
            let shown = |entry: &Entry| matches!(&entry.fact, Fact::Device { text, .. } if text.contains(OUR_WORDS));
            if bed.seen[since..].iter().any(shown) {
                return Err("it shows our words after all".into());
            }
            cells.blocked(why);
        }
    }
    let since = bed.seen.len();
    bed.router()?.start_session(SESSION);
    bed.all_in(since).await?;
    let since = bed.seen.len();
    bed.ask(&(bed.dut.shutdown)(&bed.wish)).await?;
    let why = bed.why_idle(since).await?;
    let fixed = bed.dut.lacks.speaks;
    let words = fixed.map_or(ITS_WORDS, |(_, words)| words);
    if !why.ends_with(&format!("Cease/administrative shutdown {words:?}")) {
        return Err(format!("it ends the session otherwise: {why}").into());
    }
    match fixed {
        None => cells.met(),
        Some((note, _)) => cells.met_with(note),
    }
    Ok(())
}

/// Either end restarts; afterwards each has all routes of the other.
pub async fn restarts(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    bed.edge(|_| {})?;
    bed.daemon(&Wish::over(bed.over)).await?;
    bed.all_in(0).await?;
    bed.all_out(EDGE_ASN).await?;
    let since = bed.seen.len();
    bed.stop().await;
    bed.why_idle(since).await?;
    let since = bed.seen.len();
    bed.boot_daemon().await?;
    bed.all_in(since).await?;
    bed.all_out(EDGE_ASN).await?;
    cells.met();
    // Without a word: the daemon must believe the new session.
    let since = bed.seen.len();
    bed.router()?.crash();
    bed.router()?.boot();
    bed.all_in(since).await?;
    bed.all_out(EDGE_ASN).await?;
    cells.met();
    Ok(())
}
