//! `/vestibule/api/keys`: making, listing, regenerating and revoking keys.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Bytes, Path},
};
use serde_json::{Value, json as value};

use super::{
    Address, Intent, Refused, answer, caller, fields,
    fields::{Fields, WrongField},
    json,
};
use crate::{
    access::PathPattern,
    check::{AuthenticatedCredential, AuthenticatedPrincipal, Checker},
    http::Services,
    keys::{Key, KeyId, Lasting, Limits, Made, ManagedBy, Manager, Wish, is_alias},
    principal::{Evaluation, Role, Team},
};

pub(in crate::http) const MOST_TEAMS: usize = 100;
const LONGEST_TEAM: usize = 256;
const MOST_PATHS: usize = 32;
pub(super) const PAGE: usize = 50;
const LARGEST_PAGE: usize = 100;

type Body = Result<Bytes, actix_web::Error>;

pub(super) fn all() -> Address {
    Address::new("/keys")
        .with_query()
        .get(async |request, services| answer(list(request, services).await))
        .post(async |request, body, services| answer(make(request, body, services).await))
}

pub(super) fn one() -> Address {
    Address::new("/keys/{id}")
        .patch(async |request, id, body, services| answer(narrow(request, id, body, services).await))
        .delete(async |request, id, services| answer(revoke(request, id, services).await))
}

pub(super) fn regenerate() -> Address {
    let answer = async |request, id, body, services| answer(renew(request, id, body, services).await);
    Address::new("/keys/{id}/regenerate").post(answer)
}

async fn make(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::ShowSecret).await?;
    let wish = read_wish(fields(&request, body, &caller)?, &services.checker)?;
    let made = services.keys.make(&manager(&caller), &wish).await?;
    Ok(json(StatusCode::CREATED, with_secret(&made, &services.checker)))
}

async fn list(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Look).await?;
    let mut query = Fields::of_query(request.query_string()).ok_or(Refused::Malformed)?;
    let limit = query.parsed("limit", page_size)?.unwrap_or(PAGE);
    let after = query.parsed("after", |text| KeyId::parse(text).ok_or("must be a token_id"))?;
    let user = query.text("user_id")?;
    query.finish()?;
    let page = services.keys.list(&manager(&caller), user.as_deref(), after, limit).await?;
    let listed: Vec<Value> = page.keys.iter().map(|key| shown(key, &services.checker)).collect();
    Ok(json(StatusCode::OK, value!({"keys": listed, "next": page.next.map(|id| id.to_string())})))
}

/// Takes away from what a key gives (RFC 5789); nothing that is sent ever adds to it.
async fn narrow(request: HttpRequest, id: Path<String>, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Change).await?;
    let mut fields = fields(&request, body, &caller)?;
    let limits = read_limits(&mut fields, &services.checker)?;
    fields.finish()?;
    let key = services.keys.narrow(&manager(&caller), KeyId::parse(&id).ok_or(Refused::NotFound)?, &limits).await?;
    Ok(json(StatusCode::OK, shown(&key, &services.checker)))
}

async fn revoke(request: HttpRequest, id: Path<String>, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Change).await?;
    let key = services.keys.revoke(&manager(&caller), KeyId::parse(&id).ok_or(Refused::NotFound)?).await?;
    Ok(json(StatusCode::OK, value!({"token_id": key.id.to_string(), "deleted": true})))
}

async fn renew(request: HttpRequest, id: Path<String>, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::ShowSecret).await?;
    let mut fields = fields(&request, body, &caller)?;
    let overlap = fields.parsed("overlap", lasting)?;
    fields.finish()?;
    let made = services.keys.regenerate(&manager(&caller), KeyId::parse(&id).ok_or(Refused::NotFound)?, overlap).await?;
    Ok(json(StatusCode::OK, with_secret(&made, &services.checker)))
}

pub(in crate::http) fn manager(caller: &AuthenticatedPrincipal) -> Manager<'_> {
    let Evaluation { grant, identity, .. } = &*caller.evaluation;
    let by = match &caller.credential {
        AuthenticatedCredential::Session(_) => ManagedBy::Person,
        AuthenticatedCredential::ApiKey(user_key) => ManagedBy::Key(&user_key.key.key),
        AuthenticatedCredential::Jwt(bearer) => {
            let limits = Limits { role: grant.role.clone(), teams: Some(grant.teams.clone()), paths: Vec::new() };
            ManagedBy::Token { expires: bearer.expires(), limits }
        }
    };
    Manager { user: &identity.user, role: grant.role.as_ref(), by }
}

fn read_wish(mut fields: Fields, checker: &Checker) -> Result<Wish, Refused> {
    let limits = read_limits(&mut fields, checker)?;
    let wish = Wish {
        user: fields.text("user_id")?,
        alias: fields.parsed("key_alias", alias)?,
        lasting: fields.parsed("duration", lasting)?,
        limits,
        manage_keys: fields.flag("manage_keys")?,
        manage_people: fields.flag("manage_people")?,
        application: None,
    };
    fields.finish()?;
    if wish.manage_people && !wish.may_manage_people() {
        return Err(WrongField::Value("manage_people", "goes with no teams and no paths: it is for everybody").into());
    }
    Ok(wish)
}

fn read_limits(fields: &mut Fields, checker: &Checker) -> Result<Limits, Refused> {
    let role = |name: &str| checker.role(name).ok_or("must be a role of the role map");
    Ok(Limits {
        role: fields.parsed("user_role", role)?,
        teams: fields.list("teams", MOST_TEAMS, team)?,
        paths: fields.some_of("paths", MOST_PATHS, path)?.unwrap_or_default(),
    })
}

fn alias(text: &str) -> Result<String, &'static str> {
    match is_alias(text) {
        true => Ok(text.to_owned()),
        false => Err("must have 1 to 128 characters, no control characters, and no blanks at its ends"),
    }
}

pub(super) fn lasting(text: &str) -> Result<Lasting, &'static str> {
    Lasting::parse(text).map_err(|_| "must be a whole number and a unit, such as 30s, 30m, 30h, 30d, 2w or 1mo")
}

pub(in crate::http) fn team(text: &str) -> Result<Team, &'static str> {
    let fits = !text.is_empty() && text.len() <= LONGEST_TEAM && !text.contains(|c: char| c == ',' || c.is_control());
    if fits { Ok(Team::new(text)) } else { Err("must be names of teams, without commas and control characters") }
}

fn path(text: &str) -> Result<String, &'static str> {
    let pattern = PathPattern::parse(text).map_err(|_| "must be patterns of paths as in access rules, such as /v1/**")?;
    Ok(pattern.as_str().to_owned())
}

pub(super) fn page_size(text: &str) -> Result<usize, &'static str> {
    let size = text.parse().ok().filter(|size| (1..=LARGEST_PAGE).contains(size));
    size.ok_or("must be a whole number from 1 to 100")
}

fn with_secret(made: &Made, checker: &Checker) -> Value {
    let mut body = shown(&made.key, checker);
    body["key"] = made.secret.expose().into();
    body
}

/// A key without its secret, which nobody has any more. What its maker set and what came with the maker is
/// shown as one, but for paths: those of either have to match.
fn shown(key: &Key, checker: &Checker) -> Value {
    let lists = key.limits.iter().filter_map(|limits| limits.teams.as_ref());
    let teams = lists.cloned().reduce(|kept, list| kept.into_iter().filter(|team| list.contains(team)).collect());
    let paths: Vec<&Vec<String>> = key.limits.iter().map(|limits| &limits.paths).filter(|paths| !paths.is_empty()).collect();
    value!({
        "token_id": key.id.to_string(),
        "key_alias": key.alias,
        "user_id": key.user,
        "user_role": ceiling(key, checker),
        "teams": teams,
        "paths": paths.first(),
        "further_paths": paths.get(1..).unwrap_or_default(),
        "manage_keys": key.manage_keys,
        "manage_people": key.may_manage_people(),
        "created_at": key.created,
        "expires": key.expires,
        "last_used": key.last_used,
        "parent": key.parent().map(|id| id.to_string()),
        "application": key.application,
    })
}

fn ceiling(key: &Key, checker: &Checker) -> Option<Role> {
    let ceilings = key.limits.iter().filter_map(|limits| limits.role.clone());
    ceilings.reduce(|one, other| checker.lower_of(&one, &other).unwrap_or(one))
}
