//! A key that two neighbours share.
//!
//! **Invariant:** never printed, and equal to another in the time its length takes.

use std::fmt;
use std::sync::Arc;

/// A TCP MD5 key (RFC 2385): 1 to 80 bytes. `Debug` shows none of them.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

/// A key that the kernel would not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a TCP MD5 key has 1 to {max} bytes, not {found}")]
pub struct SecretError {
    /// How many bytes it has.
    pub found: usize,
    /// How many it can have.
    pub max: usize,
}

impl Secret {
    /// The most bytes a key can have (`TCP_MD5SIG_MAXKEYLEN`).
    pub const MAX: usize = 80;

    /// A key of these bytes.
    pub fn new(key: &[u8]) -> Result<Secret, SecretError> {
        match key.len() {
            1..=Secret::MAX => Ok(Secret(key.into())),
            found => Err(SecretError {
                found,
                max: Secret::MAX,
            }),
        }
    }

    /// Its bytes, for the kernel and nobody else.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        let differ = |(a, b): (&u8, &u8)| a ^ b;
        self.0.len() == other.0.len()
            && self
                .0
                .iter()
                .zip(&*other.0)
                .map(differ)
                .fold(0, |a, b| a | b)
                == 0
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new(b"hunter2").expect("a key");
        assert_eq!(format!("{:?}", Some(&secret)), "Some(Secret(…))");
        assert_eq!(secret.reveal(), b"hunter2");
        assert_ne!(secret, Secret::new(b"hunter3").expect("a key"));
        assert_eq!(Secret::new(b"").map_err(|e| e.found), Err(0));
        assert!(Secret::new(&[1; 81]).is_err());
    }
}
