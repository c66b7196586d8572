//! RTR: our client with StayRTR, our cache with BIRD, rtrdump and rtrclient.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use peerlab::bgp::origin_validation::{Vrp, VrpTable};
use peerlab::registry::rtr::Intervals;
use peerlab::registry::rtr::client::{Event, Update};
use peerlab::registry::rtr::driver::{Server, follow};
use peerlab::registry::service::{Place, Reach};
use peerlab::time::Clock;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::Receiver;

use crate::{Outcome, PATIENCE, eventually, output, trial, with};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("rtr::our_client_follows_our_cache", ours),
        with(
            "stayrtr",
            "rtr::our_client_follows_stayrtr_version_0",
            async || stayrtr(0).await,
        ),
        with(
            "stayrtr",
            "rtr::our_client_follows_stayrtr_version_1",
            async || stayrtr(1).await,
        ),
        with(
            "stayrtr",
            "rtr::our_client_follows_stayrtr_version_2",
            async || stayrtr(2).await,
        ),
        with("bird", "rtr::bird_follows_our_cache", bird),
        with("rtrdump", "rtr::rtrdump_reads_our_cache", rtrdump),
        with("rtrclient", "rtr::rtrclient_reads_our_cache", rtrclient),
    ]
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
    Vrp {
        prefix: prefix.parse().expect("a prefix"),
        max_length,
        asn,
        trust_anchor: None,
    }
}

/// Two of IPv4 and one of IPv6.
fn first() -> Arc<VrpTable> {
    let vrps = [
        vrp("198.51.100.0/24", 24, 64500),
        vrp("203.0.113.0/24", 28, 64501),
        vrp("2001:db8::/32", 48, 64500),
    ];
    Arc::new(vrps.into_iter().collect())
}

/// One less, and another one more.
fn second() -> Arc<VrpTable> {
    let mut table = VrpTable::clone(&first());
    table.remove(&vrp("203.0.113.0/24", 28, 64501));
    table.insert(vrp("192.0.2.0/24", 24, 0));
    Arc::new(table)
}

fn serve(table: Arc<VrpTable>) -> Result<Server, Failed> {
    Ok(Server::start(
        Place::Here(LOOPBACK),
        table,
        Intervals::REHEARSAL,
        |_, _| {},
    )?)
}

async fn next(updates: &mut Receiver<Update>) -> Result<Update, Failed> {
    let update = tokio::time::timeout(PATIENCE, updates.recv()).await;
    let update = update.map_err(|_| "no update came")?;
    Ok(update.ok_or("the client ended")?)
}

async fn ours() -> Outcome {
    let server = serve(first())?;
    let mut updates = follow(server.address(), Reach::Here, Clock::start());
    let mut expect = async |event, table: Arc<VrpTable>| -> Outcome {
        let update = next(&mut updates).await?;
        assert_eq!(
            (update.event, &update.table),
            (event, &table),
            "{}",
            update.text
        );
        Ok(())
    };
    expect(Event::Read, first()).await?;
    assert!(server.replace(second()) && !server.replace(second()));
    expect(Event::Changed, second()).await?;
    server.die().await;
    expect(Event::Lost, second()).await?;
    server.replace(first());
    server.live().await?;
    expect(Event::Back, first()).await
}

/// A free port of the loopback, for a program that cannot tell which one it chose.
fn free_port() -> Result<u16, Failed> {
    Ok(TcpListener::bind(LOOPBACK)?.local_addr()?.port())
}

fn vrps_json(table: &VrpTable) -> String {
    let roas: Vec<_> = table
        .iter()
        .map(|vrp| {
            serde_json::json!({
                "asn": vrp.asn, "prefix": vrp.prefix.to_string(), "maxLength": vrp.max_length,
                "ta": "test", "expires": 4_000_000_000u32,
            })
        })
        .collect();
    serde_json::json!({ "roas": roas }).to_string()
}

async fn stayrtr(version: u8) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("vrps.json");
    fs::write(&file, vrps_json(&first()))?;
    let port = free_port()?;
    let start = || -> Result<Child, Failed> {
        let log = fs::File::create(folder.path().join("log"))?;
        Ok(Command::new("stayrtr")
            .args(["-checktime=false", "-metrics.addr", "", "-refresh", "1"])
            .args(["-protocol", &version.to_string()])
            .args(["-bind", &format!("127.0.0.1:{port}")])
            .arg("-cache")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?)
    };
    let play = async {
        let mut cache = start()?;
        let server = (Ipv4Addr::LOCALHOST, port).into();
        let mut updates = follow(server, Reach::Here, Clock::start());
        // It may need longer to start than we do.
        let mut read = next(&mut updates).await?;
        while read.event == Event::Lost {
            read = next(&mut updates).await?;
        }
        assert_eq!((read.event, read.table), (Event::Read, first()));
        let spoken = format!("version {}", version.min(1));
        assert!(read.text.ends_with(&spoken), "{}", read.text);
        fs::write(&file, vrps_json(&second()))?;
        let changed = next(&mut updates).await?;
        assert_eq!((changed.event, changed.table), (Event::Changed, second()));
        assert!(changed.serial > read.serial);
        cache.kill().await?;
        let lost = next(&mut updates).await?;
        assert_eq!((lost.event, lost.table), (Event::Lost, second()));
        let _cache = start()?;
        let back = next(&mut updates).await?;
        assert_eq!((back.event, back.table), (Event::Back, second()));
        Ok(())
    };
    play.await.map_err(|failed: Failed| {
        let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        format!("{}\nStayRTR: {log}", failed.message().unwrap_or_default()).into()
    })
}

/// Each VRP as BIRD shows it.
fn as_bird(table: &VrpTable) -> Vec<String> {
    let shown = |vrp: &Vrp| format!("{}-{} AS{}", vrp.prefix, vrp.max_length, vrp.asn);
    let mut all: Vec<String> = table.iter().map(shown).collect();
    all.sort();
    all
}

async fn bird() -> Outcome {
    let server = serve(first())?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let port = server.address().port();
    let text = format!(
        "router id 192.0.2.1;\nroa4 table r4;\nroa6 table r6;\nprotocol device {{}}\n\
         protocol rpki cache {{ roa4 {{ table r4; }}; roa6 {{ table r6; }}; remote 127.0.0.1 port {port};\n\
         retry keep 1; refresh keep 60; expire keep 600; }}\n"
    );
    fs::write(path("bird.conf"), text)?;
    let mut bird = Command::new("bird");
    bird.args(["-f", "-c", &path("bird.conf"), "-s", &path("ctl")]);
    let _bird = bird.kill_on_drop(true).spawn()?;
    let control = path("ctl");
    let has = async |what: &str, table: &VrpTable| -> Outcome {
        let wanted = as_bird(table);
        eventually(what, async || {
            let mut found = Vec::new();
            for table in ["r4", "r6"] {
                let question = ["-s", &control, "show", "route", "table", table];
                let text = output("birdc", &question).await.unwrap_or_default();
                let lines = text.lines().filter(|line| line.contains(" AS"));
                found.extend(lines.map(|line| {
                    let words: Vec<&str> = line.split_whitespace().take(2).collect();
                    words.join(" ")
                }));
            }
            found.sort();
            Ok((found == wanted).then_some(()))
        })
        .await
    };
    has("the first table", &first()).await?;
    server.replace(second());
    has("what was notified", &second()).await?;
    server.die().await;
    server.replace(first());
    server.live().await?;
    has("what a new session tells", &first()).await
}

async fn rtrdump() -> Outcome {
    let server = serve(first())?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("out.json");
    for version in ["0", "1"] {
        let connect = server.address().to_string();
        let file_name = file.to_string_lossy();
        let arguments = [
            "-connect",
            &connect,
            "-file",
            &file_name,
            "-rtr.version",
            version,
        ];
        output("rtrdump", &arguments).await?;
        let dumped: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        let roas = dumped["roas"].as_array().ok_or("roas")?;
        let mut found: Vec<String> = roas
            .iter()
            .map(|roa| {
                let asn = roa["asn"].to_string().replace(['"', 'A', 'S'], "");
                let prefix = roa["prefix"].as_str().unwrap_or_default();
                format!("{prefix}-{} AS{asn}", roa["maxLength"])
            })
            .collect();
        found.sort();
        assert_eq!(found, as_bird(&first()), "version {version}");
    }
    Ok(())
}

async fn rtrclient() -> Outcome {
    let server = serve(first())?;
    let port = server.address().port().to_string();
    let text = output("rtrclient", &["-e", "tcp", "127.0.0.1", &port]).await?;
    for word in ["198.51.100.0", "203.0.113.0", "2001:db8::", "64501"] {
        assert!(text.contains(word), "{text}");
    }
    Ok(())
}
