//! `/vestibule/sign-in`: how a person signs in, as a page: their identities and their password.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Form};
use zeroize::Zeroizing;

use crate::{
    accounts::ChangeError,
    continuation::Continuation,
    http::{
        Services,
        binding::binding,
        names::{linked_identity, provider_name},
        page,
        passwords::{origin, problem_of},
        visit::{Posted, Visit},
    },
    pages::{
        self, ChangePassword, LinkAway, LinkableProvider, LinkedIdentity, MethodsNotice, PasswordProblem, Place, SignInMethods,
    },
    principal::{IdentityClaims, LOCAL},
    return_to::ReturnTo,
    users::Unlinked,
};

const PLACE: Place = Place::SignIn;

/// The services of one request.
struct Desk<'a> {
    services: &'a Services,
}

/// What stands above the lists, and in the password's form.
#[derive(Default)]
struct Notes {
    notice: Option<MethodsNotice>,
    password: Option<PasswordProblem>,
}

pub(super) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    let desk = Desk { services: &services };
    match Visit::begin(&request, &services, PLACE).await {
        Ok(visit) => desk.page(&visit, StatusCode::OK, Notes::default()).await,
        Err(response) => response,
    }
}

pub(super) async fn act(request: HttpRequest, form: Form<Posted>, services: Services) -> HttpResponse {
    let desk = Desk { services: &services };
    let visit = match Visit::begin(&request, &services, PLACE).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    if let Some(response) = visit.refuse(&form) {
        return response;
    }
    match form.one("action") {
        Some("password") => desk.change_password(&visit, &form).await,
        Some("link") => desk.link(&visit, &form).await,
        Some("unlink") => desk.unlink(&visit, &form).await,
        _ => visit.foreign_form(),
    }
}

impl Desk<'_> {
    async fn page(&self, visit: &Visit<'_>, status: StatusCode, notes: Notes) -> HttpResponse {
        let person = match self.services.users.get(visit.user()).await {
            Ok(Some(person)) => person.value,
            Ok(None) => return visit.unavailable(&"the person is gone"),
            Err(cause) => return visit.unavailable(&cause),
        };
        let only = person.identities.len() == 1;
        let identities = person.identities.iter().map(|identity| self.line(identity, only)).collect();
        let page = SignInMethods {
            frame: visit.frame(),
            identities,
            linkable: self.linkable(&person.identities),
            password: self.password_form(&person.identities, notes.password),
            notice: notes.notice,
            sign_in_href: visit.sign_in_first(),
            csrf: visit.csrf(),
        };
        visit.show(status, &page)
    }

    fn line(&self, identity: &IdentityClaims, only: bool) -> LinkedIdentity {
        linked_identity(identity, &self.services.login, !only)
    }

    fn linkable(&self, identities: &[IdentityClaims]) -> Vec<LinkableProvider> {
        let is_linked = |id: &str| identities.iter().any(|identity| identity.provider == id);
        let open = self.services.login.providers().iter().filter(|provider| !is_linked(provider.id()));
        open.map(|provider| LinkableProvider { id: provider.id().to_owned(), name: provider.name().to_owned() }).collect()
    }

    fn password_form(&self, identities: &[IdentityClaims], problem: Option<PasswordProblem>) -> Option<ChangePassword> {
        let accounts = self.services.local_accounts.as_ref()?;
        let account = identities.iter().find(|identity| identity.provider == LOCAL)?;
        let minimum = accounts.passwords().min_length as u64;
        Some(ChangePassword { email: account.subject.clone(), minimum, problem })
    }

    async fn change_password(&self, visit: &Visit<'_>, form: &Posted) -> HttpResponse {
        let Some(accounts) = self.services.local_accounts.as_ref() else { return visit.foreign_form() };
        let field = |name| Zeroizing::new(form.one(name).unwrap_or_default().to_owned());
        let (current, new) = (field("current_password"), field("new_password"));
        let problem = |problem| Notes { password: Some(problem), ..Notes::default() };
        if new != field("repeat_password") {
            return self.page(visit, StatusCode::BAD_REQUEST, problem(PasswordProblem::Mismatch)).await;
        }
        let device = visit.services.site.cookies.device_in(visit.request);
        let origin = origin(visit.request, &visit.services.site, device.as_deref());
        match accounts.change_password(visit.user(), current, new, Some(&visit.session()), &origin).await {
            Ok(()) => {
                self.page(visit, StatusCode::OK, Notes { notice: Some(MethodsNotice::PasswordChanged), ..Notes::default() }).await
            }
            Err(ChangeError::Store(cause)) => visit.unavailable(&cause),
            Err(ChangeError::NoPassword) => visit.foreign_form(),
            Err(refused) => {
                tracing::info!(reason = %refused, "a change of a password refused");
                let (status, told) = problem_of(refused);
                self.page(visit, status, problem(told)).await
            }
        }
    }

    /// Browsers refuse redirects of forms to other sites, so that a page leads there.
    async fn link(&self, visit: &Visit<'_>, form: &Posted) -> HttpResponse {
        if let Some(response) = visit.refuse_stale() {
            return response;
        }
        let Some(provider) = form.one("provider").and_then(|id| self.services.login.providers().get(id)) else {
            return visit.foreign_form();
        };
        let (binding, new_cookie) = binding(visit.request, &visit.services.site);
        let again = ReturnTo::parse(PLACE.href(), "").unwrap_or_else(|_| ReturnTo::root());
        let continuation = Continuation::Link { user: visit.user().to_owned(), again };
        match self.services.login.begin(provider, &binding, continuation).await {
            Ok(url) => {
                let (name, cancel) = (provider.name().to_owned(), PLACE.href().to_owned());
                let away = LinkAway { frame: visit.frame(), provider: name, href: url.to_string(), cancel_href: cancel };
                let mut response = page(StatusCode::OK, pages::render(&away));
                if let Some(value) = new_cookie {
                    let _ = response.add_cookie(&visit.services.site.cookies.login_cookie(&value));
                }
                response
            }
            Err(failed) => {
                tracing::warn!(provider = provider.id(), reason = %failed, "linking can't begin");
                failed.failure(provider.name(), PLACE.href()).respond(visit.request, visit.site())
            }
        }
    }

    async fn unlink(&self, visit: &Visit<'_>, form: &Posted) -> HttpResponse {
        if let Some(response) = visit.refuse_stale() {
            return response;
        }
        let person = match self.services.users.get(visit.user()).await {
            Ok(person) => person,
            Err(cause) => return visit.unavailable(&cause),
        };
        let identities = person.map(|person| person.value.identities).unwrap_or_default();
        let is_wanted =
            |known: &&IdentityClaims| Some(&*known.issuer) == form.one("issuer") && Some(&*known.subject) == form.one("subject");
        let Some(identity) = identities.iter().find(is_wanted) else { return visit.back() };
        match self.services.people.unlink(visit.user(), &identity.issuer, &identity.subject, Some(&visit.session())).await {
            Ok(Unlinked::Unlinked) => {
                let provider =
                    provider_name(&self.services.login, &identity.provider).unwrap_or_else(|| pages::text::text("password", &[]));
                let notice = Some(MethodsNotice::Unlinked { provider });
                self.page(visit, StatusCode::OK, Notes { notice, ..Notes::default() }).await
            }
            Ok(Unlinked::Last | Unlinked::NotTheirs) => visit.back(),
            Err(cause) => visit.unavailable(&cause),
        }
    }
}
