//! Names, and what is said between a command and a lab.

use nix::unistd::{Uid, geteuid};

use super::client::choose;
use super::{Kept, Name};

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
