//! Parsers of a provider's values.

use std::time::Duration;

use crate::config::{units, values};
use crate::jwt::Algorithm;
use crate::oidc::{AuthMethod, RpLogout, UserInfoPolicy};
use crate::principal::ClaimPath;
use crate::yaml::decode::Kind;
use crate::yaml::shown;

/// The value of `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolKind {
    OpenIdConnect,
    OAuth2,
}

pub const ID: Kind<String> = Kind { name: "text", parse: id };
pub const ISSUER: Kind<String> = Kind { name: "URL", parse: issuer };
pub const SCOPE: Kind<String> = Kind { name: "text", parse: scope };
pub const ALGORITHM: Kind<Algorithm> = Kind { name: "algorithm", parse: algorithm };
pub const PARAMETER: Kind<String> = Kind { name: "text", parse: values::name };

pub const FIELD_PATH: Kind<ClaimPath> = Kind {
    name: "dot path",
    parse: |text| match ClaimPath::parse(text) {
        Ok(path) if path.is_plural() => Err("must lead to a single value, without `[]`, `*` or `{}`".to_owned()),
        path => path.map_err(|error| format!("the dot path {error}")),
    },
};

pub const KIND: Kind<ProtocolKind> = Kind {
    name: "`oidc` or `oauth2`",
    parse: |text| values::choice(text, &[("oidc", ProtocolKind::OpenIdConnect), ("oauth2", ProtocolKind::OAuth2)]),
};

pub const AUTH_METHOD: Kind<AuthMethod> = Kind {
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

pub const LOGOUT: Kind<RpLogout> = Kind {
    name: "`hint`, `id_token_hint` or `off`",
    parse: |text| {
        let choices = [("hint", RpLogout::Hint), ("id_token_hint", RpLogout::IdTokenHint), ("off", RpLogout::Off)];
        values::choice(text, &choices)
    },
};

pub const USERINFO: Kind<UserInfoPolicy> = Kind {
    name: "`required`, `optional` or `off`",
    parse: |text| {
        let choices =
            [("required", UserInfoPolicy::Required), ("optional", UserInfoPolicy::Optional), ("off", UserInfoPolicy::Off)];
        values::choice(text, &choices)
    },
};

pub const MAX_CLAIMS: Kind<usize> = Kind {
    name: "size",
    parse: |text| match units::size(text)? {
        size @ 0x400..=0x10_0000 => Ok(size),
        _ => Err("must be from 1KiB to 1MiB".to_owned()),
    },
};

/// A shorter time would send browsers to the provider again and again.
pub const CLAIMS_AGE: Kind<Duration> = Kind {
    name: "duration",
    parse: |text| {
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(3650 * 86_400));
        values::duration(text, least, most, "must be from 1m to 3650d")
    },
};

fn id(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(allowed) {
        return Err(format!("must be 1 to 32 of the letters a-z, 0-9 and -, not {}", shown(text)));
    }
    if text == "local" {
        return Err("must not be `local`, which is reserved for local accounts".to_owned());
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

/// Parses a scope-token of RFC 6749. The list of scopes is sent separated by spaces.
fn scope(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err(format!("must be one scope without white space or quotes, not {}", shown(text)));
    }
    Ok(text.to_owned())
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "RS256" => Ok(Algorithm::RS256),
        "RS384" => Ok(Algorithm::RS384),
        "RS512" => Ok(Algorithm::RS512),
        "ES256" => Ok(Algorithm::ES256),
        "ES384" => Ok(Algorithm::ES384),
        "PS256" => Ok(Algorithm::PS256),
        "PS384" => Ok(Algorithm::PS384),
        "PS512" => Ok(Algorithm::PS512),
        "EdDSA" => Ok(Algorithm::EdDSA),
        _ => Err(algorithm_error(text)),
    }
}

fn algorithm_error(text: &str) -> String {
    match text.to_ascii_uppercase().as_str() {
        "NONE" => "must not be `none`: unsigned tokens can be forged".to_owned(),
        "HS256" | "HS384" | "HS512" => "must not be an HS algorithm: its key is shared, so that tokens can be forged".to_owned(),
        _ => format!("must be RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512 or EdDSA, not {}", shown(text)),
    }
}

/// Rejects parameters that the login flow sets, such as state, nonce and PKCE, which protect it.
pub fn additional_parameter(name: &str) -> Result<(), String> {
    const RESERVED: [&str; 13] = [
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
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("is set by Vestibule; remove it".to_owned());
    }
    parameter_name(name)
}

/// Rejects the client's secret, which would be in a URL of the browser, and `id_token_hint`, which `logout` sets.
pub fn end_session_parameter(name: &str) -> Result<(), String> {
    match name.to_ascii_lowercase().as_str() {
        "client_secret" => Err("must not be sent: users see the URL; remove it".to_owned()),
        "id_token_hint" => Err("is set by `logout: id_token_hint`; remove it".to_owned()),
        _ => parameter_name(name),
    }
}

fn parameter_name(name: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':')) {
        return Err("is not a valid parameter name: use letters, digits and _ - . :".to_owned());
    }
    Ok(())
}
