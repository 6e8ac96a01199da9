//! The errors of the JSON API.

use super::fields::FieldError;
use crate::{
    administration::AdministrationError,
    api_keys::KeysError,
    check::AuthenticationError,
    client_address::rate_limits::RateLimitError,
    http::role_map::ExplanationError,
    local_accounts::{AcceptanceError, InvitationError, PasswordChangeError, PasswordLoginError},
    login::BeginError,
    store,
};

/// The reason why a call is refused or fails.
#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum ApiError {
    #[error("authentication failed")]
    Authentication(AuthenticationError),
    #[error("a change by cookie that is not from our own page")]
    ForeignOrigin,
    #[error("a page or a session would create a credential or a right")]
    SessionWrite,
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
    #[error("the key does not manage users")]
    NotManagingUsers,
    #[error("a session is required")]
    SessionRequired,
    #[error("local accounts are disabled")]
    NoLocalAccounts,
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    #[error(transparent)]
    Administration(#[from] AdministrationError),
    #[error(transparent)]
    SignIn(#[from] PasswordLoginError),
    #[error(transparent)]
    Acceptance(#[from] AcceptanceError),
    #[error(transparent)]
    Password(#[from] PasswordChangeError),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Explanation(#[from] ExplanationError),
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
    #[error("the endpoint has no query parameters")]
    Query,
    #[error("too many requests from one address")]
    RateLimited(RateLimitError),
    #[error("there is no such endpoint")]
    NotFound,
    #[error("the endpoint does not support the method")]
    Method,
}

impl ApiError {
    /// The stable token for the `reason` field of log events.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Authentication(AuthenticationError::Unauthenticated(failure)) => failure.reason(),
            Self::Authentication(AuthenticationError::Unavailable(_)) => "store_unavailable",
            Self::ForeignOrigin => "foreign_origin",
            Self::SessionWrite => "session_not_allowed",
            Self::StaleSignIn => "sign_in_not_recent",
            Self::NotJson => "body_not_json",
            Self::TooLarge => "body_too_large",
            Self::Slow => "body_timeout",
            Self::Malformed => "malformed_query_or_form",
            Self::Field(_) => "field_invalid",
            Self::Keys(error) => error.reason(),
            Self::NotAdministrator => "not_administrator",
            Self::NotManagingUsers => "key_cannot_manage_users",
            Self::SessionRequired => "session_required",
            Self::NoLocalAccounts => "no_local_accounts",
            Self::Invitation(error) => error.reason(),
            Self::Administration(error) => error.reason(),
            Self::SignIn(error) => error.reason(),
            Self::Acceptance(error) => error.reason(),
            Self::Password(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Explanation(error) => error.reason(),
            Self::NoSession => "session_not_found",
            Self::NoProvider => "unknown_provider",
            Self::NoIdentity => "identity_not_found",
            Self::LastIdentity => "last_identity",
            Self::Begin(error) => error.reason(),
            Self::Query => "query_not_allowed",
            Self::RateLimited(_) => "rate_limit_exceeded",
            Self::NotFound => "not_found",
            Self::Method => "method_not_allowed",
        }
    }

    pub(in crate::http) fn missing(field: &'static str) -> Self {
        Self::Field(FieldError::Value(field, "is required"))
    }

    /// Returns the cause for the log. It contains no secret.
    pub(super) fn cause(&self) -> String {
        match self {
            Self::Authentication(AuthenticationError::Unauthenticated(failure)) => format!("{failure:?}"),
            Self::Authentication(AuthenticationError::Unavailable(cause)) => cause.to_string(),
            other => other.to_string(),
        }
    }

    /// True if the domain module has logged the refusal, with more details.
    pub(super) fn is_logged(&self) -> bool {
        matches!(self, Self::SignIn(_) | Self::Acceptance(_) | Self::RateLimited(_))
    }
}
