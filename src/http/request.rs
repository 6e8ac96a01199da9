//! What every request to the pages goes through: an id, a log span, a guard against panics, safe headers.

use std::{fmt, net::IpAddr, panic::AssertUnwindSafe};

use actix_web::{
    HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
    middleware::Next,
    web::Data,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::FutureExt;
use ipnet::IpNet;
use tracing::Instrument;

use super::{Site, error};
use crate::{metrics::Metrics, secret::random_bytes};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_REQUEST_ID: usize = 64;

/// Names a request in the log and on its page.
#[derive(Clone)]
pub(super) struct RequestId(String);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default)]
pub struct ProxyTrust(Vec<IpNet>);

impl RequestId {
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self::take_or_make(request.headers()))
    }

    /// The gateway's own id where it is sane, so that its log and ours can be read together.
    fn take_or_make(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let sane = |id: &&str| {
            (8..=LONGEST_REQUEST_ID).contains(&id.len())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        Self(given.filter(sane).map_or_else(|| URL_SAFE_NO_PAD.encode(random_bytes::<12>()), str::to_owned))
    }
}

impl ProxyTrust {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// The client's address: the last one in `X-Forwarded-For` that no trusted proxy has, if the peer is one.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer?;
        let trusted = |address: &IpAddr| self.0.iter().any(|network| network.contains(address));
        let mut client = peer;
        let mut hops: Vec<&str> = headers.get_all("x-forwarded-for").filter_map(|value| value.to_str().ok()).collect();
        hops.reverse();
        for hop in hops.iter().flat_map(|value| value.rsplit(',')) {
            if !trusted(&client) {
                return Some(client);
            }
            match hop.trim().parse() {
                Ok(address) => client = address,
                Err(_) => return Some(client),
            }
        }
        Some(client)
    }
}

pub(super) async fn observe<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let id = RequestId::take_or_make(request.headers());
    let client = request.app_data::<Data<Site>>().and_then(|site| {
        let peer = request.peer_addr().map(|address| address.ip());
        site.proxies.client(peer, request.headers())
    });
    let span =
        tracing::info_span!("request", request_id = id.0, method = %request.method(), path = request.path(), client = ?client);
    request.extensions_mut().insert(id.clone());
    let metrics = request.app_data::<Data<Metrics>>().cloned();
    let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().instrument(span).await;
    let Ok(response) = outcome else {
        if let Some(metrics) = metrics {
            metrics.panics.inc();
        }
        // The request itself went with the handler; an error needs none to become an answer.
        let mut response = error::internal(&id);
        secure(response.headers_mut(), &id);
        return Err(InternalError::from_response("a handler panicked", response).into());
    };
    let mut response = response?;
    secure(response.headers_mut(), &id);
    Ok(response)
}

fn secure(headers: &mut HeaderMap, id: &RequestId) {
    const SAFE: [(HeaderName, &str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in SAFE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, middleware::from_fn, test as actix, web};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nobody_is_trusted(&[], "10.0.0.1", "1.2.3.4", "10.0.0.1")]
    #[case::one_proxy(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4", "1.2.3.4")]
    #[case::two_proxies(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, 10.9.9.9", "1.2.3.4")]
    #[case::forged_front(&["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4")]
    #[case::garbage(&["10.0.0.0/8"], "10.0.0.1", "1.2.3.4, x", "10.0.0.1")]
    #[case::untrusted_peer(&["10.0.0.0/8"], "9.9.9.9", "1.2.3.4", "9.9.9.9")]
    #[case::all_trusted(&["10.0.0.0/8"], "10.0.0.1", "10.0.0.3", "10.0.0.3")]
    fn the_client_is_who_the_trusted_proxies_say(
        #[case] trusted: &[&str],
        #[case] peer: &str,
        #[case] forwarded: &str,
        #[case] client: &str,
    ) {
        let trust = ProxyTrust::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_static("x-forwarded-for"), HeaderValue::from_str(forwarded).unwrap());
        assert_eq!(trust.client(peer.parse().ok(), &headers), client.parse().ok());
    }

    #[rstest]
    #[case::sane("0a1b2c3d-4e5f", true)]
    #[case::short("abc", false)]
    #[case::long(&"a".repeat(65), false)]
    #[case::odd("abc\"def<script>", false)]
    fn a_sane_request_id_is_taken(#[case] given: &str, #[case] taken: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(given).unwrap());
        assert_eq!(RequestId::take_or_make(&headers).0 == given, taken);
    }

    #[actix_web::test]
    async fn a_panic_is_a_500_with_a_page_and_is_counted() {
        let metrics = Data::new(Metrics::new());
        let app = actix::init_service(
            App::new()
                .app_data(metrics.clone())
                .wrap(from_fn(observe))
                .route("/", web::get().to(|| async { panic!("a handler's panic") as HttpResponse })),
        )
        .await;
        for panics in 1..=2 {
            let error = actix::try_call_service(&app, actix::TestRequest::get().uri("/").to_request()).await.err().unwrap();
            let response = error.error_response();
            assert_eq!(response.status(), 500);
            assert!(response.headers().contains_key("x-request-id"));
            assert_eq!(metrics.panics.get(), panics);
        }
    }
}
