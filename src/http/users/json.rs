//! `/vestibule/api/people`: lists, shows, disables, enables and deletes users, for administrators.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};
use serde_json::{Value, json as value};

use super::{UserAction, apply};
use crate::{
    administration::UserSummary,
    check::{AuthenticatedPrincipal, Checker},
    http::{
        Services,
        api::{ApiError, Body, Endpoint, Intent, SignInAge, administrator, answer, caller, fields::Fields, json, read_fields},
        display_names::{identity_json, identity_of},
        pagination::{PAGE_SIZE, page_size},
    },
};

pub(in crate::http) fn all() -> Endpoint {
    Endpoint::new("/people").with_query().get(async |request, services| answer(list(request, services).await))
}

pub(in crate::http) fn one() -> Endpoint {
    Endpoint::new("/people/{id}")
        .get(async |request, id, services| answer(show(request, id, services).await))
        .delete(async |request, id, services| answer(delete(request, id, UserAction::Delete, services).await))
}

pub(in crate::http) fn disable() -> Endpoint {
    let answer = async |request, id, body, services| answer(post(request, id, body, UserAction::Disable, services).await);
    Endpoint::new("/people/{id}/disable").post(answer)
}

pub(in crate::http) fn enable() -> Endpoint {
    let answer = async |request, id, body, services| answer(post(request, id, body, UserAction::Enable, services).await);
    Endpoint::new("/people/{id}/enable").post(answer)
}

pub(in crate::http) fn sessions() -> Endpoint {
    let answer = async |request, id, services| answer(delete(request, id, UserAction::EndSessions, services).await);
    Endpoint::new("/people/{id}/sessions").delete(answer)
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Read).await?;
    administrator(&services, &caller)?;
    let mut query = Fields::parse_query(request.query_string()).ok_or(ApiError::Malformed)?;
    let limit = query.parse_field("limit", page_size)?.unwrap_or(PAGE_SIZE);
    let after = query.text("after")?;
    let wanted = query.text("q")?;
    query.finish()?;
    let found = super::list(&services, wanted.as_deref().unwrap_or_default(), after.as_deref(), limit).await?;
    let listed: Vec<Value> = found.users.iter().map(|known| to_json(known, &services.checker)).collect();
    Ok(json(StatusCode::OK, value!({"people": listed, "next": found.next, "is_cut": found.is_cut})))
}

async fn show(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Read).await?;
    administrator(&services, &caller)?;
    let known = services.administration.get(&id).await?;
    let mut body = to_json(&known, &services.checker);
    body["line"] = value!(known.grant.rule.as_ref().and_then(|rule| services.role_maps.active().map.line_of(rule)));
    let in_use = services.administration.usage(&id).await?;
    (body["sessions"], body["keys"]) = (in_use.sessions.into(), in_use.keys.into());
    Ok(json(StatusCode::OK, body))
}

/// Handles a call without fields. With a session its body must still be declared as JSON.
async fn post(
    request: HttpRequest,
    id: Path<String>,
    body: Body,
    action: UserAction,
    services: Services,
) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, action.intent()).await?;
    read_fields(&request, body, &caller)?.finish()?;
    change(&caller, &id, action, &services).await
}

async fn delete(
    request: HttpRequest,
    id: Path<String>,
    action: UserAction,
    services: Services,
) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, action.intent()).await?;
    change(&caller, &id, action, &services).await
}

async fn change(
    caller: &AuthenticatedPrincipal,
    id: &str,
    action: UserAction,
    services: &Services,
) -> Result<HttpResponse, ApiError> {
    let by = administrator(services, caller)?;
    let body = match (apply(services, by, id, action).await?, action) {
        (Some(changed), _) => to_json(&changed, &services.checker),
        (None, UserAction::Delete) => value!({"user_id": id, "deleted": true}),
        (None, _) => value!({"user_id": id, "sessions": 0}),
    };
    Ok(json(StatusCode::OK, body))
}

impl UserAction {
    fn intent(self) -> Intent {
        match self {
            Self::Disable | Self::EndSessions => Intent::Revoke(SignInAge::Any),
            // The record of a disabled user is all that refuses them: once it is deleted, they can sign in as a new user.
            Self::Enable | Self::Delete => Intent::Grant(SignInAge::Any),
        }
    }
}

/// Returns a user, as administrators see it.
fn to_json(known: &UserSummary, checker: &Checker) -> Value {
    let identity = identity_of(known, checker);
    let UserSummary { user, grant, .. } = known;
    let identities: Vec<Value> = user.dated_identities().iter().map(identity_json).collect();
    value!({
        "user_id": user.id,
        "user_email": identity.email,
        "preferred_username": identity.preferred_username,
        "user_role": grant.role,
        "rule": grant.rule,
        "teams": grant.teams,
        "created_at": user.created,
        "last_sign_in": user.signed_in,
        "identities": identities,
        "disabled": user.is_disabled(),
        "scim": user.provisioned.as_ref().map(|provisioned| value!({"id": provisioned.id, "active": provisioned.active})),
        "pinned": user.pinned.is_some(),
    })
}
