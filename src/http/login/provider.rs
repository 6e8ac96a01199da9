//! `/sso/login` and `/sso/callback`: out to the provider, and back.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Path, Query},
};
use serde::Deserialize;

use crate::{
    continuation::Continuation,
    http::{
        Services, Site, app_keys,
        browser_binding::{binding, new_form_token},
        error, page,
        paths::login_href,
        redirect,
        request::user_agent,
    },
    login::{Browser, Callback, Outcome},
    oidc::Provider,
    pages::{self, Frame, PasswordForm, ProviderLink, SetupPage, SignInPage, SignInProblem},
    return_to::{ReturnTarget, ReturnTargetError},
};

#[derive(Deserialize)]
pub(super) struct BeginQuery {
    rd: Option<String>,
    provider: Option<String>,
}

/// A parameter that comes twice is refused by the extractor (RFC 6749, section 3.1).
#[derive(Deserialize)]
pub(super) struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

pub(super) async fn begin(request: HttpRequest, query: Query<BeginQuery>, services: Services) -> HttpResponse {
    let target = match target_of(query.rd.as_deref(), &services.site) {
        Ok(target) => target,
        Err(refused) => return error::return_refused(refused).respond(&request, &services.site),
    };
    let provider = match query.provider.as_deref() {
        None if services.local_accounts.is_some() => None,
        None => services.login.providers().single(),
        Some(id) => match services.login.providers().get(id) {
            None => return error::unknown_provider().respond(&request, &services.site),
            found => found,
        },
    };
    match provider {
        Some(provider) => to_provider(&request, &services, provider, target).await,
        None => sign_in_page(&request, &services, &target, StatusCode::OK, None),
    }
}

/// Where somebody wants to go on to.
pub(super) fn target_of(rd: Option<&str>, site: &Site) -> Result<ReturnTarget, ReturnTargetError> {
    let target = rd.map_or_else(|| Ok(ReturnTarget::root()), |rd| ReturnTarget::parse(rd, site.public_url.host()));
    target.inspect_err(|refused| tracing::warn!(reason = refused.reason(), "login refused"))
}

/// The sign-in page: a choice of providers and the form for a password, or what to configure when there is neither.
pub(super) fn sign_in_page(
    request: &HttpRequest,
    services: &Services,
    target: &ReturnTarget,
    status: StatusCode,
    tried: Option<(&str, SignInProblem)>,
) -> HttpResponse {
    let frame = Frame::of(&services.site.brand);
    if services.login.providers().is_empty() && services.local_accounts.is_none() {
        let redirect_uri = services.site.public_url.join("/sso/callback");
        return page(StatusCode::OK, pages::render(&SetupPage { frame, facts: services.site.facts.clone(), redirect_uri }));
    }
    let link = |provider: &std::sync::Arc<Provider>| ProviderLink {
        name: provider.name().to_owned(),
        href: login_href(target, Some(provider.id())),
    };
    let (csrf, new_cookie) = new_form_token(request, &services.site);
    let password = services.local_accounts.is_some().then(|| PasswordForm {
        csrf,
        rd: (*target != ReturnTarget::root()).then(|| target.as_str().to_owned()),
        email: tried.map(|(email, _)| email.to_owned()).unwrap_or_default(),
        problem: tried.map(|(_, problem)| problem),
        contact: services.site.contact.clone(),
    });
    let has_form = password.is_some();
    let providers = services.login.providers().iter().map(link).collect();
    let mut response = page(status, pages::render(&SignInPage { frame, providers, password, notice: None }));
    if let Some(cookie) = new_cookie.filter(|_| has_form) {
        // As below.
        let _ = response.add_cookie(&services.site.cookies.login_cookie(&cookie));
    }
    response
}

async fn to_provider(request: &HttpRequest, services: &Services, provider: &Provider, target: ReturnTarget) -> HttpResponse {
    let again = login_href(&target, Some(provider.id()));
    let (binding, new_cookie) = binding(request, &services.site);
    match services.login.begin(provider, &binding, Continuation::ReturnTo(target.clone())).await {
        Ok(url) => {
            let mut response = redirect(StatusCode::FOUND, url.as_str());
            if let Some(value) = new_cookie {
                // Adding fails only for values that can't stand in a header; ours is base64url.
                let _ = response.add_cookie(&services.site.cookies.login_cookie(&value));
            }
            response
        }
        Err(failed) => {
            tracing::warn!(provider = provider.id(), reason = failed.reason(), error = %failed, "login not started");
            app_keys::login_unavailable(&target, &services.app_keys, request)
                .unwrap_or_else(|| failed.failure(provider.name(), &again).respond(request, &services.site))
        }
    }
}

pub(super) async fn callback(
    request: HttpRequest,
    path: Option<Path<String>>,
    query: Query<CallbackQuery>,
    services: Services,
) -> HttpResponse {
    let Some(provider) = services.login.providers().find_by_callback(path.as_deref().map(String::as_str)) else {
        return error::unknown_provider().respond(&request, &services.site);
    };
    let callback = query.into_inner().into();
    let browser = Browser {
        binding: services.site.cookies.binding_in(&request),
        session: services.site.cookies.session_in(&request),
        agent: user_agent(&request),
    };
    match services.login.finish(provider, &callback, &browser).await {
        Ok(finished) => {
            let mut response = go_on(&services.site, &finished.continuation);
            if let Outcome::SignedIn(handle) = &finished.outcome {
                // As above: a handle is base64url.
                let _ =
                    response.add_cookie(&services.site.cookies.session_cookie(handle.expose(), services.site.limits.absolute));
            }
            response
        }
        Err(failed) => app_keys::login_failed(&failed, &services.app_keys, &request)
            .unwrap_or_else(|| failed.failure(&services.site.contact).respond(&request, &services.site)),
    }
}

/// What a finished login leads to.
fn go_on(site: &Site, continuation: &Continuation) -> HttpResponse {
    redirect(StatusCode::SEE_OTHER, &site.public_url.join(continuation.retry_target().as_str()))
}

/// Parameters without a value are treated as if they were omitted (RFC 6749, section 3.1).
impl From<CallbackQuery> for Callback {
    fn from(query: CallbackQuery) -> Self {
        let given = |value: Option<String>| value.filter(|value| !value.is_empty());
        Self {
            state: given(query.state),
            code: given(query.code),
            error: given(query.error),
            error_description: given(query.error_description),
            iss: given(query.iss),
        }
    }
}
