//! The HTTP client for identity providers: no redirects, only the configured proxy, timeouts, and a size limit for responses.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use openidconnect::{
    HttpRequest, HttpResponse,
    http::{
        HeaderMap, HeaderValue, Request,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING},
        request::Builder,
    },
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::proxy::HttpProxy;
use crate::{fetch::causes, origin::is_https_or_loopback};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(10);
const LARGEST_RESPONSE: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct HttpClient {
    settings: Arc<ClientSettings>,
    connected: Arc<ArcSwap<ConnectedClient>>,
}

struct ClientSettings {
    certificates: Vec<reqwest::Certificate>,
    proxy: Option<HttpProxy>,
}

/// The library's client, and the credentials for the proxy that it was built with.
struct ConnectedClient {
    client: reqwest::Client,
    credentials: Option<SecretString>,
}

/// The reason why a request has no usable response. It contains nothing of the request but the host.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    #[error("{host} does not answer: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("{host} does not answer (http_proxy: {proxy}): {cause}")]
    UnreachableWithProxy { host: String, proxy: String, cause: String },
    #[error("{host} answered with more than 1 MiB")]
    TooLarge { host: String },
    #[error("{host} answered with status {status}")]
    Status { host: String, status: u16 },
    #[error("{host} answered with a Content-Encoding although the request accepts none")]
    Encoded { host: String },
    #[error("{0} is not an https:// address; http:// is for loopback hosts only")]
    Plain(String),
    #[error("the certificates in {path} can't be used: {cause}")]
    Certificates { path: String, cause: String },
    #[error("the HTTP client can't be created: {0}")]
    Client(String),
}

impl HttpClientError {
    /// True if it is unknown whether the server processed the request.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::UnreachableWithProxy { .. })
    }
}

impl HttpClient {
    pub(super) fn new(ca_file: Option<&Path>, proxy: Option<&HttpProxy>) -> Result<Self, HttpClientError> {
        let certificates = ca_file.map(certificates).transpose()?.unwrap_or_default();
        let settings = ClientSettings { certificates, proxy: proxy.cloned() };
        let connected = settings.connect(settings.credentials())?;
        Ok(Self { settings: Arc::new(settings), connected: Arc::new(ArcSwap::from_pointee(connected)) })
    }

    /// Returns the client, which is built again if the credentials for the proxy have changed. If their file cannot be read, the
    /// last ones stay in use.
    fn client(&self) -> reqwest::Client {
        let connected = self.connected.load();
        let credentials = self.settings.credentials();
        if credentials.is_none() || is_same(credentials.as_ref(), connected.credentials.as_ref()) {
            return connected.client.clone();
        }
        match self.settings.connect(credentials) {
            Ok(changed) => {
                let client = changed.client.clone();
                self.connected.store(Arc::new(changed));
                client
            }
            // The settings have not changed since the last client was built.
            Err(_) => connected.client.clone(),
        }
    }

    /// Fetches a JSON document.
    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>, HttpClientError> {
        Ok(self.get_response(url).await?.into_body())
    }

    /// Fetches a JSON document with its headers.
    pub(super) async fn get_response(&self, url: &Url) -> Result<HttpResponse, HttpClientError> {
        self.get_json(url, Request::get(url.as_str())).await
    }

    /// Fetches a JSON document with a bearer token (RFC 6750, section 2.1).
    pub(super) async fn get_with_token(&self, url: &Url, token: &str) -> Result<HttpResponse, HttpClientError> {
        self.get_json(url, Request::get(url.as_str()).header("authorization", format!("Bearer {token}"))).await
    }

    /// Sends a request whose answer only shows that there is a server and not a gateway without one.
    pub(super) async fn probe(&self, url: &Url) -> Result<(), HttpClientError> {
        let request = Request::get(url.as_str()).body(Vec::new());
        let response = self.call(request.map_err(|error| HttpClientError::Client(error.to_string()))?).await?;
        match response.status().as_u16() {
            status @ 502..=504 => Err(HttpClientError::Status { host: host(url), status }),
            _ => Ok(()),
        }
    }

    async fn get_json(&self, url: &Url, request: Builder) -> Result<HttpResponse, HttpClientError> {
        // The builder's errors contain no header values.
        let request = request.header("accept", "application/json").body(Vec::new());
        let response = self.call(request.map_err(|error| HttpClientError::Client(error.to_string()))?).await?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(HttpClientError::Status { host: host(url), status: status.as_u16() }),
        }
    }

    pub(super) async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpClientError> {
        let request = reqwest::Request::try_from(request).map_err(|error| HttpClientError::Client(causes(&error)))?;
        let url = request.url().clone();
        if !is_https_or_loopback(&url) {
            return Err(HttpClientError::Plain(host(&url)));
        }
        let unreachable = |error: reqwest::Error| self.unreachable(host(&url), causes(&error.without_url()));
        let mut response = self.client().execute(request).await.map_err(unreachable)?;
        // The status of an error says enough without its body.
        if response.status().is_success() && is_encoded(response.headers()) {
            return Err(HttpClientError::Encoded { host: host(&url) });
        }
        let mut bounded = openidconnect::http::Response::new(Vec::new());
        *bounded.status_mut() = response.status();
        *bounded.headers_mut() = response.headers().clone();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bounded.body().len() + chunk.len() > LARGEST_RESPONSE {
                return Err(HttpClientError::TooLarge { host: host(&url) });
            }
            bounded.body_mut().extend_from_slice(&chunk);
        }
        Ok(bounded)
    }

    fn unreachable(&self, host: String, cause: String) -> HttpClientError {
        match &self.settings.proxy {
            Some(proxy) => HttpClientError::UnreachableWithProxy { host, proxy: proxy.to_string(), cause },
            None => HttpClientError::Unreachable { host, cause },
        }
    }
}

impl ClientSettings {
    fn credentials(&self) -> Option<SecretString> {
        self.proxy.as_ref()?.credentials()
    }

    fn connect(&self, credentials: Option<SecretString>) -> Result<ConnectedClient, HttpClientError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // Without the header, a server may compress its answer (RFC 9110, section 12.5.3).
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
            .tls_certs_merge(self.certificates.clone());
        let failed = |error: reqwest::Error| HttpClientError::Client(causes(&error));
        if let Some(proxy) = &self.proxy {
            builder = builder.proxy(proxy.rule(credentials.as_ref()).map_err(failed)?);
        }
        Ok(ConnectedClient { client: builder.build().map_err(failed)?, credentials })
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let is_identity = |encoding: &HeaderValue| encoding.is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    headers.get_all(CONTENT_ENCODING).iter().any(|encoding| !is_identity(encoding))
}

fn is_same(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpClientError> {
    let failed = |cause: String| HttpClientError::Certificates { path: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(causes(&error)))
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
