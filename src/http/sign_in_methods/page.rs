//! `/vestibule/sign-in`: the page of a user's sign-in methods: identities and password.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Form, ServiceConfig},
};
use zeroize::Zeroizing;

use super::{begin_link, linkable};
use crate::{
    administration::AdministrationError,
    http::{
        Services,
        browser_binding::binding,
        display_names::{linked_identity, provider_name},
        error::Failure,
        get, page as plain_page,
        page_request::{FormFields, PageRequest, PageResult, answer},
        passwords::{self, origin},
    },
    pages::{
        self, LinkConfirmationPage, LinkableProvider, LinkedIdentity, PasswordChangeForm, Problem, SignInMethodsPage, SitePage,
        text::{Text, text},
    },
    principal::{IdentityClaims, LOCAL},
    users::UnlinkOutcome,
};

/// The parts of the page that depend on the form before it.
#[derive(Default)]
struct MethodsPageState {
    notice: Option<Text>,
    password: Option<Problem>,
}

pub(in crate::http) fn routes(app: &mut ServiceConfig) {
    let show = async |request, services| answer(show(request, services).await);
    let submit = async |request, form, services| answer(submit(request, form, services).await);
    app.service(web::resource(SitePage::SignIn.href()).route(get().to(show)).post(submit));
}

async fn show(request: HttpRequest, services: Services) -> PageResult {
    MethodsRequest(PageRequest::authenticate(&request, &services, SitePage::SignIn).await?)
        .render(StatusCode::OK, MethodsPageState::default())
        .await
}

async fn submit(request: HttpRequest, form: Form<FormFields>, services: Services) -> PageResult {
    let page = MethodsRequest(PageRequest::authenticate_form(&request, &services, SitePage::SignIn, &form, &["unlink"]).await?);
    match form.one("action") {
        Some("password") => page.change_password(&form).await,
        Some("link") => page.link(&form).await,
        Some("unlink") => page.unlink(&form).await,
        _ => Err(page.0.foreign_form()),
    }
}

/// A request for this page.
struct MethodsRequest<'a>(PageRequest<'a>);

impl MethodsRequest<'_> {
    async fn render(&self, status: StatusCode, state: MethodsPageState) -> PageResult {
        let identities = self.identities().await?;
        let may_be_unlinked = identities.len() > 1;
        let Services { login, .. } = self.0.services;
        let line = |identity| LinkedIdentity { may_be_unlinked, ..linked_identity(identity, login) };
        let linkable = linkable(self.0.services, &identities);
        let view = SignInMethodsPage {
            frame: self.0.frame(),
            identities: identities.iter().map(line).collect(),
            linkable: linkable
                .map(|provider| LinkableProvider { id: provider.id().to_owned(), name: provider.name().to_owned() })
                .collect(),
            password: self.password_form(&identities, state.password),
            notice: state.notice,
            sign_in_href: self.0.fresh_sign_in_href(),
            csrf: self.0.csrf(),
        };
        Ok(self.0.show(status, &view))
    }

    async fn identities(&self) -> Result<Vec<IdentityClaims>, HttpResponse> {
        match self.0.services.users.get(self.0.user()).await {
            Ok(Some(user)) => Ok(user.value.dated_identities()),
            Ok(None) => Err(self.0.fail(&AdministrationError::NotFound)),
            Err(error) => Err(self.0.fail(&error)),
        }
    }

    fn password_form(&self, identities: &[IdentityClaims], problem: Option<Problem>) -> Option<PasswordChangeForm> {
        let accounts = self.0.services.local_accounts.as_ref()?;
        let account = identities.iter().find(|identity| identity.provider == LOCAL)?;
        let minimum = accounts.passwords().min_length as u64;
        Some(PasswordChangeForm { email: account.subject.clone(), minimum, problem })
    }

    async fn change_password(&self, form: &FormFields) -> PageResult {
        let page = &self.0;
        let Services { local_accounts, site, .. } = page.services;
        let Some(accounts) = local_accounts else { return Err(page.foreign_form()) };
        let field = |name| Zeroizing::new(form.one(name).unwrap_or_default().to_owned());
        let (current, new) = (field("current_password"), field("new_password"));
        if new != field("repeat_password") {
            return self.render_problem(StatusCode::BAD_REQUEST, passwords::mismatch()).await;
        }
        let device = site.cookies.device_in(page.request);
        let origin = origin(page.request, site, device.as_deref());
        match accounts.change_password(page.user(), current, new, Some(&page.session()), &origin).await {
            Ok(()) => {
                let notice = Some(Text::of("methods-password-changed"));
                self.render(StatusCode::OK, MethodsPageState { notice, ..MethodsPageState::default() }).await
            }
            Err(error) => match Failure::from(&error).form_problem() {
                Some((status, problem)) => {
                    tracing::info!(reason = error.reason(), "password change refused");
                    self.render_problem(status, problem).await
                }
                None => Err(page.fail(&error)),
            },
        }
    }

    async fn render_problem(&self, status: StatusCode, problem: Problem) -> PageResult {
        self.render(status, MethodsPageState { password: Some(problem), ..MethodsPageState::default() }).await
    }

    /// Begins to link an identity. A page with a link leads to the provider, since browsers refuse redirects of forms to other
    /// sites.
    async fn link(&self, form: &FormFields) -> PageResult {
        let page = &self.0;
        let Services { login, site, .. } = page.services;
        page.require_fresh_sign_in()?;
        let provider = form.one("provider").and_then(|id| login.providers().get(id)).ok_or_else(|| page.foreign_form())?;
        let (binding, new_cookie) = binding(page.request, site);
        let begun = begin_link(page.services, provider, &binding, page.user()).await;
        let url = begun.map_err(|failed| {
            tracing::warn!(provider = provider.id(), reason = failed.reason(), error = %failed, "identity link not started");
            page.respond(Failure::from(&failed).with("provider", provider.name()).retry_at(page.place.href()))
        })?;
        let (name, cancel) = (provider.name().to_owned(), page.place.href().to_owned());
        let view = LinkConfirmationPage { frame: page.frame(), provider: name, href: url.to_string(), cancel_href: cancel };
        let mut response = plain_page(StatusCode::OK, pages::render(&view));
        if let Some(value) = new_cookie {
            let _ = response.add_cookie(&site.cookies.login_cookie(&value));
        }
        Ok(response)
    }

    async fn unlink(&self, form: &FormFields) -> PageResult {
        let page = &self.0;
        page.require_fresh_sign_in()?;
        let (Some(issuer), Some(subject)) = (form.one("issuer"), form.one("subject")) else { return Ok(page.back()) };
        let user = page.services.users.get(page.user()).await.map_err(|error| page.fail(&error))?;
        let identities = user.map(|user| user.value.identities).unwrap_or_default();
        let is_wanted = |known: &&IdentityClaims| *known.issuer == *issuer && *known.subject == *subject;
        let Some(identity) = identities.iter().find(is_wanted) else { return Ok(page.back()) };
        match page.services.administration.unlink(page.user(), issuer, subject, Some(&page.session())).await {
            Ok(UnlinkOutcome::Unlinked) => {
                let provider = provider_name(&page.services.login, &identity.provider);
                let provider = provider.unwrap_or_else(|| text("password", &[]));
                let notice = Some(Text::of("methods-unlinked").with("provider", provider));
                self.render(StatusCode::OK, MethodsPageState { notice, ..MethodsPageState::default() }).await
            }
            Ok(UnlinkOutcome::LastIdentity | UnlinkOutcome::UnknownIdentity) => Ok(page.back()),
            Err(error) => Err(page.fail(&error)),
        }
    }
}
