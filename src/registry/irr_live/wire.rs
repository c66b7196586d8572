//! Answers of an IRRd: `A` with a length, the text and `C`; or `C`, `D`, `E`, `F` alone.

/// A longer answer is not taken.
const LONGEST: usize = 64 << 20;
/// A longer first line is none.
const LINE: usize = 1024;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Text.
    Text(String),
    /// Done (`C`) or no such key (`D`): there is nothing.
    Nothing,
    /// The server does not answer this (`F`, `E`, `%% `): its words.
    Refused(String),
}

/// What a server said is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Something else.
    #[error("`{0}` does not begin an answer of an IRRd")]
    NoAnswer(String),
    /// An answer is too long.
    #[error("an answer of {0} bytes, more than {LONGEST}")]
    TooLong(u64),
    /// The text is longer or shorter than was said.
    #[error("an answer does not end where it said it would")]
    NoEnd,
}

impl Reply {
    /// The wire form. A text ends with a line feed, which counts.
    pub fn write(&self) -> String {
        match self {
            Reply::Text(text) => {
                let text = text.trim_end_matches('\n');
                format!("A{}\n{text}\nC\n", text.len() + 1)
            }
            Reply::Nothing => "D\n".to_owned(),
            Reply::Refused(words) => format!("F {words}\n"),
        }
    }
}

/// Bytes that came and are not yet a whole answer.
#[derive(Debug, Default)]
pub struct Replies {
    buffer: Vec<u8>,
}

impl Replies {
    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole answer. After an error the stream cannot be read on.
    pub fn take(&mut self) -> Result<Option<Reply>, WireError> {
        let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
            return match self.buffer.len() {
                0..LINE => Ok(None),
                _ => Err(no_answer(&self.buffer)),
            };
        };
        let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let line = line.trim_end();
        let (reply, whole) = match line.split_at_checked(1) {
            Some(("A", length)) => {
                let length = length.parse().map_err(|_| no_answer(line.as_bytes()))?;
                match self.text(end + 1, length)? {
                    Some((text, whole)) => (Reply::Text(text), whole),
                    None => return Ok(None),
                }
            }
            Some(("C" | "D", "")) => (Reply::Nothing, end + 1),
            Some(("E" | "F", words)) => (Reply::Refused(printable(words)), end + 1),
            _ => return Err(no_answer(line.as_bytes())),
        };
        self.buffer.drain(..whole);
        Ok(Some(reply))
    }

    /// The text of this length at `start` with the `C` after it, and where both end.
    fn text(&self, start: usize, length: u64) -> Result<Option<(String, usize)>, WireError> {
        let Some(length) = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LONGEST)
        else {
            return Err(WireError::TooLong(length));
        };
        let rest = &self.buffer[start..];
        let Some((text, after)) = rest.split_at_checked(length) else {
            return Ok(None);
        };
        let end = match after {
            [b'C', b'\n', ..] => 2,
            [b'C', b'\r', b'\n', ..] => 3,
            [] | [b'C'] | [b'C', b'\r'] => return Ok(None),
            _ => return Err(WireError::NoEnd),
        };
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(Some((text, start + length + end)))
    }
}

fn no_answer(bytes: &[u8]) -> WireError {
    WireError::NoAnswer(printable(&String::from_utf8_lossy(bytes)))
}

/// The first words of a server, without what would disturb a terminal.
pub fn printable(words: &str) -> String {
    let plain = words.trim().chars().filter(|c| !c.is_control());
    plain.take(200).collect()
}

/// A whole answer of whois: objects, or a remark that there are none, or an error.
pub fn whois(text: &str) -> Reply {
    for line in text.lines() {
        let none = line.contains("No entries found") || line.contains("no entries found");
        if line.starts_with('%') && none {
            return Reply::Nothing;
        }
        // RIPE numbers its errors, IRRd has two signs.
        if line.starts_with("%ERROR:") || line.starts_with("%% ") {
            return Reply::Refused(printable(line.trim_start_matches('%')));
        }
    }
    match text.trim() {
        "" => Reply::Nothing,
        _ => Reply::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Reply>, WireError> {
        let mut replies = Replies::default();
        let mut found = Vec::new();
        for piece in bytes.chunks(piece.max(1)) {
            replies.push(piece);
            while let Some(reply) = replies.take()? {
                found.push(reply);
            }
        }
        Ok(found)
    }

    #[test]
    fn answers_are_read_however_they_are_cut() {
        let text = "C\nA14\n1.0.0.0/8\nC\nD\n\nC\n";
        let bytes = b"C\nA10\n10.0.0.0/8\nC\n";
        assert_eq!(
            read(bytes, 99),
            Err(WireError::NoEnd),
            "it is 11 long, {text}"
        );
        let bytes = b"C\nA11\n10.0.0.0/8\nC\nD\nF Unrecognised command\nE\nA4\nC\nD\nC\n";
        for piece in 1..bytes.len() {
            let replies = read(bytes, piece).expect("answers");
            assert_eq!(
                replies,
                [
                    Reply::Nothing,
                    Reply::Text("10.0.0.0/8\n".into()),
                    Reply::Nothing,
                    Reply::Refused("Unrecognised command".into()),
                    Reply::Refused(String::new()),
                    Reply::Text("C\nD\n".into()),
                ]
            );
        }
        for reply in [
            Reply::Text("a\n\nb\n".into()),
            Reply::Nothing,
            Reply::Refused("no".into()),
        ] {
            assert_eq!(read(reply.write().as_bytes(), 2), Ok(vec![reply]));
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\n"[..],
            b"A\nC\n",
            b"A-1\n",
            b"\n",
            b"Cx\n",
        ] {
            assert!(matches!(read(bytes, 99), Err(WireError::NoAnswer(_))));
        }
        assert!(matches!(
            read(&[b'x'; LINE], 99),
            Err(WireError::NoAnswer(_))
        ));
        let long = Err(WireError::TooLong(99_999_999_999));
        assert_eq!(read(b"A99999999999\n", 99), long);
    }

    #[test]
    fn whois_says_nothing_in_several_ways() {
        let none =
            "% This is RIPE\n\n%ERROR:101: no entries found\n%\n% No entries found in source\n";
        assert_eq!(whois(none), Reply::Nothing);
        assert_eq!(
            whois("%  No entries found for the selected source(s).\n\n\n"),
            Reply::Nothing
        );
        assert_eq!(whois("\n\n"), Reply::Nothing);
        let denied = Reply::Refused("ERROR:201: access denied for 192.0.2.1".into());
        assert_eq!(whois("%ERROR:201: access denied for 192.0.2.1\n"), denied);
        assert!(matches!(
            whois("% remark\n\nroute: 10.0.0.0/8\n"),
            Reply::Text(_)
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read(
            bytes in proptest::collection::vec(prop_oneof![Just(b'A'), Just(b'C'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..200),
            piece in 1usize..20,
        ) {
            let _ = read(&bytes, piece);
        }
    }
}
