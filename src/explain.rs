//! Explains authorization decisions, for the command line, the API and the role map page.

use serde::Serialize;

use crate::{
    access::{AccessRules, Caller, CheckRequest, PathMatch, UpstreamCredentialSetting},
    check::{self, Permission, RouteRestrictions, gateway},
    json::Value,
    oidc::without_token_claims,
    principal::{Claims, CredentialKind, Grant, IdentityClaims, Source},
    role_map::RoleMap,
};

/// The decision about a request, with its reason.
#[derive(Debug, Serialize)]
pub struct AccessExplanation {
    pub allowed: bool,
    pub reason: String,
    /// The credential that the upstream receives, if the request is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_credential: Option<String>,
    #[serde(rename = "readings")]
    pub interpretations: Vec<InterpretationExplanation>,
}

/// One interpretation of the path, with the rule that matches it.
#[derive(Debug, Serialize)]
pub struct InterpretationExplanation {
    #[serde(rename = "how")]
    pub derivation: String,
    pub path: String,
    pub rule: Option<String>,
    /// The `upstream_credential` of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_credential: Option<String>,
}

/// A request to explain.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// With scheme and host.
    pub url: &'a str,
    pub method: &'a str,
    pub credential: CredentialKind,
    /// The name of the route's restrictions, as in the check's URL.
    pub route: Option<&'a str>,
}

/// Explains the decision about a request of a principal with this grant. An error if the URL or the method is invalid.
pub fn explain_access(map: &RoleMap, grant: &Grant, request: &AccessRequest<'_>) -> Result<AccessExplanation, String> {
    let original =
        gateway::parse_url(request.url.as_bytes(), request.method.as_bytes()).map_err(|error| describe_error(&error))?;
    let restrictions = RouteRestrictions { route: request.route.map(str::to_owned), ..RouteRestrictions::default() };
    let decision = check::authorize(map, &original, &restrictions, grant, request.credential);
    let reason = match &decision {
        Ok(reason) => reason.to_string(),
        Err(reason) => reason.to_string(),
    };
    let permission = decision.as_ref().ok();
    let upstream_credential = permission.map(|permission| describe_upstream_credential(map.access(), &original, *permission));
    let interpretations = explain_interpretations(map.access(), &original);
    Ok(AccessExplanation { allowed: decision.is_ok(), reason, upstream_credential, interpretations })
}

/// Parses claims, which are either the claims of the source `plain`, or an object with the claims of each source.
pub fn parse_identity(claims: Claims, provider: String, plain: Source) -> Result<IdentityClaims, String> {
    let is_source = |name: &String| Source::parse(name).is_some();
    let by_source = !claims.is_empty() && claims.keys().all(is_source);
    if let Some((name, _)) = claims.iter().find(|(name, value)| !by_source && is_source(name) && value.is_object()) {
        let other = claims.keys().find(|name| !is_source(name)).map(String::as_str).unwrap_or_default();
        return Err(format!("{other:?} is not a source of claims and must not be beside {name}"));
    }
    let source = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(claims)) => Ok(Some(claims.clone())),
        Some(_) => Err(format!("{name} must be an object of claims")),
    };
    let (directory, scim) = if by_source { (source("directory")?, source("scim")?) } else { (None, None) };
    let (id_token, access_token, userinfo) = match (by_source, plain) {
        (true, _) => (source("id_token")?.unwrap_or_default(), source("access_token")?, source("userinfo")?),
        (false, Source::AccessToken) => (Claims::new(), Some(claims), None),
        (false, _) => (claims, None, None),
    };
    // A sign-in does not store claims about the token itself, so that rules do not match them.
    let (id_token, access_token, userinfo) =
        (without_token_claims(id_token), access_token.map(without_token_claims), userinfo.map(without_token_claims));
    let issuer = provider.clone();
    Ok(IdentityClaims { provider, issuer, id_token, access_token, userinfo, directory, scim, ..IdentityClaims::default() })
}

/// The user of an explanation enters a URL and a method, not the headers of a gateway.
fn describe_error(error: &gateway::OriginalRequestError) -> String {
    error.to_string().replace("X-Original-URL", "the URL").replace("X-Original-Method", "the method")
}

/// Describes the credential as the check chooses it. The default is not known here, since it is in the configuration.
fn describe_upstream_credential(access: Option<&AccessRules>, request: &CheckRequest<'_>, permission: Permission) -> String {
    const DEFAULT: &str = "upstream_credential.default";
    let rules = access.and_then(|access| access.match_request(request).ok());
    let Some(rules) = rules else { return format!("{DEFAULT}, or none if it is not set") };
    let caller = match permission {
        Permission::Anyone => Caller::Anonymous,
        Permission::ThisPrincipal => Caller::Authenticated,
    };
    let default = rules.default_upstream_credential(caller, None);
    match (rules.upstream_credential(), caller) {
        (UpstreamCredentialSetting::Conflict, _) => "none, because the matching rules disagree".to_owned(),
        (UpstreamCredentialSetting::All(credential), _) => credential.as_str().to_owned(),
        (setting, Caller::Anonymous) => setting.or(default).as_str().to_owned(),
        (UpstreamCredentialSetting::NotSet, Caller::Authenticated) => {
            format!("{DEFAULT}, or {} if it is not set", default.as_str())
        }
        (UpstreamCredentialSetting::Some(credential), Caller::Authenticated) if credential == default => {
            let credential = credential.as_str();
            format!("{credential} if {DEFAULT} is {credential} or not set; otherwise none, because the matching rules disagree")
        }
        (UpstreamCredentialSetting::Some(credential), Caller::Authenticated) => {
            let credential = credential.as_str();
            format!("{credential} if {DEFAULT} is {credential}; otherwise none, because the matching rules disagree")
        }
    }
}

fn explain_interpretations(access: Option<&AccessRules>, request: &CheckRequest<'_>) -> Vec<InterpretationExplanation> {
    let matches = access.and_then(|access| access.explain(request).ok()).unwrap_or_default();
    let explain = |found: PathMatch<'_>| InterpretationExplanation {
        derivation: found.derivation.to_string(),
        path: found.path,
        rule: found.rule.map(|rule| rule.name.to_string()),
        upstream_credential: found.rule.and_then(|rule| Some(rule.upstream_credential.as_ref()?.as_str().to_owned())),
    };
    matches.into_iter().map(explain).collect()
}
