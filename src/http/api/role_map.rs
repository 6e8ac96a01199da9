//! `/vestibule/api/role-map`: what is in force, and why somebody gets what they get.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Bytes};
use serde_json::json as value;

use super::{Address, Intent, Refused, administrator, answer, caller, fields, json};
use crate::{
    explain::{self, AccessExplanation},
    http::Services,
    people::{Found, Known, PeopleError},
    principal::{Claims, CredentialKind, Source},
    roles::Explanation,
};

type Body = Result<Bytes, actix_web::Error>;

/// Of whom and of what an explanation is asked.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::http) struct Asked<'a> {
    /// An id, or the email that the check gives of them.
    pub person: Option<&'a str>,
    /// JSON.
    pub claims: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub workload: bool,
    pub url: Option<&'a str>,
    pub method: Option<&'a str>,
    pub credential: Option<&'a str>,
}

/// What the role map says.
pub(in crate::http) struct Told {
    pub person: Option<Known>,
    /// Whether somebody else may have the same email, since not everybody was looked at.
    pub is_cut: bool,
    pub grant: Explanation,
    pub access: Option<AccessExplanation>,
}

#[derive(Debug, thiserror::Error)]
pub(in crate::http) enum AskError {
    #[error("give either a person or claims")]
    OneOfTwo,
    #[error("there is no such person")]
    NoSuchPerson,
    #[error("nobody of those who were looked at has this email")]
    NobodyLookedAt,
    #[error("several people have this email")]
    SeveralPeople,
    #[error("claims: {0}")]
    Claims(String),
    #[error("provider must be one that is configured")]
    Provider,
    #[error("url or method: {0}")]
    Address(String),
    #[error("credential must be session, key or token")]
    Credential,
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error(transparent)]
    People(PeopleError),
}

pub(super) fn in_force() -> Address {
    Address::new("/role-map").get(async |request, services| answer(show(request, services).await))
}

pub(super) fn explain() -> Address {
    Address::new("/role-map/explain").post(async |request, body, services| answer(explain_one(request, body, services).await))
}

async fn show(request: HttpRequest, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Look).await?;
    administrator(&services, &caller)?;
    let role_maps = &services.role_maps;
    let current = role_maps.current();
    let map = &current.map;
    let refused = role_maps.refused().map(|edit| value!({"at": edit.at, "mistakes": edit.mistakes}));
    Ok(json(
        StatusCode::OK,
        value!({
            "version": current.version,
            "source": role_maps.source(),
            "since": current.since,
            "rules": map.rule_count(),
            "roles": map.roles_from(None),
            "default_role": map.default_role(),
            "refused": refused,
        }),
    ))
}

async fn explain_one(request: HttpRequest, body: Body, services: Services) -> Result<HttpResponse, Refused> {
    let caller = caller(&request, &services, Intent::Look).await?;
    administrator(&services, &caller)?;
    let mut fields = fields(&request, body, &caller)?;
    let (id, email) = (fields.text("user_id")?, fields.text("user_email")?);
    if id.is_some() && email.is_some() {
        return Err(AskError::OneOfTwo.into());
    }
    let person = id.or(email);
    let claims = fields.object("claims")?.map(|claims| serde_json::Value::Object(claims).to_string());
    let (provider, url, method) = (fields.text("provider")?, fields.text("url")?, fields.text("method")?);
    let (credential, workload) = (fields.text("credential")?, fields.flag("workload")?);
    fields.finish()?;
    let asked = Asked {
        person: person.as_deref(),
        claims: claims.as_deref(),
        provider: provider.as_deref(),
        workload,
        url: url.as_deref(),
        method: method.as_deref(),
        credential: credential.as_deref(),
    };
    let Told { person, is_cut, grant, access } = tell(&asked, &services).await?;
    let mut body = serde_json::to_value(&grant).expect("texts and numbers are JSON");
    body["user_id"] = value!(person.map(|known| known.user.id));
    body["is_cut"] = value!(is_cut);
    body["access"] = value!(access);
    Ok(json(StatusCode::OK, body))
}

/// Explains what a person, or some claims, get by the map in force.
pub(in crate::http) async fn tell(asked: &Asked<'_>, services: &Services) -> Result<Told, AskError> {
    let role_maps = &services.role_maps;
    if !role_maps.current().is_known() {
        return Err(AskError::NoRoleMapYet);
    }
    let (person, is_cut, identities) = match (asked.person, asked.claims) {
        (Some(_), None) if asked.workload => return Err(AskError::OneOfTwo),
        (Some(person), None) => {
            let (known, is_cut) = find(person, services).await?;
            let identities = known.user.identities.clone();
            (Some(known), is_cut, identities)
        }
        (None, Some(claims)) => {
            let known = role_maps.providers();
            let provider = match asked.provider {
                Some(id) => known.iter().find(|known| *known == id).cloned(),
                None if known.len() <= 1 => Some(known.first().cloned().unwrap_or_else(|| "any".to_owned())),
                None => None,
            };
            let claims: Claims = serde_json::from_str(claims).map_err(|error| AskError::Claims(error.to_string()))?;
            let plain = if asked.workload { Source::AccessToken } else { Source::IdToken };
            let provider = provider.ok_or(AskError::Provider)?;
            (None, false, vec![explain::parse_identity(claims, provider, plain).map_err(AskError::Claims)?])
        }
        _ => return Err(AskError::OneOfTwo),
    };
    let current = role_maps.current();
    let map = &current.map;
    let explanation = if asked.workload { map.explain_workload(&identities) } else { map.explain(&identities) };
    let grant = match &person {
        Some(known) => known.grant.clone(),
        None if asked.workload => map.judge_workload(&identities),
        None => map.judge(&identities),
    };
    let credential = match asked.credential {
        None => CredentialKind::Session,
        Some(name) => CredentialKind::parse(name).ok_or(AskError::Credential)?,
    };
    let request = asked.url.map(|url| explain::AccessRequest { url, method: asked.method.unwrap_or("GET"), credential });
    let access = request.map(|request| explain::explain_access(map, &grant, &request)).transpose().map_err(AskError::Address)?;
    Ok(Told { person, is_cut, grant: explanation, access })
}

/// Who is meant, and whether not everybody was looked at who might be.
async fn find(person: &str, services: &Services) -> Result<(Known, bool), AskError> {
    let has_this_email = |Known { user, grant }: &Known| {
        services.checker.identity(&user.id, &user.identities, grant).email.eq_ignore_ascii_case(person)
    };
    let Found { people: mut found, is_cut } =
        services.people.search(person, 2, has_this_email).await.map_err(AskError::People)?;
    match (found.pop(), found.is_empty()) {
        (Some(known), true) => Ok((known, is_cut)),
        (Some(_), false) => Err(AskError::SeveralPeople),
        (None, _) if is_cut => Err(AskError::NobodyLookedAt),
        (None, _) => Err(AskError::NoSuchPerson),
    }
}
