//! Why a call of the JSON API is refused.

use super::fields::FieldError;
use crate::{
    administration::PeopleError,
    api_keys::KeysError,
    check::{AuthenticationError, AuthenticationFailure},
    http::role_map::ExplanationError,
    local_accounts::{ChangeError, ClaimError, InviteError, SignInError},
    login::BeginError,
    rate_limits::RateLimitError,
    store,
};

#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum ApiError {
    #[error("authentication failed")]
    Authentication(AuthenticationError),
    #[error("a change by cookie that is not from our own page")]
    ForeignOrigin,
    #[error("the sign-in is not fresh")]
    StaleSignIn,
    #[error("the body is not JSON")]
    NotJson,
    #[error("the body is too large")]
    TooLarge,
    #[error("the body did not arrive in time")]
    Slow,
    #[error("the request is malformed")]
    Malformed,
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("not an administrator")]
    NotAdministrator,
    #[error("the key is not for managing people")]
    NotManagingPeople,
    #[error("only in person")]
    NotInPerson,
    #[error("there are no local accounts")]
    NoLocalAccounts,
    #[error(transparent)]
    Invite(#[from] InviteError),
    #[error(transparent)]
    People(#[from] PeopleError),
    #[error(transparent)]
    SignIn(#[from] SignInError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Password(#[from] ChangeError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Ask(#[from] ExplanationError),
    #[error("there is no such session")]
    NoSession,
    #[error("no such provider is configured")]
    NoProvider,
    #[error("there is no such identity")]
    NoIdentity,
    #[error("it is the only identity")]
    LastIdentity,
    #[error("a login can't begin: {0}")]
    Begin(#[from] BeginError),
    #[error("a query where none is read")]
    Query,
    #[error("too many requests from one address")]
    RateLimited(RateLimitError),
    #[error("there is nothing at this address")]
    NotFound,
    #[error("the method is not one of this address")]
    Method,
    #[error("a handler panicked")]
    Panicked,
}

impl ApiError {
    /// The stable token for the `reason` field of log events.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Authentication(AuthenticationError::Unauthenticated(why)) => why.reason(),
            Self::Authentication(AuthenticationError::Unavailable(_)) => "store_unavailable",
            Self::ForeignOrigin => "foreign_origin",
            Self::StaleSignIn => "sign_in_not_recent",
            Self::NotJson => "body_not_json",
            Self::TooLarge => "body_too_large",
            Self::Slow => "body_timeout",
            Self::Malformed => "malformed_query_or_form",
            Self::Field(_) => "field_invalid",
            Self::Keys(error) => error.reason(),
            Self::NotAdministrator => "not_administrator",
            Self::NotManagingPeople => "key_cannot_manage_users",
            Self::NotInPerson => "session_required",
            Self::NoLocalAccounts => "no_local_accounts",
            Self::Invite(error) => error.reason(),
            Self::People(error) => error.reason(),
            Self::SignIn(error) => error.reason(),
            Self::Claim(error) => error.reason(),
            Self::Password(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Ask(error) => error.reason(),
            Self::NoSession => "session_not_found",
            Self::NoProvider => "unknown_provider",
            Self::NoIdentity => "identity_not_found",
            Self::LastIdentity => "last_identity",
            Self::Begin(error) => error.reason(),
            Self::Query => "query_not_allowed",
            Self::RateLimited(_) => "rate_limit_exceeded",
            Self::NotFound => "not_found",
            Self::Method => "method_not_allowed",
            Self::Panicked => "handler_panicked",
        }
    }

    pub(in crate::http) fn missing(field: &'static str) -> Self {
        Self::Field(FieldError::Value(field, "is required"))
    }

    /// For the log; nothing in it is anybody's secret.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::Authentication(AuthenticationError::Unauthenticated(why)) => format!("{why:?}"),
            Self::Authentication(AuthenticationError::Unavailable(cause)) => cause.to_string(),
            other => other.to_string(),
        }
    }

    /// Whether whoever refused it has said so in the log, with more than is known here.
    pub(super) fn is_logged(&self) -> bool {
        matches!(self, Self::SignIn(_) | Self::Claim(_) | Self::RateLimited(_))
    }

    /// Whether it is for want of a credential, and not because one is wrong.
    pub(in crate::http) fn wants_credential(&self) -> bool {
        matches!(self, Self::Authentication(AuthenticationError::Unauthenticated(AuthenticationFailure::NoCredential)))
    }
}
