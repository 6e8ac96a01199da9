//! `/vestibule/api/password`: changes the caller's password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde_json::json as value;
use zeroize::Zeroizing;

use crate::http::{
    Services,
    api::{
        ApiError, Body, Endpoint, Intent, SignInAge, answer, caller, fields::required_text, json, local_accounts, read_fields,
        require_session,
    },
    passwords::origin,
};

pub(in crate::http) fn change() -> Endpoint {
    Endpoint::new("/password").post(async |request, body, services| answer(handle(request, body, services).await))
}

async fn handle(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = require_session(caller(&request, &services, Intent::Grant(SignInAge::Any)).await?)?;
    let mut fields = read_fields(&request, body, &caller)?;
    let current = required_text(&mut fields, "current_password")?;
    let new = required_text(&mut fields, "new_password")?;
    fields.finish()?;
    let (user, kept) = (&caller.evaluation.identity.user, services.site.cookies.session_id_in(&request));
    let device = services.site.cookies.device_in(&request);
    let origin = origin(&request, &services.site, device.as_deref());
    local_accounts(&services)?
        .change_password(user, Zeroizing::new(current), Zeroizing::new(new), kept.as_ref(), &origin)
        .await?;
    Ok(json(StatusCode::OK, value!({"user_id": user, "changed": true})))
}
