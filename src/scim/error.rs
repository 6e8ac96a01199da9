//! The errors of SCIM requests.

use std::borrow::Cow;

use crate::{administration::AdministrationError, store, users::ProvisioningError};

/// The reason why a request is refused or fails. The texts are for the log of the provider, and contain nothing of the request.
#[derive(Debug, thiserror::Error)]
pub enum ScimError {
    #[error("There is no such resource.")]
    NotFound,
    #[error("{0}")]
    InvalidFilter(Cow<'static, str>),
    #[error("{0}")]
    InvalidSyntax(Cow<'static, str>),
    #[error("{0}")]
    InvalidPath(Cow<'static, str>),
    #[error("{0}")]
    InvalidValue(Cow<'static, str>),
    #[error("The operation has no target.")]
    NoTarget,
    #[error("The attribute is read-only.")]
    Mutability,
    #[error("Another resource has the same {0}.")]
    Uniqueness(&'static str),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl ScimError {
    pub(super) fn filter(text: &'static str) -> Self {
        Self::InvalidFilter(Cow::Borrowed(text))
    }

    pub(super) fn path(text: &'static str) -> Self {
        Self::InvalidPath(Cow::Borrowed(text))
    }

    pub(super) fn value(text: impl Into<Cow<'static, str>>) -> Self {
        Self::InvalidValue(text.into())
    }

    pub fn syntax(text: &'static str) -> Self {
        Self::InvalidSyntax(Cow::Borrowed(text))
    }

    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::InvalidFilter(_) => "filter_invalid",
            Self::InvalidSyntax(_) => "syntax_invalid",
            Self::InvalidPath(_) | Self::NoTarget => "path_invalid",
            Self::InvalidValue(_) => "value_invalid",
            Self::Mutability => "attribute_read_only",
            Self::Uniqueness(_) => "value_not_unique",
            Self::Store(error) => error.reason(),
        }
    }
}

impl From<ProvisioningError> for ScimError {
    fn from(error: ProvisioningError) -> Self {
        match error {
            ProvisioningError::Taken => {
                Self::Uniqueness("userName, externalId or linked identity. Correct the attribute, or delete the other user first")
            }
            ProvisioningError::TooManyGroups => Self::value("A user can be a member of at most 1000 groups."),
            ProvisioningError::Store(error) => Self::Store(error),
        }
    }
}

impl From<AdministrationError> for ScimError {
    fn from(error: AdministrationError) -> Self {
        match error {
            AdministrationError::Store(error) => Self::Store(error),
            AdministrationError::NotFound | AdministrationError::Denied(_) | AdministrationError::DisabledByDirectory => {
                Self::NotFound
            }
        }
    }
}
