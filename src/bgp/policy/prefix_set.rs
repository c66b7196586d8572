//! A set of prefixes, and of those inside them: looked up by hash, once for each length that occurs.

use std::fmt;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;

use crate::bgp::hash::Map;

/// A prefix, and how long the prefixes inside it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRange {
    /// The prefix.
    pub prefix: Ipv4Net,
    /// Lengths of the prefixes meant; shorter ones than `prefix` do not occur, whatever is said here.
    pub lengths: RangeInclusive<u8>,
}

impl PrefixRange {
    /// The prefix itself.
    pub fn exact(prefix: Ipv4Net) -> PrefixRange {
        let length = prefix.prefix_len();
        PrefixRange {
            prefix,
            lengths: length..=length,
        }
    }

    /// The prefix and all inside it.
    pub fn or_longer(prefix: Ipv4Net) -> PrefixRange {
        PrefixRange {
            prefix,
            lengths: prefix.prefix_len()..=32,
        }
    }
}

/// A set of prefixes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PrefixSet {
    /// For each prefix the lengths allowed inside it, as bits.
    entries: Map<Ipv4Net, u64>,
    /// The lengths of the prefixes, as bits.
    lengths: u64,
}

impl PrefixSet {
    /// Adds prefixes; host bits do not count.
    pub fn insert(&mut self, range: &PrefixRange) {
        let lengths =
            (*range.lengths.start()).max(range.prefix.prefix_len())..=*range.lengths.end();
        let bits = lengths
            .filter(|length| *length <= 32)
            .fold(0, |bits, length| bits | 1_u64 << length);
        if bits != 0 {
            *self.entries.entry(range.prefix.trunc()).or_default() |= bits;
            self.lengths |= 1 << range.prefix.prefix_len();
        }
    }

    /// Whether a prefix is in the set.
    pub fn contains(&self, prefix: Ipv4Net) -> bool {
        let length = prefix.prefix_len();
        let mut shorter = self.lengths & ((1 << (length + 1)) - 1);
        while shorter != 0 {
            let next = shorter.trailing_zeros();
            shorter &= shorter - 1;
            let allowed = Ipv4Net::new(prefix.addr(), next as u8)
                .ok()
                .and_then(|around| self.entries.get(&around.trunc()));
            if allowed.is_some_and(|bits| bits >> length & 1 == 1) {
                return true;
            }
        }
        false
    }

    /// Number of prefixes that were added, those inside not counted.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<PrefixRange> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = PrefixRange>>(ranges: I) -> PrefixSet {
        let mut set = PrefixSet::default();
        for range in ranges {
            set.insert(&range);
        }
        set
    }
}

impl FromIterator<Ipv4Net> for PrefixSet {
    /// Exactly these.
    fn from_iter<I: IntoIterator<Item = Ipv4Net>>(prefixes: I) -> PrefixSet {
        prefixes.into_iter().map(PrefixRange::exact).collect()
    }
}

/// Prefixes told before the rest is only counted.
const SHOWN: usize = 8;

/// In the manner of BIRD: `{ 10.0.0.0/8+, 198.51.100.0/24, 203.0.113.0/24{25,32} }`, in order.
impl fmt::Display for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<(&Ipv4Net, &u64)> = self.entries.iter().collect();
        entries.sort();
        let texts: Vec<String> = entries
            .iter()
            .take(SHOWN)
            .flat_map(|(prefix, bits)| runs(**bits).map(|run| text(**prefix, &run)))
            .collect();
        write!(f, "{{ {}", texts.join(", "))?;
        if let Some(more) = entries.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            write!(f, ", and {more} more")?;
        }
        f.write_str(" }")
    }
}

/// The runs of bits that are set.
fn runs(bits: u64) -> impl Iterator<Item = RangeInclusive<u8>> {
    let is_set = move |bit: u8| bits >> bit & 1 == 1;
    (0..=32_u8)
        .filter(move |&bit| is_set(bit) && (bit == 0 || !is_set(bit - 1)))
        .map(move |from| {
            from..=(from..=32)
                .take_while(|&bit| is_set(bit))
                .last()
                .unwrap_or(from)
        })
}

fn text(prefix: Ipv4Net, lengths: &RangeInclusive<u8>) -> String {
    let own = prefix.prefix_len();
    match (*lengths.start(), *lengths.end()) {
        (from, to) if from == own && to == own => prefix.to_string(),
        (from, 32) if from == own => format!("{prefix}+"),
        (from, to) => format!("{prefix}{{{from},{to}}}"),
    }
}
