//! Failures of the store, of authentication, and of rate limits.

use actix_web::http::StatusCode;

use super::{CHALLENGE, CHALLENGE_INVALID, Failure, whole_seconds};
use crate::{
    check::{AuthenticationError, AuthenticationFailure, CREDENTIAL_UNAVAILABLE, ROLE_MAP_NOT_LOADED},
    rate_limits::RateLimitError,
    store,
};

impl From<&store::Error> for Failure {
    fn from(error: &store::Error) -> Self {
        let failure = match error {
            store::Error::Unavailable(_) => {
                Self::unavailable("The store does not answer at the moment; nothing was changed. Try again soon.")
            }
            store::Error::Unknown(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome_unknown",
                "The store broke off; the change may or may not have been made. Look at what there is before you try again.",
            ),
            store::Error::Contended => Self::unavailable("Too many changes at once; nothing was changed. Try again."),
            store::Error::Unreadable { .. } => {
                let description = "A record can't be read. Tell your administrator.";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", description);
            }
        };
        failure.page("error-store-away")
    }
}

impl From<&AuthenticationError> for Failure {
    fn from(error: &AuthenticationError) -> Self {
        match error {
            AuthenticationError::Unauthenticated(failure @ AuthenticationFailure::NoCredential) => {
                Self::unauthorized("login_required", failure.description(), CHALLENGE)
            }
            AuthenticationError::Unauthenticated(failure) => {
                Self::unauthorized("invalid_token", failure.description(), CHALLENGE_INVALID)
            }
            AuthenticationError::Unavailable(_) => Self::credential_unavailable(),
        }
    }
}

impl From<RateLimitError> for Failure {
    fn from(error: RateLimitError) -> Self {
        let description = "Too many requests of this kind have come from your address. Wait before the next one.";
        Self::too_many(description, error.retry_after).page("error-too-often").with("seconds", whole_seconds(error.retry_after))
    }
}

impl Failure {
    pub fn credential_unavailable() -> Self {
        Self::unavailable(CREDENTIAL_UNAVAILABLE).page("error-store-away")
    }

    pub(super) fn role_map_not_loaded() -> Self {
        Self::unavailable(ROLE_MAP_NOT_LOADED).page("error-no-role-map-yet")
    }
}
