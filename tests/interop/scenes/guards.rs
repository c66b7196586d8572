//! What guards a connection: TCP MD5 and TTL security. What is dropped, the daemon's kernel counts.

use libtest_mimic::Failed;
use peerlab::router::Secret;

use super::Cells;
use crate::bed::Bed;
use crate::daemons::{EDGE_ASN, Wish};

/// With the same key on both sides there is a session; what we send with another, or without, is not heard.
pub async fn md5(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let key = "voice";
    let wish = Wish {
        md5: Some(key),
        ..Wish::over(bed.over)
    };
    if cells.refused(bed, &wish, "TCP MD5") {
        return Ok(());
    }
    let (right, wrong) = (Secret::new(key.as_bytes())?, Secret::new(b"choice")?);
    bed.daemon(&wish).await?;
    bed.edge(|session| session.md5 = Some(right.clone()))?;
    bed.all_in(0).await?;
    bed.all_out(EDGE_ASN).await?;
    for (key, counter) in [(Some(wrong), "TCPMD5Failure"), (None, "TCPMD5NotFound")] {
        bed.leave().await;
        let since = bed.seen.len();
        bed.edge(|session| session.md5 = key.clone())?;
        bed.drops(counter).await?;
        bed.never_established(since)?;
    }
    cells.met();
    Ok(())
}

/// With TTL 255 on both sides there is a session; what we send with our usual 1 is not heard.
pub async fn ttl_security(bed: &mut Bed, cells: &mut Cells) -> Result<(), Failed> {
    let wish = Wish {
        ttl: true,
        ..Wish::over(bed.over)
    };
    if cells.refused(bed, &wish, "TTL security") {
        return Ok(());
    }
    bed.daemon(&wish).await?;
    bed.edge(|session| session.ttl_security = Some(1))?;
    bed.all_in(0).await?;
    bed.all_out(EDGE_ASN).await?;
    bed.leave().await;
    let since = bed.seen.len();
    bed.edge(|_| {})?;
    if let Some(why) = bed.dut.lacks.near {
        bed.established(since).await?;
        cells.blocked(why);
        return Ok(());
    }
    bed.drops("TCPMinTTLDrop").await?;
    // OpenBGPD sets what it wants on a connection it has accepted: our OPEN may be heard before, and nothing after that.
    bed.until("none of our routes at the daemon", async |bed| {
        Ok(bed.heard().await.is_ok_and(|heard| heard.is_empty()))
    })
    .await?;
    cells.met();
    Ok(())
}
