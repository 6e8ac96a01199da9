//! Every failure has its status, its report for programs, and its messages for users.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use zxcvbn::zxcvbn;

use super::*;
use crate::{
    administration::AdministrationError,
    api_keys::KeysError,
    check::{Decision, DenialReason, RuleDenial, UnavailableCause},
    client_address::rate_limits::RateLimitError,
    http::{
        form_token::FormTokenError,
        pages::text::{self, Text},
        role_map::ExplanationError,
    },
    local_accounts::{AcceptanceError, InvitationError, PasswordChangeError, PasswordLoginError, PasswordRejection},
    login::FailureReason,
    principal::{CredentialKind, Source},
    return_target::ReturnTargetError,
    store,
    users::{LoginRefusal, PolicyDenial},
};

fn unavailable() -> store::Error {
    store::Error::Unavailable("it is off".to_owned())
}

fn weak_password() -> PasswordRejection {
    PasswordRejection::Weak(zxcvbn("password1234", &[]).feedback().cloned())
}

fn administration_failures() -> Vec<Failure> {
    let errors = [
        AdministrationError::NotFound,
        AdministrationError::DisabledByDirectory,
        AdministrationError::Denied(PolicyDenial::HigherRole),
        AdministrationError::Denied(PolicyDenial::OwnAccount),
        AdministrationError::Store(unavailable()),
    ];
    errors.iter().map(Failure::from).collect()
}

fn check_failures() -> Vec<Failure> {
    let reasons = [DenialReason::NoRole, DenialReason::ExpiredClaims, DenialReason::KeyRestriction];
    let forbidden =
        reasons.map(|reason| Decision::Forbidden { user: String::new(), credential: CredentialKind::Session, reason });
    let closed = Decision::DeniedForAll(RuleDenial::UnknownRoute);
    let unavailable = [Decision::RoleMapNotLoaded, Decision::Unavailable(UnavailableCause::Timeout)];
    let decisions = forbidden.into_iter().chain([closed]).chain(unavailable);
    decisions.map(|decision| Failure::of_denied_check(&decision)).chain([malformed_auth_request()]).collect()
}

fn failures() -> Vec<Failure> {
    let retry_after = Duration::from_secs(30);
    let stores = [unavailable(), store::Error::Unknown(String::new()), store::Error::Contended];
    let keys = [KeysError::NotFound, KeysError::NoRole, KeysError::Full, KeysError::Duration, KeysError::Ended];
    let invitations = [
        InvitationError::Email,
        InvitationError::UnknownRole,
        InvitationError::Duration,
        InvitationError::Above,
        InvitationError::Disabled,
        InvitationError::Store(unavailable()),
    ];
    let sign_ins = [
        PasswordLoginError::Wrong { user: None },
        PasswordLoginError::TooMany { retry_after },
        PasswordLoginError::Busy,
        PasswordLoginError::NoRoleMapYet,
        PasswordLoginError::Refused(LoginRefusal::Disabled),
        PasswordLoginError::Refused(LoginRefusal::NoRole),
    ];
    let acceptances = [
        AcceptanceError::Invalid("it is used"),
        AcceptanceError::Password(PasswordRejection::TooShort { min: 12 }),
        AcceptanceError::Busy,
    ];
    let changes = [
        PasswordChangeError::NoPassword,
        PasswordChangeError::Wrong,
        PasswordChangeError::TooMany { retry_after },
        PasswordChangeError::Password(PasswordRejection::TooLong),
        PasswordChangeError::Password(PasswordRejection::Character),
        PasswordChangeError::Password(weak_password()),
        PasswordChangeError::Busy,
    ];
    let explanations = [
        ExplanationError::UserAndClaims,
        ExplanationError::UserNotFound,
        ExplanationError::NotFoundInSearch,
        ExplanationError::AmbiguousEmail,
        ExplanationError::Claims("a reason".to_owned()),
        ExplanationError::Provider,
        ExplanationError::Address("a reason".to_owned()),
        ExplanationError::Credential,
        ExplanationError::NoRoleMapYet,
    ];
    let mut failures = request_failures();
    failures.extend(check_failures());
    failures.extend(stores.iter().map(Failure::from));
    failures.extend(keys.iter().map(Failure::from));
    failures.extend(administration_failures());
    failures.extend(invitations.iter().map(Failure::from));
    failures.extend(sign_ins.iter().map(Failure::from));
    failures.extend(acceptances.iter().map(Failure::from));
    failures.extend(changes.iter().map(Failure::from));
    failures.extend(explanations.iter().map(Failure::from));
    failures
}

fn request_failures() -> Vec<Failure> {
    let retry_after = Duration::from_secs(30);
    vec![
        internal(),
        no_page(),
        administrators_only(),
        no_local_accounts(),
        foreign_form(),
        Failure::from(&FormTokenError::Used),
        navigation_required(),
        sign_in_again(),
        unknown_provider(),
        other_browser(),
        RateLimitError { retry_after }.into(),
        ReturnTargetError::TooLong.into(),
    ]
}

fn login_failures() -> Vec<Failure> {
    let denied = |error: &str| FailureReason::Denied { error: error.to_owned(), description: None };
    let reasons = [
        FailureReason::NoState,
        FailureReason::NoCode,
        FailureReason::Unknown,
        FailureReason::Finished,
        FailureReason::OtherBrowser,
        FailureReason::OtherProvider,
        FailureReason::Issuer,
        denied("access_denied"),
        denied("server_error"),
        FailureReason::NoRoleMapYet,
        FailureReason::NoRole,
        FailureReason::Disabled,
        FailureReason::MissingSource(Source::Userinfo),
        FailureReason::NotSignedIn,
        FailureReason::Taken,
        FailureReason::StoreBefore(unavailable()),
        FailureReason::StoreAfter(unavailable()),
    ];
    reasons.iter().map(|reason| Failure::from(reason).with("provider", "Corp SSO")).collect()
}

/// In tests, a message that is missing or lacks the value of a placeholder panics.
#[test]
fn every_failure_has_complete_messages_for_users() {
    let (site, request) = (Site::for_tests(), RequestId::from_headers_or_new(&HeaderMap::new()));
    for failure in failures().into_iter().chain(login_failures()) {
        if let Some((_, problem)) = failure.form_problem() {
            assert!(!problem.sentences().is_empty());
        }
        let status = failure.status;
        assert_eq!(failure.render(&site, &request).status(), status);
    }
}

#[test]
fn a_failure_has_a_report_for_programs_unless_only_the_user_can_act() {
    for failure in failures() {
        let is_of_a_page = failure.report().is_none();
        assert!(is_of_a_page || failure.report().is_some_and(|report| report.description.ends_with('.')));
    }
    let for_users = login_failures().into_iter().filter(|failure| failure.report().is_none()).count();
    assert_eq!(for_users, 7);
}

#[test]
fn a_weak_password_is_explained_with_messages_of_the_pages() {
    let failure = Failure::from(&PasswordChangeError::Password(weak_password()));
    let (status, problem) = failure.form_problem().expect("a problem");
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let sentences = problem.sentences();
    assert_eq!(sentences[0], Text::of("password-problem-weak").to_string());
    assert!(sentences.contains(&text::text("password-better-another-word", &[])), "{sentences:?}");
}

#[test]
fn a_temporary_failure_offers_one_retry() {
    let labels = |failure: Failure| failure.page.map(|page| page.actions.len());
    assert_eq!(labels(Failure::from(&unavailable()).retry_at("/")), Some(1));
    assert_eq!(labels(Failure::from(&unavailable()).action("action-account", "/").retry_at("/")), Some(1));
    assert_eq!(labels(foreign_form().retry_at("/")), Some(0));
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up() {
    let failure = Failure::from(RateLimitError { retry_after: Duration::from_millis(1500) });
    let response = failure.json();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers().get(header::RETRY_AFTER).map(HeaderValue::as_bytes), Some(b"2".as_slice()));
}
