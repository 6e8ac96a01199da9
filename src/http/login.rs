//! `/sso/login` and `/sso/callback`: out to the provider, and back.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Path, Query},
};
use serde::Deserialize;

use super::{
    Apps, Site, apps, error,
    links::login_href,
    page,
    pages::{self, NotConfigured, ProviderLink, SignIn},
    redirect,
    request::user_agent,
};
use crate::{
    continuation::Continuation,
    login::{Browser, Callback, Login, Outcome},
    oidc::{Binding, Provider},
    return_to::ReturnTo,
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

pub(super) async fn begin(
    request: HttpRequest,
    site: Data<Site>,
    login: Data<Login>,
    query: Query<BeginQuery>,
    apps: Data<Apps>,
) -> HttpResponse {
    let target = match query.rd.as_deref().map(|rd| ReturnTo::parse(rd, site.public_url.host())) {
        None => ReturnTo::root(),
        Some(Ok(target)) => target,
        Some(Err(refused)) => {
            tracing::warn!(reason = %refused, "login refused");
            return error::return_refused(&refused.to_string()).respond(&request);
        }
    };
    let provider = match query.provider.as_deref() {
        None => login.providers().only(),
        Some(id) => match login.providers().get(id) {
            None => return error::unknown_provider().respond(&request),
            found => found,
        },
    };
    match provider {
        Some(provider) => to_provider(&request, &site, &login, &apps, provider, target).await,
        None => choose(&site, &login, &target),
    }
}

/// The sign-in page: a choice of providers, or what to configure when there is none.
fn choose(site: &Site, login: &Login, target: &ReturnTo) -> HttpResponse {
    if login.providers().is_empty() {
        let redirect_uri = site.public_url.join("/sso/callback");
        return page(StatusCode::OK, pages::render(&NotConfigured { facts: site.facts.clone(), redirect_uri }));
    }
    let link = |provider: &std::sync::Arc<Provider>| ProviderLink {
        name: provider.name().to_owned(),
        href: login_href(target, Some(provider.id())),
    };
    page(StatusCode::OK, pages::render(&SignIn { providers: login.providers().iter().map(link).collect(), notice: None }))
}

async fn to_provider(
    request: &HttpRequest,
    site: &Site,
    login: &Login,
    apps: &Apps,
    provider: &Provider,
    target: ReturnTo,
) -> HttpResponse {
    let again = login_href(&target, Some(provider.id()));
    let (binding, new_cookie) = binding(request, site);
    match login.begin(provider, &binding, Continuation::ReturnTo(target.clone())).await {
        Ok(url) => {
            let mut response = redirect(StatusCode::FOUND, url.as_str());
            if let Some(value) = new_cookie {
                // Adding fails only for values that can't stand in a header; ours is base64url.
                let _ = response.add_cookie(&site.cookies.login_cookie(&value));
            }
            response
        }
        Err(failed) => {
            tracing::warn!(provider = provider.id(), reason = %failed, "login can't begin");
            apps::login_unavailable(&target, apps, request)
                .unwrap_or_else(|| failed.failure(provider.name(), &again).respond(request))
        }
    }
}

pub(super) async fn callback(
    request: HttpRequest,
    site: Data<Site>,
    login: Data<Login>,
    path: Option<Path<String>>,
    query: Query<CallbackQuery>,
    apps: Data<Apps>,
) -> HttpResponse {
    let Some(provider) = login.providers().of_callback(path.as_deref().map(String::as_str)) else {
        return error::unknown_provider().respond(&request);
    };
    let callback = query.into_inner().into();
    let browser = Browser {
        binding: site.cookies.binding_in(&request),
        session: site.cookies.session_in(&request),
        agent: user_agent(&request),
    };
    match login.finish(provider, &callback, &browser).await {
        Ok(finished) => {
            let mut response = go_on(&site, &finished.continuation);
            if let Outcome::SignedIn(handle) = &finished.outcome {
                // As above: a handle is base64url.
                let _ = response.add_cookie(&site.cookies.session_cookie(handle.expose(), site.limits.absolute));
            }
            response
        }
        Err(failed) => {
            apps::login_failed(&failed, &apps, &request).unwrap_or_else(|| failed.failure(&site.contact).respond(&request))
        }
    }
}

/// What a finished login leads to.
fn go_on(site: &Site, continuation: &Continuation) -> HttpResponse {
    redirect(StatusCode::SEE_OTHER, &site.public_url.join(continuation.again().as_str()))
}

/// The browser's binding, and a cookie for it if it has none: one for all its tabs.
pub(super) fn binding(request: &HttpRequest, site: &Site) -> (Binding, Option<String>) {
    if let Some(known) = site.cookies.binding_in(request) {
        return (known, None);
    }
    let value = Binding::new_cookie();
    let binding = Binding::of_cookie(&value).expect("a new cookie has our form");
    (binding, Some(value))
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
