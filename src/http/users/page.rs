//! `/vestibule/people`: the pages of users, for administrators.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Form, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use url::form_urlencoded;

use super::{UserAction, apply};
use crate::{
    administration::{AdministrationError, UserSummary},
    http::{
        Services,
        display_names::{identity_of, linked_identity, provider_name},
        get,
        page_request::{AdministratorRequest, FormFields, PageRequest, PageResult, answer},
        pagination::{PAGE_SIZE, next_href},
        redirect,
    },
    pages::{EditPermission, GrantRule, SitePage, UserPage, UserRow, UsersPage, text::text},
    users::PolicyDenial,
};

const PLACE: SitePage = SitePage::Users;

/// The actions that revoke access.
const REVOKING_ACTIONS: [&str; 3] = ["disable", "end_sessions", "delete"];

#[derive(Deserialize)]
struct UsersQuery {
    after: Option<String>,
    q: Option<String>,
}

pub(in crate::http) fn routes(app: &mut ServiceConfig) {
    let list = async |request, query, services| answer(list(request, query, services).await);
    let show = async |request, id, services| answer(show(request, id, services).await);
    let submit = async |request, id, form, services| answer(submit(request, id, form, services).await);
    app.route(PLACE.href(), get().to(list)).service(web::resource("/vestibule/people/{id}").route(get().to(show)).post(submit));
}

async fn list(request: HttpRequest, query: Query<UsersQuery>, services: Services) -> PageResult {
    let page = UsersRequest(PageRequest::authenticate(&request, &services, PLACE).await?.into_administrator()?);
    page.list(&query).await.map_err(|error| page.0.fail(&error))
}

async fn show(request: HttpRequest, id: Path<String>, services: Services) -> PageResult {
    let page = UsersRequest(PageRequest::authenticate(&request, &services, PLACE).await?.into_administrator()?);
    page.show(&id).await.map_err(|error| page.0.fail(&error))
}

async fn submit(request: HttpRequest, id: Path<String>, form: Form<FormFields>, services: Services) -> PageResult {
    let page = UsersRequest(
        PageRequest::authenticate_form(&request, &services, PLACE, &form, &REVOKING_ACTIONS).await?.into_administrator()?,
    );
    let action = match form.one("action").unwrap_or_default() {
        "disable" => UserAction::Disable,
        "enable" => UserAction::Enable,
        "end_sessions" => UserAction::EndSessions,
        "delete" => UserAction::Delete,
        _ => return Ok(page.0.back()),
    };
    apply(&services, page.0.administrator(), &id, action).await.map_err(|error| page.0.fail(&error))?;
    Ok(if action == UserAction::Delete { page.0.back() } else { redirect(StatusCode::SEE_OTHER, &address_of(&id)) })
}

/// A request for these pages.
struct UsersRequest<'a>(AdministratorRequest<'a>);

impl UsersRequest<'_> {
    async fn list(&self, query: &UsersQuery) -> Result<HttpResponse, AdministrationError> {
        let text = query.q.as_deref().map(str::trim).unwrap_or_default();
        let found = super::list(self.0.services, text, query.after.as_deref(), PAGE_SIZE).await?;
        let view = UsersPage {
            frame: self.0.frame(),
            users: found.users.iter().map(|known| self.line(known)).collect(),
            query: text.to_owned(),
            is_cut: found.is_cut,
            next_href: found.next.map(|id| next_href(PLACE, &id)),
        };
        Ok(self.0.show(StatusCode::OK, &view))
    }

    fn line(&self, known: &UserSummary) -> UserRow {
        let identity = identity_of(known, &self.0.services.checker);
        let UserSummary { user, grant, .. } = known;
        let name = identity.name().to_owned();
        UserRow {
            email: Some(identity.email.clone()).filter(|email| !email.is_empty() && *email != name),
            name,
            role: grant.role.as_ref().map(ToString::to_string),
            rule: grant.rule.as_ref().map(|rule| GrantRule::of(rule.as_str())),
            line: grant.rule.as_ref().and_then(|rule| self.0.services.role_maps.active().map.line_of(rule)),
            teams: grant.teams.iter().map(ToString::to_string).collect(),
            last_sign_in: user.signed_in,
            methods: user.identities.iter().map(|identity| self.method(&identity.provider)).collect(),
            disabled: user.is_disabled(),
            is_you: user.id == self.0.user(),
            id: user.id.clone(),
        }
    }

    fn method(&self, provider: &str) -> String {
        provider_name(&self.0.services.login, provider).unwrap_or_else(|| text("methods-password", &[]))
    }

    async fn show(&self, id: &str) -> Result<HttpResponse, AdministrationError> {
        let known = self.0.services.administration.get(id).await?;
        let administrator = self.0.administrator();
        let in_use = self.0.services.administration.usage(id).await?;
        let power = match self.0.services.administration.authorize(administrator, &known) {
            Ok(()) => EditPermission::May,
            Err(PolicyDenial::OwnAccount) => EditPermission::Yourself,
            Err(PolicyDenial::HigherRole | PolicyDenial::UnknownRole) => EditPermission::Above,
        };
        let identity = identity_of(&known, &self.0.services.checker);
        let UserSummary { user, grant, .. } = known;
        let name = identity.name().to_owned();
        let invite_href =
            user.local_account().filter(|_| self.0.services.local_accounts.is_some() && !user.is_disabled()).map(|account| {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair("user_email", &account.subject).finish();
                format!("{}?{query}", SitePage::Invitations.href())
            });
        let view = UserPage {
            frame: self.0.frame(),
            email: Some(identity.email).filter(|email| !email.is_empty()),
            name,
            role: grant.role.as_ref().map(ToString::to_string),
            line: grant.rule.as_ref().and_then(|rule| self.0.services.role_maps.active().map.line_of(rule)),
            rule: grant.rule.as_ref().map(|rule| GrantRule::of(rule.as_str())),
            teams: grant.teams.iter().map(ToString::to_string).collect(),
            first_seen: user.created,
            last_sign_in: user.signed_in,
            identities: user
                .dated_identities()
                .iter()
                .map(|identity| linked_identity(identity, &self.0.services.login))
                .collect(),
            pinned: user.pinned.is_some(),
            disabled: user.is_disabled(),
            sessions: in_use.sessions as u64,
            keys: in_use.keys as u64,
            power,
            invite_href,
            csrf: self.0.csrf(),
            id: user.id,
        };
        Ok(self.0.show(StatusCode::OK, &view))
    }
}

fn address_of(id: &str) -> String {
    format!("{}/{id}", PLACE.href())
}
