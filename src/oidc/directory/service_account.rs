//! The key of a Google service account, and the assertion that it signs for an access token (RFC 7523).

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::{
    json::{JsonObject, MemberError, NotAnObjectError},
    origin::{is_https_or_loopback, web_url},
    secret::{RsaSigner, RsaSignerError},
};

/// The maximum that Google accepts.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A service account's key, as Google issues it in a JSON file.
pub struct ServiceAccountKey {
    email: String,
    signer: RsaSigner,
    token_endpoint: Url,
}

/// The reason why a key is not usable. The texts contain nothing of the key.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAccountError {
    #[error("must be the JSON key of a service account: {0}")]
    NoObject(#[from] NotAnObjectError),
    #[error("must be the JSON key of a service account: {0}")]
    Member(#[from] MemberError),
    #[error("must be the JSON key of a service account: type is not service_account")]
    OtherType,
    #[error("must be the JSON key of a service account: private_key {0}")]
    PrivateKey(#[from] RsaSignerError),
    #[error("must be the JSON key of a service account: token_uri is not an https URL")]
    TokenEndpoint,
}

#[derive(Serialize)]
struct ServiceAccountClaims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccountKey {
    pub fn parse(text: &str) -> Result<Self, ServiceAccountError> {
        let document = JsonObject::parse(text.as_bytes())?;
        if document.required_text("type")? != "service_account" {
            return Err(ServiceAccountError::OtherType);
        }
        let email = document.required_text("client_email")?;
        let key_id = document.text("private_key_id");
        let signer = RsaSigner::parse(&document.required_text("private_key")?, key_id)?;
        let token_endpoint = web_url(&document.required_text("token_uri")?).ok_or(ServiceAccountError::TokenEndpoint)?;
        if !is_https_or_loopback(&token_endpoint) {
            return Err(ServiceAccountError::TokenEndpoint);
        }
        Ok(Self { email, signer, token_endpoint })
    }

    pub(super) fn token_endpoint(&self) -> &Url {
        &self.token_endpoint
    }

    /// Signs an assertion. `subject` is the user on whose behalf the service account acts (domain-wide delegation).
    pub(super) fn sign_assertion(&self, subject: Option<&str>, scope: &str, now: Timestamp) -> String {
        let (iat, aud) = (now.as_second(), self.token_endpoint.as_str());
        let exp = iat + LIFETIME.as_secs() as i64;
        self.signer.sign(&ServiceAccountClaims { iss: &self.email, sub: subject, scope, aud, iat, exp })
    }
}
