//! `/sso/login` and `/sso/callback`: the redirect to the provider and its callback.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Path, Query},
};
use serde::Deserialize;

use super::{
    handover,
    login_target::LoginTarget,
    portal::{self, Initiator},
    refuse_script, rejected_header,
    sign_in_page::SignInRequest,
    silent_login::SilentLogin,
    target_cookies,
};
use crate::{
    http::{
        Services, Site, app_keys,
        browser_binding::binding,
        error::{self, Failure},
        fetch_metadata::can_be_navigation,
        paths::{LoginAuthentication, authenticating_href, login_href},
        redirect,
        request::user_agent,
    },
    login::{Callback, CallbackBrowser, FinishedLogin, LoginEffect},
    oidc::{EncryptedTarget, Provider, RequiredAuthentication},
    return_target::{Continuation, ReturnTarget, ReturnTargetError},
};

#[derive(Deserialize)]
pub(super) struct BeginQuery {
    rd: Option<String>,
    provider: Option<String>,
    authenticate: Option<String>,
    iss: Option<String>,
    login_hint: Option<String>,
    target_link_uri: Option<String>,
}

/// The extractor refuses repeated parameters (RFC 6749, section 3.1).
#[derive(Deserialize)]
pub(super) struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    error_description: Option<String>,
    iss: Option<String>,
}

pub(super) async fn begin(request: HttpRequest, query: Query<BeginQuery>, services: Services) -> HttpResponse {
    let site = &services.site;
    if let Some(origin) = site.further_origin(request.headers()) {
        return match can_be_navigation(&request) {
            true => handover::begin(&request, &query, &services, origin).await,
            false => Ok(refuse_script(&request, &services)),
        }
        .unwrap_or_else(|failure| failure.respond(&request, site));
    }
    let target = match query.target(site) {
        Ok(target) => target,
        Err(error) => return Failure::from(error).respond(&request, site),
    };
    if !can_be_navigation(&request) {
        return refuse_script(&request, &services);
    }
    let target = match target {
        LoginTarget::Own(target) => target,
        LoginTarget::OnOrigin(origin, target) if query.is_of_gateway() && query.iss.is_none() => {
            return handover::redirect_to_start(origin, &target);
        }
        LoginTarget::OnOrigin(origin, target) => handover::target_after_login(origin, &target),
    };
    let authentication = query.authentication();
    let sign_in = SignInRequest { request: &request, services: &services, target: &target, authentication };
    if query.is_of_gateway() {
        if let Some(explanation) = rejected_header::explain(&request, &services, &target).await {
            return explanation;
        }
        let is_of_portal = query.iss.is_some();
        if !is_of_portal && let Some(silent) = SilentLogin::find(&request, &services).await {
            return redirect_to_provider(&sign_in, &ProviderRequest::silent(&silent)).await;
        }
    }
    let Ok(provider) = query.provider(&services) else {
        return error::unknown_provider().respond(&request, &services.site);
    };
    match provider {
        Some(provider) => {
            let login_hint = portal::login_hint(query.login_hint.as_deref());
            redirect_to_provider(&sign_in, &ProviderRequest::interactive(&sign_in, provider, login_hint)).await
        }
        None => sign_in.show(StatusCode::OK, None),
    }
}

/// The query names a provider that is not configured.
struct UnknownProvider;

impl BeginQuery {
    /// True for a redirect of a gateway or a page. It names neither a provider nor an authentication.
    pub fn is_of_gateway(&self) -> bool {
        self.provider.is_none() && self.authentication() == LoginAuthentication::Any
    }

    pub fn authentication(&self) -> LoginAuthentication {
        LoginAuthentication::parse(self.authenticate.as_deref())
    }

    pub fn provider_id(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// The return target. The target of a portal's link counts if there is no `rd`.
    fn target<'a>(&self, site: &'a Site) -> Result<LoginTarget<'a>, ReturnTargetError> {
        match (&self.rd, &self.target_link_uri) {
            (None, Some(uri)) => Ok(portal::target(uri, site)),
            (Some(rd), _) => log_refusal(LoginTarget::parse(rd, site)),
            (None, None) => Ok(LoginTarget::Own(ReturnTarget::root())),
        }
    }

    /// The return target on a further origin.
    pub fn target_on(&self, host: &str) -> Result<ReturnTarget, ReturnTargetError> {
        parse_target(self.rd.as_deref(), host)
    }

    /// The provider of the login; `None` if the user has to choose one.
    fn provider<'a>(&self, services: &'a Services) -> Result<Option<&'a Arc<Provider>>, UnknownProvider> {
        let providers = services.login.providers();
        if let Some(id) = &self.provider {
            return providers.get(id).map(Some).ok_or(UnknownProvider);
        }
        Ok(match Initiator::find(self.iss.as_deref(), providers) {
            Some(Initiator::Known(provider)) => Some(provider),
            Some(Initiator::Unknown) => None,
            None if services.local_accounts.is_some() => None,
            None => providers.single(),
        })
    }
}

/// The return target of a login on one host.
pub(super) fn parse_target(rd: Option<&str>, host: &str) -> Result<ReturnTarget, ReturnTargetError> {
    log_refusal(rd.map_or_else(|| Ok(ReturnTarget::root()), |rd| ReturnTarget::parse(rd, host)))
}

pub(super) fn log_refusal<T>(target: Result<T, ReturnTargetError>) -> Result<T, ReturnTargetError> {
    target.inspect_err(|refused| tracing::warn!(reason = refused.reason(), suppressed = tracing::field::Empty, "login refused"))
}

/// A request to the provider, and what it tells the provider about the user.
struct ProviderRequest<'a> {
    provider: &'a Provider,
    required: RequiredAuthentication,
    login_hint: Option<&'a str>,
    id_token_hint: Option<&'a str>,
    /// The provider that another attempt names; `None` if it is silent too.
    retry_provider: Option<&'a str>,
}

impl<'a> ProviderRequest<'a> {
    fn interactive(sign_in: &SignInRequest<'_>, provider: &'a Provider, login_hint: Option<&'a str>) -> Self {
        let required = required(sign_in.authentication, sign_in.services.keys.settings().sign_in_within);
        Self { provider, required, login_hint, id_token_hint: None, retry_provider: Some(provider.id()) }
    }

    fn silent(SilentLogin { provider, hint }: &'a SilentLogin) -> Self {
        let (login_hint, id_token_hint) = hint.parameters();
        Self { provider, required: RequiredAuthentication::Silent, login_hint, id_token_hint, retry_provider: None }
    }
}

async fn redirect_to_provider(sign_in: &SignInRequest<'_>, to: &ProviderRequest<'_>) -> HttpResponse {
    let SignInRequest { request, services, target, authentication } = *sign_in;
    let provider = to.provider;
    let (binding, new_cookie) = binding(request, &services.site);
    match services.login.begin(provider, &binding, Continuation::ReturnTo(target.clone()), to.required).await {
        Ok(started) => {
            let started = started.with_login_hint(to.login_hint).with_id_token_hint(to.id_token_hint);
            let mut response = redirect(StatusCode::FOUND, started.url.as_str());
            if let Some(value) = new_cookie {
                // As in the sign-in page.
                let _ = response.add_cookie(&services.site.cookies.login_cookie(&value));
            }
            if let Some(target) = &started.target {
                target_cookies::set(&mut response, request, &services.site.cookies, target);
            }
            response
        }
        Err(failed) => {
            tracing::warn!(provider = provider.id(), reason = failed.reason(), error = %failed, suppressed = tracing::field::Empty, "login not started");
            app_keys::login_unavailable(target, &services.app_keys, request).unwrap_or_else(|| {
                let failure = Failure::from(&failed).with("provider", provider.name());
                failure.retry_at(&authenticating_href(target, to.retry_provider, authentication)).respond(request, &services.site)
            })
        }
    }
}

fn required(authentication: LoginAuthentication, max_age: Duration) -> RequiredAuthentication {
    match authentication {
        LoginAuthentication::Any => RequiredAuthentication::Any,
        LoginAuthentication::Recent => RequiredAuthentication::Within(max_age),
        LoginAuthentication::Again => RequiredAuthentication::Again(max_age),
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
    if !can_be_navigation(&request) {
        return refuse_script(&request, &services);
    }
    let callback = Callback::from(query.into_inner());
    let (cookies, target_id) = (&services.site.cookies, callback.state.as_deref().map(EncryptedTarget::id_of));
    let browser = CallbackBrowser {
        binding: cookies.binding_in(&request),
        session: cookies.session_in(&request),
        target: target_id.as_deref().and_then(|id| target_cookies::get(&request, cookies, id)),
        agent: user_agent(&request),
    };
    match services.login.finish(provider, &callback, &browser).await {
        Ok(finished) => {
            let mut response = follow(&services.site, provider, &finished);
            if let Some(id) = &target_id {
                target_cookies::remove(&mut response, &request, cookies, id);
            }
            response
        }
        Err(failed) => app_keys::login_failed(&failed, &services.app_keys, &request)
            .unwrap_or_else(|| Failure::from(&failed).respond(&request, &services.site)),
    }
}

/// Redirects the browser to the target of a finished login. A silent one that needs interaction continues with an interactive one:
/// since that names its provider, it happens once.
fn follow(site: &Site, provider: &Provider, finished: &FinishedLogin) -> HttpResponse {
    let target = finished.continuation.retry_target();
    if let LoginEffect::InteractionNeeded = &finished.outcome {
        return redirect(StatusCode::SEE_OTHER, &site.public_url.join(&login_href(target, Some(provider.id()))));
    }
    let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join(target.as_str()));
    if let LoginEffect::SessionOpened(token) = &finished.outcome {
        // As in the sign-in page.
        let _ = response.add_cookie(&site.cookies.session_cookie(token.expose(), site.limits.absolute));
    }
    response
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
