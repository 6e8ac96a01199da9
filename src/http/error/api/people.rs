//! The same of invitations, people and passwords.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};

use super::{CHALLENGE, CHALLENGE_INVALID, challenged, json, keys, slow_down, store_error};
use crate::{
    administration::AdministrationError,
    http::role_map::ExplanationError,
    local_accounts::{AcceptanceError, InvitationError, PasswordChangeError, PasswordLoginError, PasswordRejection},
    users::{Denial, LoginRefusal},
};

const TRIES: &str = "There were too many tries. Wait, or ask an administrator for a new invitation.";

/// The only words for every invitation and token that is no good, whatever is wrong with it.
const NO_INVITATION: &str = "This link is not valid any more, or never was. Ask whoever invited you for a new one.";

pub(super) fn invite(error: &InvitationError) -> HttpResponse {
    let (status, code, text) = match error {
        InvitationError::Email => (StatusCode::BAD_REQUEST, "invalid_request", "user_email must be an email address."),
        InvitationError::UnknownRole => (StatusCode::BAD_REQUEST, "invalid_request", "user_role must be a role of the role map."),
        InvitationError::Duration => {
            (StatusCode::BAD_REQUEST, "invalid_request", "duration must be from 60s to 30d, and not in months.")
        }
        InvitationError::Above => {
            (StatusCode::FORBIDDEN, "access_denied", "Nobody invites above themselves, nor somebody who has a higher role.")
        }
        InvitationError::Disabled => (StatusCode::CONFLICT, "access_denied", "The person is disabled. Enable them first."),
        InvitationError::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such invitation."),
        InvitationError::Store(error) => return store_error(error),
    };
    json(status, code, text)
}

pub(super) fn people(error: &AdministrationError) -> HttpResponse {
    let (status, code, text) = match error {
        AdministrationError::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such person."),
        AdministrationError::Denied(Denial::OwnAccount) => {
            (StatusCode::FORBIDDEN, "access_denied", "Administrators don't do that to themselves.")
        }
        AdministrationError::Denied(Denial::HigherRole | Denial::UnknownRole) => {
            (StatusCode::FORBIDDEN, "access_denied", "The person has a higher role than yours.")
        }
        AdministrationError::Store(error) => return store_error(error),
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

pub(super) fn sign_in(error: &PasswordLoginError) -> HttpResponse {
    match error {
        PasswordLoginError::Wrong { .. } => challenged("invalid_grant", "Address or password is wrong.", CHALLENGE),
        PasswordLoginError::TooMany { retry_after } => slow_down(TRIES, *retry_after),
        PasswordLoginError::Busy => busy(),
        PasswordLoginError::NoRoleMapYet => not_yet(),
        PasswordLoginError::Refused(LoginRefusal::Disabled) => {
            json(StatusCode::FORBIDDEN, "access_denied", "The account is disabled.")
        }
        PasswordLoginError::Refused(LoginRefusal::NoRole | LoginRefusal::MissingSource(_)) => {
            json(StatusCode::FORBIDDEN, "access_denied", "No role is granted to the account.")
        }
        PasswordLoginError::Refused(LoginRefusal::Store(error)) | PasswordLoginError::Store(error) => store_error(error),
    }
}

pub(super) fn claim(error: &AcceptanceError) -> HttpResponse {
    match error {
        AcceptanceError::Invalid(_) => challenged("invalid_token", NO_INVITATION, CHALLENGE_INVALID),
        AcceptanceError::Password(unfit) => weak("password", unfit),
        AcceptanceError::Key(error) => keys(error),
        AcceptanceError::Busy => busy(),
        AcceptanceError::NoRoleMapYet => not_yet(),
        AcceptanceError::Store(error) => store_error(error),
    }
}

pub(super) fn password(error: &PasswordChangeError) -> HttpResponse {
    match error {
        PasswordChangeError::NoPassword => json(StatusCode::CONFLICT, "not_found", "You have no password here."),
        PasswordChangeError::Wrong => json(StatusCode::FORBIDDEN, "invalid_grant", "current_password is wrong."),
        PasswordChangeError::TooMany { retry_after } => slow_down(TRIES, *retry_after),
        PasswordChangeError::Password(unfit) => weak("new_password", unfit),
        PasswordChangeError::Busy => busy(),
        PasswordChangeError::Store(error) => store_error(error),
    }
}

fn weak(field: &str, unfit: &PasswordRejection) -> HttpResponse {
    let text = match unfit {
        PasswordRejection::TooShort { min } => format!("{field} must have at least {min} characters."),
        PasswordRejection::TooLong => format!("{field} must have at most 128 bytes."),
        PasswordRejection::Weak(Some(feedback)) => {
            let said = feedback.warning().map(|warning| warning.to_string());
            let better = feedback.suggestions().iter().map(|suggestion| suggestion.to_string());
            let all: Vec<String> = std::iter::once(format!("{field} is too easy to guess.")).chain(said).chain(better).collect();
            all.join(" ")
        }
        PasswordRejection::Weak(None) => format!("{field} is too easy to guess."),
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
