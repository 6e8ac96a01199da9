//! An issuer's keys: by its discovery document, or from an address that is given.

use std::path::Path;

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse},
};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::http::{HttpClient, HttpClientError};

/// The keys of an issuer that nobody signs in with here: all that is fetched of it.
pub struct IssuerKeys {
    http: HttpClient,
    issuer: String,
    jwks_uri: Option<Url>,
}

/// Why an issuer's metadata or keys are not to be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
    #[error("{document} can't be read: {cause}")]
    Malformed { document: &'static str, cause: String },
    #[error("the key set can't be read: it holds no key that can be used")]
    NoKey,
    #[error("the discovery document is of issuer {found}, not of {expected}: issuers must be the same letter by letter")]
    OtherIssuer { found: String, expected: String },
    #[error("{0} is not a URL that can be used")]
    Url(String),
}

#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: Url,
}

impl IssuerKeys {
    /// Without a `jwks_uri` it is discovered.
    pub fn new(issuer: String, jwks_uri: Option<Url>, ca_file: Option<&Path>) -> Result<Self, HttpClientError> {
        Ok(Self { http: HttpClient::new(ca_file)?, issuer, jwks_uri })
    }

    pub async fn fetch(&self) -> Result<JwkSet, FetchError> {
        let jwks_uri = match &self.jwks_uri {
            Some(given) => given.clone(),
            None => discover(&self.http, &self.issuer, |found: &Discovered| &found.issuer).await?.jwks_uri,
        };
        of_document(&self.http.get(&jwks_uri).await?)
    }
}

/// OpenID Connect Discovery 1.0, section 4. `issuer_of` says who the document says that it is of.
pub(super) async fn discover<M: DeserializeOwned>(
    http: &HttpClient,
    issuer: &str,
    issuer_of: impl Fn(&M) -> &str,
) -> Result<M, FetchError> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let url = Url::parse(&address).map_err(|_| FetchError::Url(address))?;
    let document = http.get(&url).await?;
    let metadata: M = serde_json::from_slice(&document)
        .map_err(|error| FetchError::Malformed { document: "the discovery document", cause: error.to_string() })?;
    match issuer_of(&metadata) {
        found if found == issuer => Ok(metadata),
        found => Err(FetchError::OtherIssuer { found: found.to_owned(), expected: issuer.to_owned() }),
    }
}

/// The keys that verify access tokens; there is at least one.
pub fn of_document(document: &[u8]) -> Result<JwkSet, FetchError> {
    let keys = usable(document)?;
    if keys.keys.is_empty() { Err(FetchError::NoKey) } else { Ok(keys) }
}

/// The public keys that sign, as far as they are of a kind that is known.
pub(super) fn usable(document: &[u8]) -> Result<JwkSet, FetchError> {
    let mut keys: Vec<Jwk> = each_of_document(document)?;
    keys.retain(|key| {
        let encrypts = key.common.public_key_use == Some(PublicKeyUse::Encryption);
        let shared = matches!(key.algorithm, AlgorithmParameters::OctetKey(_));
        !encrypts && !shared && DecodingKey::from_jwk(key).is_ok()
    });
    Ok(JwkSet { keys })
}

/// Every key of a key set. One of a kind that is not known is skipped, as RFC 7517 asks.
pub(super) fn each_of_document<K: DeserializeOwned>(document: &[u8]) -> Result<Vec<K>, FetchError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<serde_json::Value>,
    }
    let document: Document = serde_json::from_slice(document)
        .map_err(|error| FetchError::Malformed { document: "the key set", cause: error.to_string() })?;
    Ok(document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kids(keys: serde_json::Value) -> Vec<String> {
        let document = serde_json::to_vec(&json!({"keys": keys})).unwrap();
        usable(&document).unwrap().keys.into_iter().filter_map(|key| key.common.key_id).collect()
    }

    #[test]
    fn only_public_keys_that_sign_are_kept() {
        let curve = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let with = |further: serde_json::Value| {
            let mut key = curve.clone();
            key.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
            key
        };
        let keys = json!([
            with(json!({"kid": "plain"})),
            with(json!({"kid": "signs", "use": "sig"})),
            with(json!({"kid": "encrypts", "use": "enc"})),
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "new", "kid": "unknown"},
            "no key at all",
        ]);
        assert_eq!(kids(keys), ["plain", "signs"]);
        assert!(matches!(of_document(br#"{"keys": [{"kty": "new"}]}"#), Err(FetchError::NoKey)));
        assert!(matches!(of_document(b"<html>"), Err(FetchError::Malformed { .. })));
    }
}
