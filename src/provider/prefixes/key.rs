//! `peeringServicePrefixKey`: a GUID for each registered prefix or ASN, the same in every run.
//!
//! Microsoft's keys cannot be foretold. Ours are made from the prefix or ASN alone, so that a scenario, its record and the
//! analysis of its routes without a lab agree: a UUID of version 8 (RFC 9562, section 5.8), whose bits are two rounds of
//! FNV-1a (128 bit) over its text.

use ipnet::Ipv4Net;

/// The key of a prefix, in lower case.
pub fn key(prefix: Ipv4Net) -> String {
    guid(&format!("peerlab registered prefix {prefix}"))
}

/// The key of a registered ASN, in lower case.
pub fn key_of_asn(asn: u32) -> String {
    guid(&format!("peerlab registered ASN {asn}"))
}

fn guid(text: &str) -> String {
    let hash = fnv(fnv(FNV_BASIS, text.as_bytes()), text.as_bytes());
    let bits = hash & !(0xf << 76) & !(0b11 << 62) | (8 << 76) | (0b10 << 62);
    let digits = format!("{bits:032x}");
    let mut guid = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            guid.push('-');
        }
        guid.push(digit);
    }
    guid
}

/// Whether two keys are the same GUID: the case of its digits, and space around it, do not count.
pub fn same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

const FNV_BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

fn fnv(start: u128, bytes: &[u8]) -> u128 {
    bytes.iter().fold(start, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_guids_one_for_each_prefix() {
        let mut seen = BTreeSet::new();
        for third in 0..=255u8 {
            for length in 24..=32 {
                let prefix = Ipv4Net::new([203, 0, third, 0].into(), length).expect("a length");
                let key = key(prefix);
                let parts: Vec<usize> = key.split('-').map(str::len).collect();
                assert_eq!(parts, [8, 4, 4, 4, 12], "{key}");
                assert_eq!(&key[14..15], "8", "{key}");
                assert!(matches!(&key[19..20], "8" | "9" | "a" | "b"), "{key}");
                assert!(seen.insert(key));
            }
        }
    }

    #[test]
    fn case_does_not_count() {
        let key = key("203.0.113.0/24".parse().expect("a prefix"));
        assert!(same(&key, &key.to_uppercase()));
        assert!(same(&format!(" {key}\n"), &key));
        assert!(!same(&key.replace('-', ""), &key));
        assert!(!same("", &key));
    }
}
