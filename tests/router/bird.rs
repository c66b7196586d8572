//! A simulated router against BIRD 2, whoever calls first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Failed;
use peerlab::kernel::namespace::Namespace;

use super::{
    Bed, EDGE_ASN, PATIENCE, PEER_ASN, address, all, config, edge_prefixes, peer_prefixes,
    routes_of, run,
};

/// Who opens the connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    Bird,
    We,
    Both,
}

pub fn bird(calls: Calls) -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let folder = tempfile::tempdir()?;
        let bird = Bird::start(&bed.peer, folder.path(), calls != Calls::We)?;
        let edge = bed.start(config(true, |session| {
            session.passive = calls == Calls::Bird;
        }))?;
        bed.until_routes(true, &all(peer_prefixes(), &["l0", "l1"]))
            .await
            .map_err(|failed| bird.words(failed))?;
        // BIRD writes its kernel table a moment later, which no fact of ours tells.
        let wanted = all(edge_prefixes(), &["l0", "l1"]);
        let deadline = std::time::Instant::now() + PATIENCE;
        while bird_routes(&bed.peer)? != wanted {
            if std::time::Instant::now() > deadline {
                return Err(bird.words("BIRD's kernel routes never came".into()));
            }
            tokio::task::yield_now().await;
        }
        let shown = bird.ask("show route for 100.64.7.0/24 all")?;
        for words in ["BGP.as_path: 8075", "(8075,8007)"] {
            if !shown.contains(words) {
                return Err(format!("BIRD does not show {words}: {shown}").into());
            }
        }
        bird.kill()?;
        bed.until_routes(true, &BTreeMap::new()).await?;
        drop(edge);
        Ok(())
    })
}

/// The edge's routes as BIRD wrote them.
fn bird_routes(namespace: &Namespace) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    let mut routes = routes_of(namespace, "bird")?;
    routes.retain(|prefix, _| prefix.starts_with("100."));
    Ok(routes)
}

/// A BIRD in a namespace; killed when dropped.
struct Bird {
    child: Child,
    folder: PathBuf,
}

impl Bird {
    fn start(namespace: &Namespace, folder: &Path, active: bool) -> Result<Bird, Failed> {
        let mut text = String::from(
            "log stderr all;\nrouter id 10.0.0.0;\nprotocol device { scan time 10; }\n\
             protocol kernel { scan time 60; merge paths on limit 2; ipv4 { import none; export where source = RTS_BGP; }; }\n\
             protocol static { ipv4;\n",
        );
        for prefix in peer_prefixes() {
            text += &format!("  route {prefix} blackhole {{ bgp_community.add((64500,100)); }};\n");
        }
        text += "}\n";
        for link in 0..2 {
            text += &format!(
                "protocol bgp b{link} {{ local {} as {PEER_ASN}; neighbor {} as {EDGE_ASN}; {}connect delay time 1; \
                 connect retry time 1; error wait time 1,2; ipv4 {{ import all; export where source = RTS_STATIC; \
                 next hop self; }}; }}\n",
                address(link, false),
                address(link, true),
                if active { "" } else { "passive on; " },
            );
        }
        std::fs::write(folder.join("bird.conf"), text)?;
        let mut command = Command::new("bird");
        command
            .arg("-f")
            .arg("-c")
            .arg(folder.join("bird.conf"))
            .arg("-s")
            .arg(folder.join("ctl"))
            .stderr(Stdio::from(std::fs::File::create(folder.join("log"))?));
        Ok(Bird {
            child: namespace.spawn(command)?,
            folder: folder.to_owned(),
        })
    }

    fn ask(&self, question: &str) -> Result<String, Failed> {
        let output = Command::new("birdc")
            .arg("-s")
            .arg(self.folder.join("ctl"))
            .args(question.split(' '))
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A failure with what BIRD said.
    fn words(&self, failed: Failed) -> Failed {
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        format!("{}\nBIRD: {log}", failed.message().unwrap_or_default()).into()
    }

    fn kill(mut self) -> Result<(), Failed> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
