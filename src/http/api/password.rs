//! `/vestibule/api/password`: a person changes their password.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Data},
};
use serde_json::json as value;
use zeroize::Zeroizing;

use super::{
    Address, Intent, Refused, answer, caller, fields,
    fields::required_text,
    invitations::on,
    json,
    sessions::{in_person, own_session},
};
use crate::{
    accounts::Origin,
    check::Checker,
    http::{Local, Site},
    keys::Keys,
    principals::Principals,
};

type Services = (Data<Site>, Data<Checker>, Data<Keys>, Local, Data<Principals>);
type Body = Result<Bytes, actix_web::Error>;

pub(super) fn change() -> Address {
    Address::new("/password").post(async |request, body, services| answer(act(request, body, services).await))
}

async fn act(
    request: HttpRequest,
    body: Body,
    (site, checker, keys, local, principals): Services,
) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &site, &checker, &keys, Intent::Change).await?)?;
    let mut fields = fields(&request, body, &caller)?;
    let current = required_text(&mut fields, "current_password")?;
    let new = required_text(&mut fields, "new_password")?;
    fields.finish()?;
    let (user, kept) = (&caller.judged.identity.user, own_session(&request, &site));
    let device = site.cookies.device_in(&request);
    let origin = Origin { device: device.as_deref(), address: site.proxies.told(&request) };
    on(&local)?.change_password(user, Zeroizing::new(current), Zeroizing::new(new), kept.as_ref(), &origin).await?;
    principals.forget_person(user);
    Ok(json(StatusCode::OK, value!({"user_id": user, "changed": true})))
}
