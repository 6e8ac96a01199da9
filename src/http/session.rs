//! `/sso/session`: who am I, for programs.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::json;

use super::{Services, credential, error};
use crate::{
    access::CredentialSources,
    check::{Credential, CredentialError},
};

const ENDED: &str = "The session has ended.";

pub(super) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    let values = |place| credential::values(request.headers(), place);
    let token = match services.checker.credentials().parse(CredentialSources::ALL, values) {
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
            tracing::error!(cause = %unanswered, "who is signed in can't be looked up");
            error::json(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "Sessions can't be looked up at the moment.")
        }
        Ok(Some((signed_in, judged))) => HttpResponse::Ok().json(json!({
            "user_id": judged.identity.user,
            "user_email": judged.identity.email,
            "user_role": judged.identity.role,
            "rule": judged.grant.rule,
            "teams": judged.grant.teams,
            "provider": signed_in.session.provider,
            "expires": signed_in.session.created + services.site.limits.absolute,
        })),
    }
}
