//! Failures of API keys.

use actix_web::http::StatusCode;

use super::{CHALLENGE_INVALID, Failure};
use crate::{
    api_keys::{KeysError, MAX_PATTERN_BYTES, MAX_PATTERNS},
    pages::Problem,
};

impl From<&KeysError> for Failure {
    fn from(error: &KeysError) -> Self {
        let failure = match error {
            KeysError::NotFound => Self::absent("There is no such key."),
            KeysError::NoSuchUser => Self::absent("There is no such user."),
            KeysError::Disabled => Self::new(StatusCode::CONFLICT, "access_denied", "The user is disabled."),
            KeysError::NotAdministrator => Self::forbidden("Only administrators can manage the keys of other users."),
            KeysError::Denied(_) => Self::forbidden("The user has a higher role than you.").outranked(),
            KeysError::NotManaging => Self::forbidden("This key is not permitted to manage keys."),
            KeysError::NoRole => Self::forbidden("No role is granted to you."),
            KeysError::TooDeep => Self::forbidden("The chain of derived keys is too long. This key cannot create another key."),
            KeysError::Ended => Self::unauthorized("invalid_token", "The key was revoked or has expired.", CHALLENGE_INVALID),
            KeysError::TooOften => {
                Self::limit_reached("This key was restricted too many times. Create a new key with these restrictions.")
            }
            KeysError::TooManyPatterns => Self::bad_request(format!(
                "A key and the keys that it is derived from can have at most {MAX_PATTERNS} path patterns with {MAX_PATTERN_BYTES} bytes together."
            )),
            KeysError::Full => Self::limit_reached("The maximum number of keys is reached. Revoke a key first."),
            KeysError::Duration => Self::bad_request("duration must be positive and at most keys.max_duration."),
            KeysError::GracePeriod => Self::bad_request("overlap must be at most keys.overlap_max."),
            KeysError::Store(error) => return error.into(),
        };
        failure.problem(match error {
            KeysError::Full => Problem::of("keys-problem-full"),
            KeysError::NoRole => Problem::of("keys-problem-no-role"),
            KeysError::Denied(_) => Problem::of("keys-problem-above"),
            KeysError::Duration => Problem::of("keys-problem-duration"),
            KeysError::TooManyPatterns => Problem::of("keys-problem-too-many-paths").field("paths"),
            _ => Problem::of("keys-problem-failed"),
        })
    }
}
