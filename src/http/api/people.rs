//! `/vestibule/api/people`: what administrators see of people, and do with them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Path},
};
use serde_json::{Value, json as value};

use super::{
    Address, Intent, Refused, administrator, answer, caller, fields,
    fields::Fields,
    json,
    keys::{PAGE, page_size},
};
use crate::{
    check::{AuthenticatedPrincipal, Checker},
    http::{Services, names::mentions},
    people::{Found, Known},
};

type Body = Result<Bytes, actix_web::Error>;

/// What is done to one person.
#[derive(Clone, Copy)]
enum Deed {
    Disable,
    Enable,
    EndSessions,
    Delete,
}

pub(super) fn all() -> Address {
    Address::new("/people").with_query().get(async |request, services| answer(list(request, services).await))
}

pub(super) fn one() -> Address {
    Address::new("/people/{id}")
        .get(async |request, id, services| answer(show(request, id, services).await))
        .delete(async |request, id, services| answer(delete(request, id, Deed::Delete, services).await))
}

pub(super) fn disable() -> Address {
    let answer = async |request, id, body, services| answer(post(request, id, body, Deed::Disable, services).await);
    Address::new("/people/{id}/disable").post(answer)
}

pub(super) fn enable() -> Address {
    let answer = async |request, id, body, services| answer(post(request, id, body, Deed::Enable, services).await);
    Address::new("/people/{id}/enable").post(answer)
}

pub(super) fn sessions() -> Address {
    let answer = async |request, id, services| answer(delete(request, id, Deed::EndSessions, services).await);
    Address::new("/people/{id}/sessions").delete(answer)
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Look).await?;
    administrator(&services, &caller)?;
    let mut query = Fields::of_query(request.query_string()).ok_or(Refused::Malformed)?;
    let limit = query.parsed("limit", page_size)?.unwrap_or(PAGE);
    let after = query.text("after")?;
    let wanted = query.text("q")?;
    query.finish()?;
    let (found, next) = match wanted.as_deref().map(str::trim) {
        None | Some("") => {
            let (people, next) = services.people.list(after.as_deref(), limit).await?;
            (Found { people, is_cut: false }, next)
        }
        Some(text) => (services.people.search(text, limit, |known| mentions(known, &services.checker, text)).await?, None),
    };
    let listed: Vec<Value> = found.people.iter().map(|known| shown(known, &services.checker)).collect();
    Ok(json(StatusCode::OK, value!({"people": listed, "next": next, "is_cut": found.is_cut})))
}

async fn show(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Look).await?;
    let by = administrator(&services, &caller)?;
    let known = services.people.get(&id).await?;
    let mut body = shown(&known, &services.checker);
    body["line"] = value!(known.grant.rule.as_ref().and_then(|rule| services.role_maps.current().map.line_of(rule)));
    let in_use = services.people.in_use(by, &id).await?;
    (body["sessions"], body["keys"]) = (in_use.sessions.into(), in_use.keys.into());
    Ok(json(StatusCode::OK, body))
}

/// A call without fields, which by a session has to be said to be JSON all the same.
async fn post(
    request: HttpRequest,
    id: Path<String>,
    body: Body,
    deed: Deed,
    services: Services,
) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Change).await?;
    fields(&request, body, &caller)?.finish()?;
    act(&caller, id, deed, &services).await
}

async fn delete(request: HttpRequest, id: Path<String>, deed: Deed, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Change).await?;
    act(&caller, id, deed, &services).await
}

async fn act(
    caller: &AuthenticatedPrincipal,
    id: Path<String>,
    deed: Deed,
    services: &Services,
) -> Result<HttpResponse, Refused> {
    let by = administrator(services, caller)?;
    let body = match deed {
        Deed::Disable => shown(&services.people.disable(by, &id).await?, &services.checker),
        Deed::Enable => shown(&services.people.enable(by, &id).await?, &services.checker),
        Deed::EndSessions => {
            services.people.end_sessions(by, &id).await?;
            value!({"user_id": *id, "sessions": 0})
        }
        Deed::Delete => {
            services.people.delete(by, &id).await?;
            value!({"user_id": *id, "deleted": true})
        }
    };
    Ok(json(StatusCode::OK, body))
}

/// A person, as an administrator sees them.
fn shown(Known { user, grant }: &Known, checker: &Checker) -> Value {
    let identity = checker.identity(&user.id, &user.identities, grant);
    let identities: Vec<Value> = user
        .identities
        .iter()
        .map(|identity| value!({"provider": identity.provider, "issuer": identity.issuer, "subject": identity.subject}))
        .collect();
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
        "disabled": user.disabled,
        "pinned": user.pinned.is_some(),
    })
}
