//! Converts the provider of oauth2-proxy.

use super::OptionSettings;
use super::input::Options;
use super::values::{self, claim_path};
use crate::yaml::emit::{Map, YamlValue};
use crate::yaml::shown;

/// The kinds of providers that are converted. Others need `oidc-issuer-url`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    Google,
    GitHub,
    GitLab,
    KeycloakOidc,
    EntraId,
    OpenIdConnect,
}

/// The converted provider. Its other fields are in `map`.
pub struct ConvertedProvider {
    pub kind: ProviderKind,
    pub id: &'static str,
    pub map: Map,
    pub email_claim: String,
    pub groups_claim: String,
    /// The provider has a look-up of groups in its directory.
    pub has_directory: bool,
}

const GITLAB: &str = "https://gitlab.com";
const DEFAULT_PROVIDER: &str = "google";

const SUPPORTED_ALGORITHMS: [&str; 9] = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "PS384", "PS512", "EdDSA"];

pub fn convert(options: &Options, settings: &OptionSettings, remarks: &mut Vec<String>) -> Result<ConvertedProvider, String> {
    let (kind, id) = kind_of(options)?;
    let client_id = options.text("client-id").ok_or("client-id: is missing")?;
    let name = options.text("provider-display-name").filter(|name| !name.chars().any(char::is_control));
    let mut map = Map::new().with("id", id).with_some("name", name);
    let issuer = issuer(options, kind)?;
    match &issuer {
        Some(issuer) => map.set("issuer", issuer.as_str()),
        None => map.set("kind", "oauth2"),
    }
    map.set("client_id", client_id);
    client_secret(options, settings, remarks, &mut map);
    match kind {
        ProviderKind::GitHub => github(options, &mut map),
        _ => open_id_connect(options, remarks, &mut map),
    }
    scopes(options, kind, &mut map);
    parameters(options, &mut map);
    let email_claim = options.text("oidc-email-claim").unwrap_or("email").to_owned();
    if email_claim != "email" {
        map.set("claims", Map::new().with("email", claim_path(&email_claim)));
    }
    if options.is_on("insecure-oidc-allow-unverified-email") {
        map.set("trust_email", true);
    }
    if let Some(file) = options.text("provider-ca-file") {
        map.set("ca_file", file);
    }
    refresh(options, kind, &mut map);
    let has_directory = directory(options, kind, &mut map);
    let groups_claim = options.text("oidc-groups-claim").unwrap_or("groups").to_owned();
    Ok(ConvertedProvider { kind, id, map, email_claim, groups_claim, has_directory })
}

fn kind_of(options: &Options) -> Result<(ProviderKind, &'static str), String> {
    let name = options.text("provider").unwrap_or(DEFAULT_PROVIDER);
    let known = match name {
        "google" => (ProviderKind::Google, "google"),
        "github" => (ProviderKind::GitHub, "github"),
        "gitlab" => (ProviderKind::GitLab, "gitlab"),
        "keycloak-oidc" | "keycloak" => (ProviderKind::KeycloakOidc, "keycloak"),
        "entra-id" | "azure" => (ProviderKind::EntraId, "entra"),
        "adfs" => (ProviderKind::OpenIdConnect, "adfs"),
        "oidc" | "cidaas" => (ProviderKind::OpenIdConnect, "sso"),
        _ if options.is_set("oidc-issuer-url") => (ProviderKind::OpenIdConnect, "sso"),
        _ => {
            return Err(format!(
                "provider: {} has no conversion without `oidc-issuer-url`; write the provider yourself, see docs/providers.md",
                shown(name)
            ));
        }
    };
    Ok(known)
}

/// Returns the issuer; `None` for OAuth 2.0 without OpenID Connect.
fn issuer(options: &Options, kind: ProviderKind) -> Result<Option<String>, String> {
    let given = options.text("oidc-issuer-url").map(str::to_owned);
    let tenant = options.text("azure-tenant").filter(|tenant| !matches!(*tenant, "common" | "organizations" | "consumers"));
    let found = match kind {
        ProviderKind::GitHub => return Ok(None),
        ProviderKind::Google => given.or_else(|| Some("https://accounts.google.com".to_owned())),
        ProviderKind::GitLab => given.or_else(|| Some(GITLAB.to_owned())),
        ProviderKind::EntraId => given
            .filter(|issuer| !issuer.contains("/common/"))
            .or_else(|| tenant.map(|tenant| format!("https://login.microsoftonline.com/{tenant}/v2.0"))),
        ProviderKind::KeycloakOidc => given.or_else(|| {
            let (realm, _) = options.text("login-url")?.split_once("/protocol/openid-connect/")?;
            Some(realm.to_owned())
        }),
        ProviderKind::OpenIdConnect => given,
    };
    let missing = "oidc-issuer-url: is missing; with Entra ID it needs the id of a tenant, not `common`";
    found.map(Some).ok_or_else(|| missing.to_owned())
}

/// A secret in the options must be written into a file.
fn client_secret(options: &Options, settings: &OptionSettings, remarks: &mut Vec<String>, map: &mut Map) {
    if let Some(file) = options.text("client-secret-file") {
        map.set("client_secret_file", file);
    } else if options.is_set("client-secret") {
        let file = format!("{}/client-secret", settings.directory.trim_end_matches('/'));
        remarks.push(format!("Write the client secret into {}.", shown(&file)));
        map.set("client_secret_file", file);
    } else {
        remarks.push("The provider has no client secret: it must be registered as a public client.".to_owned());
    }
}

fn github(options: &Options, map: &mut Map) {
    let url = |flag: &str, default: &str| options.text(flag).unwrap_or(default).to_owned();
    map.set("token_endpoint_auth_method", "client_secret_post");
    map.set("authorization_endpoint", url("login-url", "https://github.com/login/oauth/authorize"));
    map.set("token_endpoint", url("redeem-url", "https://github.com/login/oauth/access_token"));
    map.set("userinfo_endpoint", format!("{}/user", github_api(options)));
    map.set("subject_field", "id");
    map.set("preferred_username_field", "login");
}

/// GitHub Enterprise Server has an API of its own, which `validate-url` names.
fn github_api(options: &Options) -> &str {
    options.text("validate-url").unwrap_or("https://api.github.com").trim_end_matches('/')
}

fn open_id_connect(options: &Options, remarks: &mut Vec<String>, map: &mut Map) {
    if options.is_on("skip-oidc-discovery") {
        map.set_some("authorization_endpoint", options.text("login-url"));
        map.set_some("token_endpoint", options.text("redeem-url"));
        map.set_some("jwks_uri", options.text("oidc-jwks-url"));
    } else if ["login-url", "redeem-url", "oidc-jwks-url"].iter().any(|flag| options.is_set(flag)) {
        remarks.push("login-url, redeem-url and oidc-jwks-url are not converted: discovery finds the endpoints.".to_owned());
    }
    if options.is_on("skip-claims-from-profile-url") {
        map.set("userinfo", "off");
    } else {
        map.set_some("userinfo_endpoint", options.text("profile-url"));
    }
    if options.is_set("oidc-extra-audience") {
        map.set("trusted_audiences", options.list("oidc-extra-audience").to_vec());
    }
    let (known, other): (Vec<_>, Vec<_>) =
        options.list("oidc-enabled-signing-alg").iter().cloned().partition(|name| SUPPORTED_ALGORITHMS.contains(&name.as_str()));
    if !known.is_empty() {
        map.set("algorithms", known);
    }
    if !other.is_empty() {
        remarks.push("oidc-enabled-signing-alg has algorithms that are not converted: they are not supported.".to_owned());
    }
}

fn scopes(options: &Options, kind: ProviderKind, map: &mut Map) {
    let given: Vec<_> = options.text("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let has = |scope: &str| given.iter().any(|given| given == scope);
    let scopes = match kind {
        ProviderKind::GitHub if given.is_empty() => vec!["read:org".to_owned()],
        ProviderKind::GitHub => given,
        _ if given.is_empty() => return,
        _ if has("openid") => given,
        _ => std::iter::once("openid".to_owned()).chain(given).collect(),
    };
    map.set("scopes", scopes);
}

fn parameters(options: &Options, map: &mut Map) {
    let named = [("prompt", "prompt"), ("acr_values", "acr-values"), ("resource", "resource")];
    let given = named.into_iter().filter_map(|(name, flag)| Some((name, options.text(flag)?)));
    let parameters = given.fold(Map::new(), |map, (name, value)| map.with(name, value));
    if !parameters.is_empty() {
        map.set("authorization_params", parameters);
    }
}

const DAY: u64 = 86_400;

fn refresh(options: &Options, kind: ProviderKind, map: &mut Map) {
    let interval = options.text("cookie-refresh").and_then(values::seconds).filter(|seconds| *seconds > 0);
    let Some(interval) = interval.filter(|_| kind != ProviderKind::GitHub) else { return };
    let interval = interval.max(10);
    let max_age = (interval >= DAY).then(|| values::duration(2 * interval));
    map.set("refresh", Map::new().with("interval", values::duration(interval)).with_some("max_age", max_age));
}

fn directory(options: &Options, kind: ProviderKind, map: &mut Map) -> bool {
    let directory = match (kind, options.text("google-service-account-json")) {
        (ProviderKind::Google, Some(file)) => Map::new()
            .with("kind", "google")
            .with("service_account_file", file)
            .with_some("subject", options.text("google-admin-email")),
        (ProviderKind::GitHub, _) => {
            let api = options.text("validate-url").map(|_| YamlValue::from(github_api(options)));
            Map::new().with("kind", "github").with_some("api_url", api)
        }
        _ => return false,
    };
    map.set("directory", directory);
    true
}
