//! Failures of users, invitations and passwords.

use std::time::Duration;

use actix_web::http::StatusCode;
use zxcvbn::feedback::Feedback;

use super::{CHALLENGE, CHALLENGE_INVALID, Failure, password_strength};
use crate::{
    administration::AdministrationError,
    local_accounts::{AcceptanceError, InvitationError, PasswordChangeError, PasswordLoginError, PasswordRejection},
    pages::{
        Problem,
        text::{Text, TextValue, wait},
    },
    users::{LoginRefusal, PolicyDenial},
};

/// The time after which a password hasher that is busy is likely to have room again.
const BUSY_RETRY: Duration = Duration::from_secs(2);

impl From<&AdministrationError> for Failure {
    fn from(error: &AdministrationError) -> Self {
        match error {
            AdministrationError::NotFound => {
                let failure = Self::absent("There is no such user.").page("error-no-such-person");
                failure.action("nav-people", "/vestibule/people")
            }
            AdministrationError::Denied(PolicyDenial::HigherRole | PolicyDenial::UnknownRole) => {
                Self::forbidden("The user has a higher role than you.").outranked()
            }
            AdministrationError::DisabledByDirectory => {
                let description = "The company's directory disabled the user. Enable the user there.";
                Self::new(StatusCode::CONFLICT, "access_denied", description).page("error-disabled-by-directory")
            }
            AdministrationError::Denied(PolicyDenial::OwnAccount) => {
                Self::forbidden("Administrators cannot do this to their own account.").outranked()
            }
            AdministrationError::Store(error) => error.into(),
        }
    }
}

impl From<&InvitationError> for Failure {
    fn from(error: &InvitationError) -> Self {
        match error {
            InvitationError::Email => Self::bad_request("user_email must be an email address.")
                .problem(Problem::of("invitations-problem-email").field("user_email")),
            InvitationError::UnknownRole => Self::bad_request("user_role must be a role of the role map.")
                .problem(Problem::of("invitations-problem-role").field("user_role")),
            InvitationError::Duration => Self::bad_request("duration must be from 60s to 30d, and not in months.")
                .problem(Problem::of("invitations-problem-duration").field("duration")),
            InvitationError::Above => {
                Self::forbidden("You cannot invite a user to a higher role than yours, or a user who has one.")
                    .outranked()
                    .problem(Problem::of("invitations-problem-above").field("user_role"))
            }
            InvitationError::Disabled => {
                Self::new(StatusCode::CONFLICT, "access_denied", "The user is disabled. Enable the user first.")
                    .problem(Problem::of("invitations-problem-disabled"))
            }
            InvitationError::NotFound => Self::absent("There is no such invitation."),
            InvitationError::Store(error) => error.into(),
        }
    }
}

impl From<&PasswordLoginError> for Failure {
    fn from(error: &PasswordLoginError) -> Self {
        match error {
            PasswordLoginError::Wrong { .. } => Self::unauthorized("invalid_grant", "Address or password is wrong.", CHALLENGE)
                .problem(Problem::of("sign-in-problem-wrong").field("password")),
            PasswordLoginError::TooMany { retry_after } => Self::too_many_attempts(*retry_after, "sign-in-problem-many"),
            PasswordLoginError::Busy => Self::hasher_busy().problem(Problem::of("sign-in-problem-busy")),
            PasswordLoginError::NoRoleMapYet => Self::role_map_not_loaded(),
            PasswordLoginError::StoreFull => Self::login_limit(),
            PasswordLoginError::Refused(
                LoginRefusal::Disabled | LoginRefusal::UserClaimTaken { .. } | LoginRefusal::EndedAtProvider,
            ) => Self::forbidden("The account is disabled.").page("error-disabled"),
            PasswordLoginError::Refused(LoginRefusal::NoRole | LoginRefusal::MissingSource(_)) => {
                Self::forbidden("No role is granted to the account.").page("error-no-role-here")
            }
            PasswordLoginError::Refused(LoginRefusal::Store(error)) | PasswordLoginError::Store(error) => error.into(),
        }
    }
}

impl From<&AcceptanceError> for Failure {
    fn from(error: &AcceptanceError) -> Self {
        match error {
            // The same response for every invalid invitation and token, so that it does not disclose who was invited.
            AcceptanceError::Invalid(_) => {
                let description = "This invitation link is invalid or has expired. Ask an administrator for a new one.";
                Self::unauthorized("invalid_token", description, CHALLENGE_INVALID).page("error-onboarding")
            }
            AcceptanceError::Password(unfit) => Self::weak_password("password", unfit),
            AcceptanceError::Key(error) => error.into(),
            AcceptanceError::Busy => Self::hasher_busy().problem(Problem::of("password-problem-busy")),
            AcceptanceError::NoRoleMapYet => Self::role_map_not_loaded(),
            AcceptanceError::Store(error) => error.into(),
        }
    }
}

impl From<&PasswordChangeError> for Failure {
    fn from(error: &PasswordChangeError) -> Self {
        match error {
            PasswordChangeError::NoPassword => {
                Self::new(StatusCode::CONFLICT, "not_found", "You have no local account with a password.")
                    .page("error-foreign-form")
                    .action("nav-sign-in", "/vestibule/sign-in")
            }
            PasswordChangeError::Wrong => Self::new(StatusCode::FORBIDDEN, "invalid_grant", "current_password is wrong.")
                .problem(Problem::of("password-problem-wrong").field("current_password")),
            PasswordChangeError::TooMany { retry_after } => Self::too_many_attempts(*retry_after, "password-problem-many"),
            PasswordChangeError::Password(unfit) => Self::weak_password("new_password", unfit),
            PasswordChangeError::Busy => Self::hasher_busy().problem(Problem::of("password-problem-busy")),
            PasswordChangeError::Store(error) => error.into(),
        }
    }
}

impl Failure {
    /// The page for an administrator whose role does not allow this change.
    pub(super) fn outranked(self) -> Self {
        self.page("error-not-yours-to-change").action("nav-people", "/vestibule/people")
    }

    fn too_many_attempts(retry_after: Duration, problem: &'static str) -> Self {
        Self::too_many("Too many attempts. Wait, or ask an administrator for a new invitation.", retry_after)
            .problem(Problem::of(problem).with("time", wait(retry_after)))
    }

    fn hasher_busy() -> Self {
        let failure = Self::unavailable("Too many passwords are being checked at the moment. Try again later.");
        failure.retry_after(BUSY_RETRY).page("error-store-away")
    }

    /// `field` is the field of the JSON body that has the password.
    fn weak_password(field: &str, unfit: &PasswordRejection) -> Self {
        let description = match unfit {
            PasswordRejection::TooShort { min } => format!("{field} must have at least {min} characters."),
            PasswordRejection::TooLong => format!("{field} must have at most 128 bytes."),
            PasswordRejection::Character => format!("{field} must not have control characters or invisible ones."),
            PasswordRejection::Weak(feedback) => guessable(field, feedback.as_ref()),
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

fn password_problem(unfit: &PasswordRejection) -> Problem {
    match unfit {
        PasswordRejection::TooShort { min } => {
            Problem::of("password-problem-short").with("minimum", TextValue::Count(*min as u64))
        }
        PasswordRejection::TooLong => Problem::of("password-problem-long"),
        PasswordRejection::Character => Problem::of("password-problem-character"),
        PasswordRejection::Weak(feedback) => {
            let warning = feedback.iter().filter_map(Feedback::warning).map(password_strength::warning);
            let suggestions = feedback.iter().flat_map(Feedback::suggestions).copied().map(password_strength::suggestion);
            Problem::of("password-problem-weak").advice(warning.chain(suggestions).map(Text::of).collect())
        }
    }
}
