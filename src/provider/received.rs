//! A route as an edge received it, before any policy.

use std::fmt;
use std::str::FromStr;

/// The attributes of a received route that matter to Microsoft's checks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ReceivedRoute {
    /// AS_PATH as received: nearest AS first.
    pub as_path: AsPath,
    /// COMMUNITIES (RFC 1997), large (RFC 8092) and extended (RFC 4360) communities as people write them, in the order
    /// received: `8075:8007`, `8075:8007:0`, `rt:8075:8007`.
    pub communities: Vec<String>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
}

/// An AS path (RFC 4271, section 4.3): segments, nearest AS first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AsPath(pub Vec<Segment>);

/// A segment of an AS path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// AS_SEQUENCE.
    Sequence(Vec<u32>),
    /// AS_SET, deprecated by RFC 9774.
    Set(Vec<u32>),
}

impl Segment {
    /// Its AS numbers.
    pub fn asns(&self) -> &[u32] {
        match self {
            Segment::Sequence(asns) | Segment::Set(asns) => asns,
        }
    }
}

impl AsPath {
    /// A path of one sequence.
    pub fn sequence(asns: impl IntoIterator<Item = u32>) -> AsPath {
        AsPath(vec![Segment::Sequence(asns.into_iter().collect())])
    }

    /// Its length as RFC 4271, section 9.1.2.2 counts: an AS_SET counts 1.
    pub fn length(&self) -> usize {
        let of = |segment: &Segment| match segment {
            Segment::Sequence(asns) => asns.len(),
            Segment::Set(_) => 1,
        };
        self.0.iter().map(of).sum()
    }

    /// All AS numbers in it, nearest first.
    pub fn asns(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(Segment::asns).copied()
    }

    /// Whether it has an AS_SET.
    pub fn has_set(&self) -> bool {
        self.0.iter().any(|s| matches!(s, Segment::Set(_)))
    }

    /// The AS the route comes from (RFC 6811, section 2): the last of the path, none if an AS_SET ends it.
    pub fn origin(&self) -> Option<u32> {
        match self.0.last()? {
            Segment::Sequence(asns) => asns.last().copied(),
            Segment::Set(_) => None,
        }
    }

    /// The ASes the route may come from: the origin, or all of the AS_SET that ends the path.
    pub fn origins(&self) -> &[u32] {
        match self.0.last() {
            Some(Segment::Sequence(asns)) => &asns[asns.len().saturating_sub(1)..],
            Some(Segment::Set(asns)) => asns,
            None => &[],
        }
    }
}

/// As `64500 64501 {64502,64503}`.
impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for segment in &self.0 {
            match segment {
                Segment::Sequence(asns) => {
                    for asn in asns {
                        write!(f, "{space}{asn}")?;
                        space = " ";
                    }
                }
                Segment::Set(asns) => {
                    let words: Vec<String> = asns.iter().map(u32::to_string).collect();
                    write!(f, "{space}{{{}}}", words.join(","))?;
                    space = " ";
                }
            }
        }
        Ok(())
    }
}

/// The text is no AS path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{0}` as an AS path")]
pub struct NotAnAsPath(pub String);

impl FromStr for AsPath {
    type Err = NotAnAsPath;

    fn from_str(text: &str) -> Result<AsPath, NotAnAsPath> {
        let wrong = || NotAnAsPath(text.to_owned());
        let mut path = AsPath::default();
        for word in text.split_whitespace() {
            if let Some(inner) = word.strip_prefix('{') {
                let inner = inner.strip_suffix('}').ok_or_else(wrong)?;
                let asns: Result<Vec<u32>, _> = inner.split(',').map(str::parse).collect();
                path.0.push(Segment::Set(asns.map_err(|_| wrong())?));
                continue;
            }
            let asn: u32 = word.parse().map_err(|_| wrong())?;
            match path.0.last_mut() {
                Some(Segment::Sequence(asns)) => asns.push(asn),
                Some(Segment::Set(_)) | None => path.0.push(Segment::Sequence(vec![asn])),
            }
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_they_are_written() {
        for (text, length, origin) in [
            ("", 0, None),
            ("64500", 1, Some(64500)),
            ("64500 64500 64501", 3, Some(64501)),
            ("64500 {64501,64502}", 2, None),
            ("64500 {64501,64502} 64503", 3, Some(64503)),
        ] {
            let path: AsPath = text.parse().expect(text);
            assert_eq!(path.to_string(), text);
            assert_eq!((path.length(), path.origin()), (length, origin), "{text}");
        }
        for text in ["64500 x", "{64500", "64500 {1 2}", "4294967296", "{}"] {
            assert!(text.parse::<AsPath>().is_err(), "{text}");
        }
    }
}
