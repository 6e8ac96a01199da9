//! The only mapping from what went wrong to what people and programs are told.

mod api;

pub(super) use api::{api, rate_limited};

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    error::InternalError,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde_json::json;

use super::{
    Services, Site, page,
    pages::{
        self, Action, ErrorPage, Frame, Quote,
        text::{Value, text},
    },
    paths::login_href,
    request_id::RequestId,
};
use crate::{
    login::{BeginError, LoginFailed, Why},
    oidc::ExchangeError,
    rate_limits::RateLimitError,
    return_to::{self, ReturnTarget, ReturnTargetError},
};

/// The page's own address (RFC 3986, section 4.4), which is not repeated in it: it may hold a code.
const THIS_ADDRESS: &str = "";

/// Longer words of an identity provider are cut.
const LONGEST_QUOTE: usize = 500;

/// A failure in the words of a page: the messages `-title`, `-happened` and `-next` of an id.
pub(super) struct Failure {
    status: StatusCode,
    id: &'static str,
    values: Vec<(&'static str, Value)>,
    quote: Option<Quote>,
    action: Option<Action>,
    second: Option<Action>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, id: &'static str) -> Self {
        Self { status, id, values: Vec::new(), quote: None, action: None, second: None }
    }

    /// Fills a place that the messages leave open.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.values.push((name, value.into()));
        self
    }

    /// `label` is a message's id.
    pub(super) fn action(mut self, label: &'static str, href: impl Into<String>) -> Self {
        let action = Action { label: text(label, &[]), href: href.into() };
        let place = if self.action.is_none() { &mut self.action } else { &mut self.second };
        *place = Some(action);
        self
    }

    fn quote(mut self, speaker: &str, text: &str) -> Self {
        self.quote = Some(Quote {
            speaker: speaker.to_owned(),
            text: text.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect(),
        });
        self
    }

    pub(super) fn respond(self, request: &HttpRequest, site: &Site) -> HttpResponse {
        self.render(site, &RequestId::of(request))
    }

    fn render(self, site: &Site, id: &RequestId) -> HttpResponse {
        let words = |part: &str| text(&format!("{}-{part}", self.id), &self.values);
        let body = pages::render(&ErrorPage {
            frame: Frame::of(&site.brand),
            status: self.status.as_u16(),
            title: words("title"),
            what_happened: words("happened"),
            what_next: words("next"),
            quote: self.quote,
            action: self.action,
            second_action: self.second,
            request_id: id.to_string(),
        });
        page(self.status, body)
    }
}

/// Nothing was presented (RFC 6750, section 3).
pub(super) const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="vestibule""#);
/// What was presented is no good.
pub(super) const CHALLENGE_INVALID: HeaderValue = HeaderValue::from_static(r#"Bearer realm="vestibule", error="invalid_token""#);

/// 401 with what is asked for.
pub(super) fn challenged(code: &str, description: &str, challenge: HeaderValue) -> HttpResponse {
    let mut response = json(StatusCode::UNAUTHORIZED, code, description);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// JSON for programs, with the codes of RFC 6749 and 6750 where one fits.
pub(super) fn json(status: StatusCode, code: &str, description: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": code, "error_description": description}))
}

pub(super) async fn not_found(request: HttpRequest, services: Services) -> HttpResponse {
    let failure = Failure::new(StatusCode::NOT_FOUND, "error-not-found");
    failure.action("action-account", "/vestibule/").respond(&request, &services.site)
}

/// A query or form that is broken, too large, or has a parameter twice.
pub(super) fn unreadable(request: &HttpRequest, site: &Site) -> actix_web::Error {
    // The library's own words may quote what was sent.
    tracing::warn!(reason = "malformed_query_or_form", "request refused");
    let failure = Failure::new(StatusCode::BAD_REQUEST, "error-malformed");
    let response = failure.action("action-account", "/vestibule/").respond(request, site);
    InternalError::from_response("a malformed query or form", response).into()
}

/// A body that did not come in time.
pub(super) fn slow(request: &HttpRequest, site: &Site) -> actix_web::Error {
    tracing::warn!(reason = "body_timeout", "request refused");
    let failure = Failure::new(StatusCode::REQUEST_TIMEOUT, "error-slow");
    let response = failure.action("action-account", "/vestibule/").respond(request, site);
    InternalError::from_response("a slow body", response).into()
}

/// A client address that has opened a page of this kind too often.
pub(super) fn too_often(exceeded: RateLimitError, request: &HttpRequest, site: &Site) -> HttpResponse {
    let seconds = whole_seconds(exceeded.retry_after);
    let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, "error-too-often").with("seconds", Value::Count(seconds));
    let mut response = failure.respond(request, site);
    wait(&mut response, exceeded.retry_after);
    response
}

fn wait(response: &mut HttpResponse, retry_after: Duration) {
    response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(retry_after).into());
}

/// Rounded up: whoever comes back after them is not too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

pub(super) fn internal(site: &Site, id: &RequestId) -> HttpResponse {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "error-internal").render(site, id)
}

/// A page that is for administrators, and somebody who is none.
pub(super) fn for_administrators() -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-for-administrators").action("action-account", "/vestibule/")
}

pub(super) fn no_local_accounts() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "error-no-local-accounts").action("action-account", "/vestibule/")
}

pub(super) fn no_such_person() -> Failure {
    Failure::new(StatusCode::NOT_FOUND, "error-no-such-person").action("nav-people", "/vestibule/people")
}

pub(super) fn not_yours_to_change() -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-not-yours-to-change").action("nav-people", "/vestibule/people")
}

/// A local account that the role map grants nothing.
pub(super) fn no_role_here(contact: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-no-role-here").with("contact", contact)
}

pub(super) fn store_unavailable(again: &str) -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "error-store-away").action("action-again", again)
}

/// A form that did not come from our own page. `page`, where the change can be made, is a message's id.
pub(super) fn foreign_form(page: &'static str, href: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-foreign-form").action(page, href)
}

/// A form whose session has ended, or was opened too long ago for it. A form can't lead to the identity provider itself:
/// browsers refuse redirects of forms to other sites.
pub(super) fn sign_in_again(href: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "error-sign-in-again").action("action-sign-in", href)
}

pub(super) fn return_refused(refused: ReturnTargetError) -> Failure {
    let reason = text(reason_id(refused), &[("most", Value::Count(return_to::LONGEST as u64))]);
    Failure::new(StatusCode::BAD_REQUEST, "error-return-refused").with("reason", reason).action("action-sign-in", "/sso/login")
}

/// The message that completes "an address that is not part of this site:".
fn reason_id(refused: ReturnTargetError) -> &'static str {
    match refused {
        ReturnTargetError::Empty => "return-empty",
        ReturnTargetError::TooLong => "return-too-long",
        ReturnTargetError::ControlCharacter => "return-control-character",
        ReturnTargetError::Backslash => "return-backslash",
        ReturnTargetError::NotAPath => "return-not-a-path",
        ReturnTargetError::Authority => "return-authority",
        ReturnTargetError::UserInfo => "return-user-info",
        ReturnTargetError::OtherHost => "return-other-host",
        ReturnTargetError::DoubledSlash => "return-doubled-slash",
    }
}

pub(super) fn unknown_provider() -> Failure {
    tracing::warn!(reason = "unknown_provider", "login refused");
    Failure::new(StatusCode::NOT_FOUND, "error-unknown-provider").action("action-sign-in", "/sso/login")
}

impl BeginError {
    pub(super) fn failure(&self, provider: &str, again: &str) -> Failure {
        match self {
            Self::NotReady(_) => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "error-provider-away")
                .with("provider", provider)
                .action("action-again", again),
            Self::Store(_) => store_unavailable(again),
        }
    }
}

impl LoginFailed {
    /// `contact` is whom people ask for access.
    pub(super) fn failure(&self, contact: &str) -> Failure {
        let name = self.provider.name();
        let target = self.again.clone().unwrap_or_else(ReturnTarget::root);
        let again = login_href(&target, Some(self.provider.id()));
        let start = |failure: Failure| failure.action("action-start-again", again.as_str());
        match &self.why {
            Why::Unknown => start(expired()),
            Why::Finished => start(finished()).action("action-continue", target.as_str()),
            Why::OtherBrowser => start(other_browser()),
            Why::OtherProvider | Why::Issuer => start(mixed_up()),
            Why::NoState | Why::NoCode => start(incomplete(name)),
            Why::Denied { error, description } => start(denied(name, error, description.as_deref())),
            Why::NoRoleMapYet => no_role_map_yet().action("action-again", THIS_ADDRESS).action("action-start-again", again),
            Why::NoRole => no_role(name, contact).action("action-other-account", again),
            Why::Disabled => disabled(contact).action("action-other-account", again),
            Why::MissingSource(_) => start(missing_source(name, contact)),
            Why::Exchange(error) => start(exchange(name, error)),
            Why::NotSignedIn => not_signed_in().action("action-sign-in", "/sso/login"),
            Why::Taken => taken(name).action("action-methods", "/vestibule/sign-in"),
            Why::StoreBefore(_) => store_before().action("action-again", THIS_ADDRESS).action("action-start-again", again),
            Why::StoreAfter(_) => start(store_after()),
        }
    }
}

fn expired() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "error-expired")
}

fn finished() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "error-finished")
}

pub(super) fn other_browser() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "error-other-browser")
}

fn mixed_up() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "error-mixed-up")
}

fn incomplete(name: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "error-incomplete").with("provider", name)
}

fn denied(name: &str, error: &str, description: Option<&str>) -> Failure {
    let failure = match error {
        "access_denied" => Failure::new(StatusCode::FORBIDDEN, "error-denied").with("provider", name),
        _ => Failure::new(StatusCode::BAD_GATEWAY, "error-provider-failed").with("provider", name),
    };
    failure.quote(name, description.unwrap_or(error))
}

fn not_signed_in() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "error-link-signed-out")
}

fn taken(name: &str) -> Failure {
    Failure::new(StatusCode::CONFLICT, "error-link-taken").with("provider", name)
}

pub(super) fn no_role_map_yet() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "error-no-role-map-yet")
}

fn no_role(name: &str, contact: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-no-role").with("provider", name).with("contact", contact)
}

pub(super) fn disabled(contact: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-disabled").with("contact", contact)
}

fn missing_source(name: &str, contact: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "error-missing-source").with("provider", name).with("contact", contact)
}

fn exchange(name: &str, error: &ExchangeError) -> Failure {
    match error {
        ExchangeError::TooLarge { .. } => Failure::new(StatusCode::BAD_GATEWAY, "error-too-large").with("provider", name),
        _ => Failure::new(StatusCode::BAD_GATEWAY, "error-not-confirmed").with("provider", name),
    }
}

fn store_before() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "error-store-before")
}

fn store_after() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "error-store-after")
}
