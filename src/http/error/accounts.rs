//! Failures of users, invitations and passwords.

use std::time::Duration;

use actix_web::http::StatusCode;
use zxcvbn::feedback::Feedback;

use super::{CHALLENGE, CHALLENGE_INVALID, Failure, password_strength};
use crate::{
    administration::PeopleError,
    local_accounts::{ChangeError, ClaimError, InviteError, SignInError, Unfit},
    pages::{
        Problem,
        text::{Text, Value, wait},
    },
    sign_ins::Refused,
};

/// The time after which a password hasher that is busy is likely to have room again.
const BUSY_RETRY: Duration = Duration::from_secs(2);

impl From<&PeopleError> for Failure {
    fn from(error: &PeopleError) -> Self {
        match error {
            PeopleError::NotFound => {
                let failure = Self::absent("There is no such person.").page("error-no-such-person");
                failure.action("nav-people", "/vestibule/people")
            }
            PeopleError::Above => Self::forbidden("The person has a higher role than yours.").outranked(),
            PeopleError::Oneself => Self::forbidden("Administrators don't do that to themselves.").outranked(),
            PeopleError::Store(error) => error.into(),
        }
    }
}

impl From<&InviteError> for Failure {
    fn from(error: &InviteError) -> Self {
        match error {
            InviteError::Email => Self::bad_request("user_email must be an email address.")
                .problem(Problem::of("invitations-problem-email").field("user_email")),
            InviteError::UnknownRole => Self::bad_request("user_role must be a role of the role map.")
                .problem(Problem::of("invitations-problem-role").field("user_role")),
            InviteError::Duration => Self::bad_request("duration must be from 60s to 30d, and not in months.")
                .problem(Problem::of("invitations-problem-duration").field("duration")),
            InviteError::Above => Self::forbidden("Nobody invites above themselves, nor somebody who has a higher role.")
                .outranked()
                .problem(Problem::of("invitations-problem-above").field("user_role")),
            InviteError::Disabled => {
                Self::new(StatusCode::CONFLICT, "access_denied", "The person is disabled. Enable them first.")
                    .problem(Problem::of("invitations-problem-disabled"))
            }
            InviteError::NotFound => Self::absent("There is no such invitation."),
            InviteError::Store(error) => error.into(),
        }
    }
}

impl From<&SignInError> for Failure {
    fn from(error: &SignInError) -> Self {
        match error {
            SignInError::Wrong { .. } => Self::unauthorized("invalid_grant", "Address or password is wrong.", CHALLENGE)
                .problem(Problem::of("sign-in-problem-wrong").field("password")),
            SignInError::TooMany { retry_after } => Self::too_many_attempts(*retry_after, "sign-in-problem-many"),
            SignInError::Busy => Self::hasher_busy().problem(Problem::of("sign-in-problem-busy")),
            SignInError::NoRoleMapYet => Self::role_map_not_loaded(),
            SignInError::Refused(Refused::Disabled) => Self::forbidden("The account is disabled.").page("error-disabled"),
            SignInError::Refused(Refused::NoRole | Refused::MissingSource(_)) => {
                Self::forbidden("No role is granted to the account.").page("error-no-role-here")
            }
            SignInError::Refused(Refused::Store(error)) | SignInError::Store(error) => error.into(),
        }
    }
}

impl From<&ClaimError> for Failure {
    fn from(error: &ClaimError) -> Self {
        match error {
            // The same answer for every invalid invitation and token, so that it does not disclose who was invited.
            ClaimError::Invalid(_) => {
                let description = "This link is not valid any more, or never was. Ask whoever invited you for a new one.";
                Self::unauthorized("invalid_token", description, CHALLENGE_INVALID).page("error-onboarding")
            }
            ClaimError::Unfit(unfit) => Self::weak_password("password", unfit),
            ClaimError::Key(error) => error.into(),
            ClaimError::Busy => Self::hasher_busy().problem(Problem::of("password-problem-busy")),
            ClaimError::NoRoleMapYet => Self::role_map_not_loaded(),
            ClaimError::Store(error) => error.into(),
        }
    }
}

impl From<&ChangeError> for Failure {
    fn from(error: &ChangeError) -> Self {
        match error {
            ChangeError::NoPassword => Self::new(StatusCode::CONFLICT, "not_found", "You have no password here.")
                .page("error-foreign-form")
                .action("nav-sign-in", "/vestibule/sign-in"),
            ChangeError::Wrong => Self::new(StatusCode::FORBIDDEN, "invalid_grant", "current_password is wrong.")
                .problem(Problem::of("password-problem-wrong").field("current_password")),
            ChangeError::TooMany { retry_after } => Self::too_many_attempts(*retry_after, "password-problem-many"),
            ChangeError::Unfit(unfit) => Self::weak_password("new_password", unfit),
            ChangeError::Busy => Self::hasher_busy().problem(Problem::of("password-problem-busy")),
            ChangeError::Store(error) => error.into(),
        }
    }
}

impl Failure {
    /// The page for an administrator whose role does not allow this change.
    fn outranked(self) -> Self {
        self.page("error-not-yours-to-change").action("nav-people", "/vestibule/people")
    }

    fn too_many_attempts(retry_after: Duration, problem: &'static str) -> Self {
        Self::too_many("There were too many tries. Wait, or ask an administrator for a new invitation.", retry_after)
            .problem(Problem::of(problem).with("time", wait(retry_after)))
    }

    fn hasher_busy() -> Self {
        let failure = Self::unavailable("Too many passwords are being checked at the moment. Try again soon.");
        failure.retry_after(BUSY_RETRY).page("error-store-away")
    }

    /// `field` is the field of the JSON body that has the password.
    fn weak_password(field: &str, unfit: &Unfit) -> Self {
        let description = match unfit {
            Unfit::TooShort { min } => format!("{field} must have at least {min} characters."),
            Unfit::TooLong => format!("{field} must have at most 128 bytes."),
            Unfit::Weak(feedback) => guessable(field, feedback.as_ref()),
        };
        Self::new(StatusCode::BAD_REQUEST, "weak_password", description).problem(password_problem(unfit).field("new_password"))
    }
}

fn guessable(field: &str, feedback: Option<&Feedback>) -> String {
    let mut sentences = vec![format!("{field} is too easy to guess.")];
    if let Some(feedback) = feedback {
        sentences.extend(feedback.warning().map(|warning| warning.to_string()));
        sentences.extend(feedback.suggestions().iter().map(ToString::to_string));
    }
    sentences.join(" ")
}

fn password_problem(unfit: &Unfit) -> Problem {
    match unfit {
        Unfit::TooShort { min } => Problem::of("password-problem-short").with("minimum", Value::Count(*min as u64)),
        Unfit::TooLong => Problem::of("password-problem-long"),
        Unfit::Weak(feedback) => {
            let warning = feedback.iter().filter_map(Feedback::warning).map(password_strength::warning);
            let suggestions = feedback.iter().flat_map(Feedback::suggestions).copied().map(password_strength::suggestion);
            Problem::of("password-problem-weak").advice(warning.chain(suggestions).map(Text::of).collect())
        }
    }
}
