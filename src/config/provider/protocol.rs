//! What a provider speaks, and the fields that belong to one protocol alone.

use url::Url;

use super::kinds::{ALGORITHM, FIELD_PATH, ISSUER, KIND, LOGOUT, ProtocolKind};
use super::{Endpoints, OAuth2, OpenIdConnect, Protocol, RpLogout, SigningAlgorithm};
use crate::config::values;
use crate::principal::ClaimPath;
use crate::yaml::decode::{Section, field};

/// What decides how the other fields are judged. `None` where there is a mistake.
pub struct Opening {
    pub kind: Option<ProtocolKind>,
    issuer: Option<Option<String>>,
}

/// Every field of both protocols as it is written: all are read, and declared, before it is asked which
/// of them the provider's kind has.
struct Written {
    issuer: Option<Option<String>>,
    algorithms: Option<Vec<SigningAlgorithm>>,
    authorization: Option<Option<Url>>,
    token: Option<Option<Url>>,
    jwks: Option<Option<Url>>,
    userinfo: Option<Option<Url>>,
    end_session: Option<Option<Url>>,
    logout: Option<RpLogout>,
    subject_field: Option<ClaimPath>,
    email_field: Option<ClaimPath>,
    preferred_username_field: Option<ClaimPath>,
}

/// The three that take the place of discovery; only together can a login work with them.
const BY_HAND: [&str; 3] = ["authorization_endpoint", "token_endpoint", "jwks_uri"];

/// Without OpenID Connect there is nothing that these could be discovered from.
const NEVER_DISCOVERED: [&str; 3] = ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"];

/// What `oauth2` has not, and why.
const OPEN_ID_CONNECT_ONLY: [(&str, &str); 5] = [
    ("issuer", "is OpenID Connect's: with `kind: oauth2` the provider's `id` takes its place; take it out"),
    ("jwks_uri", "is OpenID Connect's: with `kind: oauth2` there is no id_token whose signature it would verify; take it out"),
    ("algorithms", "is OpenID Connect's: with `kind: oauth2` there is no id_token that would be signed; take it out"),
    ("end_session_endpoint", "is OpenID Connect's: with `kind: oauth2` signing out ends our own session alone; take it out"),
    ("logout", "is OpenID Connect's: with `kind: oauth2` signing out ends our own session alone; take it out"),
];

/// What OpenID Connect has standard names for.
const OAUTH2_ONLY: [(&str, &str); 3] = [
    ("subject_field", "is for `kind: oauth2`: OpenID Connect names people by `sub`; take it out"),
    ("email_field", "is for `kind: oauth2`: OpenID Connect has `email` for it; take it out"),
    ("preferred_username_field", "is for `kind: oauth2`: OpenID Connect has `preferred_username` for it; take it out"),
];

pub fn read_opening(section: &mut Section<'_>) -> Opening {
    let kind = "What the provider speaks: OpenID Connect, or plain OAuth 2.0 with a userinfo endpoint, as GitHub does.";
    let kind = section.or_default(field("kind", kind), &KIND, "oidc");
    let issuer = "The issuer, letter by letter as its discovery document and tokens say it.";
    let issuer = section.optional(field("issuer", issuer).unset("required; not with `oauth2`"), &ISSUER);
    if (kind, &issuer) == (Some(ProtocolKind::OpenIdConnect), &Some(None)) {
        section.complain("issuer", "is required");
    }
    Opening { kind, issuer }
}

pub fn read(section: &mut Section<'_>, opening: Opening) -> Option<Protocol> {
    let written = Written::read(section, opening.issuer);
    match opening.kind? {
        ProtocolKind::OpenIdConnect => written.open_id_connect(section).map(Protocol::OpenIdConnect),
        ProtocolKind::OAuth2 => written.oauth2(section).map(Protocol::OAuth2),
    }
}

impl Written {
    fn read(section: &mut Section<'_>, issuer: Option<Option<String>>) -> Self {
        let algorithms = section.list(
            field("algorithms", "The signatures that are accepted on tokens; also RS384, RS512, ES384, PS384 and PS512."),
            &ALGORITHM,
            &["RS256", "ES256", "PS256", "EdDSA"],
        );
        let mut endpoint =
            |name, doc| section.optional(field(name, doc).unset("by discovery; required with `oauth2`"), &values::ENDPOINT);
        let together = "Instead of discovery; give it together with the other two.";
        let authorization = endpoint(BY_HAND[0], together);
        let token = endpoint(BY_HAND[1], together);
        let userinfo = endpoint("userinfo_endpoint", "Goes before what discovery says.");
        let mut endpoint = |name, doc| section.optional(field(name, doc).unset("by discovery"), &values::ENDPOINT);
        let jwks = endpoint(BY_HAND[2], together);
        let end_session = endpoint("end_session_endpoint", "Goes before what discovery says.");
        let logout = read_logout(section);
        let [subject_field, email_field, preferred_username_field] = read_fields(section);
        Self {
            issuer,
            algorithms,
            authorization,
            token,
            jwks,
            userinfo,
            end_session,
            logout,
            subject_field,
            email_field,
            preferred_username_field,
        }
    }

    fn open_id_connect(self, section: &mut Section<'_>) -> Option<OpenIdConnect> {
        let without_oauth2 = refuse(section, &OAUTH2_ONLY);
        let complete = check_by_hand(section);
        let algorithms = self.algorithms.and_then(|algorithms| check_algorithms(section, algorithms));
        let endpoints = match (self.authorization?, self.token?, self.jwks?) {
            (Some(authorization), Some(token), Some(jwks)) => Some(Endpoints { authorization, token, jwks }),
            _ => None,
        };
        without_oauth2.and(complete)?;
        Some(OpenIdConnect {
            issuer: self.issuer??,
            algorithms: algorithms?,
            endpoints,
            userinfo_endpoint: self.userinfo?,
            end_session_endpoint: self.end_session?,
            logout: self.logout?,
        })
    }

    fn oauth2(self, section: &mut Section<'_>) -> Option<OAuth2> {
        let only_oauth2 = refuse(section, &OPEN_ID_CONNECT_ONLY);
        let complete = check_never_discovered(section);
        only_oauth2.and(complete)?;
        Some(OAuth2 {
            authorization_endpoint: self.authorization??,
            token_endpoint: self.token??,
            userinfo_endpoint: self.userinfo??,
            subject_field: self.subject_field?,
            email_field: self.email_field?,
            preferred_username_field: self.preferred_username_field?,
        })
    }
}

fn read_logout(section: &mut Section<'_>) -> Option<RpLogout> {
    section.or_default(
        field(
            "logout",
            "What the provider is told at sign-out: `hint` sends `client_id` and `logout_hint`; `id_token_hint` \
             also the id_token, in the URL, which some (Okta) insist on; `off` nothing.",
        ),
        &LOGOUT,
        "hint",
    )
}

fn read_fields(section: &mut Section<'_>) -> [Option<ClaimPath>; 3] {
    let mut path = |name, doc, default| section.or_default(field(name, doc), &FIELD_PATH, default);
    [
        path(
            "subject_field",
            "With `oauth2`: the userinfo field, as a dot path, that says who somebody is for ever, such as GitHub's `id`. \
             Never change it.",
            "sub",
        ),
        path("email_field", "With `oauth2`: the userinfo field, as a dot path, that holds the email.", "email"),
        path(
            "preferred_username_field",
            "With `oauth2`: the userinfo field, as a dot path, that holds the user name, such as GitHub's `login`.",
            "preferred_username",
        ),
    ]
}

/// Complains of every field that the other protocol has.
fn refuse(section: &mut Section<'_>, foreign: &[(&'static str, &str)]) -> Option<()> {
    let given: Vec<_> = foreign.iter().filter(|(name, _)| section.is_given(name)).collect();
    for (name, why) in &given {
        section.complain(name, *why);
    }
    given.is_empty().then_some(())
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

fn check_never_discovered(section: &mut Section<'_>) -> Option<()> {
    let missing: Vec<_> = NEVER_DISCOVERED.into_iter().filter(|name| !section.is_given(name)).collect();
    for name in &missing {
        section.complain(name, "is required with `kind: oauth2`, which has no discovery");
    }
    missing.is_empty().then_some(())
}

fn check_algorithms(section: &mut Section<'_>, algorithms: Vec<SigningAlgorithm>) -> Option<Vec<SigningAlgorithm>> {
    if !algorithms.is_empty() {
        return Some(algorithms);
    }
    section.complain("algorithms", "must not be empty: no token would be accepted");
    None
}
