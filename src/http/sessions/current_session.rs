//! `/sso/session`: the current session and its user, for programs.

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::{
    access::CredentialSources,
    check::{AuthenticationFailure, Credential, CredentialError, UnavailableCause},
    http::{Services, credential_headers, error},
};

const ENDED: &str = "The session has ended.";

pub(in crate::http) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    let values = |place| credential_headers::values(request.headers(), place);
    let host = services.site.page_origin(request.headers()).host();
    let token = match services.checker.credentials().parse_on(host, CredentialSources::ALL, values) {
        Ok(Some(Credential::Session(token))) => token,
        Err(CredentialError::MalformedSession) => return error::challenged("login_required", ENDED, error::CHALLENGE),
        Ok(None) => return error::challenged("login_required", "Nobody is signed in.", error::CHALLENGE),
        _ => {
            return error::challenged("invalid_token", "This address is for a session's cookie alone.", error::CHALLENGE_INVALID);
        }
    };
    match services.checker.load_session(&token).await {
        Ok(None) => error::challenged("login_required", ENDED, error::CHALLENGE),
        Err(unanswered) => {
            tracing::error!(error = %unanswered, suppressed = tracing::field::Empty, "session lookup failed");
            error::Failure::credential_unavailable().json()
        }
        Ok(Some((signed_in, evaluation))) if services.checker.needs_verification(&signed_in, &evaluation) => {
            error::authentication_error(AuthenticationFailure::ExpiredClaims)
        }
        Ok(Some((signed_in, evaluation))) if services.checker.needs_refresh(&signed_in, &evaluation) => {
            error::Failure::of_outage(&UnavailableCause::ClaimsOverdue).json()
        }
        Ok(Some((signed_in, evaluation))) => HttpResponse::Ok().json(json!({
            "user_id": evaluation.identity.user,
            "user_email": evaluation.identity.email,
            "user_role": evaluation.identity.role,
            "rule": evaluation.grant.rule,
            "teams": evaluation.grant.teams,
            "provider": signed_in.session.provider,
            "expires": signed_in.session.created + services.site.limits.absolute,
        })),
    }
}
