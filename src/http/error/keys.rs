//! Failures of API keys.

use actix_web::http::StatusCode;

use super::{CHALLENGE_INVALID, Failure};
use crate::{api_keys::KeysError, pages::Problem};

impl From<&KeysError> for Failure {
    fn from(error: &KeysError) -> Self {
        let failure = match error {
            KeysError::NotFound => Self::absent("There is no such key."),
            KeysError::NoSuchUser => Self::absent("There is no such person."),
            KeysError::Disabled => Self::new(StatusCode::CONFLICT, "access_denied", "The person is disabled."),
            KeysError::NotAdministrator => Self::forbidden("Only administrators manage other people's keys."),
            KeysError::NotManaging => Self::forbidden("This key was not made to manage keys."),
            KeysError::NoRole => Self::forbidden("No role is granted to you."),
            KeysError::TooDeep => Self::forbidden("This key was made by too many others in a row to make another."),
            KeysError::Ended => Self::unauthorized("invalid_token", "The key that was sent has ended.", CHALLENGE_INVALID),
            KeysError::TooOften => Self::limit_reached("This key was narrowed too often. Make another one that gives less."),
            KeysError::Full => Self::limit_reached("There are as many keys as one person may have. Revoke one first."),
            KeysError::Duration => {
                Self::bad_request("duration must be longer than nothing, and not longer than keys.max_duration.")
            }
            KeysError::Overlap => Self::bad_request("overlap must not be longer than keys.overlap_max."),
            KeysError::Store(error) => return error.into(),
        };
        failure.problem(match error {
            KeysError::Full => Problem::of("keys-problem-full"),
            KeysError::NoRole => Problem::of("keys-problem-no-role"),
            KeysError::Duration => Problem::of("keys-problem-duration"),
            _ => Problem::of("keys-problem-failed"),
        })
    }
}
