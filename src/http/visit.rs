//! A visit to one of our own pages: who is signed in, what is round their page, and whether a form is theirs.

use std::ops::Deref;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode};
use serde::Deserialize;

use super::{
    FormTargets, Scripts, Services, Site, csrf, error,
    links::login_href,
    page_with,
    pages::{self, Account, Frame, Nav, Place},
    redirect,
};
use crate::{
    check::{AuthenticatedCredential, AuthenticatedPrincipal, AuthenticationError, Credential},
    principal::{Evaluation, Role},
    principals::UserSession,
    return_to::ReturnTo,
    secret::Digest,
    sign_ins::Administrator,
};

/// The fields of a form, some of which may stand in it several times.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Posted(Vec<(String, String)>);

/// Somebody who is signed in, at one of the pages.
pub(super) struct Visit<'a> {
    pub services: &'a Services,
    pub request: &'a HttpRequest,
    pub place: Place,
    pub caller: AuthenticatedPrincipal,
    cookie: String,
}

/// A visit by an administrator.
pub(super) struct AdministratorVisit<'a> {
    visit: Visit<'a>,
    role: Role,
}

impl Posted {
    /// What stands in a field; nothing where it is empty, or where it is not clear which one counts.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let value = values.next().filter(|value| !value.is_empty())?;
        values.next().is_none().then_some(value)
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// A field with a value a line, or with commas between them.
    pub fn listed(&self, name: &str) -> impl Iterator<Item = &str> {
        self.all(name).flat_map(|text| text.split(['\n', ','])).map(str::trim).filter(|text| !text.is_empty())
    }
}

impl<'a> Visit<'a> {
    /// Whoever visits; otherwise what to answer: nobody who is signed in is sent to sign in, and comes back here.
    pub async fn begin(request: &'a HttpRequest, services: &'a Services, place: Place) -> Result<Self, HttpResponse> {
        let sign_in = || redirect(StatusCode::FOUND, &sign_in_href(request, place));
        let cookie = services.site.cookies.session_in(request).ok_or_else(sign_in)?;
        let token = services.checker.credentials().parse_session(&cookie).map_err(|_| sign_in())?;
        match services.checker.authenticate(Ok(Some(Credential::Session(token)))).await {
            Ok(caller) => Ok(Self { services, request, place, caller, cookie }),
            Err(AuthenticationError::Unauthenticated(_)) => Err(sign_in()),
            Err(AuthenticationError::Unavailable(cause)) => {
                tracing::error!(%cause, "who is signed in can't be looked up");
                Err(error::store_unavailable(place.href()).respond(request, &services.site))
            }
        }
    }

    /// The same for a page that is for administrators.
    pub async fn of_administrator(
        request: &'a HttpRequest,
        services: &'a Services,
        place: Place,
    ) -> Result<AdministratorVisit<'a>, HttpResponse> {
        let visit = Self::begin(request, services, place).await?;
        match visit.administrator().map(|by| by.role.clone()) {
            Some(role) => Ok(AdministratorVisit { visit, role }),
            None => Err(error::for_administrators().respond(request, &services.site)),
        }
    }

    /// What to answer to a form that is none of this page's own.
    pub fn refuse(&self, form: &Posted) -> Option<HttpResponse> {
        let token = form.one("csrf").unwrap_or_default();
        let ours = csrf::is_own_form(self.request, self.site())
            && csrf::matches(&self.site().ring, self.place.href(), &self.cookie, token);
        if ours {
            return None;
        }
        tracing::warn!(reason = "not from our own page", page = self.place.href(), "a form refused");
        Some(self.foreign_form())
    }

    pub fn foreign_form(&self) -> HttpResponse {
        error::foreign_form(self.place.label(), self.place.href()).respond(self.request, self.site())
    }

    /// What this page's forms carry.
    pub fn csrf(&self) -> String {
        csrf::token(&self.site().ring, self.place.href(), &self.cookie)
    }

    /// The id of the session that the visit is made by.
    pub fn session(&self) -> Digest {
        Digest::of(self.cookie.as_bytes())
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
                unreachable!("a visit begins with a session's cookie")
            }
        }
    }

    /// Whether the sign-in is fresh enough for what can't be taken back; otherwise where to sign in.
    pub fn sign_in_first(&self) -> Option<String> {
        (!self.services.keys.is_fresh(self.signed_in().session.created)).then(|| sign_in_href(self.request, self.place))
    }

    /// What to answer to a form that takes a fresh sign-in, and was opened while it was one still.
    pub fn refuse_stale(&self) -> Option<HttpResponse> {
        self.sign_in_first().map(|href| error::sign_in_again(&href).respond(self.request, self.site()))
    }

    pub fn administrator(&self) -> Option<Administrator<'_>> {
        let judged = &self.caller.evaluation;
        let role = judged.grant.role.as_ref().filter(|role| self.site().admin_roles.contains(role))?;
        Some(Administrator { user: &judged.identity.user, role })
    }

    pub fn account(&self) -> Account {
        account(&self.caller.evaluation)
    }

    pub fn frame(&self) -> Frame {
        let (name, administrator) = (self.account().name, self.administrator().is_some());
        Frame::of(&self.site().brand).with_nav(Nav {
            name,
            administrator,
            invites: self.site().local_accounts,
            current: Some(self.place),
        })
    }

    /// The page as an answer; our own script may run on it.
    pub fn show(&self, status: StatusCode, page: &impl askama::Template) -> HttpResponse {
        page_with(status, pages::render(page), &FormTargets::OwnOnly, &Scripts::Of(&self.site().public_url))
    }

    /// Back to the page, after a form that has done what it is for.
    pub fn back(&self) -> HttpResponse {
        redirect(StatusCode::SEE_OTHER, self.place.href())
    }

    /// What could not be looked up or changed.
    pub fn unavailable(&self, cause: &impl std::fmt::Display) -> HttpResponse {
        tracing::error!(%cause, page = self.place.href(), "a page can't be shown, or not be followed");
        error::store_unavailable(self.place.href()).respond(self.request, self.site())
    }
}

impl AdministratorVisit<'_> {
    pub fn by(&self) -> Administrator<'_> {
        Administrator { user: &self.visit.caller.evaluation.identity.user, role: &self.role }
    }
}

impl<'a> Deref for AdministratorVisit<'a> {
    type Target = Visit<'a>;

    fn deref(&self) -> &Visit<'a> {
        &self.visit
    }
}

/// A sign-in that leads back to what was asked for; after a form to its page, since the form itself is gone.
fn sign_in_href(request: &HttpRequest, place: Place) -> String {
    let asked =
        request.uri().path_and_query().filter(|_| request.method().is_safe()).map_or(place.href(), |asked| asked.as_str());
    let target = ReturnTo::parse(asked, "").or_else(|_| ReturnTo::parse(place.href(), ""));
    login_href(&target.unwrap_or_else(|_| ReturnTo::root()), None)
}

/// The person, by the best name that is known.
pub(super) fn account(judged: &Evaluation) -> Account {
    let role = judged.grant.role.as_ref().map(|role| role.to_string());
    Account { name: judged.identity.name().to_owned(), role }
}
