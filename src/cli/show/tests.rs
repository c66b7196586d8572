//! What people see, without its colours, in a terminal of 100 columns.

use super::{Page, RoutesOf, draw};
use crate::router::SessionIndex;
use crate::view::tests::{history, three_neighbours, two_edges, withholding};
use crate::view::{self, routes};

fn drawn(columns: Option<usize>, draw: impl FnOnce(&mut Page) -> std::io::Result<()>) -> String {
    let mut page = Page {
        columns,
        ..Page::new(false)
    };
    draw(&mut page).expect("memory takes everything");
    let text = String::from_utf8(page.text).expect("text");
    anstream::adapter::strip_str(&text).to_string()
}

#[test]
fn a_lab_in_tables() {
    let net = two_edges();
    let router = &net.routers[net.named("pe")];
    let text = drawn(Some(100), |page| {
        draw::sessions(page, &view::sessions(router))?;
        let session = view::session(router, SessionIndex(0), net.now).expect("a session");
        draw::session(page, &session)?;
        for prefix in ["198.18.0.0/24", "203.0.113.0/24"] {
            let route = view::route(router, &prefix.parse().expect("a prefix"));
            draw::route(page, &route.expect("a route"))?;
        }
        draw::policy(page, &view::policies(router, SessionIndex(0)).expect("two"))
    });
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_not_as_it_should_be() {
    let net = three_neighbours();
    let router = &net.routers[net.named("pe")];
    let history = history(&net);
    let text = drawn(Some(120), |page| {
        let told = |session: view::Session| session.told(&history, net.now);
        let sessions: Vec<_> = view::sessions(router).into_iter().map(told).collect();
        draw::sessions(page, &sessions)?;
        for session in [SessionIndex(0), SessionIndex(2)] {
            let session = view::session(router, session, net.now).expect("a session");
            draw::session(page, &session.told(&history, net.now))?;
        }
        let prefix = "198.18.0.0/24".parse().expect("a prefix");
        draw::route(page, &view::route(router, &prefix).expect("a route"))?;
        page.routes = RoutesOf::Other;
        let table = routes::Table::Advertised(SessionIndex(2));
        draw::routes(page, &routes::page(router, table, &[prefix]))?;
        page.widths.clear();
        page.routes = RoutesOf::Used;
        draw::routes(page, &routes::page(router, routes::Table::Used, &[prefix]))
    });
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_not_told_and_why() {
    let net = withholding();
    let router = &net.routers[net.named("pe")];
    let text = drawn(Some(100), |page| {
        let prefix = "198.18.0.0/24".parse().expect("a prefix");
        draw::route(page, &view::route(router, &prefix).expect("a route"))?;
        page.routes = RoutesOf::Refused;
        let table = routes::Table::Refused(SessionIndex(1));
        let own = "203.0.113.0/24".parse().expect("a prefix");
        draw::routes(page, &routes::page(router, table, &[prefix, own]))
    });
    insta::assert_snapshot!(text);
}

#[test]
fn long_sets_of_a_policy_are_cut_for_people_alone() {
    let all: Vec<String> = (0..10).map(|n| format!("20.0.{n}.0/24")).collect();
    let view = view::Policies {
        router: "pe".to_owned(),
        session: "ams-1".to_owned(),
        import: vec![format!("if prefix in {{ {} }} then accept", all.join(", "))],
        export: vec![
            "if not prefix in { } and prefix in { 10.0.0.0/8+ } then reject no".to_owned(),
        ],
    };
    let text = drawn(None, |page| draw::policy(page, &view));
    let short = format!(
        "if prefix in {{ {}, and 2 more }} then accept",
        all[..8].join(", ")
    );
    assert!(text.contains(&short), "{text}");
    assert!(text.contains(&view.export[0]), "{text}");
}

#[test]
fn pages_of_one_table_stand_under_one_heading() {
    let net = two_edges();
    let router = &net.routers[net.named("pe")];
    let text = drawn(Some(100), |page| {
        page.routes = RoutesOf::Used;
        for prefix in ["198.18.0.0/24", "198.18.1.0/24"] {
            let prefix = prefix.parse().expect("a prefix");
            draw::routes(page, &routes::page(router, routes::Table::Used, &[prefix]))?;
        }
        Ok(())
    });
    insta::assert_snapshot!(text);
}

#[test]
fn only_the_last_column_gives_way_and_only_on_a_terminal() {
    let mut table = super::table::Table::new(["a", "why"]);
    let words = "a reason that has more words than a narrow terminal has room for";
    table.row([super::table::number(7), super::table::text(words)]);
    let narrow = drawn(Some(30), |page| page.table(&table));
    let lines: Vec<&str> = narrow.lines().collect();
    assert!(
        lines.iter().all(|line| line.chars().count() <= 30),
        "{narrow}"
    );
    assert!(lines.len() > 3 && lines[2].starts_with("   "), "{narrow}");
    assert_eq!(drawn(None, |page| page.table(&table)).lines().count(), 2);
}
