//! Middleware of the public listener: request id, log span, body deadline, panic handling and security headers.

use std::{io, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use actix_web::{
    HttpMessage, HttpRequest,
    body::BoxBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::{InternalError, PayloadError},
    http::header::{self, HeaderMap, HeaderValue},
    middleware::Next,
};
use futures::{FutureExt, StreamExt, stream};
use tracing::{Instrument, Span};

use super::{
    Services, Site,
    connections::BusyConnection,
    drain::Drain,
    error::{self, Failure},
    paths,
    redacted_path::redacted_path,
    request_id::{REQUEST_ID, RequestId},
    security_headers::{self, OpenerPolicy},
};
use crate::{client_address::ClientAddress, metrics::Metrics, users::Browser};

const LONGEST_AGENT: usize = 256;

/// Returns the client's address if a trusted proxy reports it.
pub(super) fn forwarded_client(request: &HttpRequest, site: &Site) -> Option<ClientAddress> {
    site.proxies.reported_client(peer(request)?, &forwarded_for(request.headers()))
}

/// Returns the address for the log, which may be that of a proxy.
fn client(request: &HttpRequest, site: &Site) -> Option<ClientAddress> {
    Some(site.proxies.client(peer(request)?, &forwarded_for(request.headers())))
}

fn peer(request: &HttpRequest) -> Option<ClientAddress> {
    request.peer_addr().map(|address| address.ip().into())
}

fn forwarded_for(headers: &HeaderMap) -> Vec<&[u8]> {
    headers.get_all("x-forwarded-for").map(HeaderValue::as_bytes).collect()
}

/// Returns the browser's `User-Agent`, shortened for the list of sessions.
pub(super) fn user_agent(request: &HttpRequest) -> Option<String> {
    let agent = request.headers().get(header::USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().take(LONGEST_AGENT).collect()).filter(|agent: &String| !agent.is_empty())
}

/// Returns the browser of a sign-in.
pub(super) fn browser(request: &HttpRequest, services: &Services) -> Browser {
    let Services { site, users, .. } = services;
    let replaces = site.cookies.session_in(request).and_then(|cookie| users.parse_session_token(&cookie));
    Browser { replaces, agent: user_agent(request) }
}

/// Middleware around every route of the public listener.
#[derive(Clone)]
pub(super) struct Observer {
    site: Arc<Site>,
    metrics: Arc<Metrics>,
    drain: Drain,
    body_deadline: Duration,
}

impl Observer {
    pub fn new(services: &Services, drain: Drain, body_deadline: Duration) -> Self {
        let Services { site, metrics, .. } = services;
        Self { site: Arc::clone(site), metrics: Arc::clone(metrics), drain, body_deadline }
    }

    pub async fn observe(self, mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, actix_web::Error> {
        let id = RequestId::from_headers_or_new(request.headers());
        let span = self.span(&request, &id);
        request.extensions_mut().insert(id.clone());
        let body = request.take_payload();
        request.set_payload(with_deadline(self.body_deadline, body));
        let is_api = paths::is_api_path(request.path());
        let opener = OpenerPolicy::of(request.headers());
        let in_flight = self.drain.enter();
        let _busy = BusyConnection::mark(request.request());
        let outcome = AssertUnwindSafe(next.call(request)).catch_unwind().instrument(span.clone()).await;
        let Ok(response) = outcome else {
            let failure = span.in_scope(|| self.record_panic());
            let mut response = if is_api { failure.json() } else { failure.render(&self.site, &id) };
            complete(response.headers_mut(), opener, &id);
            return Err(InternalError::from_response("a handler panicked", response).into());
        };
        let mut response = response?;
        complete(response.headers_mut(), opener, &id);
        in_flight.close_if_draining(response.response_mut());
        Ok(response)
    }

    /// Returns the request's span. It has the highest level, since lines of every level must contain the request id.
    fn span(&self, request: &ServiceRequest, id: &RequestId) -> Span {
        let client = client(request.request(), &self.site);
        let (path, client) = (&*redacted_path(request.path()), client.map(tracing::field::display));
        tracing::error_span!("request", request_id = id.as_str(), method = %request.method(), path, client)
    }

    /// Counts and logs a panic of a handler. The panic itself is logged separately and without the request id. The handler
    /// consumed the request, so the response must be built without it.
    fn record_panic(&self) -> Failure {
        tracing::error!(suppressed = tracing::field::Empty, "handler panicked");
        self.metrics.panics.inc();
        error::internal()
    }
}

/// Returns the same body, which fails after the deadline. The handler's own work has no deadline.
fn with_deadline(deadline: Duration, body: Payload) -> Payload {
    if matches!(body, Payload::None) {
        return body;
    }
    let late = Box::pin(tokio::time::sleep(deadline));
    let chunks = stream::unfold((body, late), |(mut body, mut late)| async move {
        let chunk = tokio::select! {
            biased;
            chunk = body.next() => chunk?,
            () = &mut late => Err(PayloadError::Io(io::ErrorKind::TimedOut.into())),
        };
        Some((chunk, (body, late)))
    });
    Payload::Stream { payload: Box::pin(chunks) }
}

/// Adds the headers of every response.
fn complete(headers: &mut HeaderMap, opener: OpenerPolicy, id: &RequestId) {
    security_headers::complete(headers, opener);
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, value);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{App, HttpResponse, middleware::from_fn, test as actix, web};

    use super::*;

    fn observer(body_deadline: Duration) -> Observer {
        Observer { site: Arc::new(Site::for_tests()), metrics: Arc::new(Metrics::new()), drain: Drain::default(), body_deadline }
    }

    #[actix_web::test]
    async fn a_panic_is_a_500_with_a_page_or_json_and_is_counted() {
        let observer = observer(Duration::from_secs(10));
        let metrics = Arc::clone(&observer.metrics);
        let app = actix::init_service(
            App::new()
                .wrap(from_fn(move |request, next: Next<BoxBody>| observer.clone().observe(request, next)))
                .default_service(web::to(|| async { panic!("a handler's panic") as HttpResponse })),
        )
        .await;
        let paths = [
            ("/", "text/html; charset=utf-8"),
            ("/vestibule/api/keys", "application/json"),
            ("/vestibule/apis", "text/html; charset=utf-8"),
        ];
        for (panics, (path, kind)) in (1..).zip(paths) {
            let error = actix::try_call_service(&app, actix::TestRequest::get().uri(path).to_request()).await.err().unwrap();
            let response = error.error_response();
            assert_eq!(
                (response.status().as_u16(), response.headers().get("content-type").unwrap().as_bytes()),
                (500, kind.as_bytes())
            );
            assert!(response.headers().contains_key("x-request-id"));
            assert_eq!(metrics.panics.get(), panics);
        }
    }

    #[actix_web::test]
    async fn an_incomplete_body_is_answered_408_and_its_connection_closed() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let observer = observer(Duration::from_millis(50));
        let server = actix_web::HttpServer::new(move || {
            let observer = observer.clone();
            App::new()
                .app_data(super::super::forms(&observer.site))
                .wrap(from_fn(move |request, next: Next<BoxBody>| observer.clone().observe(request, next)))
                .route("/", web::post().to(|_: web::Form<Vec<(String, String)>>| async { "" }))
        });
        let server = server.workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        let serving = actix_web::rt::spawn(server.run());
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n";
        for (body, status) in [("a=", "HTTP/1.1 408 "), ("a=b", "HTTP/1.1 200 ")] {
            let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
            connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            let mut answer = [0; 13];
            tokio::time::timeout(Duration::from_secs(10), connection.read_exact(&mut answer)).await.unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), status);
            if status.contains("408") {
                let mut rest = Vec::new();
                tokio::time::timeout(Duration::from_secs(10), connection.read_to_end(&mut rest)).await.unwrap().unwrap();
                assert!(String::from_utf8_lossy(&rest).contains("<title>"));
            }
        }
        serving.abort();
    }
}
