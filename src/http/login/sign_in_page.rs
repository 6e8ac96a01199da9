//! The sign-in page: a choice of providers and the form for a password, or the next steps if neither is configured.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};

use super::handover;
use crate::{
    http::{
        FormTargets, Scripts, Services,
        browser_binding::new_form_token,
        page, page_with,
        paths::{LoginAuthentication, authenticating_href},
    },
    oidc::Provider,
    pages::{self, Brand, Frame, PasswordForm, Problem, ProviderLink, SetupPage, SignInPage},
    return_target::ReturnTarget,
};

/// A request for this page.
pub(super) struct SignInRequest<'a> {
    pub request: &'a HttpRequest,
    pub services: &'a Services,
    pub target: &'a ReturnTarget,
    pub authentication: LoginAuthentication,
}

impl SignInRequest<'_> {
    /// `refused` is the email of an attempt that was refused, and its problem.
    pub fn show(&self, status: StatusCode, refused: Option<(&str, Problem)>) -> HttpResponse {
        let Services { site, login, local_accounts, .. } = self.services;
        if login.providers().is_empty() && local_accounts.is_none() {
            return self.show_setup();
        }
        let (csrf, new_cookie) = new_form_token(self.request, self.services);
        let password = local_accounts.is_some().then(|| self.password_form(csrf, refused));
        let new_cookie = new_cookie.filter(|_| password.is_some());
        let providers = login.providers().iter().map(|provider| self.link(provider)).collect();
        let view = SignInPage { frame: Frame::of(self.brand()), providers, password, notice: None };
        // After a password, the browser may be redirected to this origin, and compares it with the policy.
        let further = handover::origin_of(self.target, self.services);
        let targets = further.map_or(FormTargets::OwnOnly, |origin| FormTargets::And(origin.origin()));
        let mut response = page_with(status, pages::render(&view), &targets, &Scripts::None);
        if let Some(cookie) = new_cookie {
            // Adding fails only for values that can't stand in a header; ours is base64url.
            let _ = response.add_cookie(&site.cookies.login_cookie(&cookie));
        }
        response
    }

    /// The brand of the origin that the user has come from.
    fn brand(&self) -> &Arc<Brand> {
        let site = &self.services.site;
        handover::origin_of(self.target, self.services).map_or(&site.brand, |origin| site.brand_of(origin))
    }

    fn show_setup(&self) -> HttpResponse {
        let site = &self.services.site;
        let redirect_uri = site.public_url.join("/sso/callback");
        let view = SetupPage { frame: Frame::of(&site.brand), facts: site.facts.clone(), redirect_uri };
        page(StatusCode::OK, pages::render(&view))
    }

    fn link(&self, provider: &Arc<Provider>) -> ProviderLink {
        ProviderLink {
            name: provider.name().to_owned(),
            href: authenticating_href(self.target, Some(provider.id()), self.authentication),
        }
    }

    fn password_form(&self, csrf: String, refused: Option<(&str, Problem)>) -> PasswordForm {
        let (email, problem) = refused.unzip();
        PasswordForm {
            csrf,
            rd: (*self.target != ReturnTarget::root()).then(|| self.target.as_str().to_owned()),
            authenticate: self.authentication.as_str(),
            email: email.unwrap_or_default().to_owned(),
            problem,
            contact: self.services.site.contact.clone(),
        }
    }
}
