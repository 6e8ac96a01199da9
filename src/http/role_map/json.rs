//! `/vestibule/api/role-map`: the active role map, and explanations, for administrators.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::json as value;

use super::{ExplainedIdentity, ExplanationError, ExplanationRequest, ExplanationResponse};
use crate::http::{
    Services,
    api::{ApiError, Body, Endpoint, Intent, administrator, answer, caller, fields::Fields, json, read_fields},
    display_names::identity_json,
};

pub(in crate::http) fn active() -> Endpoint {
    Endpoint::new("/role-map").get(async |request, services| answer(show(request, services).await))
}

pub(in crate::http) fn explain() -> Endpoint {
    Endpoint::new("/role-map/explain").post(async |request, body, services| answer(explain_one(request, body, services).await))
}

async fn show(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Read).await?;
    administrator(&services, &caller)?;
    let role_maps = &services.role_maps;
    let active = role_maps.active();
    let map = &active.map;
    let refused = role_maps.latest_refusal().map(|edit| value!({"at": edit.at, "mistakes": edit.mistakes}));
    Ok(json(
        StatusCode::OK,
        value!({
            "version": active.version,
            "source": role_maps.source(),
            "since": active.since,
            "rules": map.rule_count(),
            "roles": map.roles_from(None),
            "default_role": map.default_role(),
            "refused": refused,
        }),
    ))
}

async fn explain_one(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Read).await?;
    administrator(&services, &caller)?;
    let question = read_question(read_fields(&request, body, &caller)?)?;
    Ok(explanation_response(super::explain(&question, &services).await?))
}

fn read_question(mut fields: Fields) -> Result<ExplanationRequest, ApiError> {
    let (id, email) = (fields.text("user_id")?, fields.text("user_email")?);
    if id.is_some() && email.is_some() {
        return Err(ExplanationError::UserAndClaims.into());
    }
    let question = ExplanationRequest {
        user: id.or(email),
        claims: fields.object("claims")?.map(|claims| serde_json::to_string(&claims).expect("texts and numbers are JSON")),
        provider: fields.text("provider")?,
        url: fields.text("url")?,
        method: fields.text("method")?,
        credential: fields.text("credential")?,
        workload: fields.flag("workload")?,
    };
    fields.finish()?;
    Ok(question)
}

fn explanation_response(response: ExplanationResponse) -> HttpResponse {
    let ExplanationResponse { user, is_cut, identities, grant, ignored_claims, access } = response;
    let mut body = serde_json::to_value(&grant).expect("texts and numbers are JSON");
    body["user_id"] = value!(user.map(|known| known.user.id));
    body["is_cut"] = value!(is_cut);
    body["identities"] = identities
        .iter()
        .map(|ExplainedIdentity { identity, has_expired }| {
            let mut explained = identity_json(identity);
            explained["expired"] = value!(has_expired);
            explained
        })
        .collect();
    body["ignored_claims"] = value!(ignored_claims);
    body["access"] = value!(access);
    json(StatusCode::OK, body)
}
