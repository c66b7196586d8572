//! Registries that are servers, followed from the first answer on, over the network outside of a lab.
//!
//! Names are resolved before a lab is entered: inside there is nobody to ask.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::irr::Irr;
use super::irr_live::driver::fetch;
use super::irr_live::{Dialect, Questions};
use super::rtr::client::Event;
use super::rtr::driver;
use super::service::Reach;
use crate::bgp::origin_validation::VrpTable;
use crate::time::Clock;

/// From one answer of a routing registry, which tells no changes by itself, to the next question.
const AGAIN: Duration = Duration::from_secs(20);
/// From a failure to the next try.
const RETRY: Duration = Duration::from_secs(5);
/// Updates that wait to be taken.
const UPDATES: usize = 16;

/// Servers by `host:port`, and the way to them.
#[derive(Debug, Clone)]
pub struct Servers {
    reach: Reach,
    addresses: BTreeMap<String, Result<SocketAddr, String>>,
}

/// What became of a registry.
#[derive(Debug)]
pub struct Update<T> {
    /// What happened.
    pub event: Event,
    /// What it says now; `None` when it tells nothing, and what it said before is still used.
    pub said: Option<Arc<T>>,
    /// Serial number of an RTR cache.
    pub serial: Option<u32>,
    /// Details, for people.
    pub text: String,
}

impl Servers {
    /// Resolves names of servers, which takes as long as the system's resolver tries; to be asked from here.
    pub fn resolve(names: impl IntoIterator<Item = String>) -> Servers {
        let address = |name: &String| match name.to_socket_addrs() {
            Ok(mut found) => found
                .next()
                .ok_or_else(|| "its name has no address".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let names = names.into_iter();
        Servers {
            reach: Reach::Here,
            addresses: names.map(|name| (name.clone(), address(&name))).collect(),
        }
    }

    /// The same servers, asked in another way.
    #[must_use]
    pub fn over(self, reach: Reach) -> Servers {
        Servers { reach, ..self }
    }

    /// Follows an RTR cache until the receiver is dropped. Must be called in a tokio runtime with I/O and time.
    pub fn rpki(&self, server: &str, clock: Clock) -> mpsc::Receiver<Update<VrpTable>> {
        let (updates, taken) = mpsc::channel(UPDATES);
        match self.address(server) {
            Err(why) => tell_lost(&updates, why),
            Ok(address) => {
                let mut changes = driver::follow(address, self.reach.clone(), clock);
                tokio::spawn(until_closed(updates.clone(), async move {
                    while let Some(change) = changes.recv().await {
                        let told =
                            matches!(change.event, Event::Read | Event::Changed | Event::Back);
                        let update = Update {
                            event: change.event,
                            said: told.then_some(change.table),
                            serial: change.serial,
                            text: change.text,
                        };
                        if updates.send(update).await.is_err() {
                            return;
                        }
                    }
                }));
            }
        }
        taken
    }

    /// Asks a routing registry the same again and again until the receiver is dropped. Must be called in a tokio
    /// runtime with I/O and time.
    pub fn irr(
        &self,
        server: &str,
        dialect: Dialect,
        questions: Questions,
        clock: Clock,
    ) -> mpsc::Receiver<Update<Irr>> {
        let (updates, taken) = mpsc::channel(UPDATES);
        match self.address(server) {
            Err(why) => tell_lost(&updates, why),
            Ok(address) => {
                let reach = self.reach.clone();
                tokio::spawn(until_closed(updates.clone(), async move {
                    let mut follower = Follower::default();
                    loop {
                        let fetched = fetch(address, dialect, &reach, &questions, clock).await;
                        let fetched = fetched
                            .map(|fetched| (fetched.irr, fetched.notes.join("; ")))
                            .map_err(|error| format!("failed to {error}"));
                        let pause = if fetched.is_ok() { AGAIN } else { RETRY };
                        if let Some(update) = follower.take(fetched)
                            && updates.send(update).await.is_err()
                        {
                            return;
                        }
                        sleep(pause).await;
                    }
                }));
            }
        }
        taken
    }

    fn address(&self, server: &str) -> Result<SocketAddr, String> {
        let known = self.addresses.get(server).cloned();
        known.unwrap_or_else(|| Err("its name was not resolved".to_owned()))
    }
}

fn tell_lost<T>(updates: &mpsc::Sender<Update<T>>, why: String) {
    // There is room: it is the first.
    let _ = updates.try_send(Update {
        event: Event::Lost,
        said: None,
        serial: None,
        text: why,
    });
}

async fn until_closed<T>(updates: mpsc::Sender<Update<T>>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = updates.closed() => {}
    }
}

/// Which of a routing registry's answers are news.
#[derive(Debug, Default)]
struct Follower {
    known: Option<Arc<Irr>>,
    lost: bool,
}

impl Follower {
    fn take(&mut self, fetched: Result<(Irr, String), String>) -> Option<Update<Irr>> {
        let update = |event, said, text| Update {
            event,
            said,
            serial: None,
            text,
        };
        match fetched {
            Ok((irr, notes)) => {
                let lost = std::mem::take(&mut self.lost);
                let event = match &self.known {
                    None => Event::Read,
                    Some(_) if lost => Event::Back,
                    Some(known) if **known != irr => Event::Changed,
                    Some(_) => return None,
                };
                let irr = Arc::new(irr);
                self.known = Some(Arc::clone(&irr));
                Some(update(event, Some(irr), notes))
            }
            Err(_) if self.lost => None,
            Err(why) => {
                self.lost = true;
                Some(update(Event::Lost, None, why))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routing_registrys_answers_are_told_when_they_are_news() {
        let mut follower = Follower::default();
        let (one, _) = Irr::read("aut-num: AS64500\nsource: EXAMPLE\n");
        let mut take = |fetched: Result<&Irr, &str>| {
            let fetched = fetched.map(|irr| (irr.clone(), String::new()));
            let told = follower.take(fetched.map_err(str::to_owned));
            told.map(|update| (update.event, update.said.is_some()))
        };
        assert_eq!(take(Err("no")), Some((Event::Lost, false)));
        assert_eq!(take(Err("no")), None);
        assert_eq!(take(Ok(&one)), Some((Event::Read, true)));
        assert_eq!(take(Ok(&one)), None);
        assert_eq!(take(Ok(&Irr::default())), Some((Event::Changed, true)));
        assert_eq!(take(Err("no")), Some((Event::Lost, false)));
        assert_eq!(take(Ok(&one)), Some((Event::Back, true)));
    }

    #[tokio::test]
    async fn a_server_without_an_address_is_lost_from_the_start() {
        let servers = Servers::resolve(["no name:1".to_owned()]);
        let mut updates = servers.rpki("no name:1", Clock::start());
        let update = updates.recv().await.expect("that it is lost");
        assert_eq!(update.event, Event::Lost);
    }
}
