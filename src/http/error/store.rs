//! Failures of the store, of authentication, and of rate limits.

use actix_web::http::StatusCode;

use super::{Failure, challenge_for, whole_seconds};
use crate::{
    check::{AuthenticationError, CREDENTIAL_UNAVAILABLE, ROLE_MAP_NOT_LOADED, UnavailableCause},
    client_address::rate_limits::RateLimitError,
    store,
};

impl From<&store::Error> for Failure {
    fn from(error: &store::Error) -> Self {
        let failure = match error {
            store::Error::Unavailable(_) => Self::unavailable("The store is unavailable. Nothing was changed. Try again later."),
            store::Error::Unknown(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "outcome_unknown",
                "The connection to the store was lost. The change may have been made. Check the current state before you try again.",
            ),
            store::Error::Full => Self::unavailable("The store has no room for this. Nothing was changed. Try again later."),
            store::Error::Contended => Self::unavailable("Too many concurrent changes. Nothing was changed. Try again."),
            store::Error::Unreadable { .. } => {
                let description = "A record cannot be read. Contact your administrator.";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", description);
            }
        };
        failure.page("error-store-away")
    }
}

impl From<&AuthenticationError> for Failure {
    fn from(error: &AuthenticationError) -> Self {
        match error {
            AuthenticationError::Unauthenticated(failure) => {
                let (code, challenge) = challenge_for(*failure);
                Self::unauthorized(code, failure.description(), challenge)
            }
            AuthenticationError::Unavailable(cause) => Self::of_outage(cause),
        }
    }
}

impl From<RateLimitError> for Failure {
    fn from(error: RateLimitError) -> Self {
        let description = "Too many requests from your address. Wait before you try again.";
        Self::too_many(description, error.retry_after).page("error-too-often").with("seconds", whole_seconds(error.retry_after))
    }
}

impl Failure {
    pub fn credential_unavailable() -> Self {
        Self::unavailable(CREDENTIAL_UNAVAILABLE).page("error-store-away")
    }

    /// The failure to authenticate because of an outage.
    pub fn of_outage(cause: &UnavailableCause) -> Self {
        match cause.retry_after() {
            Some(time) => Self::unavailable(cause.description()).retry_after(time).page("error-claims-overdue"),
            None => Self::credential_unavailable(),
        }
    }

    pub(super) fn role_map_not_loaded() -> Self {
        Self::unavailable(ROLE_MAP_NOT_LOADED).page("error-no-role-map-yet")
    }
}
