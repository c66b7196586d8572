//! Path attributes.

/// A large community (RFC 8092).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LargeCommunity {
    /// Global Administrator, an AS number.
    pub global: u32,
    /// Local Data Part 1.
    pub local_1: u32,
    /// Local Data Part 2.
    pub local_2: u32,
}

/// ORIGIN (RFC 4271, section 5.1.1); the lower one is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Origin {
    /// Interior to the originating AS.
    #[default]
    Igp,
    /// Learned by EGP.
    Egp,
    /// By other means.
    Incomplete,
}
