//! `/vestibule/api/keys`: creates, lists, restricts, rotates and revokes API keys.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Path};
use serde_json::{Value, json as value};

use super::{EffectiveRestrictions, MOST_PATHS, manager, parse_path};
use crate::{
    api_keys::{ApiKey, DerivedKeys, KeyId, KeyParameters, KeyRotation, KeyWithSecret, Restrictions, is_alias},
    check::Checker,
    http::{
        Services,
        api::{
            ApiError, Body, Endpoint, Intent, SignInAge, answer, caller,
            fields::{self, FieldError, Fields},
            json, read_fields,
        },
        display_names::{MOST_TEAMS, parse_team},
        pagination::{PAGE_SIZE, page_size},
    },
};

pub(in crate::http) fn all() -> Endpoint {
    Endpoint::new("/keys")
        .with_query()
        .get(async |request, services| answer(list(request, services).await))
        .post(async |request, body, services| answer(create(request, body, services).await))
}

pub(in crate::http) fn one() -> Endpoint {
    Endpoint::new("/keys/{id}")
        .patch(async |request, id, body, services| answer(restrict(request, id, body, services).await))
        .delete(async |request, id, services| answer(revoke(request, id, services).await))
}

pub(in crate::http) fn rotate() -> Endpoint {
    let answer = async |request, id, body, services| answer(rotate_one(request, id, body, services).await);
    Endpoint::new("/keys/{id}/regenerate").post(answer)
}

async fn create(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Grant(SignInAge::Recent)).await?;
    let wish = read_wish(read_fields(&request, body, &caller)?, &services.checker)?;
    let created = services.keys.create(&manager(&caller), &wish).await?;
    Ok(json(StatusCode::CREATED, with_secret(&created, &services.checker)))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Read).await?;
    let mut query = Fields::parse_query(request.query_string()).ok_or(ApiError::Malformed)?;
    let limit = query.parse_field("limit", page_size)?.unwrap_or(PAGE_SIZE);
    let after = query.parse_field("after", |text| KeyId::parse(text).ok_or("must be a token_id"))?;
    let user = query.text("user_id")?;
    query.finish()?;
    let page = services.keys.list(&manager(&caller), user.as_deref(), after, limit).await?;
    let listed: Vec<Value> = page.keys.iter().map(|key| to_json(key, &services.checker)).collect();
    Ok(json(StatusCode::OK, value!({"keys": listed, "next": page.next.map(|id| id.to_string())})))
}

/// Adds restrictions to a key (RFC 5789). No field ever removes one.
async fn restrict(request: HttpRequest, id: Path<String>, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?;
    let mut fields = read_fields(&request, body, &caller)?;
    let restrictions = read_restrictions(&mut fields, &services.checker)?;
    fields.finish()?;
    let key = services.keys.restrict(&manager(&caller), KeyId::parse(&id).ok_or(ApiError::NotFound)?, &restrictions).await?;
    Ok(json(StatusCode::OK, to_json(&key, &services.checker)))
}

async fn revoke(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Revoke(SignInAge::Any)).await?;
    let key = services.keys.revoke(&manager(&caller), KeyId::parse(&id).ok_or(ApiError::NotFound)?).await?;
    Ok(json(StatusCode::OK, value!({"token_id": key.id.to_string(), "deleted": true})))
}

async fn rotate_one(request: HttpRequest, id: Path<String>, body: Body, services: Services) -> Result<HttpResponse, ApiError> {
    let caller = caller(&request, &services, Intent::Grant(SignInAge::Recent)).await?;
    let mut fields = read_fields(&request, body, &caller)?;
    let rotation = KeyRotation {
        grace_period: fields.parse_field("overlap", fields::parse_duration)?,
        derived_keys: if fields.flag("keep_derived")? { DerivedKeys::Keep } else { DerivedKeys::End },
    };
    fields.finish()?;
    let id = KeyId::parse(&id).ok_or(ApiError::NotFound)?;
    let rotated = services.keys.rotate(&manager(&caller), id, &rotation).await?;
    Ok(json(StatusCode::OK, with_secret(&rotated, &services.checker)))
}

fn read_wish(mut fields: Fields, checker: &Checker) -> Result<KeyParameters, ApiError> {
    let restrictions = read_restrictions(&mut fields, checker)?;
    let wish = KeyParameters {
        user: fields.text("user_id")?,
        alias: fields.parse_field("key_alias", alias)?,
        duration: fields.parse_field("duration", fields::parse_duration)?,
        restrictions,
        manage_keys: fields.flag("manage_keys")?,
        manage_users: fields.flag("manage_people")?,
        application: None,
    };
    fields.finish()?;
    if wish.manage_users && !wish.can_manage_users() {
        return Err(FieldError::Value("manage_people", "goes with no teams and no paths: it is for everybody").into());
    }
    Ok(wish)
}

fn read_restrictions(fields: &mut Fields, checker: &Checker) -> Result<Restrictions, ApiError> {
    let role = |name: &str| checker.role(name).ok_or("must be a role of the role map");
    Ok(Restrictions {
        role: fields.parse_field("user_role", role)?,
        teams: fields.list("teams", MOST_TEAMS, parse_team)?,
        paths: fields.non_empty_list("paths", MOST_PATHS, parse_path)?.unwrap_or_default(),
    })
}

fn alias(text: &str) -> Result<String, &'static str> {
    match is_alias(text) {
        true => Ok(text.to_owned()),
        false => Err("must have 1 to 128 characters, no control characters, and no blanks at its ends"),
    }
}

fn with_secret(created: &KeyWithSecret, checker: &Checker) -> Value {
    let mut body = to_json(&created.key, checker);
    body["key"] = created.secret.expose().into();
    body
}

/// Returns a key without its secret, which is never stored.
fn to_json(key: &ApiKey, checker: &Checker) -> Value {
    let EffectiveRestrictions { role, teams, paths } = EffectiveRestrictions::of(key, checker);
    value!({
        "token_id": key.id.to_string(),
        "key_alias": key.alias,
        "user_id": key.user,
        "user_role": role,
        "teams": teams,
        "paths": paths.first(),
        "further_paths": paths.get(1..).unwrap_or_default(),
        "manage_keys": key.manage_keys,
        "manage_people": key.can_manage_users(),
        "created_at": key.created,
        "created_by": key.created_by,
        "expires": key.expires,
        "last_used": key.last_used,
        "parent": key.parent().map(|id| id.to_string()),
        "application": key.application,
    })
}
