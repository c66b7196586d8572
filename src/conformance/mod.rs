//! What Microsoft asks of an interconnect: every requirement with its level, text, source and check.
//!
//! The texts are in our words; the sources are named by short keys, explained in [`SOURCES`].
//! Requirements are data: a scenario names the ids it proves, and a report lists them all, the unchecked ones too.
//!
//! **Invariant:** ids are unique; no code here looks at a network or a file.

mod catalogue;
#[cfg(test)]
mod tests;

pub use catalogue::SOURCES;

/// One requirement, recommendation or documented fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requirement {
    /// Its id, for example `BFD-01`.
    pub id: &'static str,
    /// How strongly Microsoft words it.
    pub level: Level,
    /// How certain it is that Microsoft says so for voice.
    pub certainty: Certainty,
    /// What it asks, in our words.
    pub text: &'static str,
    /// Keys of [`SOURCES`], separated by `; `.
    pub source: &'static str,
    /// How peerlab checks it today.
    pub check: Check,
}

/// How strongly a requirement is worded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// An obligation.
    Must,
    /// A prohibition.
    MustNot,
    /// A recommendation or an expectation.
    Should,
    /// Behaviour of Microsoft's side, which the lab plays.
    Fact,
}

/// How certain it is that a requirement holds for voice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// A Microsoft document or the public API definition says so.
    Documented,
    /// Only an older revision or the document of a sibling product says so.
    Older,
    /// Nothing is published; the value in the text is our proposal.
    Unpublished,
}

/// How peerlab checks a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// By reading the topology.
    Files,
    /// By playing the provisioning workflow.
    Provisioning,
    /// By a scenario on a lab that is up.
    Live,
    /// The lab behaves so, nobody is checked.
    Played,
    /// Not yet.
    NotYet,
}

/// All requirements, in the order of the documents.
pub fn all() -> impl Iterator<Item = &'static Requirement> {
    catalogue::SECTIONS
        .iter()
        .flat_map(|section| section.iter())
}

/// The requirement with this id, exactly as written.
pub fn find(id: &str) -> Option<&'static Requirement> {
    all().find(|requirement| requirement.id == id)
}

impl Level {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Level::Must => "must",
            Level::MustNot => "must not",
            Level::Should => "should",
            Level::Fact => "fact",
        }
    }
}

impl Check {
    /// The words for people.
    pub fn words(self) -> &'static str {
        match self {
            Check::Files => "from the files",
            Check::Provisioning => "from provisioning",
            Check::Live => "live",
            Check::Played => "played by the lab",
            Check::NotYet => "not yet checked",
        }
    }
}
