//! Tables fed with messages as the kernel writes them.

use super::*;

const PREFIX: &str = "198.51.100.0/24";

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

fn link(index: u32, name: &str, flags: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend([0; 4]);
    body.extend(attribute(IFLA_IFNAME, format!("{name}\0").as_bytes()));
    body
}

fn route(metric: u32, route_type: u8, rest: Vec<u8>) -> Vec<u8> {
    let mut body = vec![2, 24, 0, 0, 254, 16, 0, route_type, 0, 0, 0, 0];
    body.extend(attribute(RTA_DST, &[198, 51, 100, 0]));
    body.extend(number(RTA_TABLE, RT_TABLE_MAIN));
    body.extend(number(RTA_PRIORITY, metric));
    body.extend(rest);
    body
}

fn equal_paths(paths: &[(u32, u8)]) -> Vec<u8> {
    let mut value = Vec::new();
    for (interface, flags) in paths {
        let gateway = attribute(5, &[192, 0, 2, 1]);
        value.extend(((8 + gateway.len()) as u16).to_ne_bytes());
        value.extend([*flags, 0]);
        value.extend(interface.to_ne_bytes());
        value.extend(gateway);
    }
    attribute(RTA_MULTIPATH, &value)
}

fn next_hop(id: u32, rest: Vec<u8>) -> Vec<u8> {
    let mut body = vec![2, 0, 0, 0, 0, 0, 0, 0];
    body.extend(number(NHA_ID, id));
    body.extend(rest);
    body
}

fn group(members: &[u32]) -> Vec<u8> {
    let mut value = Vec::new();
    for member in members {
        value.extend(member.to_ne_bytes());
        value.extend([0; 4]);
    }
    attribute(NHA_GROUP, &value)
}

fn table() -> Table {
    let mut table = Table::new(&[PREFIX.parse().expect("a prefix")]);
    for (index, name) in [(11, "ams-2"), (12, "ams-1"), (13, "inside")] {
        table.handle(RTM_NEWLINK, &link(index, name, IFF_UP | IFF_LOWER_UP));
    }
    table
}

/// Handles a message; gives the interfaces told afterwards.
fn told(table: &mut Table, message_type: u16, body: &[u8]) -> Option<Vec<String>> {
    assert_eq!(table.handle(message_type, body), Meaning::default());
    table.changes().pop().map(|(_, via)| via)
}

fn names(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn the_lowest_metric_is_in_force() {
    let mut table = table();
    let fallback = route(1000, RTN_UNICAST, number(RTA_OIF, 13));
    let best = route(20, RTN_UNICAST, equal_paths(&[(11, 0), (12, 0)]));
    assert_eq!(
        told(&mut table, RTM_NEWROUTE, &fallback),
        names(&["inside"])
    );
    assert_eq!(
        told(&mut table, RTM_NEWROUTE, &best),
        names(&["ams-1", "ams-2"])
    );
    assert_eq!(
        told(&mut table, RTM_NEWROUTE, &best),
        None,
        "nothing changed"
    );
    let dead = route(20, RTN_UNICAST, equal_paths(&[(11, RTNH_F_DEAD), (12, 0)]));
    assert_eq!(told(&mut table, RTM_NEWROUTE, &dead), names(&["ams-1"]));
    assert_eq!(told(&mut table, RTM_DELROUTE, &best), names(&["inside"]));
    assert_eq!(told(&mut table, RTM_DELROUTE, &fallback), names(&[]));
}

#[test]
fn one_replaced_group_moves_its_routes() {
    let mut table = table();
    for (id, interface) in [(1, 11), (2, 12)] {
        let hop = next_hop(id, number(NHA_OIF, interface));
        assert_eq!(told(&mut table, RTM_NEWNEXTHOP, &hop), None);
    }
    told(&mut table, RTM_NEWNEXTHOP, &next_hop(9, group(&[1, 2])));
    let mut rest = number(RTA_NH_ID, 9);
    rest.extend(equal_paths(&[(11, 0), (12, 0)]));
    let best = route(20, RTN_UNICAST, rest);
    assert_eq!(
        told(&mut table, RTM_NEWROUTE, &best),
        names(&["ams-1", "ams-2"])
    );
    let smaller = next_hop(9, group(&[2]));
    assert_eq!(
        told(&mut table, RTM_NEWNEXTHOP, &smaller),
        names(&["ams-1"])
    );
    let gone = table.handle(RTM_DELNEXTHOP, &next_hop(9, Vec::new()));
    assert!(gone.stale, "its routes go without an event");
}

#[test]
fn what_is_not_watched_changes_nothing() {
    let mut table = table();
    let other_table = {
        let mut body = vec![2, 24, 0, 0, 255, 16, 0, RTN_UNICAST, 0, 0, 0, 0];
        body.extend(attribute(RTA_DST, &[198, 51, 100, 0]));
        body.extend(number(RTA_OIF, 11));
        body
    };
    assert_eq!(told(&mut table, RTM_NEWROUTE, &other_table), None);
    let mut longer = route(0, RTN_UNICAST, number(RTA_OIF, 11));
    longer[1] = 25;
    assert_eq!(told(&mut table, RTM_NEWROUTE, &longer), None);
    let blackhole = route(0, 6, Vec::new());
    assert_eq!(
        told(&mut table, RTM_NEWROUTE, &blackhole),
        None,
        "still no interface"
    );
}

#[test]
fn carrier_is_told_once_each_way_and_loss_may_take_routes() {
    let mut table = table();
    let down = link(11, "ams-2", IFF_UP);
    let lost = Meaning {
        carrier: Some(("ams-2".into(), false)),
        stale: true,
    };
    assert_eq!(table.handle(RTM_NEWLINK, &down), lost);
    assert_eq!(table.handle(RTM_NEWLINK, &down), Meaning::default());
    let up = link(11, "ams-2", IFF_UP | IFF_LOWER_UP);
    let gained = Meaning {
        carrier: Some(("ams-2".into(), true)),
        stale: false,
    };
    assert_eq!(table.handle(RTM_NEWLINK, &up), gained);
    assert_eq!(table.handle(RTM_DELLINK, &up), lost);
}

#[test]
fn forgetting_tells_what_is_gone() {
    let mut table = table();
    let best = route(20, RTN_UNICAST, number(RTA_OIF, 11));
    assert_eq!(told(&mut table, RTM_NEWROUTE, &best), names(&["ams-2"]));
    table.forget_routes();
    assert_eq!(table.changes().len(), 1);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_survived(message_type in 0..120_u16, body in proptest::collection::vec(0..255_u8, 0..200)) {
        table().handle(message_type, &body);
    }

    #[test]
    fn any_attributes_are_survived(
        message_type in proptest::sample::select(vec![RTM_NEWLINK, RTM_NEWROUTE, RTM_NEWNEXTHOP]),
        head in proptest::collection::vec(0..255_u8, 8..17),
        attributes in proptest::collection::vec((0..40_u16, proptest::collection::vec(0..255_u8, 0..24)), 0..6),
    ) {
        let mut body = head;
        for (kind, value) in attributes {
            body.extend(attribute(kind, &value));
        }
        table().handle(message_type, &body);
    }
}
