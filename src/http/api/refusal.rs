//! Why a call of the JSON API is refused.

use super::fields::WrongField;
use crate::{
    administration::PeopleError,
    api_keys::KeysError,
    check::AuthenticationError,
    http::role_map::AskError,
    local_accounts::{ChangeError, ClaimError, InviteError, SignInError},
    login::BeginError,
    rate_limits::RateLimitError,
    store,
};

#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum Refused {
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
    Field(#[from] WrongField),
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
    Ask(#[from] AskError),
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
}

impl Refused {
    pub(in crate::http) fn missing(field: &'static str) -> Self {
        Self::Field(WrongField::Value(field, "is required"))
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
}
