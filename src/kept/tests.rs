//! Names, and what is said between a command and a lab.

use nix::unistd::{Uid, geteuid};

use super::client::choose;
use super::{Destination, Kept, Name};

fn kept(uid: Uid, name: &str) -> Kept {
    let name = name.parse().expect("a name");
    Kept { uid, name }
}

#[test]
fn a_name_is_short_and_plain() {
    for good in ["one-metro", "a", "A_1.b"] {
        assert_eq!(good.parse::<Name>().expect(good).to_string(), good);
    }
    for bad in ["", "a/b", "ä", "a b", "a\0", &"x".repeat(65)] {
        assert!(bad.parse::<Name>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_lab_is_chosen_by_its_name_or_because_it_is_the_only_one() {
    let (own, other) = (geteuid(), Uid::from_raw(geteuid().as_raw() + 1));
    let there = vec![kept(own, "one-metro"), kept(own, "two"), kept(other, "two")];
    let found = |asked| choose(there.clone(), asked);
    assert_eq!(found(Some("two")).expect("own"), there[1]);
    let others = format!("{other}/two");
    assert_eq!(found(Some(&others)).expect("the other's"), there[2]);
    let help = |asked| found(asked).expect_err("none").help().expect("help");
    assert_eq!(help(Some("one-metr")), "did you mean `one-metro`?");
    assert!(help(Some("zzz")).starts_with("these are up: `one-metro`, `two`,"));
    assert!(help(None).starts_with("several are up, name one of them"));
    let only = vec![kept(own, "one-metro"), kept(other, "one-metro")];
    assert_eq!(
        choose(only.clone(), None).expect("the only one of one's own"),
        only[0]
    );
    assert_eq!(
        choose(only[1..].to_vec(), None).expect("the only one"),
        only[1]
    );
    let none = choose(Vec::new(), None).expect_err("none");
    assert!(none.help().expect("help").contains("peerlab up"));
}

#[test]
fn a_destination_is_a_prefix_or_an_address() {
    let read = |text: &str| text.parse::<Destination>();
    for prefix in ["198.51.100.0/24", "2001:db8::/32", "0.0.0.0/0"] {
        let expected = prefix.parse().expect("a prefix");
        assert_eq!(read(prefix), Ok(Destination::Prefix(expected)));
    }
    for address in ["198.51.100.7", "2001:db8::1"] {
        let expected = address.parse().expect("an address");
        assert_eq!(read(address), Ok(Destination::Address(expected)));
    }
    let help = |text: &str| read(text).expect_err("nothing of both");
    assert!(help("198.51.100.7/24").contains("198.51.100.0/24"));
    assert!(help("ams-1").starts_with("neither a prefix"));
}
