//! The links and settings of LAGs, for the tests of lines and for the benchmark of their data path.

use peerlab::lacp::{AGGREGATE_WAIT, LagConfig, PortConfig};
use peerlab::plan::{LinkEnd, Work};

/// Where one end of a LAG lies.
pub struct Side {
    pub router: String,
    /// Where its members end: a line card, or the router itself where that makes the LAG.
    pub card: String,
    /// Index of the LAG's interface at the router.
    pub index: u32,
    /// Index of the hidden end; the members have the next ones.
    pub hidden: u32,
}

impl Side {
    /// The link from the router to its card that stands for the LAG.
    pub fn uplink(&self, lag: &str) -> [Work; 2] {
        let name = format!("{lag}.0");
        [
            Work::Veth {
                a: end(&self.router, lag, self.index, None),
                b: end(&self.card, &name, self.hidden, None),
            },
            clsact(&self.card, &name),
        ]
    }

    /// What this end says of itself, and the indices of its members. It is fast, active and content with one member.
    pub fn config(&self, members: u32) -> (LagConfig, Vec<u32>) {
        let links: Vec<u32> = (1..=members).map(|n| self.hidden + n).collect();
        let ports = links.iter().zip(1..).map(|(link, number)| PortConfig {
            mac: mac(*link),
            number,
            priority: 128,
        });
        let config = LagConfig {
            system: mac(self.hidden),
            system_priority: 32768,
            key: 1,
            fast: true,
            active: true,
            min_links: 1,
            aggregate_wait: AGGREGATE_WAIT,
            ports: ports.collect(),
        };
        (config, links)
    }
}

/// The members of a LAG, up.
pub fn members(lag: &str, [a, b]: [&Side; 2], members: u32) -> Vec<Work> {
    let mut work = Vec::new();
    for n in 1..=members {
        let name = format!("{lag}.{n}");
        let at = |side: &Side| {
            let index = side.hidden + n;
            end(&side.card, &name, index, Some(mac(index)))
        };
        work.push(Work::Veth { a: at(a), b: at(b) });
        for side in [a, b] {
            work.push(clsact(&side.card, &name));
            work.push(up(&side.card, &name));
        }
    }
    work
}

/// The address of a link, or of a LAG by its hidden end.
fn mac(index: u32) -> [u8; 6] {
    let [_, _, high, low] = index.to_be_bytes();
    [2, 0, 0, 0, high, low]
}

pub fn end(namespace: &str, name: &str, index: u32, mac: Option<[u8; 6]>) -> LinkEnd {
    LinkEnd {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        index,
        mac,
    }
}

pub fn up(namespace: &str, link: &str) -> Work {
    Work::Up {
        namespace: namespace.to_owned(),
        link: link.to_owned(),
    }
}

fn clsact(namespace: &str, link: &str) -> Work {
    Work::Clsact {
        namespace: namespace.to_owned(),
        link: link.to_owned(),
    }
}
