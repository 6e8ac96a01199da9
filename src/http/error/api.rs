//! What callers of the JSON API are told: a code, one fixed sentence, the right status.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::HeaderValue},
};

use super::{CHALLENGE, CHALLENGE_INVALID, challenged, json};
use crate::{
    check::Unrecognised,
    http::api::refused::Refused,
    keys::KeysError,
    store::{Failed, ReadError},
};

/// RFC 9470.
const CHALLENGE_FRESH: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="vestibule", error="insufficient_user_authentication""#);

const AWAY: &str = "The store does not answer at the moment; nothing was changed. Try again soon.";
const UNCERTAIN: &str = "The store broke off; the change may or may not have been made. List your keys before you try again.";

pub(in crate::http) fn api(refused: &Refused) -> HttpResponse {
    let plain = |status, code, text| json(status, code, text);
    match refused {
        Refused::Unrecognised(Unrecognised::Unauthenticated(why)) => {
            let (code, challenge) = match refused.wants_credential() {
                true => ("login_required", CHALLENGE),
                false => ("invalid_token", CHALLENGE_INVALID),
            };
            challenged(code, why.description(), challenge)
        }
        Refused::Unrecognised(Unrecognised::Unavailable(_)) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", AWAY)
        }
        Refused::StaleSignIn => {
            challenged("insufficient_user_authentication", "This takes a fresh sign-in. Sign in again.", CHALLENGE_FRESH)
        }
        Refused::ForeignOrigin => {
            plain(StatusCode::FORBIDDEN, "access_denied", "With a session, changes are made from this site's own pages only.")
        }
        Refused::NotJson => {
            plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", "The body must be of type application/json.")
        }
        Refused::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The body is too large."),
        Refused::Slow => plain(StatusCode::REQUEST_TIMEOUT, "invalid_request", "The body did not arrive in time."),
        Refused::Malformed => plain(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "The body must be one JSON object, and a query must have each parameter once.",
        ),
        Refused::Field(wrong) => json(StatusCode::BAD_REQUEST, "invalid_request", &format!("{wrong}.")),
        Refused::NotFound => plain(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address."),
        Refused::Method => plain(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "This address is for other methods."),
        Refused::Keys(error) => keys(error),
    }
}

fn keys(error: &KeysError) -> HttpResponse {
    let (status, code, text) = match error {
        KeysError::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such key."),
        KeysError::NoSuchUser => (StatusCode::NOT_FOUND, "not_found", "There is no such person."),
        KeysError::Disabled => (StatusCode::CONFLICT, "access_denied", "The person is disabled."),
        KeysError::NotAdministrator => {
            (StatusCode::FORBIDDEN, "access_denied", "Only administrators manage other people's keys.")
        }
        KeysError::NotManaging => (StatusCode::FORBIDDEN, "access_denied", "This key was not made to manage keys."),
        KeysError::NoRole => (StatusCode::FORBIDDEN, "access_denied", "No role is granted to you."),
        KeysError::TooDeep => {
            (StatusCode::FORBIDDEN, "access_denied", "This key was made by too many others in a row to make another.")
        }
        KeysError::Ended => return challenged("invalid_token", "The key that was sent has ended.", CHALLENGE_INVALID),
        KeysError::Full => {
            (StatusCode::CONFLICT, "limit_reached", "There are as many keys as one person may have. Revoke one first.")
        }
        KeysError::Duration => (
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "duration must be longer than nothing, and not longer than keys.max_duration.",
        ),
        KeysError::Overlap => (StatusCode::BAD_REQUEST, "invalid_request", "overlap must not be longer than keys.overlap_max."),
        KeysError::Read(ReadError::Unreadable { .. }) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "A record can't be read. Tell your administrator.")
        }
        KeysError::Read(ReadError::Unavailable(_)) | KeysError::Write(Failed::Unavailable(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", AWAY)
        }
        KeysError::Write(Failed::Unknown(_)) => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", UNCERTAIN),
        KeysError::Contended => (
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Too many changes at once; nothing was changed. Try again.",
        ),
    };
    json(status, code, text)
}
