//! Fetches an issuer's keys, by discovery or from a configured URL.

use std::path::Path;

use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use super::{
    freshness::remaining_freshness,
    http::{HttpClient, HttpClientError},
};
use crate::{
    jwt::{KeySet, KeySetError},
    refreshing::FetchedValue,
};

/// Fetches the keys of an issuer of bearer tokens. Nothing else of such an issuer is needed.
pub struct IssuerKeys {
    http: HttpClient,
    issuer: String,
    jwks_uri: Option<Url>,
}

/// The reason why an issuer's metadata or keys can't be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Http(#[from] HttpClientError),
    #[error(transparent)]
    KeySet(#[from] KeySetError),
    #[error("the discovery document can't be read: {0}")]
    Discovery(#[from] serde_json::Error),
    #[error("the discovery document is of issuer {found}, not of {expected}: issuers must be the same letter by letter")]
    OtherIssuer { found: String, expected: String },
    #[error("{0} is not a URL that can be used")]
    Url(String),
}

/// The fields of the discovery document that lead to the keys.
#[derive(Deserialize)]
struct KeyDiscovery {
    issuer: String,
    jwks_uri: Url,
}

impl IssuerKeys {
    /// If `jwks_uri` is `None`, it is discovered.
    pub fn new(issuer: String, jwks_uri: Option<Url>, ca_file: Option<&Path>) -> Result<Self, HttpClientError> {
        Ok(Self { http: HttpClient::new(ca_file)?, issuer, jwks_uri })
    }

    pub async fn fetch(&self) -> Result<FetchedValue<KeySet>, FetchError> {
        let jwks_uri = match &self.jwks_uri {
            Some(configured) => configured.clone(),
            None => discover(&self.http, &self.issuer, |found: &KeyDiscovery| &found.issuer).await?.jwks_uri,
        };
        fetch_keys(&self.http, &jwks_uri).await
    }
}

/// Fetches a discovery document (OpenID Connect Discovery 1.0, section 4). `issuer_of` returns the issuer in it.
pub(super) async fn discover<M: DeserializeOwned>(
    http: &HttpClient,
    issuer: &str,
    issuer_of: impl Fn(&M) -> &str,
) -> Result<M, FetchError> {
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let url = Url::parse(&address).map_err(|_| FetchError::Url(address))?;
    let document = http.get(&url).await?;
    let metadata: M = serde_json::from_slice(&document)?;
    match issuer_of(&metadata) {
        found if found == issuer => Ok(metadata),
        found => Err(FetchError::OtherIssuer { found: found.to_owned(), expected: issuer.to_owned() }),
    }
}

pub(super) async fn fetch_keys(http: &HttpClient, jwks_uri: &Url) -> Result<FetchedValue<KeySet>, FetchError> {
    let response = http.get_response(jwks_uri).await?;
    Ok(FetchedValue { value: KeySet::parse(response.body())?, fresh_for: remaining_freshness(response.headers()) })
}
