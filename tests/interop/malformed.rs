//! What daemons make of malformed UPDATEs, each sent once over a session of IPv4: the document that says so is played anew.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use bytes::BytesMut;
use ipnet::IpNet;
use libtest_mimic::Failed;
use peerlab::bgp::attributes::Attributes;
use peerlab::bgp::family::Family;
use peerlab::bgp::message::malformed::{MALFORMATIONS, Malformation, write_malformed};
use peerlab::bgp::message::{Dialect, Framer, Message};
use peerlab::binding::Daemon;
use peerlab::record::Fact;
use peerlab::router::{Originated, OriginatedAttributes, Sessions};
use tokio::task::LocalSet;

use crate::bed::{Bed, SESSION};
use crate::daemons::{DUTS, Dut, EDGE_ASN, Wish};

const DOCUMENT: &str = "src/bgp/message/malformed-updates-in-daemons.md";

/// What it is called when the route stays.
const DISCARD: &str = "attribute discard";

/// The daemons of the document, in the order of its columns.
const DAEMONS: [Daemon; 2] = [Daemon::Bird, Daemon::Frr];

/// Those daemons; the document is theirs together.
pub fn duts() -> impl Iterator<Item = &'static Dut> {
    DAEMONS
        .iter()
        .flat_map(|daemon| DUTS.iter().find(|dut| dut.daemon == *daemon))
}

/// Why the document says nothing of the daemons of this machine, if so.
pub fn of_others() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let other = DAEMONS
        .iter()
        .map(|daemon| version(*daemon))
        .find(|it| !written.contains(it))?;
    let refresh = std::env::var_os("REFRESH").is_some();
    (!refresh).then(|| {
        format!("the document says nothing of {other}; scripts/interop --malformed writes it anew")
    })
}

/// Plays every malformation with every daemon and compares the document, which `REFRESH=1` writes anew.
pub fn the_document_is_true() -> Result<(), Failed> {
    let mut columns = Vec::new();
    for dut in duts() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let played = async {
            let mut bed = Bed::new(dut, Family::Ipv4Unicast)?;
            let played = treatments(&mut bed).await;
            bed.end().await;
            played
        };
        columns.push(LocalSet::new().block_on(&runtime, played)?);
    }
    let text = document(&columns);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    if std::env::var_os("REFRESH").is_some() {
        std::fs::write(&path, &text)?;
    }
    match std::fs::read_to_string(&path)? == text {
        true => Ok(()),
        false => Err(format!("REFRESH=1 writes it anew; seen was\n{text}").into()),
    }
}

/// All but those of attributes whose family the session does not carry, and IPv4 prefixes, whose family it does.
fn tried() -> impl Iterator<Item = &'static Malformation> {
    let fits = |m: &&Malformation| !m.name.starts_with("mp-") && m.name != "nlri-family";
    MALFORMATIONS.iter().filter(fits)
}

/// The route that is malformed.
fn broken() -> IpNet {
    "203.0.113.0/24".parse().expect("a prefix")
}

/// What the daemon does about each.
async fn treatments(bed: &mut Bed) -> Result<Vec<String>, Failed> {
    bed.edge(|_| {})?;
    bed.daemon(&Wish::over(bed.over)).await?;
    bed.all_in(0).await?;
    bed.all_out(EDGE_ASN).await?;
    let mut seen = Vec::new();
    for (malformation, n) in tried().zip(0..) {
        let treatment = treatment(bed, malformation, n).await;
        let told = |failed: Failed| {
            let why = failed.message().unwrap_or_default().to_owned();
            Failed::from(format!("{}: {why}", malformation.name))
        };
        seen.push(treatment.map_err(told)?);
    }
    Ok(seen)
}

async fn treatment(
    bed: &mut Bed,
    malformation: &'static Malformation,
    n: u8,
) -> Result<String, Failed> {
    // Heard after the malformed one, it tells that nothing more comes of that.
    let after: IpNet = format!("198.19.{n}.0/24").parse()?;
    bed.forget()?;
    let (since, sent) = (bed.seen.len(), updates(bed).await?);
    announce(bed, broken(), Some(malformation))?;
    bed.until("our malformed UPDATE", async |bed| {
        Ok(updates(bed).await? > sent)
    })
    .await?;
    announce(bed, after, None)?;
    let mut heard = Vec::new();
    bed.until("what the daemon does", async |bed| {
        heard = bed.heard().await.unwrap_or_default();
        Ok(lost(bed, since) || heard.iter().any(|route| route.prefix == after))
    })
    .await?;
    let is_lost = lost(bed, since);
    let treatment = if is_lost {
        bed.told("its NOTIFICATION", |wire| {
            !wire.received.notifications.is_empty()
        })
        .await?;
        let wire = bed.wire.as_ref().ok_or("the edge is not started")?;
        let (code, subcode) = wire.received.notifications[0];
        format!("session reset, {code}/{subcode}")
    } else if heard.iter().any(|route| route.prefix == broken()) {
        DISCARD.to_owned()
    } else {
        "treat-as-withdraw".to_owned()
    };
    for prefix in [broken(), after] {
        bed.router()?.withdraw(prefix, Sessions::All);
    }
    if is_lost {
        bed.established(since).await?;
    }
    bed.until("as before", async |bed| {
        let heard = bed.heard().await.unwrap_or_default();
        let has = |prefix| heard.iter().any(|route| route.prefix == prefix);
        Ok(heard.len() >= 280 && !has(broken()) && !has(after))
    })
    .await?;
    Ok(treatment)
}

fn announce(
    bed: &Bed,
    prefix: IpNet,
    malformed: Option<&'static Malformation>,
) -> Result<(), Failed> {
    bed.router()?.announce(Originated {
        prefix,
        attributes: OriginatedAttributes {
            malformed,
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    });
    Ok(())
}

/// UPDATEs we have sent.
async fn updates(bed: &Bed) -> Result<u64, Failed> {
    let router = bed.router()?;
    let asked =
        router.inspect(|router, _| Some(router.session_status(SESSION)?.counters.sent.update));
    Ok(asked.await.flatten().ok_or("the edge has ended")?)
}

fn lost(bed: &Bed, since: usize) -> bool {
    let lost = |fact: &Fact| matches!(fact, Fact::Bgp { state, .. } if state != "Established");
    bed.seen[since..].iter().any(|entry| lost(&entry.fact))
}

/// What the table prescribes on this session: what our own reader does.
fn prescribed(malformation: &'static Malformation) -> String {
    let dialect = Dialect::plain(false);
    let set = Attributes {
        as_path: vec![EDGE_ASN],
        ..Attributes::originated(std::net::Ipv4Addr::new(10, 0, 0, 1))
    };
    let mut out = BytesMut::new();
    write_malformed(&mut out, malformation, &set, &[broken().into()], dialect).expect("fits");
    let mut framer = Framer::default();
    framer.push(&out);
    match framer.next(dialect) {
        Err(notification) => format!(
            "session reset, {}/{}",
            notification.code, notification.subcode
        ),
        Ok(Some(Message::Update(update))) if update.announced.is_empty() => {
            "treat-as-withdraw".to_owned()
        }
        Ok(_) => DISCARD.to_owned(),
    }
}

fn document(columns: &[Vec<String>]) -> String {
    let names: Vec<String> = DAEMONS.iter().map(|daemon| version(*daemon)).collect();
    let mut rows = String::new();
    let mut differ = vec![0; columns.len()];
    for (n, malformation) in tried().enumerate() {
        let prescribed = prescribed(malformation);
        let mut cells = Vec::new();
        for (column, differ) in columns.iter().zip(&mut differ) {
            let same = column[n] == prescribed;
            *differ += usize::from(!same);
            cells.push(match column[n].as_str() {
                _ if same => "as prescribed",
                DISCARD => "the route stays",
                other => other,
            });
        }
        if cells.iter().any(|cell| *cell != "as prescribed") {
            let _ = writeln!(
                rows,
                "| `{}` | {prescribed} | {} |",
                malformation.name,
                cells.join(" | ")
            );
        }
    }
    let differ: Vec<String> = names
        .iter()
        .zip(differ)
        .map(|(name, count)| format!("{name} treats {count} otherwise"))
        .collect();
    format!(
        "# Malformed UPDATEs in daemons\n\n\
         What Debian's daemons do otherwise than [the table](malformed-updates.md) when our router sends them each malformed UPDATE\n\
         once, over an IPv4 session between speakers of four-octet AS numbers. Of {} malformations\n\
         {}; what is not listed is treated as the table says. Left out are those of MP_REACH_NLRI and MP_UNREACH_NLRI, whose family the session does not carry,\n\
         and `nlri-family`, as it carries that of the prefixes. `scripts/interop --malformed` plays them all and writes this.\n\n\
         FRR ends sessions, and with them all their routes: `bgp/malformed-mandatory-attributes` misses with it.\n\n\
         | malformation | prescribed | {} |\n|---|---|---|---|\n{rows}",
        tried().count(),
        differ.join(", and "),
        names.join(" | "),
    )
}

/// A daemon with its version: `BIRD 2.0.12`.
fn version(daemon: Daemon) -> String {
    let program = if daemon == Daemon::Frr {
        "vtysh"
    } else {
        "bird"
    };
    let argument = if daemon == Daemon::Frr {
        "--help"
    } else {
        "--version"
    };
    let output = Command::new(program)
        .arg(argument)
        .output()
        .expect("it is installed");
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let found = words
        .split_whitespace()
        .map(|word| word.trim_matches(['(', ')', '.']))
        .find(|word| number(word));
    format!("{daemon} {}", found.unwrap_or("of unknown version"))
}
