//! What callers of the JSON API are told: a code, one fixed sentence, the right status.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header::HeaderValue},
};

mod people;

use super::{CHALLENGE, CHALLENGE_INVALID, challenged, json, wait};
use crate::{
    api_keys::KeysError, check::AuthenticationError, http::api::api_error::ApiError, login::BeginError,
    rate_limits::RateLimitError, store,
};

/// RFC 9470.
const CHALLENGE_FRESH: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="vestibule", error="insufficient_user_authentication""#);

const AWAY: &str = "The store does not answer at the moment; nothing was changed. Try again soon.";
const UNCERTAIN: &str =
    "The store broke off; the change may or may not have been made. Look at what there is before you try again.";
const CONTENDED: &str = "Too many changes at once; nothing was changed. Try again.";

/// A client address that has made too many requests of a kind.
pub(in crate::http) fn rate_limited(exceeded: RateLimitError) -> HttpResponse {
    slow_down("Too many requests of this kind have come from your address. Wait before the next one.", exceeded.retry_after)
}

fn slow_down(text: &str, retry_after: Duration) -> HttpResponse {
    let mut response = json(StatusCode::TOO_MANY_REQUESTS, "slow_down", text);
    wait(&mut response, retry_after);
    response
}

pub(in crate::http) fn api(refused: &ApiError) -> HttpResponse {
    let plain = |status, code, text| json(status, code, text);
    match refused {
        ApiError::Authentication(AuthenticationError::Unauthenticated(why)) => {
            let (code, challenge) = match refused.has_no_credential() {
                true => ("login_required", CHALLENGE),
                false => ("invalid_token", CHALLENGE_INVALID),
            };
            challenged(code, why.description(), challenge)
        }
        ApiError::Authentication(AuthenticationError::Unavailable(_)) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Who this is can't be looked up at the moment. Try again soon.",
        ),
        ApiError::StaleSignIn => {
            challenged("insufficient_user_authentication", "This takes a fresh sign-in. Sign in again.", CHALLENGE_FRESH)
        }
        ApiError::ForeignOrigin => {
            plain(StatusCode::FORBIDDEN, "access_denied", "In a browser, this is for this site's own pages only.")
        }
        ApiError::NotJson => {
            plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", "The body must be of type application/json.")
        }
        ApiError::TooLarge => plain(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The body is too large."),
        ApiError::Slow => plain(StatusCode::REQUEST_TIMEOUT, "invalid_request", "The body did not arrive in time."),
        ApiError::Malformed => plain(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "The body must be one JSON object, and a query must have each parameter once.",
        ),
        ApiError::RateLimited(exceeded) => rate_limited(*exceeded),
        ApiError::Query => plain(StatusCode::BAD_REQUEST, "invalid_request", "This address takes no query."),
        ApiError::Field(wrong) => json(StatusCode::BAD_REQUEST, "invalid_request", &format!("{wrong}.")),
        ApiError::Panicked => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "Something went wrong here. Give your administrator the X-Request-Id.",
        ),
        ApiError::NotFound => plain(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address."),
        ApiError::Method => plain(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "This address is for other methods."),
        ApiError::NotAdministrator => plain(StatusCode::FORBIDDEN, "access_denied", "This is for administrators."),
        ApiError::NotManagingPeople => {
            plain(StatusCode::FORBIDDEN, "access_denied", "This credential was not made to manage people.")
        }
        ApiError::NotInPerson => plain(StatusCode::FORBIDDEN, "access_denied", "This takes a session, not a key or a token."),
        ApiError::NoLocalAccounts => {
            plain(StatusCode::NOT_FOUND, "not_found", "There are no local accounts here (local_accounts.enabled).")
        }
        ApiError::NoSession => plain(StatusCode::NOT_FOUND, "not_found", "There is no such session."),
        ApiError::NoProvider => plain(StatusCode::NOT_FOUND, "not_found", "There is no such provider."),
        ApiError::NoIdentity => plain(StatusCode::NOT_FOUND, "not_found", "There is no such identity."),
        ApiError::LastIdentity => plain(StatusCode::CONFLICT, "limit_reached", "It is the only way in. Link another one first."),
        ApiError::Begin(BeginError::NotReady(_)) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "The provider can't be reached at the moment.")
        }
        ApiError::Begin(BeginError::Store(error)) => store_error(error),
        ApiError::Store(error) => store_error(error),
        ApiError::Keys(error) => keys(error),
        ApiError::Invite(error) => people::invite(error),
        ApiError::Ask(error) => people::ask(error),
        ApiError::People(error) => people::people(error),
        ApiError::SignIn(error) => people::sign_in(error),
        ApiError::Claim(error) => people::claim(error),
        ApiError::Password(error) => people::password(error),
    }
}

fn store_error(error: &store::Error) -> HttpResponse {
    let (status, code, text) = match error {
        store::Error::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", AWAY),
        store::Error::Unknown(_) => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", UNCERTAIN),
        store::Error::Contended => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", CONTENDED),
        store::Error::Unreadable { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "A record can't be read. Tell your administrator.")
        }
    };
    json(status, code, text)
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
        KeysError::TooOften => {
            (StatusCode::CONFLICT, "limit_reached", "This key was narrowed too often. Make another one that gives less.")
        }
        KeysError::Full => {
            (StatusCode::CONFLICT, "limit_reached", "There are as many keys as one person may have. Revoke one first.")
        }
        KeysError::Duration => (
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "duration must be longer than nothing, and not longer than keys.max_duration.",
        ),
        KeysError::Overlap => (StatusCode::BAD_REQUEST, "invalid_request", "overlap must not be longer than keys.overlap_max."),
        KeysError::Store(error) => return store_error(error),
    };
    json(status, code, text)
}
