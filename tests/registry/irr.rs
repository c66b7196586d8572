//! Routing registries: our client with our server in both protocols, and bgpq4 and whois with our server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::outside::Outside;
use peerlab::registry::irr::Irr;
use peerlab::registry::irr_live::driver::{Fetched, IrrError, Server, fetch};
use peerlab::registry::irr_live::{Dialect, Questions};
use peerlab::registry::rpsl::Object;
use peerlab::registry::service::{Place, Reach};
use peerlab::time::Clock;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::{Outcome, output, trial, with};

/// What an IRRd 4.5.4 was loaded with, and what it then answered to these questions.
const OBJECTS: &str = include_str!("../fixtures/irrd/objects.rpsl");
const ANSWERS: &str = include_str!("../fixtures/irrd/answers.json");
/// Environment variable with the address, outside, of an IRRd that was loaded with the same.
const IRRD: &str = "PEERLAB_TEST_IRRD";

pub fn trials(outside: &Arc<Outside>) -> Vec<Trial> {
    let outside = Arc::clone(outside);
    let irrd = trial("irr::our_client_asks_irrd", async move || {
        irrd(&outside).await
    });
    vec![
        if std::env::var_os(IRRD).is_some() {
            irrd
        } else {
            irrd.with_kind(format!(
                "{IRRD} names no IRRd, which needs PostgreSQL and Redis"
            ))
            .with_ignored_flag(true)
        },
        trial("irr::our_client_understands_irrd", recorded),
        trial("irr::our_registry_answers_as_irrd_does", same_answers),
        trial("irr::our_client_asks_our_registry", ours),
        trial("irr::what_is_no_registry_is_told", strangers),
        with("bgpq4", "irr::bgpq4_asks_our_registry", bgpq4),
        with("whois", "irr::whois_asks_our_registry", whois),
    ]
}

fn serve() -> Result<Server, Failed> {
    let place = Place::Here((Ipv4Addr::LOCALHOST, 0).into());
    Ok(Server::start(place, Arc::new(Irr::read(OBJECTS).0))?)
}

async fn ask(server: SocketAddr, dialect: Dialect) -> Result<Fetched, IrrError> {
    ask_over(&Reach::Here, server, dialect).await
}

async fn ask_over(
    reach: &Reach,
    server: SocketAddr,
    dialect: Dialect,
) -> Result<Fetched, IrrError> {
    let questions = Questions {
        asns: [64500, 64501].into(),
        prefixes: ["198.51.100.0/24".parse().expect("a prefix")].into(),
        as_sets: ["AS-CONTOSO".to_owned()].into(),
    };
    fetch(server, dialect, reach, &questions, Clock::start()).await
}

/// Everything that was loaded, by class and key, as IRRd tells it.
fn all(fetched: &Fetched) -> Result<(), Failed> {
    let keys = |irr: &Irr| -> Vec<String> {
        let key = |object: &Object| {
            let origin = object.first("origin").map(|origin| origin.value());
            format!("{} {} {origin:?}", object.class(), object.key())
        };
        irr.objects().map(key).collect()
    };
    assert_eq!(keys(&fetched.irr), keys(&Irr::read(OBJECTS).0));
    let expansion = fetched.irr.expand_as_set("AS-CONTOSO");
    assert_eq!(expansion.asns, [64500, 64501].into());
    assert!(fetched.notes.is_empty(), "{:?}", fetched.notes);
    Ok(())
}

/// Against a real one, over a socket made outside of this namespace.
async fn irrd(outside: &Arc<Outside>) -> Outcome {
    let server = std::env::var(IRRD)?.parse()?;
    let reach = Reach::Outside(Arc::clone(outside));
    for dialect in [Dialect::Irrd, Dialect::Whois] {
        all(&ask_over(&reach, server, dialect).await?)?;
    }
    Ok(())
}

fn answers() -> Result<Vec<(String, String)>, Failed> {
    Ok(serde_json::from_str(ANSWERS)?)
}

/// Against what a real one said.
async fn recorded() -> Outcome {
    let answers = answers()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let server = listener.local_addr()?;
    let play = async {
        loop {
            let (mut stream, _) = listener.accept().await?;
            let (read, mut write) = stream.split();
            let mut lines = BufReader::new(read).lines();
            while let Some(line) = lines.next_line().await? {
                // Who asks is told with a version.
                let line = if line.starts_with("!n") {
                    answers[0].0.clone()
                } else {
                    line
                };
                let found = answers.iter().find(|(question, _)| *question == line);
                match found {
                    Some((_, answer)) => write.write_all(answer.as_bytes()).await?,
                    None if line == "!!" => continue,
                    None if line == "!q" => break,
                    None => return Err::<(), Failed>(format!("not recorded: {line}").into()),
                }
                if !line.starts_with('!') {
                    break;
                }
            }
        }
    };
    let asking = async {
        for dialect in [Dialect::Irrd, Dialect::Whois] {
            all(&ask(server, dialect).await?)?;
        }
        Ok(())
    };
    tokio::select! {
        played = play => played,
        asked = asking => asked,
    }
}

/// Each question put to ours: the same bytes.
async fn same_answers() -> Outcome {
    let server = serve()?;
    for (question, answer) in answers()? {
        let mut stream = TcpStream::connect(server.address()).await?;
        stream.write_all(format!("{question}\n").as_bytes()).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        // IRRd writes members without the spaces they came with, keys without columns, and prefixes in any order.
        let plain = |text: &str| -> Vec<Vec<String>> {
            let text = text.replace(", ", ",");
            let length = |line: &str| line.starts_with('A') && line[1..].parse::<u32>().is_ok();
            let lines = text.lines().filter(|line| !length(line));
            let words = lines.map(|line| line.split_whitespace().map(str::to_owned));
            let sorted = words.map(|words| {
                let mut words = Vec::from_iter(words);
                words.sort();
                words
            });
            sorted.collect()
        };
        assert_eq!(plain(&said), plain(&answer), "{question}");
        // Lengths count, too.
        if question.starts_with('!') && !answer.contains(',') {
            assert_eq!(said.lines().next(), answer.lines().next(), "{question}");
        }
    }
    Ok(())
}

async fn ours() -> Outcome {
    let server = serve()?;
    for dialect in [Dialect::Irrd, Dialect::Whois] {
        let fetched = ask(server.address(), dialect).await?;
        assert_eq!(fetched.irr.to_string(), Irr::read(OBJECTS).0.to_string());
    }
    server.replace(Arc::new(Irr::default()));
    let fetched = ask(server.address(), Dialect::Irrd).await?;
    assert_eq!(fetched.irr, Irr::default());
    server.die().await;
    let error = ask(server.address(), Dialect::Irrd)
        .await
        .expect_err("it is dead");
    assert!(matches!(error, IrrError::Connect { .. }), "{error}");
    server.live().await?;
    ask(server.address(), Dialect::Whois).await?;
    Ok(())
}

/// Servers that say something else, too much, or hang up.
async fn strangers() -> Outcome {
    for (says, expected) in [
        ("HTTP/1.1 400 Bad Request\r\n", "does not begin an answer"),
        ("C\nF Access denied\n", "it refuses: Access denied"),
        ("C\n", "closed the connection"),
        ("C\nA99999999999\n", "bytes, more than"),
        ("C\nA2\nx\nD\n", "does not end where it said"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = listener.local_addr()?;
        let play = async {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(says.as_bytes()).await?;
            stream.shutdown().await?;
            let mut heard = Vec::new();
            // Closing with something unread would take back what was said.
            let _ = stream.read_to_end(&mut heard).await;
            Ok::<(), std::io::Error>(())
        };
        let (asked, played) = tokio::join!(ask(server, Dialect::Irrd), play);
        played?;
        let error = asked.expect_err(says).to_string();
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}

async fn bgpq4() -> Outcome {
    let server = serve()?;
    let host = server.address().to_string();
    let four = output(
        "bgpq4",
        &["-p", "-h", &host, "-4", "-l", "list", "AS-CONTOSO"],
    )
    .await?;
    assert!(four.contains("permit 198.51.100.0/24"), "{four}");
    assert!(four.contains("permit 203.0.113.0/24"), "{four}");
    let six = output("bgpq4", &["-p", "-h", &host, "-6", "-l", "list", "AS64500"]).await?;
    assert!(six.contains("permit 2001:db8::/32"), "{six}");
    let path = output("bgpq4", &["-p", "-h", &host, "-t", "-j", "AS-CONTOSO"]).await?;
    assert!(path.contains("64500") && path.contains("64501"), "{path}");
    let nobody = output("bgpq4", &["-p", "-h", &host, "-4", "-j", "AS64502"]).await?;
    assert!(!nobody.contains("prefix\":"), "{nobody}");
    Ok(())
}

async fn whois() -> Outcome {
    let server = serve()?;
    let port = server.address().port().to_string();
    let ask = async |question: &str| {
        output("whois", &["-h", "127.0.0.1", "-p", &port, "--", question]).await
    };
    let routes = ask("-T route -i origin AS64500").await?;
    assert!(
        routes.contains("198.51.100.0/24") && !routes.contains("2001:db8"),
        "{routes}"
    );
    assert!(ask("-x 203.0.113.0/24").await?.contains("AS64501"));
    Ok(())
}
