//! A set of prefixes, and of those inside them: looked up by hash, once for each length that occurs.

use std::fmt;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::bgp::prefix_map::PrefixMap;

/// A prefix, and how long the prefixes inside it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRange {
    /// The prefix.
    pub prefix: IpNet,
    /// Lengths of the prefixes meant; shorter ones than `prefix` do not occur, whatever is said here.
    pub lengths: RangeInclusive<u8>,
}

impl PrefixRange {
    /// The prefix itself.
    pub fn exact(prefix: impl Into<IpNet>) -> PrefixRange {
        let prefix = prefix.into();
        let length = prefix.prefix_len();
        PrefixRange {
            prefix,
            lengths: length..=length,
        }
    }

    /// The prefix and all inside it.
    pub fn or_longer(prefix: impl Into<IpNet>) -> PrefixRange {
        let prefix = prefix.into();
        PrefixRange {
            prefix,
            lengths: prefix.prefix_len()..=prefix.max_prefix_len(),
        }
    }
}

/// In the manner of BIRD: `198.51.100.0/24`, `10.0.0.0/8+`, `203.0.113.0/24{25,32}`.
impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, own) = (self.prefix, self.prefix.prefix_len());
        match (*self.lengths.start(), *self.lengths.end()) {
            (from, to) if from == own && to == own => write!(f, "{prefix}"),
            (from, to) if from == own && to == prefix.max_prefix_len() => write!(f, "{prefix}+"),
            (from, to) => write!(f, "{prefix}{{{from},{to}}}"),
        }
    }
}

/// A set of prefixes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PrefixSet {
    /// For each prefix the lengths allowed inside it.
    entries: PrefixMap<Lengths>,
    /// The lengths of the prefixes.
    ipv4: Lengths,
    ipv6: Lengths,
}

/// A set of prefix lengths, 0 to 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Lengths([u64; 3]);

impl Lengths {
    fn insert(&mut self, length: u8) {
        self.0[usize::from(length / 64)] |= 1 << (length % 64);
    }

    fn contains(self, length: u8) -> bool {
        self.0
            .get(usize::from(length / 64))
            .is_some_and(|word| word >> (length % 64) & 1 == 1)
    }

    fn up_to(self, longest: u8) -> impl Iterator<Item = u8> {
        (0..=longest).filter(move |length| self.contains(*length))
    }
}

impl PrefixSet {
    /// Adds prefixes; host bits do not count.
    pub fn insert(&mut self, range: &PrefixRange) {
        let own = range.prefix.prefix_len();
        let longest = range.prefix.max_prefix_len().min(*range.lengths.end());
        let shortest = own.max(*range.lengths.start());
        if shortest > longest {
            return;
        }
        let entry = self
            .entries
            .get_or_insert_with(range.prefix.trunc(), Lengths::default);
        for length in shortest..=longest {
            entry.insert(length);
        }
        match range.prefix {
            IpNet::V4(_) => self.ipv4.insert(own),
            IpNet::V6(_) => self.ipv6.insert(own),
        }
    }

    /// Whether a prefix is in the set.
    pub fn contains(&self, prefix: impl Into<IpNet>) -> bool {
        let prefix = prefix.into();
        let length = prefix.prefix_len();
        let lengths = match prefix {
            IpNet::V4(_) => self.ipv4,
            IpNet::V6(_) => self.ipv6,
        };
        lengths.up_to(length).any(|shorter| {
            let around = IpNet::new(prefix.addr(), shorter).ok();
            let allowed = around.and_then(|around| self.entries.get(&around.trunc()));
            allowed.is_some_and(|allowed| allowed.contains(length))
        })
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

impl<P: Into<IpNet>> FromIterator<P> for PrefixSet {
    /// Exactly these.
    fn from_iter<I: IntoIterator<Item = P>>(prefixes: I) -> PrefixSet {
        prefixes.into_iter().map(PrefixRange::exact).collect()
    }
}

/// In the manner of BIRD: `{ 10.0.0.0/8+, 198.51.100.0/24, 203.0.113.0/24{25,32} }`, in order.
impl fmt::Display for PrefixSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<(IpNet, Lengths)> =
            self.entries.iter().map(|(p, l)| (p, *l)).collect();
        if entries.is_empty() {
            return f.write_str("{ }");
        }
        entries.sort();
        let texts: Vec<String> = entries
            .iter()
            .flat_map(|(prefix, lengths)| {
                let prefix = *prefix;
                let ranges = runs(*lengths).map(move |lengths| PrefixRange { prefix, lengths });
                ranges.map(|range| range.to_string())
            })
            .collect();
        write!(f, "{{ {} }}", texts.join(", "))
    }
}

/// The runs of lengths that are in the set.
fn runs(set: Lengths) -> impl Iterator<Item = RangeInclusive<u8>> {
    (0..=128_u8)
        .filter(move |&at| set.contains(at) && (at == 0 || !set.contains(at - 1)))
        .map(move |from| {
            let last = (from..=128).take_while(|&at| set.contains(at)).last();
            from..=last.unwrap_or(from)
        })
}
