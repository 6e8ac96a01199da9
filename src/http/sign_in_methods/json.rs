//! `/vestibule/api/identities`: lists, links and unlinks the caller's identities.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::{Value, json as value};

use super::{begin_link, linkable};
use crate::{
    check::AuthenticatedCredential,
    http::{
        Services,
        api::{
            ApiError, Body, Endpoint, Intent, SignInAge, answer, caller, fields::required_text, json, read_fields,
            require_session,
        },
        browser_binding::binding,
        display_names::identity_json,
    },
    users::UnlinkOutcome,
};

pub(in crate::http) fn all() -> Endpoint {
    Endpoint::new("/identities")
        .get(async |request, services| answer(list(request, services).await))
        .post(async |request, body, services| answer(link(request, body, services).await))
}

pub(in crate::http) fn unlink() -> Endpoint {
    Endpoint::new("/identities/unlink").post(async |request, body, services| answer(remove(request, body, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Read).await?)?;
    let AuthenticatedCredential::Session(signed_in) = &caller.credential else { return Err(ApiError::SessionRequired) };
    let identities = signed_in.user.identities();
    let listed: Vec<Value> = identities.iter().map(identity_json).collect();
    let open = linkable(&services, &identities);
    let linkable: Vec<Value> = open.map(|provider| value!({"provider": provider.id(), "name": provider.name()})).collect();
    Ok(json(StatusCode::OK, value!({"identities": listed, "linkable": linkable})))
}

/// Begins to link an identity and returns the URL for the browser.
async fn link(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Grant(SignInAge::Recent)).await?)?;
    let mut fields = read_fields(&request, body, &caller)?;
    let provider = required_text(&mut fields, "provider")?;
    fields.finish()?;
    let provider = services.login.providers().get(&provider).ok_or(ApiError::NoProvider)?;
    let (binding, new_cookie) = binding(&request, &services.site);
    let location = begin_link(&services, provider, &binding, &caller.evaluation.identity.user).await?;
    let mut response = json(StatusCode::OK, value!({"location": location}));
    if let Some(value) = new_cookie {
        let _ = response.add_cookie(&services.site.cookies.login_cookie(&value));
    }
    Ok(response)
}

async fn remove(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Revoke(SignInAge::Recent)).await?)?;
    let mut fields = read_fields(&request, body, &caller)?;
    let issuer = required_text(&mut fields, "issuer")?;
    let subject = required_text(&mut fields, "subject")?;
    fields.finish()?;
    let user = &caller.evaluation.identity.user;
    let kept = services.site.cookies.session_id_in(&request);
    match services.administration.unlink(user, &issuer, &subject, kept.as_ref()).await? {
        UnlinkOutcome::Unlinked => {}
        UnlinkOutcome::LastIdentity => return Err(ApiError::LastIdentity),
        UnlinkOutcome::UnknownIdentity => return Err(ApiError::NoIdentity),
    }
    Ok(json(StatusCode::OK, value!({"issuer": issuer, "subject": subject, "deleted": true})))
}
