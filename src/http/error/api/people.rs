//! The same of invitations, people and passwords.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};

use super::{CHALLENGE, CHALLENGE_INVALID, challenged, json, keys, slow_down, store_error};
use crate::{
    administration::PeopleError,
    http::role_map::ExplanationError,
    local_accounts::{ChangeError, ClaimError, InviteError, SignInError, Unfit},
    sign_ins,
};

const TRIES: &str = "There were too many tries. Wait, or ask an administrator for a new invitation.";

/// The only words for every invitation and token that is no good, whatever is wrong with it.
const NO_INVITATION: &str = "This link is not valid any more, or never was. Ask whoever invited you for a new one.";

pub(super) fn invite(error: &InviteError) -> HttpResponse {
    let (status, code, text) = match error {
        InviteError::Email => (StatusCode::BAD_REQUEST, "invalid_request", "user_email must be an email address."),
        InviteError::UnknownRole => (StatusCode::BAD_REQUEST, "invalid_request", "user_role must be a role of the role map."),
        InviteError::Duration => {
            (StatusCode::BAD_REQUEST, "invalid_request", "duration must be from 60s to 30d, and not in months.")
        }
        InviteError::Above => {
            (StatusCode::FORBIDDEN, "access_denied", "Nobody invites above themselves, nor somebody who has a higher role.")
        }
        InviteError::Disabled => (StatusCode::CONFLICT, "access_denied", "The person is disabled. Enable them first."),
        InviteError::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such invitation."),
        InviteError::Store(error) => return store_error(error),
    };
    json(status, code, text)
}

pub(super) fn people(error: &PeopleError) -> HttpResponse {
    let (status, code, text) = match error {
        PeopleError::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such person."),
        PeopleError::Above => (StatusCode::FORBIDDEN, "access_denied", "The person has a higher role than yours."),
        PeopleError::Oneself => (StatusCode::FORBIDDEN, "access_denied", "Administrators don't do that to themselves."),
        PeopleError::Store(error) => return store_error(error),
    };
    json(status, code, text)
}

pub(super) fn ask(error: &ExplanationError) -> HttpResponse {
    match error {
        ExplanationError::NoSuchPerson => json(StatusCode::NOT_FOUND, "not_found", "There is no such person."),
        ExplanationError::NobodyLookedAt => json(
            StatusCode::NOT_FOUND,
            "not_found",
            "Nobody of the people who were looked through has this email, and there are more. Give the user_id.",
        ),
        ExplanationError::SeveralPeople => {
            json(StatusCode::BAD_REQUEST, "invalid_request", "Several people have this email. Give the user_id of one.")
        }
        ExplanationError::NoRoleMapYet => not_yet(),
        ExplanationError::People(error) => people(error),
        ExplanationError::OneOfTwo => {
            json(StatusCode::BAD_REQUEST, "invalid_request", "Give either user_id or user_email, or claims with their provider.")
        }
        wrong => json(StatusCode::BAD_REQUEST, "invalid_request", &format!("{wrong}.")),
    }
}

pub(super) fn sign_in(error: &SignInError) -> HttpResponse {
    match error {
        SignInError::Wrong { .. } => challenged("invalid_grant", "Address or password is wrong.", CHALLENGE),
        SignInError::TooMany { retry_after } => slow_down(TRIES, *retry_after),
        SignInError::Busy => busy(),
        SignInError::NoRoleMapYet => not_yet(),
        SignInError::Refused(sign_ins::Refused::Disabled) => {
            json(StatusCode::FORBIDDEN, "access_denied", "The account is disabled.")
        }
        SignInError::Refused(sign_ins::Refused::NoRole | sign_ins::Refused::MissingSource(_)) => {
            json(StatusCode::FORBIDDEN, "access_denied", "No role is granted to the account.")
        }
        SignInError::Refused(sign_ins::Refused::Store(error)) | SignInError::Store(error) => store_error(error),
    }
}

pub(super) fn claim(error: &ClaimError) -> HttpResponse {
    match error {
        ClaimError::Invalid(_) => challenged("invalid_token", NO_INVITATION, CHALLENGE_INVALID),
        ClaimError::Unfit(unfit) => weak("password", unfit),
        ClaimError::Key(error) => keys(error),
        ClaimError::Busy => busy(),
        ClaimError::NoRoleMapYet => not_yet(),
        ClaimError::Store(error) => store_error(error),
    }
}

pub(super) fn password(error: &ChangeError) -> HttpResponse {
    match error {
        ChangeError::NoPassword => json(StatusCode::CONFLICT, "not_found", "You have no password here."),
        ChangeError::Wrong => json(StatusCode::FORBIDDEN, "invalid_grant", "current_password is wrong."),
        ChangeError::TooMany { retry_after } => slow_down(TRIES, *retry_after),
        ChangeError::Unfit(unfit) => weak("new_password", unfit),
        ChangeError::Busy => busy(),
        ChangeError::Store(error) => store_error(error),
    }
}

fn weak(field: &str, unfit: &Unfit) -> HttpResponse {
    let text = match unfit {
        Unfit::TooShort { min } => format!("{field} must have at least {min} characters."),
        Unfit::TooLong => format!("{field} must have at most 128 bytes."),
        Unfit::Weak(Some(feedback)) => {
            let said = feedback.warning().map(|warning| warning.to_string());
            let better = feedback.suggestions().iter().map(|suggestion| suggestion.to_string());
            let all: Vec<String> = std::iter::once(format!("{field} is too easy to guess.")).chain(said).chain(better).collect();
            all.join(" ")
        }
        Unfit::Weak(None) => format!("{field} is too easy to guess."),
    };
    json(StatusCode::BAD_REQUEST, "weak_password", &text)
}

fn busy() -> HttpResponse {
    let text = "Too many passwords are being checked at the moment. Try again soon.";
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", text);
    response.headers_mut().insert(header::RETRY_AFTER, 2.into());
    response
}

fn not_yet() -> HttpResponse {
    json(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "The role map has not been read yet. Try again soon.")
}
