//! The `providers` section: the identity providers that people sign in with.

pub(super) mod kinds;
mod protocol;

use std::path::PathBuf;

use url::Url;

use self::kinds::ProtocolKind;
use self::kinds::{AUTH_METHOD, ID, MAX_CLAIMS, PARAMETER, SCOPE, own_parameter};
use super::secrets::{Secret, SecretFields, one_line};
use super::values;
use crate::principal::ClaimPath;
use crate::yaml::decode::{Section, field};
use crate::yaml::shown;

#[derive(Clone, Debug)]
pub struct Provider {
    pub id: String,
    pub name: String,
    pub protocol: Protocol,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    pub token_endpoint_auth_method: AuthMethod,
    pub scopes: Vec<String>,
    pub trust_email: bool,
    pub ca_file: Option<PathBuf>,
    /// In bytes of JSON.
    pub max_claims: usize,
    pub authorization_params: Vec<(String, String)>,
}

/// What a provider speaks, with what only that needs.
#[derive(Clone, Debug)]
pub enum Protocol {
    OpenIdConnect(OpenIdConnect),
    OAuth2(OAuth2),
}

#[derive(Clone, Debug)]
pub struct OpenIdConnect {
    /// Exactly as written: issuers are compared letter by letter.
    pub issuer: String,
    pub algorithms: Vec<SigningAlgorithm>,
    /// Given by hand, they take the place of discovery.
    pub endpoints: Option<Endpoints>,
    /// With or without discovery, this one is used when it is given.
    pub userinfo_endpoint: Option<Url>,
    /// With or without discovery, this one is used when it is given.
    pub end_session_endpoint: Option<Url>,
    pub logout: RpLogout,
}

/// A provider without OpenID Connect: nothing of it is discovered or signed, and userinfo says who somebody is.
#[derive(Clone, Debug)]
pub struct OAuth2 {
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    pub userinfo_endpoint: Url,
    pub subject_field: ClaimPath,
    pub email_field: ClaimPath,
    pub preferred_username_field: ClaimPath,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    pub authorization: Url,
    pub token: Url,
    pub jwks: Url,
}

/// How we prove to the token endpoint who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// What discovery offers, preferring basic; without a secret, none.
    Auto,
    ClientSecretBasic,
    ClientSecretPost,
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Ps256,
    Ps384,
    Ps512,
    EdDsa,
}

/// What the provider is told when somebody signs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpLogout {
    /// `client_id` and `logout_hint`.
    Hint,
    /// Also the id_token, in the URL, for providers that insist on it.
    IdTokenHint,
    Off,
}

impl Provider {
    /// What the subjects of its people are unique within. An issuer is a URL and an id is none, so that the
    /// one is never taken for the other.
    pub fn issuer(&self) -> &str {
        match &self.protocol {
            Protocol::OpenIdConnect(protocol) => &protocol.issuer,
            Protocol::OAuth2(_) => &self.id,
        }
    }
}

pub const DOC: &str = "The identity providers. The first one's redirect URI is `/sso/callback` on `public_url`, \
                       every other one's `/sso/callback/{id}`.";

/// Reads one provider; `ids` are those of the providers before it.
pub fn read(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<Provider> {
    let identity = read_identity(section, ids);
    let opening = protocol::read_opening(section);
    let client = read_client(section);
    let request = read_request(section, opening.kind);
    let protocol = protocol::read(section, opening);
    let answer = read_answer(section);
    let ((id, name), (client_id, client_secret, method)) = (identity?, client?);
    let ((scopes, authorization_params), (ca_file, trust_email, max_claims)) = (request?, answer?);
    Some(Provider {
        name: name.unwrap_or_else(|| id.clone()),
        id,
        protocol: protocol?,
        client_id,
        client_secret,
        token_endpoint_auth_method: method,
        scopes,
        trust_email,
        ca_file,
        max_claims,
        authorization_params,
    })
}

fn read_identity(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<(String, Option<String>)> {
    let id = section.required(
        field("id", "Names the provider in URLs, logs and role maps: 1 to 32 of `a-z`, `0-9`, `-`. Never change it."),
        &ID,
    );
    let name = section.optional(field("name", "What the sign-in page calls it.").unset("the `id`"), &values::NAME);
    let id = id.and_then(|id| check_unique(section, id, ids));
    Some((id?, name?))
}

/// Two providers of one id would share a callback and a place in the role map.
fn check_unique(section: &mut Section<'_>, id: String, ids: &mut Vec<String>) -> Option<String> {
    if ids.contains(&id) {
        section.complain("id", format!("{} is another provider's too; each needs its own", shown(&id)));
        return None;
    }
    ids.push(id.clone());
    Some(id)
}

fn read_client(section: &mut Section<'_>) -> Option<(String, Option<Secret>, AuthMethod)> {
    let client_id = section.required(field("client_id", "Who we are to the provider."), &values::NAME);
    let secret = section.secret(&CLIENT_SECRET);
    let method = section.or_default(
        field(
            "token_endpoint_auth_method",
            "How the secret is sent. `auto` takes what discovery offers, basic first; `none` is a public client.",
        ),
        &AUTH_METHOD,
        "auto",
    );
    let (secret, method) = (secret?, method?);
    check_auth_method(section, secret.as_ref(), method)?;
    Some((client_id?, secret, method))
}

fn check_auth_method(section: &mut Section<'_>, secret: Option<&Secret>, method: AuthMethod) -> Option<()> {
    let wrong = match (method, secret) {
        (AuthMethod::None, Some(_)) => "`none` never sends the secret that is given; take one of them out",
        (AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost, None) => "needs `client_secret_file`",
        _ => return Some(()),
    };
    section.complain("token_endpoint_auth_method", wrong);
    None
}

type Request = (Vec<String>, Vec<(String, String)>);

fn read_request(section: &mut Section<'_>, kind: Option<ProtocolKind>) -> Option<Request> {
    let scopes = section.list(
        field("scopes", "What is asked for. With `oauth2` nothing, unless it is said here."),
        &SCOPE,
        &OPEN_ID_CONNECT_SCOPES,
    );
    let params = section.pairs(
        field("authorization_params", "Further parameters of the authorization request, such as `prompt` or `hd`."),
        own_parameter,
        &PARAMETER,
    );
    let scopes = scopes.and_then(|scopes| check_scopes(section, scopes, kind?));
    Some((scopes?, params?))
}

const OPEN_ID_CONNECT_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// What is asked for by default is OpenID Connect's, and only there is one of the scopes needed.
fn check_scopes(section: &mut Section<'_>, scopes: Vec<String>, kind: ProtocolKind) -> Option<Vec<String>> {
    match kind {
        ProtocolKind::OAuth2 if !section.is_given("scopes") => Some(Vec::new()),
        ProtocolKind::OpenIdConnect if !scopes.iter().any(|scope| scope == "openid") => {
            section.complain("scopes", "must hold `openid`: without it there is no id_token");
            None
        }
        _ => Some(scopes),
    }
}

fn read_answer(section: &mut Section<'_>) -> Option<(Option<PathBuf>, bool, usize)> {
    let ca_file = section.optional(
        field("ca_file", "PEM certificates of the authorities that may vouch for the provider.").unset("the system's"),
        &values::CA_FILE,
    );
    let trust_email = section.or_default(
        field("trust_email", "Whether an email counts as verified without `email_verified: true`."),
        &values::BOOLEAN,
        "false",
    );
    let max_claims = section.or_default(
        field("max_claims", "How large a person's claims may be; a login with larger ones is refused."),
        &MAX_CLAIMS,
        "64KiB",
    );
    Some((ca_file?, trust_email?, max_claims?))
}

const CLIENT_SECRET: SecretFields = SecretFields {
    inline: field("client_secret", "The client secret, if it must stand here."),
    file: field("client_secret_file", "A file that holds the client secret, re-read when it changes."),
    check: one_line,
};
