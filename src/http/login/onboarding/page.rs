//! The page that an invitation's link leads to.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Form, Query},
};
use zeroize::Zeroizing;

use super::LinkQuery;
use crate::{
    http::{
        Services,
        browser_binding::{is_own_form, new_form_token},
        error::{self, Failure},
        fetch_metadata::can_be_navigation,
        login::refuse_script,
        page,
        page_request::FormFields,
        passwords::mismatch,
        redirect,
        request::browser,
    },
    local_accounts::{Acceptance, AcceptanceError, AcceptanceRequest, Accounts, Invitation, OnboardingToken},
    pages::{self, Frame, OnboardingPage, Problem},
};

/// Shows the page. Opening it does not accept the invitation.
pub(in crate::http::login) async fn show(request: HttpRequest, query: Query<LinkQuery>, services: Services) -> HttpResponse {
    if !can_be_navigation(&request) {
        return refuse_script(&request, &services);
    }
    match OnboardingPageRequest::of(&request, &services, query.link()) {
        Ok(page) => page.show(StatusCode::OK, None).await,
        Err(response) => response,
    }
}

/// Accepts the invitation.
pub(in crate::http::login) async fn submit(request: HttpRequest, posted: Form<FormFields>, services: Services) -> HttpResponse {
    match OnboardingPageRequest::of(&request, &services, posted.one("invite_link").unwrap_or_default()) {
        Ok(page) => page.submit(&posted).await,
        Err(response) => response,
    }
}

/// A request for this page.
struct OnboardingPageRequest<'a> {
    request: &'a HttpRequest,
    services: &'a Services,
    accounts: &'a Accounts,
    link: &'a str,
}

impl<'a> OnboardingPageRequest<'a> {
    #[expect(clippy::result_large_err, reason = "an error is a response, which is built once for each request")]
    fn of(request: &'a HttpRequest, services: &'a Services, link: &'a str) -> Result<Self, HttpResponse> {
        match services.local_accounts.as_deref() {
            Some(accounts) => Ok(Self { request, services, accounts, link }),
            None => Err(error::no_page().respond(request, &services.site)),
        }
    }

    async fn show(&self, status: StatusCode, problem: Option<Problem>) -> HttpResponse {
        match self.accounts.onboarding_token(self.link).await {
            Ok(OnboardingToken { invitation, .. }) => self.render(status, invitation, problem),
            Err(error) => self.fail(&error),
        }
    }

    fn render(&self, status: StatusCode, invitation: Invitation, problem: Option<Problem>) -> HttpResponse {
        let site = &self.services.site;
        let (csrf, cookie) = new_form_token(self.request, self.services);
        let body = pages::render(&OnboardingPage {
            frame: Frame::of(&site.brand),
            email: invitation.email,
            role: Some(invitation.role.to_string()),
            expires: invitation.expires,
            minimum: self.accounts.passwords().min_length as u64,
            problem,
            invite_link: self.link.to_owned(),
            csrf,
        });
        let mut response = page(status, body);
        if let Some(cookie) = cookie {
            let _ = response.add_cookie(&site.cookies.login_cookie(&cookie));
        }
        response
    }

    async fn submit(&self, form: &FormFields) -> HttpResponse {
        let site = &self.services.site;
        let field = |name| form.one(name).unwrap_or_default();
        if !is_own_form(self.request, self.services, field("csrf")) {
            tracing::warn!(reason = "foreign_form", suppressed = tracing::field::Empty, "invitation acceptance refused");
            return error::other_browser().respond(self.request, site);
        }
        let password = Zeroizing::new(field("new_password").to_owned());
        if *password != field("repeat_password") {
            return self.show(StatusCode::BAD_REQUEST, Some(mismatch())).await;
        }
        match self.accept(password).await {
            Ok(accepted) => {
                let mut response = redirect(StatusCode::SEE_OTHER, &site.public_url.join("/vestibule/"));
                site.set_login_cookies(&mut response, &accepted.login.session_token, &accepted.device);
                response
            }
            Err(error) => match Failure::from(&error).form_problem() {
                Some((status, problem)) => self.show(status, Some(problem)).await,
                None => self.fail(&error),
            },
        }
    }

    /// Accepts the invitation with a new token, because the page may have been open for longer than a token is valid.
    async fn accept(&self, password: Zeroizing<String>) -> Result<Acceptance, AcceptanceError> {
        let OnboardingToken { token, invitation, .. } = self.accounts.onboarding_token(self.link).await?;
        let browser = browser(self.request, self.services);
        let (link, user) = (self.link, &invitation.user);
        self.accounts.accept(AcceptanceRequest { token: &token, link, user, password, key: None, browser }).await
    }

    fn fail(&self, error: &AcceptanceError) -> HttpResponse {
        Failure::from(error).retry_at("").respond(self.request, &self.services.site)
    }
}
