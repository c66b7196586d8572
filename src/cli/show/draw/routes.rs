//! Routes in lines, and one of them in full.

use std::io::{self, Write};

use super::{Facts, next_hop};
use crate::cli::show::Page;
use crate::cli::show::table::{BOLD, Table, Tone, number, text, toned};
use crate::view::{Candidate, Direction, Route, RouteDetail, Standing, Withheld};

/// A line for each route; the last column is what the table is about.
pub fn routes(page: &mut Page, view: &[Route]) -> io::Result<()> {
    let what = page.routes;
    let heading: [&'static str; 7] = match what {
        RoutesOf::Used => [
            "prefix",
            "next hop",
            "from",
            "pref",
            "MED",
            "AS path",
            "chosen as",
        ],
        RoutesOf::Refused => [
            "prefix",
            "next hop",
            "communities",
            "direction",
            "MED",
            "AS path",
            "refused",
        ],
        RoutesOf::Other => [
            "prefix",
            "next hop",
            "id",
            "pref",
            "MED",
            "AS path",
            "communities",
        ],
    };
    let mut table = Table::new(heading).going_on(&page.widths);
    for route in view {
        let attributes = route.attributes.as_ref();
        let hops = match route.next_hops.is_empty() {
            true => attributes.map(next_hop).unwrap_or_default(),
            false => route.next_hops.join(", "),
        };
        let path = attributes.map(|a| match a.as_path.as_str() {
            "" => "internal".to_owned(),
            path => path.to_owned(),
        });
        let communities = attributes.map(|a| a.communities.join(" "));
        let communities = communities.unwrap_or_default();
        let number_of = |of: Option<u32>| number(of.map(|n| n.to_string()).unwrap_or_default());
        let mut reason = route.reason.clone().unwrap_or_default();
        if let Some(fault) = &route.fault {
            reason = format!("{reason}, {fault}");
        }
        if what == RoutesOf::Used && route.next_hops.len() > 1 {
            reason = format!("{reason}; {} are used", route.next_hops.len());
        }
        let preference = number_of(attributes.and_then(|a| a.local_pref));
        let (third, fourth, last) = match what {
            RoutesOf::Used => {
                let from = route.from.clone().unwrap_or_default();
                (text(from), preference, text(reason))
            }
            RoutesOf::Refused => {
                let direction = match route.direction {
                    Some(Direction::Export) => "export",
                    Some(Direction::Import) | None => "import",
                };
                if let Some(rpki) = &route.rpki {
                    reason = format!("{reason}; RPKI {}", rpki.words());
                }
                let reason = toned(reason, Tone::Uneasy);
                (text(communities), text(direction), reason)
            }
            RoutesOf::Other => (number_of(route.path_id), preference, text(communities)),
        };
        table.row([
            match route.stale {
                true => toned(format!("{} stale", route.prefix), Tone::Uneasy),
                false => text(route.prefix.to_string()),
            },
            text(hops),
            third,
            fourth,
            number_of(attributes.and_then(|a| a.med)),
            text(path.unwrap_or_default()),
            last,
        ]);
    }
    page.widths = table.write(&mut page.text, page.columns)?;
    Ok(())
}

/// Which routes are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutesOf {
    /// Loc-RIB.
    Used,
    /// Refused ones.
    Refused,
    /// Adj-RIB-In or Adj-RIB-Out.
    Other,
}

/// One route with everything about it.
pub fn route(page: &mut Page, view: &RouteDetail) -> io::Result<()> {
    writeln!(
        page.text,
        "{BOLD}{}{BOLD:#} in {}",
        view.prefix, view.router
    )?;
    if !view.next_hops.is_empty() {
        writeln!(
            page.text,
            "  in the kernel over {}",
            view.next_hops.join(", ")
        )?;
    }
    if !view.originated_on.is_empty() {
        writeln!(
            page.text,
            "  originated here, towards {}",
            view.originated_on.join(", ")
        )?;
    }
    for candidate in &view.candidates {
        draw_candidate(page, candidate)?;
    }
    for told in &view.advertised {
        let id = told.path_id.map(|id| format!(", path {id}"));
        let id = id.unwrap_or_default();
        let mut facts = Facts::new(&format!("advertised on {}{id}", told.session));
        facts.attributes(&told.attributes);
        writeln!(page.text)?;
        facts.write(page)?;
    }
    if !view.withheld.is_empty() {
        writeln!(page.text)?;
    }
    for Withheld {
        session,
        path_id,
        reason,
    } in &view.withheld
    {
        let id = path_id.map(|id| format!(", path {id}"));
        let id = id.unwrap_or_default();
        writeln!(page.text, "not told on {session}{id}: {reason}")?;
    }
    Ok(())
}

fn draw_candidate(page: &mut Page, candidate: &Candidate) -> io::Result<()> {
    let tone = match candidate.standing {
        Standing::Best | Standing::Equal => Tone::Good,
        Standing::Lost => Tone::Dim,
        Standing::Unreachable | Standing::Refused => Tone::Uneasy,
    };
    let id = candidate.path_id.map(|id| format!(", path {id}"));
    let title = format!(
        "via {} ({}{})",
        candidate.session,
        candidate.neighbour,
        id.unwrap_or_default()
    );
    let mut facts = Facts::new(&title);
    let standing = match candidate.standing {
        Standing::Best => "best",
        Standing::Equal => "used, too",
        Standing::Lost | Standing::Unreachable | Standing::Refused => "not used",
    };
    facts.toned(standing, candidate.why.clone(), tone);
    if candidate.stale {
        facts.toned(
            "stale",
            "not told again since its session was lost, or a refresh began".to_owned(),
            Tone::Uneasy,
        );
    }
    if let Some(rpki) = &candidate.rpki {
        facts.add("RPKI", rpki.words());
    }
    if let Some(attributes) = &candidate.attributes {
        facts.attributes(attributes);
    }
    if let Some(received) = &candidate.as_received {
        let mut before = Facts::new("");
        before.attributes(received);
        let used = facts.lines.clone();
        for (name, text, _) in before.lines {
            if !used.iter().any(|(n, t, _)| *n == name && *t == text) {
                facts.toned(&format!("{name} came as"), text, Tone::Dim);
            }
        }
    }
    writeln!(page.text)?;
    facts.write(page)
}
