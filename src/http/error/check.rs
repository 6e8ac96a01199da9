//! Checks that are not allowed, for gateways that relay the answer to the client.

use actix_web::http::StatusCode;

use super::Failure;
use crate::check::{Decision, DenialReason};

impl Failure {
    /// The failure of a request that the check did not allow, other than for a missing credential.
    pub fn of_denied_check(decision: &Decision) -> Self {
        let forbidden = || Self::forbidden(decision.description());
        match decision {
            Decision::Unavailable(cause) => Self::of_outage(cause),
            Decision::RoleMapNotLoaded => Self::role_map_not_loaded(),
            Decision::Forbidden { reason, .. } => match reason {
                DenialReason::ExpiredClaims => forbidden().page("error-claims-expired").action("action-sign-in", "/sso/login"),
                DenialReason::NoRole | DenialReason::UnregisteredSubject | DenialReason::MissingSource => {
                    forbidden().page("error-no-access")
                }
                DenialReason::UnmetRequirement { .. } | DenialReason::RouteRestriction | DenialReason::KeyRestriction => {
                    forbidden().page("error-page-forbidden")
                }
            },
            _ => forbidden().page("error-page-closed"),
        }
    }
}

/// The auth request does not describe a request that the gateway may forward.
pub(in crate::http) fn malformed_auth_request() -> Failure {
    let failure = Failure::new(StatusCode::FORBIDDEN, "invalid_request", "The auth request is malformed.");
    failure.page("error-request-refused")
}
