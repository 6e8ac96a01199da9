//! Requests for pages: authenticates the user, checks forms, and renders the parts that all pages share.

#![expect(clippy::result_large_err, reason = "an error is a response, which is built once for each request")]

use std::{fmt::Display, ops::Deref};

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde::Deserialize;

use super::{
    FormTargets, Scripts, Services, Site,
    error::{self, Failure},
    fetch_metadata,
    form_token::{FormId, FormTokenError},
    page_with,
    pages::{self, AccountSummary, Frame, Nav, SitePage},
    paths::{LoginAuthentication, authenticating_href},
    redirect,
};
use crate::{
    check::{
        AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, AuthenticationFailure, Credential, UnavailableCause,
    },
    principal::{Evaluation, Role},
    principal_cache::UserSession,
    return_target::ReturnTarget,
    secret::Digest,
    users::{Administrator, SessionToken},
};

/// A page, or the answer instead of it.
pub(super) type PageResult = Result<HttpResponse, HttpResponse>;

/// The fields of a form. A field may occur several times.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct FormFields(Vec<(String, String)>);

/// A request for a page by a user who is signed in.
pub(super) struct PageRequest<'a> {
    pub services: &'a Services,
    pub request: &'a HttpRequest,
    pub place: SitePage,
    pub caller: AuthenticatedPrincipal,
    session_token: String,
}

/// The purpose of a request for a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PageUse {
    View,
    /// Revokes access, and grants none.
    Revocation,
    Change,
}

/// A request for a page by an administrator.
pub(super) struct AdministratorRequest<'a> {
    page: PageRequest<'a>,
    role: Role,
}

impl FormFields {
    /// The value of a field; `None` if it is empty or occurs several times.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then_some(value)
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// The values of a field that has one per line, or separates them by commas.
    pub fn listed(&self, name: &str) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(|text| text.split(['\n', ','])).map(str::trim).filter(|text| !text.is_empty())
    }
}

pub(super) fn answer(outcome: PageResult) -> HttpResponse {
    outcome.unwrap_or_else(|refusal| refusal)
}

impl<'a> PageRequest<'a> {
    /// Authenticates the user. If no user is signed in, the answer is a redirect to the sign-in, which leads back here. Only a
    /// browser that opens the page in a tab gets it, because scripts of this origin must not read it.
    pub async fn authenticate(request: &'a HttpRequest, services: &'a Services, place: SitePage) -> Result<Self, HttpResponse> {
        Self::authenticate_for(PageUse::View, request, services, place).await
    }

    async fn authenticate_for(
        page_use: PageUse,
        request: &'a HttpRequest,
        services: &'a Services,
        place: SitePage,
    ) -> Result<Self, HttpResponse> {
        let sign_in = || redirect(StatusCode::FOUND, &sign_in_href(request, place, LoginAuthentication::Any));
        let session_token = services.site.cookies.session_in(request).ok_or_else(sign_in)?;
        let token = services.checker.credentials().parse_session(&session_token).map_err(|_| sign_in())?;
        match authenticate_session(page_use, services, place, token).await {
            Ok(caller) if fetch_metadata::can_be_navigation(request) => {
                Ok(Self { services, request, place, caller, session_token })
            }
            Ok(caller) => {
                let user = &caller.evaluation.identity.user;
                tracing::warn!(reason = "not_a_navigation", page = place.href(), user, "page refused");
                Err(error::navigation_required().respond(request, &services.site))
            }
            Err(AuthenticationError::Unauthenticated(_)) => Err(sign_in()),
            Err(AuthenticationError::Unavailable(cause)) => {
                tracing::error!(error = %cause, suppressed = tracing::field::Empty, "session lookup failed");
                Err(Failure::of_outage(&cause).retry_at(place.href()).respond(request, &services.site))
            }
        }
    }

    /// Authenticates the user who has submitted a form of this page. `revoking` are the actions that revoke access.
    pub async fn authenticate_form(
        request: &'a HttpRequest,
        services: &'a Services,
        place: SitePage,
        form: &FormFields,
        revoking: &[&str],
    ) -> Result<Self, HttpResponse> {
        let is_revocation = form.one("action").is_some_and(|action| revoking.contains(&action));
        let page_use = if is_revocation { PageUse::Revocation } else { PageUse::Change };
        let page = Self::authenticate_for(page_use, request, services, place).await?;
        page.accept_form(form, page_use).await?;
        Ok(page)
    }

    /// Refuses users who are not administrators.
    pub fn into_administrator(self) -> Result<AdministratorRequest<'a>, HttpResponse> {
        match self.as_administrator().map(|administrator| administrator.role.clone()) {
            Some(role) => Ok(AdministratorRequest { page: self, role }),
            None => Err(self.respond(error::administrators_only())),
        }
    }

    /// Refuses a form that another page or another session has submitted, and one that was submitted before.
    async fn accept_form(&self, form: &FormFields, page_use: PageUse) -> Result<(), HttpResponse> {
        let token = form.one("csrf").unwrap_or_default();
        let accepted = self.services.form_tokens.accept(self.request, self.site(), self.form_id(), token).await;
        match accepted {
            // Access can be revoked even if the store has no room for the id of the token.
            Err(FormTokenError::Store(_)) if page_use == PageUse::Revocation => Ok(()),
            Err(FormTokenError::Store(error)) => Err(self.fail(&error)),
            Err(refused) => {
                tracing::warn!(reason = refused.reason(), page = self.place.href(), "form refused");
                Err(self.respond(Failure::from(&refused).action(self.place.label(), self.place.href())))
            }
            Ok(()) => Ok(()),
        }
    }

    pub fn foreign_form(&self) -> HttpResponse {
        self.respond(error::foreign_form().action(self.place.label(), self.place.href()))
    }

    /// The token that this page's forms carry.
    pub fn csrf(&self) -> String {
        self.services.form_tokens.issue(self.form_id())
    }

    fn form_id(&self) -> FormId<'_> {
        FormId { purpose: self.place.href(), bound_to: &self.session_token }
    }

    /// The id of the session that the request was sent with.
    pub fn session(&self) -> Digest {
        Digest::of(self.session_token.as_bytes())
    }

    pub fn site(&self) -> &Site {
        &self.services.site
    }

    pub fn user(&self) -> &str {
        &self.caller.evaluation.identity.user
    }

    pub fn signed_in(&self) -> &UserSession {
        match &self.caller.credential {
            AuthenticatedCredential::Session(signed_in) => signed_in,
            AuthenticatedCredential::ApiKey(_) | AuthenticatedCredential::Jwt(_) => {
                unreachable!("a page's request is authenticated by a session's cookie")
            }
        }
    }

    /// The address of the sign-in, if the session is not fresh enough for irreversible changes.
    pub fn fresh_sign_in_href(&self) -> Option<String> {
        (!self.services.keys.is_fresh(self.signed_in().session.authenticated_at))
            .then(|| sign_in_href(self.request, self.place, LoginAuthentication::Recent))
    }

    /// Refuses a form that requires a fresh sign-in. The form may have been opened while the sign-in was still fresh.
    pub fn require_fresh_sign_in(&self) -> Result<(), HttpResponse> {
        self.fresh_sign_in_href().map_or(Ok(()), |href| Err(self.respond(error::sign_in_again().action("action-sign-in", href))))
    }

    /// `None` if the user is not an administrator.
    pub fn as_administrator(&self) -> Option<Administrator<'_>> {
        let Evaluation { grant, identity, .. } = &*self.caller.evaluation;
        self.services.policy.administrator(&identity.user, grant.role.as_ref())
    }

    pub fn account(&self) -> AccountSummary {
        account(&self.caller.evaluation)
    }

    pub fn frame(&self) -> Frame {
        let (name, administrator) = (self.account().name, self.as_administrator().is_some());
        Frame::of(&self.site().brand).with_nav(Nav {
            name,
            administrator,
            invites: self.site().local_accounts,
            current: Some(self.place),
        })
    }

    /// Renders the page. Our own script may run on it.
    pub fn show(&self, status: StatusCode, view: &impl askama::Template) -> HttpResponse {
        page_with(status, pages::render(view), &FormTargets::OwnOnly, &Scripts::Of(&self.site().public_url))
    }

    pub fn respond(&self, failure: Failure) -> HttpResponse {
        failure.respond(self.request, self.site())
    }

    /// Redirects to the page, after a form has succeeded.
    pub fn back(&self) -> HttpResponse {
        redirect(StatusCode::SEE_OTHER, self.place.href())
    }

    /// The page of an error, which is logged if it is the server's.
    pub fn fail<E: Display>(&self, error: &E) -> HttpResponse
    where
        for<'e> Failure: From<&'e E>,
    {
        let failure = Failure::from(error);
        if failure.is_server_error() {
            tracing::error!(%error, page = self.place.href(), "page request failed");
        }
        self.respond(failure.retry_at(self.place.href()))
    }
}

impl AdministratorRequest<'_> {
    pub fn administrator(&self) -> Administrator<'_> {
        Administrator { user: &self.page.caller.evaluation.identity.user, role: &self.role }
    }
}

impl<'a> Deref for AdministratorRequest<'a> {
    type Target = PageRequest<'a>;

    fn deref(&self) -> &PageRequest<'a> {
        &self.page
    }
}

/// Authenticates the session of a request for a page.
async fn authenticate_session(
    page_use: PageUse,
    services: &Services,
    place: SitePage,
    token: SessionToken<'_>,
) -> Result<AuthenticatedPrincipal, AuthenticationError> {
    match services.checker.authenticate(Ok(Some(Credential::Session(token)))).await {
        Err(error) if can_use_expired_claims(&error, page_use, services, place, &token).await => {
            services.checker.authenticate_for_revocation(&token).await
        }
        authenticated => authenticated,
    }
}

/// True if the page may be used without current claims: to revoke own access, and to see it while the provider cannot renew the
/// claims.
async fn can_use_expired_claims(
    error: &AuthenticationError,
    page_use: PageUse,
    services: &Services,
    place: SitePage,
    token: &SessionToken<'_>,
) -> bool {
    if page_use == PageUse::Change || !matches!(place, SitePage::Keys | SitePage::Sessions) {
        return false;
    }
    match error {
        // A refresh was tried.
        AuthenticationError::Unavailable(UnavailableCause::ClaimsOverdue) => true,
        AuthenticationError::Unauthenticated(AuthenticationFailure::ExpiredClaims) => {
            page_use == PageUse::Revocation || !is_provider_reachable(services, token).await
        }
        _ => false,
    }
}

/// True if the provider of the session can be asked now. A session that cannot be looked up is not affected by an outage.
async fn is_provider_reachable(services: &Services, token: &SessionToken<'_>) -> bool {
    let Ok(Some((signed_in, _))) = services.checker.load_session(token).await else { return true };
    match services.login.providers().get(&signed_in.session.provider) {
        Some(provider) => provider.is_reachable().await,
        None => true,
    }
}

/// A sign-in that leads back to the requested address; after a form to its page, since the form itself is gone.
fn sign_in_href(request: &HttpRequest, place: SitePage, authentication: LoginAuthentication) -> String {
    let requested = request
        .uri()
        .path_and_query()
        .filter(|_| request.method().is_safe())
        .map_or(place.href(), |requested| requested.as_str());
    let target = ReturnTarget::parse(requested, "").or_else(|_| ReturnTarget::parse(place.href(), ""));
    authenticating_href(&target.unwrap_or_else(|_| ReturnTarget::root()), None, authentication)
}

/// The user, by the best name that is known.
pub(super) fn account(evaluation: &Evaluation) -> AccountSummary {
    let role = evaluation.grant.role.as_ref().map(|role| role.to_string());
    AccountSummary { name: evaluation.identity.name().to_owned(), role }
}
