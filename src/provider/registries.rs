//! What the routing registries are known to say, and since when; or that they cannot be asked.

use std::sync::Arc;

use crate::bgp::origin_validation::VrpTable;
use crate::registry::irr::Irr;
use crate::time::At;

/// The registries the Microsoft side asks. One that is `None` was never configured: its checks are told as unchecked.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Routing registries.
    pub irr: Option<Known<Irr>>,
    /// Validated ROA payloads.
    pub rpki: Option<Known<VrpTable>>,
}

impl Registries {
    /// What the RPKI says, if it says anything.
    pub fn vrps(&self) -> Option<&Arc<VrpTable>> {
        self.rpki.as_ref()?.data.as_ref()
    }
}

/// What a registry said.
#[derive(Debug, Clone)]
pub struct Known<T> {
    /// The file or server.
    pub source: String,
    /// What it said last; `None` when it never answered, or when its answer has expired.
    pub data: Option<Arc<T>>,
    /// Why it cannot be asked any more, if so.
    pub lost: Option<String>,
    /// When it said so last.
    pub at: At,
}

impl<T> Known<T> {
    /// What a source says at a moment.
    pub fn new(source: impl Into<String>, data: Arc<T>, at: At) -> Known<T> {
        Known {
            source: source.into(),
            data: Some(data),
            lost: None,
            at,
        }
    }

    /// A source that never answered, or whose answer has expired.
    pub fn unavailable(source: impl Into<String>, why: impl Into<String>, at: At) -> Known<T> {
        Known {
            source: source.into(),
            data: None,
            lost: Some(why.into()),
            at,
        }
    }
}
