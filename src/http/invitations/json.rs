//! `/vestibule/api/invitations`: creates, lists and revokes invitations, for administrators.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};
use serde_json::{Value, json as value};

use crate::{
    api_keys::KeyDuration,
    check::Checker,
    http::{
        Services, Site,
        api::{
            ApiError, Body, Endpoint, Intent, SignInAge, administrator, answer, caller,
            fields::{self, Fields, required_text},
            json, local_accounts, read_fields,
        },
        display_names::{MOST_TEAMS, parse_team},
        pagination::{PAGE_SIZE, page_size},
    },
    local_accounts::{
        Accounts, Invitation, InvitationError, InvitationId, InvitationParameters, InvitationStatus, InvitationWithLink, Inviter,
    },
};

pub(in crate::http) fn all() -> Endpoint {
    Endpoint::new("/invitations")
        .with_query()
        .get(async |request, services| answer(list(request, services).await))
        .post(async |request, body, services| answer(create(request, body, services).await))
}

pub(in crate::http) fn one() -> Endpoint {
    Endpoint::new("/invitations/{id}").delete(async |request, id, services| answer(revoke(request, id, services).await))
}

async fn create(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Grant(SignInAge::Recent)).await?;
    let by = administrator(&services, &caller)?;
    let wanted = read_wanted(read_fields(&request, body, &caller)?, &services.checker)?;
    let accounts = local_accounts(&services)?;
    let created = accounts.invite(Inviter::Administrator(by), &wanted).await?;
    Ok(json(StatusCode::CREATED, with_link(&created, &services.site, accounts)))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Read).await?;
    administrator(&services, &caller)?;
    let mut query = Fields::parse_query(request.query_string()).ok_or(ApiError::Malformed)?;
    let limit = query.parse_field("limit", page_size)?.unwrap_or(PAGE_SIZE);
    let after = query.parse_field("after", |text| InvitationId::parse(text).ok_or("must be the id of an invitation"))?;
    query.finish()?;
    let accounts = local_accounts(&services)?;
    let page = accounts.invitations(after, limit).await?;
    let listed: Vec<Value> = page.invitations.iter().map(|invitation| to_json(invitation, accounts)).collect();
    Ok(json(StatusCode::OK, value!({"invitations": listed, "next": page.next.map(|id| id.to_string())})))
}

async fn revoke(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?;
    let by = administrator(&services, &caller)?;
    let id = InvitationId::parse(&id).ok_or(InvitationError::NotFound)?;
    local_accounts(&services)?.revoke(id, by).await?;
    Ok(json(StatusCode::OK, value!({"id": id.to_string(), "deleted": true})))
}

fn read_wanted(mut fields: Fields, checker: &Checker) -> Result<InvitationParameters, ApiError> {
    let role = |name: &str| checker.role(name).ok_or("must be a role of the role map");
    let email = required_text(&mut fields, "user_email")?;
    let wanted_role = fields.parse_field("user_role", role)?;
    let teams = fields.list("teams", MOST_TEAMS, parse_team)?.unwrap_or_default();
    let lifetime = fields.parse_field("duration", fields::parse_duration)?;
    fields.finish()?;
    let lifetime =
        lifetime.map(KeyDuration::as_duration).map(|lifetime| lifetime.ok_or(InvitationError::Duration)).transpose()?;
    Ok(InvitationParameters { email, role: wanted_role.ok_or_else(|| ApiError::missing("user_role"))?, teams, lifetime })
}

fn with_link(created: &InvitationWithLink, site: &Site, accounts: &Accounts) -> Value {
    let mut body = to_json(&created.invitation, accounts);
    body["invitation_link"] = created.address(&site.public_url).as_str().into();
    body
}

/// Returns an invitation without its secret, which is not stored.
fn to_json(invitation: &Invitation, accounts: &Accounts) -> Value {
    value!({
        "id": invitation.id.to_string(),
        "user_id": invitation.user,
        "user_email": invitation.email,
        "user_role": invitation.role,
        "teams": invitation.teams,
        "created_at": invitation.created,
        "created_by": invitation.by,
        "expires_at": invitation.expires,
        "is_accepted": accounts.status(invitation) == InvitationStatus::Accepted,
        "accepted_at": invitation.accepted,
    })
}
