//! Reads samples of the claims that a provider sends, and signs them as its tokens.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    json::object,
    jwt::{
        KeySet,
        test_signer::{Signer, key_set},
    },
    oidc::test_login::{LoginResponse, NONCE},
};

/// The time of all tokens, in seconds since 1970.
const NOW: i64 = 1_800_000_000;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::rs256(Some("k1")));

/// The samples of one provider. Times, `nonce` and hashes are left out of the tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    pub sign_ins: Vec<SignIn>,
    #[serde(default)]
    pub tokens: Vec<BearerToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    pub description: String,
    id_token: Option<SignedIdToken>,
    access_token: Option<SignedAccessToken>,
    userinfo: Option<Value>,
    directory: Option<Value>,
    pub expect: ExpectedSignIn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedSignIn {
    pub role: Option<String>,
    /// The source whose absence makes the role map refuse the user.
    pub refused_for_missing: Option<String>,
    pub teams: Vec<String>,
    pub email: Option<String>,
    pub user_name: Option<String>,
}

/// The access token of a program.
#[derive(Deserialize)]
pub struct BearerToken {
    pub description: String,
    /// The id of the token issuer.
    pub issuer: String,
    claims: SignedAccessToken,
    #[serde(flatten)]
    pub expect: ExpectedToken,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExpectedToken {
    /// The token of a user who signs in as one of the samples.
    User {
        expect: ExpectedGrant,
    },
    Workload {
        expect: ExpectedGrant,
    },
    Refused,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedGrant {
    pub role: Option<String>,
    pub teams: Vec<String>,
}

/// An id_token, which was signed when it was read.
#[derive(Deserialize)]
#[serde(from = "Map<String, Value>")]
struct SignedIdToken(String);

/// An access token, which was signed when it was read.
#[derive(Deserialize)]
#[serde(from = "Map<String, Value>")]
struct SignedAccessToken(String);

impl Samples {
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }
}

impl SignIn {
    pub fn response(&self) -> LoginResponse<'_> {
        LoginResponse {
            id_token: self.id_token.as_ref().map(|token| token.0.as_str()),
            access_token: self.access_token.as_ref().map(|token| token.0.as_str()),
            userinfo: self.userinfo.clone().map(object),
            directory: self.directory.clone().map(object),
        }
    }
}

impl BearerToken {
    pub fn token(&self) -> &str {
        &self.claims.0
    }
}

impl From<Map<String, Value>> for SignedIdToken {
    fn from(mut claims: Map<String, Value>) -> Self {
        claims.insert("nonce".to_owned(), json!(NONCE));
        Self(sign(claims))
    }
}

impl From<Map<String, Value>> for SignedAccessToken {
    fn from(claims: Map<String, Value>) -> Self {
        Self(sign(claims))
    }
}

pub fn keys() -> KeySet {
    key_set(&[&SIGNER])
}

pub fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn sign(mut claims: Map<String, Value>) -> String {
    claims.insert("iat".to_owned(), json!(NOW - 1));
    claims.insert("exp".to_owned(), json!(NOW + 300));
    SIGNER.sign(&claims)
}
