//! `/vestibule/api/identities`: the identities that a person signs in with.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Bytes};
use serde_json::{Value, json as value};

use super::{
    Address, Intent, Refused, answer, caller, fields,
    fields::required_text,
    json,
    sessions::{in_person, own_session},
};
use crate::{
    check::AuthenticatedCredential,
    continuation::Continuation,
    http::{Services, binding::binding},
    return_to::ReturnTo,
    users::Unlinked,
};

type Body = Result<Bytes, actix_web::Error>;

pub(super) fn all() -> Address {
    Address::new("/identities")
        .get(async |request, services| answer(list(request, services).await))
        .post(async |request, body, services| answer(link(request, body, services).await))
}

pub(super) fn unlink() -> Address {
    Address::new("/identities/unlink").post(async |request, body, services| answer(take_off(request, body, services).await))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Look).await?)?;
    let AuthenticatedCredential::Session(signed_in) = &caller.credential else { return Err(Refused::NotInPerson) };
    let identities = signed_in.user.identities();
    let listed: Vec<Value> = identities
        .iter()
        .map(|identity| value!({"provider": identity.provider, "issuer": identity.issuer, "subject": identity.subject}))
        .collect();
    let is_linked = |id: &str| identities.iter().any(|identity| identity.provider == id);
    let open = services.login.providers().iter().filter(|provider| !is_linked(provider.id()));
    let linkable: Vec<Value> = open.map(|provider| value!({"provider": provider.id(), "name": provider.name()})).collect();
    Ok(json(StatusCode::OK, value!({"identities": listed, "linkable": linkable})))
}

/// Begins to link one: where to send the browser, whose person has signed in lately.
async fn link(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::ShowSecret).await?)?;
    let mut fields = fields(&request, body, &caller)?;
    let provider = required_text(&mut fields, "provider")?;
    fields.finish()?;
    let provider = services.login.providers().get(&provider).ok_or(Refused::NoProvider)?;
    let (binding, new_cookie) = binding(&request, &services.site);
    let (user, again) = (caller.evaluation.identity.user.clone(), page_of_methods());
    let continuation = Continuation::Link { user, again };
    let location = services.login.begin(provider, &binding, continuation).await?;
    let mut response = json(StatusCode::OK, value!({"location": location}));
    if let Some(value) = new_cookie {
        let _ = response.add_cookie(&services.site.cookies.login_cookie(&value));
    }
    Ok(response)
}

/// The person's page that lists how they sign in.
fn page_of_methods() -> ReturnTo {
    ReturnTo::parse("/vestibule/sign-in", "").unwrap_or_else(|_| ReturnTo::root())
}

async fn take_off(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::ShowSecret).await?)?;
    let mut fields = fields(&request, body, &caller)?;
    let issuer = required_text(&mut fields, "issuer")?;
    let subject = required_text(&mut fields, "subject")?;
    fields.finish()?;
    let user = &caller.evaluation.identity.user;
    match services.people.unlink(user, &issuer, &subject, own_session(&request, &services.site).as_ref()).await? {
        Unlinked::Unlinked => {}
        Unlinked::Last => return Err(Refused::LastIdentity),
        Unlinked::NotTheirs => return Err(Refused::NoIdentity),
    }
    Ok(json(StatusCode::OK, value!({"issuer": issuer, "subject": subject, "deleted": true})))
}
