//! The only mapping from failures to responses: JSON for programs, pages and form problems for users.
//!
//! Each error of a domain is mapped once, by a `From` implementation in one of the modules below.

mod accounts;
mod api_keys;
mod check;
mod login;
mod password_strength;
mod requests;
mod role_map;
mod store;

#[cfg(test)]
mod tests;

pub(super) use check::malformed_auth_request;
pub(super) use requests::{
    administrators_only, foreign_form, internal, navigation_required, no_local_accounts, no_page, not_found, other_browser,
    reject_malformed_query, reject_slow_body, sign_in_again, unknown_provider,
};

use std::{borrow::Cow, sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
};
use serde_json::json;

use super::{
    Site, page,
    pages::{
        self, Action, Brand, ErrorPage, Frame, Problem, Quote,
        text::{TextValue, text},
    },
    request_id::RequestId,
};
use crate::check::AuthenticationFailure;

/// A longer quotation of an identity provider is cut.
const LONGEST_QUOTE: usize = 500;

/// The request has no credential (RFC 6750, section 3).
pub(super) const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Bearer realm="vestibule""#);
/// The request's credential is invalid.
pub(super) const CHALLENGE_INVALID: HeaderValue = HeaderValue::from_static(r#"Bearer realm="vestibule", error="invalid_token""#);

/// The claims of the request's session have expired. The description distinguishes it for gateways, which see no body.
const CHALLENGE_CLAIMS: HeaderValue =
    HeaderValue::from_static(r#"Bearer realm="vestibule", error="invalid_token", error_description="claims_expired""#);

/// The response to a failure. A failure that only programs or only users can cause has no text for the others.
pub(super) struct Failure {
    status: StatusCode,
    report: Option<Report>,
    page: Option<PageText>,
    problem: Option<Problem>,
    challenge: Option<HeaderValue>,
    retry_after: Option<Duration>,
}

/// The response to programs. The code is one of RFC 6749 or RFC 6750 where one fits.
pub(super) struct Report {
    pub code: &'static str,
    pub description: Cow<'static, str>,
}

/// The response to users, if it is a separate page: the messages `-title`, `-happened` and `-next` of an id.
struct PageText {
    id: &'static str,
    values: Vec<(&'static str, TextValue)>,
    quote: Option<Quote>,
    actions: Vec<Action>,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        let report = Some(Report { code, description: description.into() });
        Self { status, report, page: None, problem: None, challenge: None, retry_after: None }
    }

    /// A failure that only users can cause.
    pub fn of_page(status: StatusCode, id: &'static str) -> Self {
        Self { status, report: None, page: None, problem: None, challenge: None, retry_after: None }.page(id)
    }

    fn bad_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    fn unauthorized(code: &'static str, description: &'static str, challenge: HeaderValue) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, code, description) }
    }

    fn forbidden(description: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "access_denied", description)
    }

    fn absent(description: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", description)
    }

    fn limit_reached(description: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, "limit_reached", description)
    }

    fn too_many(description: &'static str, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "slow_down", description).retry_after(retry_after)
    }

    fn unavailable(description: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description)
    }

    fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    fn page(self, id: &'static str) -> Self {
        Self { page: Some(PageText::of(id)), ..self }
    }

    fn problem(self, problem: Problem) -> Self {
        Self { problem: Some(problem), ..self }
    }

    /// Fills a placeholder of the page's messages.
    pub fn with(mut self, name: &'static str, value: impl Into<TextValue>) -> Self {
        if let Some(page) = &mut self.page {
            page.values.push((name, value.into()));
        }
        self
    }

    /// Adds a button to the page. `label` is a message's id.
    pub fn action(mut self, label: &'static str, href: impl Into<String>) -> Self {
        if let Some(page) = &mut self.page {
            page.actions.push(Action { label: text(label, &[]), href: href.into() });
        }
        self
    }

    /// Adds a button that tries again, if the failure is temporary and its page has no other button.
    pub fn retry_at(self, href: &str) -> Self {
        let has_actions = self.page.as_ref().is_none_or(|page| !page.actions.is_empty());
        if self.status == StatusCode::SERVICE_UNAVAILABLE && !has_actions { self.action("action-again", href) } else { self }
    }

    fn quote(mut self, speaker: &str, text: &str) -> Self {
        let text = text.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect();
        if let Some(page) = &mut self.page {
            page.quote = Some(Quote { speaker: speaker.to_owned(), text });
        }
        self
    }

    pub fn is_server_error(&self) -> bool {
        self.status.is_server_error()
    }

    /// The response to programs; `None` if only users can cause this failure.
    pub fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// The status and the problem to show beside the form; `None` if the form can't correct this failure.
    pub fn form_problem(&self) -> Option<(StatusCode, Problem)> {
        Some((self.status, self.problem.clone()?))
    }

    pub fn json(&self) -> HttpResponse {
        let mut response = match &self.report {
            Some(report) => json(self.status, report.code, &report.description),
            None => json(self.status, "server_error", requests::UNEXPECTED),
        };
        if let Some(challenge) = &self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.clone());
        }
        set_retry_after(&mut response, self.retry_after);
        response
    }

    pub fn respond(self, request: &HttpRequest, site: &Site) -> HttpResponse {
        self.render_with(site, site.page_brand(request.headers()), &RequestId::of(request))
    }

    /// Renders the failure without the request that led to it.
    pub fn render(self, site: &Site, id: &RequestId) -> HttpResponse {
        self.render_with(site, &site.brand, id)
    }

    pub fn render_with(self, site: &Site, brand: &Arc<Brand>, id: &RequestId) -> HttpResponse {
        let PageText { id: message, mut values, quote, actions } =
            self.page.unwrap_or_else(|| PageText::of(requests::UNEXPECTED_PAGE));
        values.push(("contact", TextValue::from(site.contact.as_str())));
        let part = |name: &str| text(&format!("{message}-{name}"), &values);
        let body = pages::render(&ErrorPage {
            frame: Frame::of(brand),
            status: self.status.as_u16(),
            title: part("title"),
            explanation: part("happened"),
            next_step: part("next"),
            quote,
            actions,
            request_id: id.to_string(),
        });
        let mut response = page(self.status, body);
        set_retry_after(&mut response, self.retry_after);
        response
    }
}

impl PageText {
    fn of(id: &'static str) -> Self {
        Self { id, values: Vec::new(), quote: None, actions: Vec::new() }
    }
}

/// A JSON error (RFC 6749, section 5.2).
pub(super) fn json(status: StatusCode, code: &str, description: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({"error": code, "error_description": description}))
}

/// The 503 for a request that cannot be answered at the moment.
pub(super) fn unavailable(description: &str, retry_after: Option<Duration>) -> HttpResponse {
    let mut response = json(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", description);
    set_retry_after(&mut response, retry_after);
    response
}

/// A 401 with its challenge.
pub(super) fn challenged(code: &str, description: &str, challenge: HeaderValue) -> HttpResponse {
    let mut response = json(StatusCode::UNAUTHORIZED, code, description);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// The 401 for a request that was not authenticated.
pub(super) fn authentication_error(failure: AuthenticationFailure) -> HttpResponse {
    let (code, challenge) = challenge_for(failure);
    challenged(code, failure.description(), challenge)
}

/// The error code of a request that was not authenticated, and its challenge.
fn challenge_for(failure: AuthenticationFailure) -> (&'static str, HeaderValue) {
    match failure {
        AuthenticationFailure::NoCredential => ("login_required", CHALLENGE),
        AuthenticationFailure::ExpiredClaims => ("claims_expired", CHALLENGE_CLAIMS),
        _ => ("invalid_token", CHALLENGE_INVALID),
    }
}

pub(super) fn set_retry_after(response: &mut HttpResponse, time: Option<Duration>) {
    if let Some(time) = time {
        response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(time).into());
    }
}

/// Rounded up, so that a client that waits for this long is not too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
