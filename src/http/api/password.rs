//! `/vestibule/api/password`: a person changes their password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Bytes};
use serde_json::json as value;
use zeroize::Zeroizing;

use super::{
    Address, Intent, Refused, answer, caller, fields,
    fields::required_text,
    json, local_accounts,
    sessions::{in_person, own_session},
};
use crate::{accounts::Origin, http::Services};

type Body = Result<Bytes, actix_web::Error>;

pub(super) fn change() -> Address {
    Address::new("/password").post(async |request, body, services| answer(act(request, body, services).await))
}

async fn act(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = in_person(caller(&request, &services, Intent::Change).await?)?;
    let mut fields = fields(&request, body, &caller)?;
    let current = required_text(&mut fields, "current_password")?;
    let new = required_text(&mut fields, "new_password")?;
    fields.finish()?;
    let (user, kept) = (&caller.evaluation.identity.user, own_session(&request, &services.site));
    let device = services.site.cookies.device_in(&request);
    let origin = Origin { device: device.as_deref(), address: services.site.proxies.told(&request) };
    local_accounts(&services)?
        .change_password(user, Zeroizing::new(current), Zeroizing::new(new), kept.as_ref(), &origin)
        .await?;
    Ok(json(StatusCode::OK, value!({"user_id": user, "changed": true})))
}
