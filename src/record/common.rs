//! Words that many facts have in common: an UPDATE says the same of all its routes.
//!
//! **Invariant:** shared or not, they read and are written alike.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text or a list of texts that facts share. Cheap to clone.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Common<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Clone for Common<T> {
    fn clone(&self) -> Common<T> {
        Common(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Default for Common<T>
where
    Arc<T>: Default,
{
    fn default() -> Common<T> {
        Common(Arc::default())
    }
}

impl<T: ?Sized> Deref for Common<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl From<String> for Common<str> {
    fn from(text: String) -> Common<str> {
        Common(text.into())
    }
}

impl From<&str> for Common<str> {
    fn from(text: &str) -> Common<str> {
        Common(text.into())
    }
}

impl From<Vec<String>> for Common<[String]> {
    fn from(texts: Vec<String>) -> Common<[String]> {
        Common(texts.into())
    }
}

impl FromIterator<String> for Common<[String]> {
    fn from_iter<I: IntoIterator<Item = String>>(texts: I) -> Common<[String]> {
        Common(texts.into_iter().collect())
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: ?Sized + Serialize> Serialize for Common<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Common<str> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Common<str>, D::Error> {
        String::deserialize(deserializer).map(Common::from)
    }
}

impl<'de> Deserialize<'de> for Common<[String]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Common<[String]>, D::Error> {
        Vec::deserialize(deserializer).map(Common::from)
    }
}
