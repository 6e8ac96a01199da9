//! Fetches an issuer's keys, by discovery or from a configured URL.

use std::path::Path;

use url::Url;

use super::{
    discovery::{DiscoveryDocument, DiscoveryError},
    freshness::remaining_freshness,
    http::{HttpClient, HttpClientError},
    proxy::HttpProxy,
};
use crate::{
    fetch::FetchedValue,
    jwt::{KeySet, KeySetError},
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
    #[error("the discovery document: {0}")]
    Discovery(#[from] DiscoveryError),
    #[error("{0} is not a URL that can be used")]
    Url(String),
}

impl IssuerKeys {
    /// If `jwks_uri` is `None`, it is discovered.
    pub fn new(
        issuer: String,
        jwks_uri: Option<Url>,
        ca_file: Option<&Path>,
        proxy: Option<&HttpProxy>,
    ) -> Result<Self, HttpClientError> {
        Ok(Self { http: HttpClient::new(ca_file, proxy)?, issuer, jwks_uri })
    }

    pub async fn fetch(&self) -> Result<FetchedValue<KeySet>, FetchError> {
        let jwks_uri = match &self.jwks_uri {
            Some(configured) => configured.clone(),
            None => DiscoveryDocument::fetch(&self.http, &self.issuer).await?.required_endpoint("jwks_uri")?,
        };
        fetch_keys(&self.http, &jwks_uri).await
    }
}

pub(super) async fn fetch_keys(http: &HttpClient, jwks_uri: &Url) -> Result<FetchedValue<KeySet>, FetchError> {
    let response = http.get_response(jwks_uri).await?;
    Ok(FetchedValue { value: KeySet::parse(response.body())?, fresh_for: remaining_freshness(response.headers()) })
}
