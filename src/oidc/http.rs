//! Requests to identity providers, within limits: no redirects, no proxy, deadlines, and bounded answers.

use std::{path::Path, time::Duration};

use openidconnect::{
    HttpRequest, HttpResponse,
    http::{Request, request::Builder},
};
use serde::de::IgnoredAny;
use url::Url;

use crate::{error_chain::causes, origin::is_loopback};

const CONNECT: Duration = Duration::from_secs(3);
const TOTAL: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 1 << 20;

#[derive(Clone)]
pub(super) struct HttpClient(reqwest::Client);

/// Why there is no answer. Never tells what was sent.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    #[error("{host} does not answer: {cause}")]
    Unreachable { host: String, cause: String },
    #[error("{host} answered with more than 1 MiB")]
    TooLarge { host: String },
    #[error("{host} answered with status {status}")]
    Status { host: String, status: u16 },
    #[error("{0} is not an https:// address; http:// is for loopback hosts only")]
    Plain(String),
    #[error("the certificates in {path} can't be used: {cause}")]
    Certificates { path: String, cause: String },
    #[error("the HTTP client can't be made: {0}")]
    Client(String),
}

impl HttpClient {
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, HttpClientError> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        builder.build().map(Self).map_err(|error| HttpClientError::Client(causes(&error)))
    }

    /// Fetches a JSON document.
    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>, HttpClientError> {
        Ok(self.json(url, Request::get(url.as_str())).await?.into_body())
    }

    /// Fetches a document that only the bearer of this token may read (RFC 6750, section 2.1).
    pub(super) async fn get_as_bearer(&self, url: &Url, token: &str) -> Result<HttpResponse, HttpClientError> {
        self.json(url, Request::get(url.as_str()).header("authorization", format!("Bearer {token}"))).await
    }

    async fn json(&self, url: &Url, request: Builder) -> Result<HttpResponse, HttpClientError> {
        // An error of the builder names no header's value.
        let request = request.header("accept", "application/json").body(Vec::new());
        let answer = self.call(request.map_err(|error| HttpClientError::Client(error.to_string()))?).await?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            status => Err(HttpClientError::Status { host: host(url), status }),
        }
    }

    /// Endpoints for tokens say in JSON what is wrong (RFC 6749, section 5.2); of one that doesn't, such as a
    /// proxy in front of it, the status is all that is worth telling.
    pub(super) async fn call_for_tokens(&self, request: HttpRequest) -> Result<HttpResponse, HttpClientError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let answer = self.call(request).await?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            _ if serde_json::from_slice::<IgnoredAny>(answer.body()).is_ok() => Ok(answer),
            status => Err(HttpClientError::Status { host, status }),
        }
    }

    pub(super) async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpClientError> {
        let request = reqwest::Request::try_from(request).map_err(|error| HttpClientError::Client(causes(&error)))?;
        let url = request.url().clone();
        if url.scheme() != "https" && !is_loopback(&url) {
            return Err(HttpClientError::Plain(host(&url)));
        }
        let unreachable =
            |error: reqwest::Error| HttpClientError::Unreachable { host: host(&url), cause: causes(&error.without_url()) };
        let mut response = self.0.execute(request).await.map_err(unreachable)?;
        let mut answer = openidconnect::http::Response::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if answer.body().len() + chunk.len() > LARGEST_ANSWER {
                return Err(HttpClientError::TooLarge { host: host(&url) });
            }
            answer.body_mut().extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, HttpClientError> {
    let failed = |cause: String| HttpClientError::Certificates { path: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(causes(&error)))
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
