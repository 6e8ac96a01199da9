//! The `providers` section: the identity providers that people sign in with.

use std::path::PathBuf;

use url::Url;

use super::decode::{Kind, Section, field};
use super::mistakes::shown;
use super::secrets::{Secret, SecretFields, one_line};
use super::{units, values};

#[derive(Clone, Debug)]
pub struct Provider {
    pub id: String,
    pub name: String,
    /// Exactly as written: issuers are compared letter by letter.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Secret>,
    pub token_endpoint_auth_method: AuthMethod,
    pub scopes: Vec<String>,
    pub algorithms: Vec<SigningAlgorithm>,
    /// Given by hand, they take the place of discovery.
    pub endpoints: Option<Endpoints>,
    /// With or without discovery, this one is used when it is given.
    pub userinfo_endpoint: Option<Url>,
    /// With or without discovery, this one is used when it is given.
    pub end_session_endpoint: Option<Url>,
    pub trust_email: bool,
    pub ca_file: Option<PathBuf>,
    pub logout: RpLogout,
    /// In bytes of JSON.
    pub max_claims: usize,
    pub authorization_params: Vec<(String, String)>,
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

pub const DOC: &str = "The identity providers. The first one's redirect URI is `/sso/callback` on `public_url`, \
                       every other one's `/sso/callback/{id}`.";

/// Reads one provider; `ids` are those of the providers before it.
pub fn read(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<Provider> {
    let identity = read_identity(section, ids);
    let client = read_client(section);
    let request = read_request(section);
    let places = read_places(section);
    let answer = read_answer(section);
    let ((id, name, issuer), (client_id, client_secret, method)) = (identity?, client?);
    let ((scopes, algorithms, authorization_params), places) = (request?, places?);
    let (trust_email, max_claims, logout) = answer?;
    Some(Provider {
        name: name.unwrap_or_else(|| id.clone()),
        id,
        issuer,
        client_id,
        client_secret,
        token_endpoint_auth_method: method,
        scopes,
        algorithms,
        endpoints: places.endpoints,
        userinfo_endpoint: places.userinfo,
        end_session_endpoint: places.end_session,
        trust_email,
        ca_file: places.ca_file,
        logout,
        max_claims,
        authorization_params,
    })
}

fn read_identity(section: &mut Section<'_>, ids: &mut Vec<String>) -> Option<(String, Option<String>, String)> {
    let id = section.required(
        field("id", "Names the provider in URLs, logs and role maps: 1 to 32 of `a-z`, `0-9`, `-`. Never change it."),
        &ID,
    );
    let name = section.optional(field("name", "What the sign-in page calls it.").unset("the `id`"), &values::NAME);
    let issuer =
        section.required(field("issuer", "The issuer, letter by letter as its discovery document and tokens say it."), &ISSUER);
    let id = id.and_then(|id| check_unique(section, id, ids));
    Some((id?, name?, issuer?))
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

type Request = (Vec<String>, Vec<SigningAlgorithm>, Vec<(String, String)>);

fn read_request(section: &mut Section<'_>) -> Option<Request> {
    let scopes = section.list(field("scopes", "What is asked for."), &SCOPE, &["openid", "profile", "email"]);
    let algorithms = section.list(
        field("algorithms", "The signatures that are accepted on tokens; also RS384, RS512, ES384, PS384 and PS512."),
        &ALGORITHM,
        &["RS256", "ES256", "PS256", "EdDSA"],
    );
    let params = section.pairs(
        field("authorization_params", "Further parameters of the authorization request, such as `prompt` or `hd`."),
        own_parameter,
        &PARAMETER,
    );
    let scopes = scopes.and_then(|scopes| check_scopes(section, scopes));
    let algorithms = algorithms.and_then(|algorithms| check_algorithms(section, algorithms));
    Some((scopes?, algorithms?, params?))
}

fn check_scopes(section: &mut Section<'_>, scopes: Vec<String>) -> Option<Vec<String>> {
    if scopes.iter().any(|scope| scope == "openid") {
        return Some(scopes);
    }
    section.complain("scopes", "must hold `openid`: without it there is no id_token");
    None
}

fn check_algorithms(section: &mut Section<'_>, algorithms: Vec<SigningAlgorithm>) -> Option<Vec<SigningAlgorithm>> {
    if !algorithms.is_empty() {
        return Some(algorithms);
    }
    section.complain("algorithms", "must not be empty: no token would be accepted");
    None
}

struct Places {
    endpoints: Option<Endpoints>,
    userinfo: Option<Url>,
    end_session: Option<Url>,
    ca_file: Option<PathBuf>,
}

/// The three that take the place of discovery; only together can a login work with them.
const BY_HAND: [&str; 3] = ["authorization_endpoint", "token_endpoint", "jwks_uri"];

fn read_places(section: &mut Section<'_>) -> Option<Places> {
    let mut endpoint = |name, doc, unset| section.optional(field(name, doc).unset(unset), &values::ENDPOINT);
    let discovery = "by discovery";
    let together = "Instead of discovery; give the three together.";
    let authorization = endpoint(BY_HAND[0], together, discovery);
    let token = endpoint(BY_HAND[1], together, discovery);
    let jwks = endpoint(BY_HAND[2], together, discovery);
    let userinfo = endpoint("userinfo_endpoint", "Goes before what discovery says.", discovery);
    let end_session = endpoint("end_session_endpoint", "Goes before what discovery says.", discovery);
    let ca_file = section.optional(
        field("ca_file", "PEM certificates of the authorities that may vouch for the provider.").unset("the system's"),
        &values::CA_FILE,
    );
    let complete = check_by_hand(section);
    let endpoints = match (authorization?, token?, jwks?) {
        (Some(authorization), Some(token), Some(jwks)) => Some(Endpoints { authorization, token, jwks }),
        _ => None,
    };
    complete?;
    Some(Places { endpoints, userinfo: userinfo?, end_session: end_session?, ca_file: ca_file? })
}

fn check_by_hand(section: &mut Section<'_>) -> Option<()> {
    let missing: Vec<_> = BY_HAND.into_iter().filter(|name| !section.is_given(name)).collect();
    if missing.is_empty() || missing.len() == BY_HAND.len() {
        return Some(());
    }
    for name in missing {
        let text = "is required: authorization_endpoint, token_endpoint and jwks_uri replace discovery only together";
        section.complain(name, text);
    }
    None
}

fn read_answer(section: &mut Section<'_>) -> Option<(bool, usize, RpLogout)> {
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
    let logout = section.or_default(
        field(
            "logout",
            "What the provider is told at sign-out: `hint` sends `client_id` and `logout_hint`; `id_token_hint` \
             also the id_token, in the URL, which some (Okta) insist on; `off` nothing.",
        ),
        &LOGOUT,
        "hint",
    );
    Some((trust_email?, max_claims?, logout?))
}

const CLIENT_SECRET: SecretFields = SecretFields {
    inline: field("client_secret", "The client secret, if it must stand here."),
    file: field("client_secret_file", "A file that holds the client secret, re-read when it changes."),
    check: one_line,
};

const ID: Kind<String> = Kind { name: "text", parse: id };
const ISSUER: Kind<String> = Kind { name: "URL", parse: issuer };
const SCOPE: Kind<String> = Kind { name: "text", parse: scope };
const ALGORITHM: Kind<SigningAlgorithm> = Kind { name: "algorithm", parse: algorithm };
const PARAMETER: Kind<String> = Kind { name: "text", parse: values::name };

const AUTH_METHOD: Kind<AuthMethod> = Kind {
    name: "`auto`, `client_secret_basic`, `client_secret_post` or `none`",
    parse: |text| {
        let choices = [
            ("auto", AuthMethod::Auto),
            ("client_secret_basic", AuthMethod::ClientSecretBasic),
            ("client_secret_post", AuthMethod::ClientSecretPost),
            ("none", AuthMethod::None),
        ];
        values::choice(text, &choices)
    },
};

const LOGOUT: Kind<RpLogout> = Kind {
    name: "`hint`, `id_token_hint` or `off`",
    parse: |text| {
        let choices = [("hint", RpLogout::Hint), ("id_token_hint", RpLogout::IdTokenHint), ("off", RpLogout::Off)];
        values::choice(text, &choices)
    },
};

const MAX_CLAIMS: Kind<usize> = Kind {
    name: "size",
    parse: |text| match units::size(text)? {
        size @ 0x400..=0x10_0000 => Ok(size),
        _ => Err("must be from 1KiB to 1MiB: less refuses ordinary people, more fills the store".to_owned()),
    },
};

fn id(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
        return Err(format!("must be 1 to 32 of the letters a-z, 0-9 and -, not {}", shown(text)));
    }
    if text == "local" {
        return Err("must not be `local`: that names the accounts that live here".to_owned());
    }
    Ok(text.to_owned())
}

fn issuer(text: &str) -> Result<String, String> {
    let url = values::endpoint(text)?;
    if url.query().is_some() {
        return Err("must not have a query (`?…`): no issuer has one".to_owned());
    }
    Ok(text.to_owned())
}

/// A scope-token of RFC 6749: the list is sent with spaces between.
fn scope(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(format!("must be one scope without white space or quotes, not {}", shown(text)));
    }
    Ok(text.to_owned())
}

fn algorithm(text: &str) -> Result<SigningAlgorithm, String> {
    match text {
        "RS256" => Ok(SigningAlgorithm::Rs256),
        "RS384" => Ok(SigningAlgorithm::Rs384),
        "RS512" => Ok(SigningAlgorithm::Rs512),
        "ES256" => Ok(SigningAlgorithm::Es256),
        "ES384" => Ok(SigningAlgorithm::Es384),
        "PS256" => Ok(SigningAlgorithm::Ps256),
        "PS384" => Ok(SigningAlgorithm::Ps384),
        "PS512" => Ok(SigningAlgorithm::Ps512),
        "EdDSA" => Ok(SigningAlgorithm::EdDsa),
        _ => Err(refused_algorithm(text)),
    }
}

fn refused_algorithm(text: &str) -> String {
    match text.to_ascii_uppercase().as_str() {
        "NONE" => "must not be `none`: anybody could write such a token".to_owned(),
        "HS256" | "HS384" | "HS512" => {
            "must not be an HS algorithm: its key is shared, and a public key taken for one lets anybody sign".to_owned()
        }
        _ => format!("must be RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512 or EdDSA, not {}", shown(text)),
    }
}

/// The protocol's own parameters are ours to set: state, nonce and PKCE protect the login.
fn own_parameter(name: &str) -> Result<(), String> {
    const OURS: [&str; 13] = [
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "response_type",
        "response_mode",
        "client_id",
        "client_secret",
        "scope",
        "request",
        "request_uri",
        "id_token_hint",
    ];
    if OURS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("is the protocol's own and is set by Vestibule; take it out".to_owned());
    }
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':')) {
        return Err("is no parameter's name: use letters, digits and _ - . :".to_owned());
    }
    Ok(())
}
