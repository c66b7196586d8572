//! How many neighbours (ARP, NDP) the kernel keeps: one table for all namespaces of the host together.
//!
//! **Invariant:** only read, and before a lab is entered: the limit is seen in the first network namespace alone.

use std::fs;

use super::{Feature, Finding, Need};

/// Enough for a lab of 500 connections, or several smaller ones.
const ENOUGH: u64 = 4096;

/// What is known of a family's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Table {
    family: &'static str,
    /// `gc_thresh3`: beyond it a packet to a new neighbour is dropped (arp(7)).
    limit: u64,
    /// Neighbours that are known now, of all namespaces.
    used: Option<u64>,
}

/// Whether a large lab finds room; to be called outside of it.
pub fn neighbours() -> Feature {
    let read = |family, cache: &str| {
        let path = format!("/proc/sys/net/{family}/neigh/default/gc_thresh3");
        let limit = fs::read_to_string(path).ok()?.trim().parse().ok()?;
        let counted = fs::read_to_string(format!("/proc/net/stat/{cache}"));
        Some(Table {
            family,
            limit,
            used: counted.ok().and_then(|text| entries(&text)),
        })
    };
    feature(&[read("ipv4", "arp_cache"), read("ipv6", "ndisc_cache")])
}

/// The first column of the first line below the heading, in hexadecimal; every CPU's line has the same.
fn entries(statistics: &str) -> Option<u64> {
    let line = statistics.lines().nth(1)?;
    u64::from_str_radix(line.split_whitespace().next()?, 16).ok()
}

fn feature(tables: &[Option<Table>]) -> Feature {
    let known: Vec<&Table> = tables.iter().flatten().collect();
    let words = |table: &&Table| {
        let used = table.used.map(|used| format!(", {used} in use"));
        let (family, limit) = (table.family, table.limit);
        format!("{limit} of {family}{}", used.unwrap_or_default())
    };
    let all = known.iter().map(words).collect::<Vec<_>>().join("; ");
    let room = |table: &&Table| table.limit.saturating_sub(table.used.unwrap_or(0));
    let finding = match known.iter().map(room).min() {
        None => Finding::Missing("the limit is not seen in this container".to_owned()),
        Some(room) if room < ENOUGH => {
            Finding::Missing(format!("{all}, for all namespaces of this host together"))
        }
        Some(_) => Finding::Present(all),
    };
    Feature {
        name: "neighbours",
        need: Need::Sometimes,
        finding,
        serves: "play labs of hundreds of connections: where the table is full, BFD and BGP fail in all labs of the host",
        remedy: format!(
            "`sysctl -w net.ipv4.neigh.default.gc_thresh3={big} net.ipv6.neigh.default.gc_thresh3={big}` as root of the host",
            big = 4 * ENOUGH
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_the_table() {
        let table = |family, limit, used| {
            Some(Table {
                family,
                limit,
                used,
            })
        };
        let cases: [(&[Option<Table>], Finding); 5] = [
            (
                &[table("ipv4", 1024, Some(12)), table("ipv6", 1024, None)],
                Finding::Missing(
                    "1024 of ipv4, 12 in use; 1024 of ipv6, for all namespaces of this host together".into(),
                ),
            ),
            (
                &[table("ipv4", 16384, Some(12)), None],
                Finding::Present("16384 of ipv4, 12 in use".into()),
            ),
            // What others use is not there for a lab.
            (
                &[table("ipv4", 8192, Some(8000))],
                Finding::Missing("8192 of ipv4, 8000 in use, for all namespaces of this host together".into()),
            ),
            (
                &[table("ipv4", 16, Some(20))],
                Finding::Missing("16 of ipv4, 20 in use, for all namespaces of this host together".into()),
            ),
            (
                &[None, None],
                Finding::Missing("the limit is not seen in this container".into()),
            ),
        ];
        for (tables, expected) in cases {
            assert_eq!(feature(tables).finding, expected);
        }
    }

    #[test]
    fn entries_stand_in_the_first_column() {
        let text =
            "entries  allocs   destroys\n0000001f 00000009 00000001\n0000001f 00000002 00000000\n";
        assert_eq!(entries(text), Some(31));
        assert_eq!(entries("entries\n"), None);
        assert_eq!(entries("entries\nxyz"), None);
    }
}
