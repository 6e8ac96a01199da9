//! Failures of logins at a provider.

use std::time::Duration;

use actix_web::http::StatusCode;

use super::{Failure, other_browser};
use crate::{
    backchannel_logout::BackchannelLogoutError,
    fetch::ON_DEMAND,
    frontchannel_logout::FrontchannelLogoutError,
    handover::TakeHandoverError,
    http::{
        pages::text::{TextValue, text},
        paths::{LoginAuthentication, authenticating_href, login_href},
    },
    login::{BeginError, FailureReason, LoginFailure},
    oidc::{ExchangeError, LogoutTokenError},
    return_target::{self, ReturnTarget, ReturnTargetError},
};

/// The address of the failed callback (RFC 3986, section 4.4). The page does not repeat it, because it may contain a code.
const THIS_ADDRESS: &str = "";

/// Some of the login flows that use up a limit will have ended by then.
const LIMIT_RETRY: Duration = Duration::from_secs(30);

/// The time after which a provider should send its logout token again.
const LOGOUT_RETRY: Duration = Duration::from_secs(5);

/// Codes of a provider that an application can act on (RFC 6749, section 4.2.2.1; OpenID Connect Core, section 3.1.2.6).
/// Other codes are about Vestibule's own request.
const APPLICATION_CODES: [&str; 6] = [
    "access_denied",
    "temporarily_unavailable",
    "interaction_required",
    "login_required",
    "account_selection_required",
    "consent_required",
];

impl From<&BeginError> for Failure {
    fn from(error: &BeginError) -> Self {
        match error {
            BeginError::NotReady(_) | BeginError::Unreachable => Self::provider_unavailable(),
            BeginError::Limit(_) => Self::login_limit(),
            BeginError::Store(error) => error.into(),
        }
    }
}

impl Failure {
    /// Vestibule has no room for another login.
    pub(super) fn login_limit() -> Self {
        let failure = Self::unavailable("New sign-ins are limited at the moment. Try again later.");
        failure.retry_after(LIMIT_RETRY).page("error-login-limit").with("seconds", LIMIT_RETRY.as_secs())
    }
}

impl From<ReturnTargetError> for Failure {
    fn from(error: ReturnTargetError) -> Self {
        let reason = text(reason_id(error), &[("most", TextValue::Count(return_target::LONGEST as u64))]);
        let failure = Self::of_page(StatusCode::BAD_REQUEST, "error-return-refused").with("reason", reason);
        failure.action("action-sign-in", "/sso/login")
    }
}

/// The message that completes "an address that is not part of this site:".
fn reason_id(error: ReturnTargetError) -> &'static str {
    match error {
        ReturnTargetError::Empty => "return-empty",
        ReturnTargetError::TooLong => "return-too-long",
        ReturnTargetError::ControlCharacter => "return-control-character",
        ReturnTargetError::Backslash => "return-backslash",
        ReturnTargetError::NotAPath => "return-not-a-path",
        ReturnTargetError::Authority => "return-authority",
        ReturnTargetError::UserInfo => "return-user-info",
        ReturnTargetError::OtherHost => "return-other-host",
        ReturnTargetError::DoubledSlash => "return-doubled-slash",
    }
}

impl From<&LoginFailure> for Failure {
    fn from(failed: &LoginFailure) -> Self {
        let target = failed.again.clone().unwrap_or_else(ReturnTarget::root);
        let again = login_href(&target, Some(failed.provider.id()));
        let failure = Self::from(&failed.reason).with("provider", failed.provider.name());
        match &failed.reason {
            FailureReason::Denied { error, description } => {
                failure.quote(failed.provider.name(), description.as_deref().unwrap_or(error)).action("action-start-again", again)
            }
            FailureReason::Finished => failure.action("action-start-again", again).action("action-continue", target.as_str()),
            FailureReason::NoRoleMapYet | FailureReason::StoreBefore(_) => {
                failure.action("action-again", THIS_ADDRESS).action("action-start-again", again)
            }
            FailureReason::NoRole | FailureReason::Disabled => failure.action("action-other-account", again),
            FailureReason::NotSignedIn => failure.action("action-sign-in", "/sso/login"),
            FailureReason::Taken => failure.action("action-methods", "/vestibule/sign-in"),
            FailureReason::Exchange(ExchangeError::Authentication(_)) => {
                let again = authenticating_href(&target, Some(failed.provider.id()), LoginAuthentication::Again);
                failure.action("action-start-again", again)
            }
            _ => failure.action("action-start-again", again),
        }
    }
}

/// A reason without words for programs is one that only the user can act on.
impl From<&FailureReason> for Failure {
    fn from(reason: &FailureReason) -> Self {
        let unconfirmed = || Self::new(StatusCode::BAD_GATEWAY, "server_error", "The sign-in could not be confirmed.");
        match reason {
            FailureReason::Unknown => Self::bad_request("The sign-in has expired. Start again.").page("error-expired"),
            FailureReason::EndedAtProvider => {
                Self::bad_request("The identity provider ended its session. Start again.").page("error-ended-at-provider")
            }
            FailureReason::Finished => Self::of_page(StatusCode::BAD_REQUEST, "error-finished"),
            FailureReason::OtherBrowser => other_browser(),
            FailureReason::OtherProvider => Self::of_page(StatusCode::BAD_REQUEST, "error-mixed-up"),
            FailureReason::Issuer => Self { status: StatusCode::BAD_REQUEST, ..unconfirmed() }.page("error-mixed-up"),
            FailureReason::NoState | FailureReason::NoCode => Self::of_page(StatusCode::BAD_REQUEST, "error-incomplete"),
            FailureReason::Denied { error, .. } => Self::denied(error),
            FailureReason::NoRoleMapYet => Self::sign_in_unavailable().page("error-no-role-map-yet"),
            FailureReason::NoRole => Self::forbidden("No role is granted to the user.").page("error-no-role"),
            FailureReason::Disabled => Self::forbidden("The user is disabled.").page("error-disabled"),
            FailureReason::UserClaimTaken { .. } => Self::of_page(StatusCode::CONFLICT, "error-user-claim-taken"),
            FailureReason::MissingSource(_) => {
                Self::forbidden("Claims that the role map requires are missing.").page("error-missing-source")
            }
            FailureReason::Exchange(ExchangeError::NotReady(_)) => Self::provider_unavailable(),
            FailureReason::Exchange(ExchangeError::TooLarge { .. }) => unconfirmed().page("error-too-large"),
            FailureReason::Exchange(ExchangeError::Authentication(_)) => {
                Self::of_page(StatusCode::BAD_GATEWAY, "error-not-authenticated-recently")
            }
            FailureReason::Exchange(_) => unconfirmed().page("error-not-confirmed"),
            FailureReason::NotSignedIn => Self::of_page(StatusCode::UNAUTHORIZED, "error-link-signed-out"),
            FailureReason::Taken => Self::of_page(StatusCode::CONFLICT, "error-link-taken"),
            FailureReason::StoreBefore(_) => Self::sign_in_unavailable().page("error-store-before"),
            FailureReason::StoreAfter(_) => Self::sign_in_unavailable().page("error-store-after"),
        }
    }
}

impl From<&TakeHandoverError> for Failure {
    fn from(error: &TakeHandoverError) -> Self {
        match error {
            TakeHandoverError::Unknown | TakeHandoverError::OtherRequest | TakeHandoverError::OtherHost => {
                Self::of_page(StatusCode::BAD_REQUEST, "error-handover")
            }
            TakeHandoverError::Used | TakeHandoverError::OtherSession => Self::of_page(StatusCode::BAD_REQUEST, "error-finished"),
            TakeHandoverError::OtherBrowser => other_browser(),
            TakeHandoverError::Store(_) => Self::sign_in_unavailable().page("error-store-after"),
        }
    }
}

impl From<&BackchannelLogoutError> for Failure {
    fn from(error: &BackchannelLogoutError) -> Self {
        match error {
            BackchannelLogoutError::UnknownProvider => Self::bad_request("There is no such provider."),
            BackchannelLogoutError::Replayed => Self::bad_request("The logout token was used before."),
            BackchannelLogoutError::Store(error) => Self::from(error).retry_after(LOGOUT_RETRY),
            BackchannelLogoutError::Token(LogoutTokenError::NotReady(_)) => {
                Self::unavailable("The provider's keys are not available.").retry_after(LOGOUT_RETRY)
            }
            BackchannelLogoutError::Token(_) => Self::bad_request("The logout token is not valid."),
        }
    }
}

impl From<&FrontchannelLogoutError> for Failure {
    fn from(error: &FrontchannelLogoutError) -> Self {
        match error {
            FrontchannelLogoutError::UnknownProvider => Self::bad_request("There is no such provider."),
            FrontchannelLogoutError::Disabled => {
                Self::bad_request("Front-channel logout is not enabled for this provider (frontchannel_logout).")
            }
            FrontchannelLogoutError::Store(error) => Self::from(error).retry_after(LOGOUT_RETRY),
        }
    }
}

impl Failure {
    fn denied(error: &str) -> Self {
        let code = APPLICATION_CODES.into_iter().find(|known| *known == error).unwrap_or("server_error");
        let (status, page) = match error {
            "access_denied" => (StatusCode::FORBIDDEN, "error-denied"),
            _ => (StatusCode::BAD_GATEWAY, "error-provider-failed"),
        };
        Self::new(status, code, "The identity provider did not sign the user in.").page(page)
    }

    fn provider_unavailable() -> Self {
        let failure = Self::unavailable("The provider can't be reached at the moment.");
        // The provider is not requested more often.
        failure.retry_after(ON_DEMAND).page("error-provider-away")
    }

    pub fn sign_in_unavailable() -> Self {
        Self::unavailable("Sign-in is unavailable at the moment. Try again later.")
    }
}
