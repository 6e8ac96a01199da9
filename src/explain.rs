//! What the role map says of somebody and of a request, with its reasons: for the command line, for programs and for a page.

use serde::Serialize;
use serde_json::Value;

use crate::{
    access::{AccessRules, CheckRequest, Said, Who},
    check::{self, Permitted},
    gateway::nginx,
    oidc::without_token_claims,
    principal::{Claims, CredentialKind, Grant, IdentityClaims, Source},
    roles::RoleMap,
};

/// Whether a request may pass, and why.
#[derive(Debug, Serialize)]
pub struct Access {
    pub allowed: bool,
    pub reason: String,
    /// What the upstream receives of a credential, where it may pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_credential: Option<String>,
    /// Every reading of the path, with the rule that it selects.
    pub readings: Vec<Reading>,
}

#[derive(Debug, Serialize)]
pub struct Reading {
    pub how: String,
    pub path: String,
    pub rule: Option<String>,
    /// What the rule says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_credential: Option<String>,
}

/// The request that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// With scheme and host.
    pub url: &'a str,
    pub method: &'a str,
    pub credential: CredentialKind,
}

/// What the access rules say of a request by somebody with this grant; an error where it is no request.
pub fn access(map: &RoleMap, grant: &Grant, asked: &Request<'_>) -> Result<Access, String> {
    let (url, method) = ([asked.url.as_bytes()], [asked.method.as_bytes()]);
    let request = nginx::parse_original(url.into_iter(), method.into_iter()).map_err(|error| in_words(&error))?;
    let decided = check::judge(map.access(), &request, grant, asked.credential);
    let reason = match &decided {
        Ok(reason) => reason.to_string(),
        Err(reason) => reason.to_string(),
    };
    let upstream_credential = decided.as_ref().ok().map(|permitted| upstream_credential(map.access(), &request, *permitted));
    Ok(Access { allowed: decided.is_ok(), reason, upstream_credential, readings: readings(map.access(), &request) })
}

/// Claims as they are written down: those of one source, which is `plain` then, or an object with `id_token`, `access_token`
/// and `userinfo`.
pub fn identity(claims: Claims, provider: String, plain: Source) -> Result<IdentityClaims, String> {
    let is_source = |name: &String| Source::parse(name).is_some();
    let by_source = !claims.is_empty() && claims.keys().all(is_source);
    if let Some((name, _)) = claims.iter().find(|(name, value)| !by_source && is_source(name) && value.is_object()) {
        let other = claims.keys().find(|name| !is_source(name)).map(String::as_str).unwrap_or_default();
        return Err(format!("{other:?} stands beside {name}, and is no source of claims"));
    }
    let source = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(claims)) => Ok(Some(claims.clone())),
        Some(_) => Err(format!("{name} must be an object of claims")),
    };
    let (id_token, access_token, userinfo) = match (by_source, plain) {
        (true, _) => (source("id_token")?.unwrap_or_default(), source("access_token")?, source("userinfo")?),
        (false, Source::AccessToken) => (Claims::new(), Some(claims), None),
        (false, _) => (claims, None, None),
    };
    // As a sign-in does: what changes with every token is not stored, and no rule sees it.
    let (id_token, access_token, userinfo) =
        (without_token_claims(id_token), access_token.map(without_token_claims), userinfo.map(without_token_claims));
    let issuer = provider.clone();
    Ok(IdentityClaims { provider, issuer, subject: String::new(), id_token, access_token, userinfo })
}

/// The gateway's names of both are nothing to who asks here.
fn in_words(error: &nginx::Malformed) -> String {
    error.to_string().replace("X-Original-URL", "the address").replace("X-Original-Method", "the method")
}

/// The outcome as the check has it. The default is in the configuration, which isn't read here.
fn upstream_credential(access: Option<&AccessRules>, request: &CheckRequest<'_>, permitted: Permitted) -> String {
    const DEFAULT: &str = "upstream_credential.default";
    let selected = access.and_then(|access| access.select(request).ok());
    let Some(selected) = selected else { return format!("what {DEFAULT} says, else none") };
    let who = match permitted {
        Permitted::Anyone => Who::Anyone,
        Permitted::ThisPerson => Who::Somebody,
    };
    let unsaid = selected.unsaid(who, None);
    match (selected.upstream_credential(), who) {
        (Said::Disagree, _) => "none, since the readings disagree".to_owned(),
        (Said::All(said), _) => said.as_str().to_owned(),
        (said, Who::Anyone) => said.or(unsaid).as_str().to_owned(),
        (Said::Nothing, Who::Somebody) => format!("what {DEFAULT} says, else {}", unsaid.as_str()),
        (Said::Some(said), Who::Somebody) if said == unsaid => {
            format!("{} where {DEFAULT} says the same or is not set, else none, since the readings disagree", said.as_str())
        }
        (Said::Some(said), Who::Somebody) => {
            format!("{} where {DEFAULT} says the same, else none, since the readings disagree", said.as_str())
        }
    }
}

fn readings(access: Option<&AccessRules>, request: &CheckRequest<'_>) -> Vec<Reading> {
    let explained = access.and_then(|access| access.explain(request).ok()).unwrap_or_default();
    let reading = |reading: crate::access::Explained<'_>| Reading {
        how: reading.how.to_string(),
        path: reading.path,
        rule: reading.rule.map(|rule| rule.name.to_string()),
        upstream_credential: reading.rule.and_then(|rule| Some(rule.upstream_credential.as_ref()?.as_str().to_owned())),
    };
    explained.into_iter().map(reading).collect()
}
