//! The only mapping from what went wrong to what people and programs are told.

mod api;

pub(super) use api::api;

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
    links::login_href,
    page,
    pages::{self, Action, ErrorPage, Quote},
    request_id::RequestId,
};
use crate::{
    login::{BeginError, LoginFailed, Why},
    oidc::ExchangeError,
    return_to::ReturnTo,
};

/// The page's own address (RFC 3986, section 4.4), which is not repeated in it: it may hold a code.
const THIS_ADDRESS: &str = "";

/// Longer words of an identity provider are cut.
const LONGEST_QUOTE: usize = 500;

/// A failure in the words of a page.
pub(super) struct Failure {
    status: StatusCode,
    title: &'static str,
    happened: String,
    next: String,
    quote: Option<Quote>,
    action: Option<Action>,
    second: Option<Action>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, title: &'static str, happened: impl Into<String>, next: impl Into<String>) -> Self {
        Self { status, title, happened: happened.into(), next: next.into(), quote: None, action: None, second: None }
    }

    pub(super) fn action(mut self, label: &str, href: impl Into<String>) -> Self {
        let action = Action { label: label.to_owned(), href: href.into() };
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

    pub(super) fn respond(self, request: &HttpRequest) -> HttpResponse {
        self.render(&RequestId::of(request))
    }

    fn render(self, id: &RequestId) -> HttpResponse {
        let body = pages::render(&ErrorPage {
            status: self.status.as_u16(),
            title: self.title.to_owned(),
            what_happened: self.happened,
            what_next: self.next,
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

pub(super) async fn not_found(request: HttpRequest) -> HttpResponse {
    Failure::new(
        StatusCode::NOT_FOUND,
        "Page not found",
        "There is no page at this address.",
        "Check the address, or go to your account.",
    )
    .action("Go to your account", "/vestibule/")
    .respond(&request)
}

/// A query or form that is broken, too large, or has a parameter twice.
pub(super) fn unreadable(request: &HttpRequest) -> actix_web::Error {
    // The library's own words may quote what was sent.
    tracing::warn!(reason = "a malformed query or form", "request refused");
    let failure = Failure::new(
        StatusCode::BAD_REQUEST,
        "This address is malformed",
        "The request has a parameter twice, or one that can't be read.",
        "Go back and try again, or start from your account.",
    );
    let response = failure.action("Go to your account", "/vestibule/").respond(request);
    InternalError::from_response("a malformed query or form", response).into()
}

/// A body that did not come in time.
pub(super) fn slow(request: &HttpRequest) -> actix_web::Error {
    tracing::warn!(reason = "the body did not arrive in time", "request refused");
    let failure = Failure::new(
        StatusCode::REQUEST_TIMEOUT,
        "Your browser took too long",
        "The request did not arrive in full.",
        "Go back and try again, or start from your account.",
    );
    let response = failure.action("Go to your account", "/vestibule/").respond(request);
    InternalError::from_response("a slow body", response).into()
}

pub(super) fn internal(id: &RequestId) -> HttpResponse {
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "An unexpected error stopped this request.",
        "Try again. If it happens again, tell your administrator the request id below.",
    )
    .render(id)
}

pub(super) fn store_unavailable(again: &str) -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Not possible right now",
        "The place where sign-ins are kept does not answer at the moment.",
        "You are not signed out. Wait a moment and try again.",
    )
    .action("Try again", again)
}

/// A form that did not come from our own page.
pub(super) fn foreign_form(page: &str, href: &str) -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "Nothing was changed",
        "The request did not come from this site's own page, so it was not followed.",
        "If you want the change, make it here.",
    )
    .action(page, href)
}

/// A form whose session has ended, or was opened too long ago for it. A form can't lead to the identity provider itself:
/// browsers refuse redirects of forms to other sites.
pub(super) fn sign_in_again(href: &str) -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "Sign in once more",
        "This takes a sign-in of the last while, and yours has ended or is too long ago.",
        "Sign in, and you come back to where you were.",
    )
    .action("Sign in", href)
}

pub(super) fn return_refused(reason: &str) -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "This link leads elsewhere",
        format!("The sign-in link wants to send you on to an address that is not part of this site: {reason}."),
        "If you followed a link from somewhere else, don't trust it. You can sign in from here instead.",
    )
    .action("Sign in", "/sso/login")
}

pub(super) fn unknown_provider() -> Failure {
    tracing::warn!(reason = "the provider is not configured", "login refused");
    Failure::new(
        StatusCode::NOT_FOUND,
        "Unknown identity provider",
        "The link names an identity provider that is not configured here.",
        "Choose one of those that are.",
    )
    .action("Sign in", "/sso/login")
}

impl BeginError {
    pub(super) fn failure(&self, provider: &str, again: &str) -> Failure {
        match self {
            Self::NotReady(_) => Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "Sign-in is not possible right now",
                format!("{provider} can't be reached at the moment, so nobody can be sent there to sign in."),
                "Wait a moment and try again. If it goes on, tell your administrator.",
            )
            .action("Try again", again),
            Self::Store(_) => store_unavailable(again),
        }
    }
}

impl LoginFailed {
    /// `contact` is whom people ask for access.
    pub(super) fn failure(&self, contact: &str) -> Failure {
        let name = self.provider.name();
        let target = self.again.clone().unwrap_or_else(ReturnTo::root);
        let again = login_href(&target, Some(self.provider.id()));
        let start = |failure: Failure| failure.action("Start again", again.as_str());
        match &self.why {
            Why::Unknown => start(expired()),
            Why::Finished => start(finished()).action("Continue without signing in again", target.as_str()),
            Why::OtherBrowser => start(other_browser()),
            Why::OtherProvider | Why::Issuer => start(mixed_up()),
            Why::NoState | Why::NoCode => start(incomplete(name)),
            Why::Denied { error, description } => start(denied(name, error, description.as_deref())),
            Why::NoRoleMapYet => no_role_map_yet().action("Try again", THIS_ADDRESS).action("Start again", again),
            Why::NoRole => no_role(name, contact).action("Sign in with another account", again),
            Why::Disabled => disabled(contact).action("Sign in with another account", again),
            Why::MissingSource(_) => start(missing_source(name, contact)),
            Why::Exchange(error) => start(exchange(name, error)),
            Why::NotSignedIn => not_signed_in().action("Sign in", "/sso/login"),
            Why::Taken => taken(name).action("Your sign-in", "/vestibule/sign-in"),
            Why::StoreBefore(_) => store_before().action("Try again", THIS_ADDRESS).action("Start again", again),
            Why::StoreAfter(_) => start(store_after()),
        }
    }
}

fn expired() -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "This sign-in has expired",
        "A sign-in has to be finished within ten minutes, and this one is no longer known.",
        "Start again; it usually takes a moment only.",
    )
}

fn finished() -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "This sign-in was finished before",
        "The address of a finished sign-in was opened a second time, perhaps by going back or reloading.",
        "If you are signed in, go on to where you wanted to go. Otherwise start again.",
    )
}

fn other_browser() -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "This sign-in belongs to another browser",
        "The sign-in was not begun in this browser, or its cookies were deleted meanwhile. To protect you, it is not finished here.",
        "Start again in this browser. If cookies are blocked for this site, allow them first.",
    )
}

fn mixed_up() -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "The answer does not match the question",
        "The sign-in was begun with one identity provider, and the answer names or came through another. To protect you, it is not finished.",
        "Start again. If it happens again, tell your administrator the request id below.",
    )
}

fn incomplete(name: &str) -> Failure {
    Failure::new(
        StatusCode::BAD_REQUEST,
        "The answer is incomplete",
        format!("{name} sent you back without what is needed to sign you in."),
        "Start again. If it happens again, tell your administrator the request id below.",
    )
}

fn denied(name: &str, error: &str, description: Option<&str>) -> Failure {
    let failure = match error {
        "access_denied" => Failure::new(
            StatusCode::FORBIDDEN,
            "You were not signed in",
            format!("{name} did not sign you in: it was cancelled, or your account may not use this site."),
            "Start again, or ask your administrator for access.",
        ),
        _ => Failure::new(
            StatusCode::BAD_GATEWAY,
            "Sign-in failed at the identity provider",
            format!("{name} reported an error."),
            "Start again. If it happens again, tell your administrator what it said and the request id below.",
        ),
    };
    failure.quote(name, description.unwrap_or(error))
}

fn not_signed_in() -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "Sign in first",
        "The account was proven to be yours, but you are no longer signed in here, so it was not linked.",
        "Sign in as before, and link it again.",
    )
}

fn taken(name: &str) -> Failure {
    Failure::new(
        StatusCode::CONFLICT,
        "This account belongs to somebody else here",
        format!("Your account at {name} is already known here, as another person."),
        "Sign in with it instead, or ask your administrator to delete the other person first.",
    )
}

fn no_role_map_yet() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Not possible right now",
        "This server has only just started, and has not read yet who may do what.",
        "Wait a moment and try again; your sign-in is not lost.",
    )
}

fn no_role(name: &str, contact: &str) -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "You have no access yet",
        format!("You are signed in at {name}, but no role is granted to your account here."),
        format!("Ask {contact} to grant you one, then sign in again."),
    )
}

fn disabled(contact: &str) -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "Your account is disabled",
        "You are known here, but your account may not be used at the moment.",
        format!("Ask {contact} to enable it again."),
    )
}

fn missing_source(name: &str, contact: &str) -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "Your roles could not be read",
        format!("{name} confirmed who you are, but sent less about your account than this site needs to know your role."),
        format!("Start again. If it happens again, tell {contact} the request id below."),
    )
}

fn exchange(name: &str, error: &ExchangeError) -> Failure {
    match error {
        ExchangeError::TooLarge { .. } => Failure::new(
            StatusCode::BAD_GATEWAY,
            "Your account carries too much",
            format!("{name} sent more about your account than this site accepts, perhaps a very long list of groups."),
            "Ask your administrator to narrow what the identity provider sends, or to raise max_claims.",
        ),
        _ => Failure::new(
            StatusCode::BAD_GATEWAY,
            "Sign-in could not be confirmed",
            format!("The answer of {name} could not be confirmed, so you are not signed in."),
            "Start again. If it happens again, tell your administrator the request id below.",
        ),
    }
}

fn store_before() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Not possible right now",
        "The place where sign-ins are kept does not answer at the moment.",
        "Wait a moment and try again; your sign-in is not lost.",
    )
}

fn store_after() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "Almost there",
        "You were confirmed, but the place where sign-ins are kept stopped answering before yours was written down.",
        "Wait a moment and start again; you will probably not be asked for your password.",
    )
}
