//! A registered prefix or Peering Service prefix, and the result of its validation.

use std::fmt;

use ipnet::Ipv4Net;

use super::reason::{self, Kind, Reason};
use crate::record::{Fact, Failure, Message, Severity};
use crate::time::At;
use crate::topology::AfterVerified;

/// `prefixValidationState`. What only the enumeration has, and no text explains, is our reading (b.5 of the documents).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValidationState {
    /// Not created: a gate refused it.
    None,
    /// Not even a prefix.
    Invalid,
    /// All checks passed.
    Verified,
    /// A check failed.
    Failed,
    /// Waits for validation.
    Pending,
    /// It was verified, and now a check fails.
    Warning,
    /// Not decided: a registry that must be asked cannot be.
    Unknown,
}

impl ValidationState {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            ValidationState::None => "None",
            ValidationState::Invalid => "Invalid",
            ValidationState::Verified => "Verified",
            ValidationState::Failed => "Failed",
            ValidationState::Pending => "Pending",
            ValidationState::Warning => "Warning",
            ValidationState::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for ValidationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What belongs to one kind of object only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Parent {
    Peering {
        peering: String,
    },
    Service {
        service: String,
        provider: String,
        /// As given.
        key: String,
    },
}

/// A registered prefix or a Peering Service prefix.
#[derive(Debug, Clone)]
pub struct Object {
    /// As it was given.
    pub text: String,
    /// The same, unless it is `Invalid`.
    pub prefix: Option<Ipv4Net>,
    /// `prefixValidationState`.
    pub state: ValidationState,
    /// `peeringServicePrefixKey` of a registered prefix, once issued.
    pub key: Option<String>,
    /// All checks that did not pass, warnings and unchecked ones too, in the portal's order.
    pub failures: Vec<Failure>,
    /// `errorMessage`.
    pub message: Option<Message>,
    pub(super) parent: Parent,
    /// It passed once, and what that gave has not been taken back.
    pub(super) verified: bool,
    /// When it is validated.
    pub(super) due: Option<At>,
}

impl Object {
    pub(super) fn new(text: &str, prefix: Option<Ipv4Net>, parent: Parent) -> Object {
        Object {
            text: text.to_owned(),
            prefix,
            state: ValidationState::Pending,
            key: None,
            failures: Vec::new(),
            message: None,
            parent,
            verified: false,
            due: None,
        }
    }

    /// One that did not come as far as validation.
    pub(super) fn refused(
        text: &str,
        parent: Parent,
        state: ValidationState,
        failures: Vec<Failure>,
    ) -> Object {
        let mut object = Object::new(text, None, parent);
        object.state = state;
        object.message = reason::message(object.kind(), &failures);
        object.failures = failures;
        object
    }

    /// Which of the two it is.
    pub fn kind(&self) -> Kind {
        match self.parent {
            Parent::Peering { .. } => Kind::Registered,
            Parent::Service { .. } => Kind::Service,
        }
    }

    /// Its parent: the peering of a registered prefix, the service of a Peering Service prefix.
    pub fn parent(&self) -> &str {
        match &self.parent {
            Parent::Peering { peering, .. } => peering,
            Parent::Service { service, .. } => service,
        }
    }

    /// `learnedType` of a Peering Service prefix: through its provider while it is activated.
    pub fn learned_type(&self) -> &'static str {
        match self.verified {
            true => "ViaServiceProvider",
            false => "None",
        }
    }

    /// Whether a reason is among its failures.
    pub(super) fn has(&self, reason: Reason) -> bool {
        let name = reason.name();
        self.failures.iter().any(|failure| failure.reason == name)
    }

    /// Takes in the result of a validation. Says whether anything changed.
    pub(super) fn conclude(&mut self, failures: Vec<Failure>, after: AfterVerified) -> bool {
        let failed = failures
            .iter()
            .any(|failure| failure.severity == Severity::Fail);
        let undecided = failures.iter().any(reason::is_undecided);
        let state = match (failed, undecided, self.verified) {
            (true, _, false) => ValidationState::Failed,
            (true, _, true) => match after {
                AfterVerified::Warning => ValidationState::Warning,
                AfterVerified::Failed => ValidationState::Failed,
                AfterVerified::Stay => ValidationState::Verified,
            },
            // What was verified is not taken back because a registry fell silent.
            (false, true, false) => ValidationState::Unknown,
            (false, true, true) | (false, false, _) => ValidationState::Verified,
        };
        self.verified = matches!(state, ValidationState::Verified | ValidationState::Warning);
        let message = reason::message(self.kind(), &failures);
        let changed = (self.state, &self.failures, &self.message) != (state, &failures, &message);
        (self.state, self.failures, self.message) = (state, failures, message);
        changed
    }

    /// Back to the queue: what was not verified is `Pending` until it has been validated.
    pub(super) fn queue(&mut self) -> bool {
        if !matches!(
            self.state,
            ValidationState::Failed | ValidationState::Unknown
        ) {
            return false;
        }
        self.state = ValidationState::Pending;
        self.failures = Vec::new();
        self.message = None;
        true
    }

    /// What the record is told of it.
    pub(super) fn fact(&self) -> Fact {
        let prefix = self.text.clone();
        let state = self.state.name().to_owned();
        let failures = self.failures.clone();
        let message = self.message.clone();
        match &self.parent {
            Parent::Peering { peering, .. } => Fact::RegisteredPrefix {
                peering: peering.clone(),
                prefix,
                state,
                key: self.key.clone(),
                failures,
                message,
            },
            Parent::Service { service, .. } => Fact::ServicePrefix {
                service: service.clone(),
                prefix,
                state,
                learned_type: self.learned_type().to_owned(),
                failures,
                message,
            },
        }
    }
}
