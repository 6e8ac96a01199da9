//! Reads a provider's protocol and the fields that are specific to one protocol.

use std::time::Duration;

use url::Url;

use super::kinds::{ALGORITHM, FIELD_PATH, ISSUER, KIND, LOGOUT, PARAMETER, ProtocolKind, USERINFO, end_session_parameter};
use crate::config::values;
use crate::jwt::Algorithm;
use crate::oidc::{ManualEndpoints, OAuth2Settings, OpenIdConnectSettings, ProtocolSettings, RpLogout, UserInfoPolicy};
use crate::principal::ClaimPath;
use crate::yaml::decode::{Field, Section, field};

/// The fields that decide how the others are validated. A field with a mistake is `None`.
pub struct KindAndIssuer {
    pub kind: Option<ProtocolKind>,
    issuer: Option<Option<String>>,
}

/// The fields of both protocols as written. All fields are declared and read before the provider's kind decides which of
/// them are allowed.
struct RawProtocol {
    issuer: Option<Option<String>>,
    algorithms: Option<Vec<Algorithm>>,
    trusted_audiences: Option<Vec<String>>,
    userinfo_policy: Option<UserInfoPolicy>,
    authorization: Option<Option<Url>>,
    token: Option<Option<Url>>,
    jwks: Option<Option<Url>>,
    userinfo: Option<Option<Url>>,
    end_session: Option<Option<Url>>,
    end_session_parameters: Option<Vec<(String, String)>>,
    logout: Option<RpLogout>,
    frontchannel_logout: Option<bool>,
    keys_max_age: Option<Duration>,
    subject_field: Option<ClaimPath>,
    email_field: Option<ClaimPath>,
    preferred_username_field: Option<ClaimPath>,
}

/// The endpoints that together replace discovery.
const MANUAL_ENDPOINTS: [&str; 3] = ["authorization_endpoint", "token_endpoint", "jwks_uri"];

/// The endpoints that are required without OpenID Connect, since there is no discovery.
const OAUTH2_ENDPOINTS: [&str; 3] = ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"];

/// Fields that `oauth2` does not have, with the reason.
const OPEN_ID_CONNECT_ONLY: [(&str, &str); 11] = [
    ("issuer", "belongs to OpenID Connect: with `kind: oauth2` the provider's `id` is used instead; remove it"),
    ("jwks_uri", "belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it"),
    ("algorithms", "belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it"),
    ("keys_max_age", "belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it"),
    (
        "end_session_endpoint",
        "belongs to OpenID Connect: with `kind: oauth2` a sign-out ends only the session of this service; remove it",
    ),
    (
        "end_session_parameters",
        "belongs to OpenID Connect: with `kind: oauth2` a sign-out ends only the session of this service; remove it",
    ),
    ("trusted_audiences", "belongs to OpenID Connect: with `kind: oauth2` there is no id_token to verify; remove it"),
    ("userinfo", "belongs to OpenID Connect: with `kind: oauth2` the userinfo endpoint identifies the user; remove it"),
    ("claims", "belongs to OpenID Connect: with `kind: oauth2` use `email_field` and `preferred_username_field`"),
    ("logout", "belongs to OpenID Connect: with `kind: oauth2` a sign-out ends only the session of this service; remove it"),
    ("frontchannel_logout", "belongs to OpenID Connect: with `kind: oauth2` there is no `sid` to identify a session; remove it"),
];

/// Fields that OpenID Connect has standard claims for.
const OAUTH2_ONLY: [(&str, &str); 3] = [
    ("subject_field", "is only for `kind: oauth2`: OpenID Connect uses the claim `sub`; remove it"),
    ("email_field", "is only for `kind: oauth2`: OpenID Connect uses the claim `email`; remove it"),
    ("preferred_username_field", "is only for `kind: oauth2`: OpenID Connect uses the claim `preferred_username`; remove it"),
];

const FRONTCHANNEL_LOGOUT: Field = field(
    "frontchannel_logout",
    "Ends sessions by requests to `/sso/frontchannel-logout`, which the provider sends through the user's browser without a \
     signature. For providers without back-channel logout, such as Entra ID.",
);

const KEYS_MAX_AGE: Field = field(
    "keys_max_age",
    "Maximum age of the provider's signing keys, from 2h to 30d. If they could not be fetched for this long, logins get 503, \
     since withdrawn keys would still be accepted.",
);

const END_SESSION_PARAMETERS: Field = field(
    "end_session_parameters",
    "Additional parameters of the sign-out at the provider. They replace the usual ones with the same name (Amazon Cognito: \
     `logout_uri`).",
);

pub fn read_kind_and_issuer(section: &mut Section<'_>) -> KindAndIssuer {
    let kind =
        "Protocol of the provider: `oidc` for OpenID Connect, `oauth2` for OAuth 2.0 with a userinfo endpoint, such as GitHub.";
    let kind = section.or_default(field("kind", kind), &KIND, "oidc");
    let issuer = "Issuer, exactly as in the discovery document and tokens.";
    let issuer = section.optional(field("issuer", issuer).unset("required; not with `oauth2`"), &ISSUER);
    if (kind, &issuer) == (Some(ProtocolKind::OpenIdConnect), &Some(None)) {
        section.complain("issuer", "is required");
    }
    KindAndIssuer { kind, issuer }
}

pub fn read(section: &mut Section<'_>, kind_and_issuer: KindAndIssuer) -> Option<ProtocolSettings> {
    let raw = RawProtocol::read(section, kind_and_issuer.issuer);
    match kind_and_issuer.kind? {
        ProtocolKind::OpenIdConnect => raw.open_id_connect(section).map(ProtocolSettings::OpenIdConnect),
        ProtocolKind::OAuth2 => raw.oauth2(section).map(ProtocolSettings::OAuth2),
    }
}

impl RawProtocol {
    fn read(section: &mut Section<'_>, issuer: Option<Option<String>>) -> Self {
        let algorithms = section.list(
            field(
                "algorithms",
                "Accepted signature algorithms of tokens. RS384, RS512, ES384, PS384 and PS512 are also supported.",
            ),
            &ALGORITHM,
            &["RS256", "ES256", "PS256", "EdDSA"],
        );
        let (trusted_audiences, userinfo_policy) = (read_trusted_audiences(section), read_userinfo_policy(section));
        let mut endpoint =
            |name, doc| section.optional(field(name, doc).unset("by discovery; required with `oauth2`"), &values::ENDPOINT);
        let together =
            "Replaces discovery, together with the other two of `authorization_endpoint`, `token_endpoint` and `jwks_uri`.";
        let authorization = endpoint(MANUAL_ENDPOINTS[0], together);
        let token = endpoint(MANUAL_ENDPOINTS[1], together);
        let userinfo = endpoint("userinfo_endpoint", "Overrides the discovery document.");
        let mut endpoint = |name, doc| section.optional(field(name, doc).unset("by discovery"), &values::ENDPOINT);
        let jwks = endpoint(MANUAL_ENDPOINTS[2], together);
        let end_session = endpoint("end_session_endpoint", "Overrides the discovery document.");
        let end_session_parameters = section.pairs(END_SESSION_PARAMETERS, end_session_parameter, &PARAMETER);
        let logout = read_logout(section);
        let frontchannel_logout = section.or_default(FRONTCHANNEL_LOGOUT, &values::BOOLEAN, "false");
        let keys_max_age = section.or_default(KEYS_MAX_AGE, &values::KEYS_MAX_AGE, values::DEFAULT_KEYS_MAX_AGE);
        let [subject_field, email_field, preferred_username_field] = read_fields(section);
        Self {
            issuer,
            algorithms,
            trusted_audiences,
            userinfo_policy,
            authorization,
            token,
            jwks,
            userinfo,
            end_session,
            end_session_parameters,
            logout,
            frontchannel_logout,
            keys_max_age,
            subject_field,
            email_field,
            preferred_username_field,
        }
    }

    fn open_id_connect(self, section: &mut Section<'_>) -> Option<OpenIdConnectSettings> {
        let without_oauth2 = reject(section, &OAUTH2_ONLY);
        let complete = check_manual_endpoints(section);
        let algorithms = self.algorithms.and_then(|algorithms| check_algorithms(section, algorithms));
        let end_session_parameters = self.end_session_parameters.and_then(|own| check_end_session(section, own, self.logout?));
        let endpoints = match (self.authorization?, self.token?, self.jwks?) {
            (Some(authorization), Some(token), Some(jwks)) => Some(ManualEndpoints { authorization, token, jwks }),
            _ => None,
        };
        without_oauth2.and(complete)?;
        Some(OpenIdConnectSettings {
            issuer: self.issuer??,
            algorithms: algorithms?,
            trusted_audiences: self.trusted_audiences?,
            userinfo: self.userinfo_policy?,
            endpoints,
            userinfo_endpoint: self.userinfo?,
            end_session_endpoint: self.end_session?,
            end_session_parameters: end_session_parameters?,
            logout: self.logout?,
            frontchannel_logout: self.frontchannel_logout?,
            keys_max_age: self.keys_max_age?,
        })
    }

    fn oauth2(self, section: &mut Section<'_>) -> Option<OAuth2Settings> {
        let only_oauth2 = reject(section, &OPEN_ID_CONNECT_ONLY);
        let complete = check_oauth2_endpoints(section);
        only_oauth2.and(complete)?;
        Some(OAuth2Settings {
            authorization_endpoint: self.authorization??,
            token_endpoint: self.token??,
            userinfo_endpoint: self.userinfo??,
            subject_field: self.subject_field?,
            email_field: self.email_field?,
            preferred_username_field: self.preferred_username_field?,
        })
    }
}

fn read_trusted_audiences(section: &mut Section<'_>) -> Option<Vec<String>> {
    let doc = "Audiences that an id_token may have besides `client_id`, such as the project of ZITADEL. Its `azp` must then be \
               `client_id`.";
    section.list(field("trusted_audiences", doc).unset("none"), &values::NAME, &[])
}

fn read_userinfo_policy(section: &mut Section<'_>) -> Option<UserInfoPolicy> {
    let doc = "Claims of the userinfo endpoint: with `optional` they are absent if the provider has no endpoint or sends no \
               access token, or if the endpoint answers 401, 403 or 404; with `required` the login then fails; with `off` the endpoint is not requested. Any other \
               failure, and another `sub`, fails the login.";
    section.or_default(field("userinfo", doc), &USERINFO, "optional")
}

fn read_logout(section: &mut Section<'_>) -> Option<RpLogout> {
    section.or_default(
        field(
            "logout",
            "Sign-out at the provider: `hint` sends `client_id` and `logout_hint`; `id_token_hint` also sends the \
             id_token in the URL, which some providers require (Okta); `off` does not sign out at the provider.",
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
            "With `oauth2`: dot path of the userinfo field that identifies a user permanently, such as GitHub's `id`. \
             It must never change.",
            "sub",
        ),
        path("email_field", "With `oauth2`: dot path of the userinfo field with the email address.", "email"),
        path(
            "preferred_username_field",
            "With `oauth2`: dot path of the userinfo field with the user name, such as GitHub's `login`.",
            "preferred_username",
        ),
    ]
}

/// Reports every field that belongs to the other protocol.
fn reject(section: &mut Section<'_>, foreign: &[(&'static str, &str)]) -> Option<()> {
    let given: Vec<_> = foreign.iter().filter(|(name, _)| section.is_given(name)).collect();
    for (name, reason) in &given {
        section.complain(name, *reason);
    }
    given.is_empty().then_some(())
}

fn check_manual_endpoints(section: &mut Section<'_>) -> Option<()> {
    let missing: Vec<_> = MANUAL_ENDPOINTS.into_iter().filter(|name| !section.is_given(name)).collect();
    if missing.is_empty() || missing.len() == MANUAL_ENDPOINTS.len() {
        return Some(());
    }
    for name in missing {
        let text = "is required: authorization_endpoint, token_endpoint and jwks_uri replace discovery only together";
        section.complain(name, text);
    }
    None
}

fn check_oauth2_endpoints(section: &mut Section<'_>) -> Option<()> {
    let missing: Vec<_> = OAUTH2_ENDPOINTS.into_iter().filter(|name| !section.is_given(name)).collect();
    for name in &missing {
        section.complain(name, "is required with `kind: oauth2`, which has no discovery");
    }
    missing.is_empty().then_some(())
}

fn check_end_session(
    section: &mut Section<'_>,
    parameters: Vec<(String, String)>,
    logout: RpLogout,
) -> Option<Vec<(String, String)>> {
    if parameters.is_empty() || logout != RpLogout::Off {
        return Some(parameters);
    }
    section.complain("end_session_parameters", "has no effect with `logout: off`; remove one of them");
    None
}

fn check_algorithms(section: &mut Section<'_>, algorithms: Vec<Algorithm>) -> Option<Vec<Algorithm>> {
    if !algorithms.is_empty() {
        return Some(algorithms);
    }
    section.complain("algorithms", "must not be empty: no token would be accepted");
    None
}
