//! What a scene waits for: facts, what the daemon says, what goes over the wire.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;

use ipnet::IpNet;
use libtest_mimic::Failed;
use peerlab::record::{Entry, Fact};
use peerlab::router::Direction;
use tokio::time::timeout;

use crate::bed::{Bed, PATIENCE, SESSION};
use crate::routes::{Heard, difference, ours, ours_heard, theirs_heard};

impl Bed {
    /// Waits until something holds, looking at facts and asking the daemon again and again.
    pub async fn until(
        &mut self,
        what: &str,
        mut holds: impl AsyncFnMut(&Bed) -> Result<bool, Failed>,
    ) -> Result<(), Failed> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            while let Ok(entry) = self.facts.try_recv() {
                self.seen.push(entry);
            }
            if holds(self).await? {
                return Ok(());
            }
            let ended = |entry: &Entry| matches!(&entry.fact, Fact::Device { event, .. } if event == "exited");
            if self.device.is_some() && self.seen.iter().any(ended) {
                return Err(format!("the daemon ended: {}", self.words()).into());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("never came: {what}; {}", self.words()).into());
            }
            // The next fact, or soon: a daemon does not tell when its table changes.
            if let Ok(Some(entry)) = timeout(Duration::from_millis(20), self.facts.recv()).await {
                self.seen.push(entry);
            }
        }
    }

    /// Waits for a fact after `since` facts.
    pub async fn fact(
        &mut self,
        what: &str,
        since: usize,
        is: impl Fn(&Fact) -> bool,
    ) -> Result<(), Failed> {
        self.until(what, async |bed| {
            Ok(bed.seen[since..].iter().any(|entry| is(&entry.fact)))
        })
        .await
    }

    /// Waits for the session after `since` facts.
    pub async fn established(&mut self, since: usize) -> Result<(), Failed> {
        self.fact(
            "Established",
            since,
            |fact| matches!(fact, Fact::Bgp { state, .. } if state == "Established"),
        )
        .await
    }

    /// Nothing was established after `since` facts.
    pub fn never_established(&self, since: usize) -> Result<(), Failed> {
        let established = |entry: &Entry| matches!(&entry.fact, Fact::Bgp { state, .. } if state == "Established");
        match self.seen[since..].iter().find(|entry| established(entry)) {
            Some(entry) => Err(format!("there is a session: {entry:?}").into()),
            None => Ok(()),
        }
    }

    /// Waits until the session is lost after `since` facts, and tells why.
    pub async fn why_idle(&mut self, since: usize) -> Result<String, Failed> {
        let idle = |fact: &Fact| match fact {
            Fact::Bgp { state, why, .. } if state == "Idle" => Some(why.clone()),
            _ => None,
        };
        self.fact("the end of the session", since, |fact| idle(fact).is_some())
            .await?;
        let found = self.seen[since..]
            .iter()
            .find_map(|entry| idle(&entry.fact));
        Ok(found.ok_or("it was seen")?)
    }

    /// Waits until the daemon writes a line with these words after `since` facts, and returns them with what follows.
    pub async fn says(&mut self, words: &str, since: usize) -> Result<String, Failed> {
        let line = |fact: &Fact| match fact {
            Fact::Device { text, .. } => text.find(words).map(|place| text[place..].to_owned()),
            _ => None,
        };
        self.fact(words, since, |fact| line(fact).is_some()).await?;
        let found = self.seen[since..]
            .iter()
            .find_map(|entry| line(&entry.fact));
        Ok(found.ok_or("it was seen")?)
    }

    /// Waits until the kernel drops segments of ours where the daemon is, by one of its counters (`nstat`).
    pub async fn drops(&mut self, counter: &str) -> Result<(), Failed> {
        let before = self.counter(counter)?;
        self.until(counter, async |bed| Ok(bed.counter(counter)? > before))
            .await
    }

    /// A counter of /proc/net/netstat: a line of names, then one of numbers.
    fn counter(&self, name: &str) -> Result<u64, Failed> {
        let read = || std::fs::read_to_string("/proc/thread-self/net/netstat");
        let text = self.peer.run(read)??;
        let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
        let (names, numbers) = lines.next().zip(lines.next()).ok_or("no TcpExt")?;
        let mut both = names.split(' ').zip(numbers.split(' '));
        let found = both
            .find(|(found, _)| *found == name)
            .ok_or("no such counter")?;
        Ok(found.1.parse()?)
    }

    /// Waits until the daemon has our 280 routes and no others, each with this path and its communities.
    pub async fn all_out(&mut self, path: impl Display) -> Result<(), Failed> {
        let wanted = ours_heard(self.wish.carries, &path.to_string());
        let mut differs = String::new();
        let came = self.until("our routes at the daemon", async |bed| {
            let heard = bed.heard().await.unwrap_or_default();
            let difference = difference(&heard, &wanted);
            differs = difference.clone().unwrap_or_default();
            Ok(difference.is_none())
        });
        let came = came.await;
        came.map_err(|failed| with(&differs, &failed))
    }

    /// Waits until we were told, after `since` facts, the daemon's 10 routes and no others of its own, each with its path and communities.
    pub async fn all_in(&mut self, since: usize) -> Result<(), Failed> {
        let own: BTreeSet<IpNet> = ours(self.wish.carries).into_iter().collect();
        let wanted = theirs_heard(self.wish.carries, &self.wish.asn.to_string());
        let mut differs = String::new();
        let came = self.until("10 routes at the edge", async |bed| {
            let mut received = received(&bed.seen[since..]);
            // FRR tells us our own routes, too, which we refuse as a loop.
            received.retain(|route| !own.contains(&route.prefix));
            let difference = difference(&received, &wanted);
            differs = difference.clone().unwrap_or_default();
            Ok(difference.is_none())
        });
        let came = came.await;
        came.map_err(|failed| with(&differs, &failed))
    }

    /// Waits until something holds for what went over the wire since it was forgotten last.
    pub async fn told(
        &mut self,
        what: &str,
        holds: impl Fn(&crate::wire::Wire) -> bool,
    ) -> Result<(), Failed> {
        let mut wire = self.wire.take().ok_or("the edge is not started")?;
        let came = self.until(what, async |_| {
            wire.listen();
            Ok(holds(&wire))
        });
        let came = came.await;
        self.wire = Some(wire);
        came
    }

    /// Counts what goes over the wire from here.
    pub fn forget(&mut self) -> Result<(), Failed> {
        self.wire
            .as_mut()
            .ok_or("the edge is not started")?
            .forget();
        Ok(())
    }

    /// Who opened the connection of the session.
    pub async fn opened_by(&self) -> Result<Option<Direction>, Failed> {
        let router = self.router()?;
        let asked = router.inspect(|router, _| router.session_status(SESSION)?.opened_by);
        Ok(asked.await.ok_or("the edge has ended")?)
    }

    /// The last facts, for a failure.
    fn words(&self) -> String {
        let tells = |entry: &&Entry| {
            let told = &entry.fact;
            matches!(
                told,
                Fact::Bgp { .. } | Fact::Bfd { .. } | Fact::Device { .. }
            )
        };
        let last: Vec<&Entry> = self.seen.iter().filter(tells).rev().take(25).collect();
        let facts = last.iter().rev().map(|entry| format!("\n{:?}", entry.fact));
        let facts: Vec<String> = facts.collect();
        format!("last facts: {}", facts.join("; "))
    }
}

/// The routes that were told, as they were told last.
fn received(seen: &[Entry]) -> Vec<Heard> {
    let told = seen.iter().filter_map(|entry| match &entry.fact {
        Fact::RouteReceived {
            prefix,
            as_path,
            communities,
            ..
        } => Some(Heard {
            prefix: *prefix,
            path: as_path.to_string(),
            communities: communities.iter().cloned().collect::<BTreeSet<_>>(),
        }),
        _ => None,
    });
    told.collect()
}

fn with(difference: &str, failed: &Failed) -> Failed {
    format!("{difference}; {}", failed.message().unwrap_or_default()).into()
}
