//! The `providers` section: identity providers.

mod directory;
pub(super) mod kinds;
mod protocol;
mod refresh;

use std::path::PathBuf;
use std::time::Duration;

use self::kinds::ProtocolKind;
use self::kinds::{AUTH_METHOD, CLAIMS_AGE, FIELD_PATH, ID, MAX_CLAIMS, PARAMETER, SCOPE, additional_parameter};
use super::http_proxy::{self, ProxyFields};
use super::secrets::{SecretFields, one_line};
use super::values;
use crate::oidc::{AuthMethod, ProviderSettings};
use crate::principal::{ClaimPath, EmailTrust, ProfileClaims};
use crate::secret::ConfiguredSecret;
use crate::yaml::decode::{Field, Section, field};
use crate::yaml::shown;

const DOC: &str = "Identity providers. The redirect URI of the first provider is `/sso/callback` on `public_url`; \
                       that of every other provider is `/sso/callback/{id}`.";

pub fn read_all(root: &mut Section<'_>, top_level: &ProxyFields) -> Option<Vec<ProviderSettings>> {
    let mut ids = Vec::new();
    root.sections("providers", DOC, |section| read(section, &mut ids, top_level))
}

/// Reads one provider. `ids` has the ids of the providers before it.
fn read(section: &mut Section<'_>, ids: &mut Vec<String>, top_level: &ProxyFields) -> Option<ProviderSettings> {
    let identity = read_identity(section, ids);
    let kind_and_issuer = protocol::read_kind_and_issuer(section);
    let client = read_client(section);
    let request = read_request(section, kind_and_issuer.kind);
    let claims = section.section("claims", CLAIMS, read_claims);
    let refresh = refresh::read(section);
    let protocol = protocol::read(section, kind_and_issuer);
    let response = read_response_settings(section);
    let directory = section.section("directory", directory::DOC, |section| {
        let context = directory::ProviderContext {
            protocol: protocol.as_ref(),
            scopes: request.as_ref().map_or(&[], |(scopes, _)| scopes.as_slice()),
            has_client_secret: client.as_ref().is_none_or(|(_, secret, _)| secret.is_some()),
        };
        directory::read(section, &context)
    });
    let proxy = http_proxy::read_section(section);
    let ((id, name), (client_id, client_secret, method)) = (identity?, client?);
    let ((scopes, authorization_params), response) = (request?, response?);
    let (email, preferred_username) = claims?;
    Some(ProviderSettings {
        name: name.unwrap_or_else(|| id.clone()),
        id,
        protocol: protocol?,
        client_id,
        client_secret,
        token_endpoint_auth_method: method,
        scopes,
        profile: ProfileClaims { email, preferred_username, email_trust: response.email_trust },
        trust_login_time: response.trust_login_time,
        ca_file: response.ca_file,
        proxy: proxy?.proxy(top_level),
        directory: directory?,
        max_claims: response.max_claims,
        max_claims_age: response.max_claims_age,
        refresh: refresh?,
        authorization_params,
        // `token_issuers` adds them later.
        user_claims: Vec::new(),
        link_claim: None,
    })
}

fn read_identity(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<(String, Option<String>)> {
    let id = section.required(
        field("id", "Name of the provider in URLs, logs and role maps: 1 to 32 of `a-z`, `0-9`, `-`. It must never change."),
        &ID,
    );
    let name = section.optional(field("name", "Name on the sign-in page.").unset("the `id`"), &values::NAME);
    let id = id.and_then(|id| check_unique(section, id, ids));
    Some((id?, name?))
}

/// Two providers with one id would share a callback and rules of the role map.
fn check_unique(section: &mut Section<'_>, id: String, ids: &mut Vec<String>) -> Option<String> {
    if ids.contains(&id) {
        section.complain("id", format!("{} is already the `id` of another provider", shown(&id)));
        return None;
    }
    ids.push(id.clone());
    Some(id)
}

fn read_client(section: &mut Section<'_>) -> Option<(String, Option<ConfiguredSecret>, AuthMethod)> {
    let client_id = section.required(field("client_id", "OAuth client ID at the provider."), &values::NAME);
    let secret = section.secret(&CLIENT_SECRET);
    let method = section.or_default(
        field(
            "token_endpoint_auth_method",
            "Client authentication at the token endpoint. `auto` uses a method that the discovery document offers, \
             preferably `client_secret_basic`; `none` is for public clients.",
        ),
        &AUTH_METHOD,
        "auto",
    );
    let (secret, method) = (secret?, method?);
    check_auth_method(section, secret.as_ref(), method)?;
    Some((client_id?, secret, method))
}

fn check_auth_method(section: &mut Section<'_>, secret: Option<&ConfiguredSecret>, method: AuthMethod) -> Option<()> {
    let text = match (method, secret) {
        (AuthMethod::None, Some(_)) => "`none` sends no client secret; remove the secret or choose another method",
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, None) => "needs `client_secret_file`",
        _ => return Some(()),
    };
    section.complain("token_endpoint_auth_method", text);
    None
}

type Request = (Vec<String>, Vec<(String, String)>);

fn read_request(section: &mut Section<'_>, kind: Option<ProtocolKind>) -> Option<Request> {
    let scopes = section.list(
        field("scopes", "Scopes of the authorization request. With `oauth2` the default is no scopes."),
        &SCOPE,
        &OPEN_ID_CONNECT_SCOPES,
    );
    let params = section.pairs(
        field("authorization_params", "Additional parameters of the authorization request, such as `prompt` or `hd`."),
        additional_parameter,
        &PARAMETER,
    );
    let scopes = scopes.and_then(|scopes| check_scopes(section, scopes, kind?));
    Some((scopes?, params?))
}

const OPEN_ID_CONNECT_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The default scopes are for OpenID Connect, which also requires `openid`.
fn check_scopes(section: &mut Section<'_>, scopes: Vec<String>, kind: ProtocolKind) -> Option<Vec<String>> {
    match kind {
        ProtocolKind::OAuth2 if !section.is_given("scopes") => Some(Vec::new()),
        ProtocolKind::OpenIdConnect if !scopes.iter().any(|scope| scope == "openid") => {
            section.complain("scopes", "must contain `openid`; otherwise the provider issues no id_token");
            None
        }
        _ => Some(scopes),
    }
}

/// The settings of the provider's responses.
struct ResponseSettings {
    ca_file: Option<PathBuf>,
    email_trust: EmailTrust,
    trust_login_time: bool,
    max_claims: usize,
    max_claims_age: Option<Duration>,
}

fn read_response_settings(section: &mut Section<'_>) -> Option<ResponseSettings> {
    let ca_file = section.optional(
        field("ca_file", "PEM file with the CA certificates that are trusted for the provider.")
            .unset("the system's CA certificates"),
        &values::CA_FILE,
    );
    let trust_email = section.or_default(
        field("trust_email", "Treats email addresses as verified even without `email_verified: true`."),
        &values::BOOLEAN,
        "false",
    );
    let trust_login_time = section.or_default(
        field(
            "trust_login_time",
            "Treats every sign-in as a recent authentication if the id_token has no `auth_time`. Also a sign-in that the provider \
             answers without asking the user then satisfies `keys.sign_in_within`. With `oauth2` this is always so.",
        ),
        &values::BOOLEAN,
        "false",
    );
    let max_claims = section.or_default(
        field("max_claims", "Maximum size of a user's claims as JSON. A login with larger claims is refused."),
        &MAX_CLAIMS,
        "64KiB",
    );
    let max_claims_age = section.optional(MAX_CLAIMS_AGE, &CLAIMS_AGE);
    Some(ResponseSettings {
        ca_file: ca_file?,
        email_trust: if trust_email? { EmailTrust::Always } else { EmailTrust::WhenVerified },
        trust_login_time: trust_login_time?,
        max_claims: max_claims?,
        max_claims_age: max_claims_age?,
    })
}

const CLAIMS: &str = "The claims with the email address and the user name, for providers that use other names than OpenID Connect. \
                      They do not change what rules of the role map read.";

fn read_claims(section: &mut Section<'_>) -> Option<(ClaimPath, ClaimPath)> {
    let email = section.or_default(
        field(
            "email",
            "Dot path of the claim with the email address, such as `upn`. `email_verified` is about the claim `email`: for \
             another address set `trust_email` if the provider guarantees it.",
        ),
        &FIELD_PATH,
        "email",
    );
    let preferred_username = section.or_default(
        field("preferred_username", "Dot path of the claim with the user name, such as `unique_name`."),
        &FIELD_PATH,
        "preferred_username",
    );
    Some((email?, preferred_username?))
}

const MAX_CLAIMS_AGE: Field = field(
    "max_claims_age",
    "Maximum time since the last sign-in with an identity for its claims to count for sessions, at least 1m. A browser then signs \
     in again at the provider, silently if possible. Keys and tokens go by `keys.claims_max_age`.",
)
.unset("only `sessions.absolute` counts");

const CLIENT_SECRET: SecretFields = SecretFields {
    inline: field("client_secret", "Inline client secret. Prefer `client_secret_file`."),
    file: field("client_secret_file", "File with the client secret. Read again when it changes."),
    check: one_line,
};
