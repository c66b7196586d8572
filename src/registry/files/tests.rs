//! The shipped registries, and mistakes at their places.

use super::*;

#[test]
fn the_shipped_registries_say_what_the_topologies_need() {
    let folder = Path::new("topologies/registry");
    let irr = irr(&folder.join("contoso.rpsl")).expect("good");
    let vrps = vrps(&folder.join("contoso.vrps.json")).expect("good");
    for file in ["one-metro", "two-metros"] {
        let topology = Path::new("topologies").join(file).with_extension("toml");
        let topology = crate::topology::load(&topology).expect("good");
        let asn = topology.peer.asn;
        assert!(irr.aut_num(asn).is_some());
        for endpoint in &topology.endpoints {
            let routes = irr.route_objects(endpoint.prefix);
            assert!(
                routes.iter().any(|route| route.origin == asn),
                "{}",
                endpoint.prefix
            );
            let validation = vrps.validate(endpoint.prefix, Some(asn));
            assert_eq!(validation.validity.words(), "valid", "{}", endpoint.prefix);
        }
        let customers = irr.expand_as_set(&format!("AS{asn}:AS-CUSTOMERS"));
        assert!(customers.asns.contains(&asn) && customers.sets.len() == 2);
        assert!(customers.missing.is_empty() && customers.loops.is_empty());
    }
}

#[test]
fn a_mistake_is_shown_at_its_line() {
    let source = Source::new("a.json", "{\n  \"roas\": [\n    7 ] }");
    let mistake = vrps::read(&source.text).expect_err("wrong");
    let told = refused(&source, &mistake, "a note").to_string();
    assert!(told.contains("a.json:3:5"), "{told}");
}
