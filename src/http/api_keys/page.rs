//! `/vestibule/keys`: the page of a user's API keys.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Form, Query, ServiceConfig},
};
use serde::Deserialize;

use super::{EffectiveRestrictions, MOST_PATHS, manager, parse_path};
use crate::{
    api_keys::{
        ApiKey, DerivedKeys, KeyDuration, KeyId, KeyParameters, KeyRotation, KeyWithSecret, KeysError, Manager, Restrictions,
        is_alias,
    },
    check::Checker,
    http::{
        Services,
        error::Failure,
        get,
        page_request::{FormFields, PageRequest, PageResult, answer},
        pagination::{PAGE_SIZE, next_href},
    },
    pages::{self, Choice, KeyForm, KeyRestrictions, KeyRow, KeysPage, NewKey, Problem, SitePage},
};

/// Lifetimes that the form offers, in days. Those above `keys.max_duration` are left out.
const LIFETIMES: [u64; 5] = [1, 7, 30, 90, 365];
const DEFAULT_LIFETIME: &str = "30d";

/// Grace periods that the form offers, in hours. Those above `keys.overlap_max` are left out.
const GRACE_PERIODS: [u64; 3] = [1, 24, 168];

/// The actions that revoke access.
const REVOKING_ACTIONS: [&str; 3] = ["narrow", "forget", "revoke"];

#[derive(Deserialize)]
struct KeysQuery {
    after: Option<String>,
}

pub(in crate::http) fn routes(app: &mut ServiceConfig) {
    let show = async |request, query, services| answer(show(request, query, services).await);
    let submit = async |request, form, services| answer(submit(request, form, services).await);
    app.service(web::resource(SitePage::Keys.href()).route(get().to(show)).post(submit));
}

async fn show(request: HttpRequest, query: Query<KeysQuery>, services: Services) -> PageResult {
    let page = KeysRequest(PageRequest::authenticate(&request, &services, SitePage::Keys).await?);
    let after = query.after.as_deref().and_then(KeyId::parse);
    page.render(StatusCode::OK, after, KeysPageState::default()).await.map_err(|error| page.0.fail(&error))
}

async fn submit(request: HttpRequest, form: Form<FormFields>, services: Services) -> PageResult {
    let page = KeysRequest(PageRequest::authenticate_form(&request, &services, SitePage::Keys, &form, &REVOKING_ACTIONS).await?);
    let outcome = match form.one("action") {
        Some("make") => {
            page.0.require_fresh_sign_in()?;
            page.create(&form).await
        }
        Some("regenerate") => {
            page.0.require_fresh_sign_in()?;
            page.rotate(&form).await
        }
        Some("narrow") => page.restrict(&form).await,
        Some("forget") => page.remove_app_consent(&form).await,
        Some("revoke") => page.revoke(&form).await,
        _ => return Err(page.0.foreign_form()),
    };
    outcome.map_err(|error| page.0.fail(&error))
}

/// A request for this page.
struct KeysRequest<'a>(PageRequest<'a>);

/// The parts of the page that depend on the form before it.
#[derive(Default)]
struct KeysPageState<'a> {
    created: Option<NewKey>,
    problem: Option<Problem>,
    /// The refused form, whose fields are filled in again.
    refused: Option<&'a FormFields>,
}

impl KeysRequest<'_> {
    fn manager(&self) -> Manager<'_> {
        manager(&self.0.caller)
    }

    async fn render(
        &self,
        status: StatusCode,
        after: Option<KeyId>,
        state: KeysPageState<'_>,
    ) -> Result<HttpResponse, KeysError> {
        let Services { keys, users, checker, .. } = self.0.services;
        let listed = keys.list(&self.manager(), None, after, PAGE_SIZE).await?;
        let app_consents = users.app_consents(self.0.user()).await?;
        let view = KeysPage {
            frame: self.0.frame(),
            sign_in_href: self.0.fresh_sign_in_href(),
            app_consents,
            keys: listed.keys.iter().map(|key| line(key, checker)).collect(),
            created: state.created,
            problem: state.problem,
            next_href: listed.next.map(|id| next_href(SitePage::Keys, &id.to_string())),
            form: self.form(state.refused),
            grace_periods: grace_periods(keys.settings().overlap_max),
            csrf: self.0.csrf(),
            action: SitePage::Keys.href(),
        };
        Ok(self.0.show(status, &view))
    }

    /// The form that creates a key, with the values of a refused one.
    fn form(&self, typed: Option<&FormFields>) -> KeyForm {
        let one = |name: &str| typed.and_then(|typed| typed.one(name));
        let ticked = |team: &str| typed.is_some_and(|typed| typed.all("teams").any(|ticked| ticked == team));
        let team = |name: &str| Choice { name: name.to_owned(), selected: ticked(name) };
        KeyForm {
            name: one("key_alias").unwrap_or_default().to_owned(),
            lifetimes: lifetimes(self.0.services.keys.settings().max_duration, one("duration").unwrap_or(DEFAULT_LIFETIME)),
            roles: self.roles(one("user_role")),
            teams: self.0.caller.evaluation.grant.teams.iter().map(|name| team(name.as_str())).collect(),
            paths: one("paths").unwrap_or_default().to_owned(),
            manages_keys: one("manage_keys").is_some(),
            manages_users: self.0.as_administrator().map(|_| one("manage_people").is_some()),
        }
    }

    /// The user's own role and those below it.
    fn roles(&self, chosen: Option<&str>) -> Vec<Choice> {
        let own = self.0.caller.evaluation.grant.role.as_ref();
        let roles = self.0.services.checker.roles_from(own);
        roles.iter().map(|role| Choice { name: role.to_string(), selected: Some(role.as_str()) == chosen }).collect()
    }

    /// Restrictions can't be removed again.
    async fn restrict(&self, form: &FormFields) -> Result<HttpResponse, KeysError> {
        let Services { keys, .. } = self.0.services;
        let Some(id) = form.one("token_id").and_then(KeyId::parse) else { return Ok(self.0.back()) };
        let restrictions = match self.restrictions(form) {
            Ok(restrictions) if restrictions == Restrictions::default() => return Ok(self.0.back()),
            Ok(restrictions) => restrictions,
            Err(problem) => return self.render_problem(StatusCode::BAD_REQUEST, problem, None).await,
        };
        match keys.restrict(&self.manager(), id, &restrictions).await {
            Ok(_) | Err(KeysError::NotFound) => Ok(self.0.back()),
            Err(error) => self.render_error(error, None).await,
        }
    }

    async fn create(&self, form: &FormFields) -> Result<HttpResponse, KeysError> {
        let wish = match self.wish(form) {
            Ok(wish) => wish,
            Err(problem) => return self.render_problem(StatusCode::BAD_REQUEST, problem, Some(form)).await,
        };
        match self.0.services.keys.create(&self.manager(), &wish).await {
            Ok(created) => self.render_secret(&created).await,
            Err(KeysError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::info!(reason = error.reason(), "key creation refused");
                self.render_error(error, Some(form)).await
            }
        }
    }

    /// A key that no longer exists is not an error: the page lists the existing keys.
    async fn rotate(&self, form: &FormFields) -> Result<HttpResponse, KeysError> {
        let Some(id) = form.one("token_id").and_then(KeyId::parse) else { return Ok(self.0.back()) };
        let grace_period = form.one("overlap").map(KeyDuration::parse).transpose();
        let Ok(grace_period) = grace_period else { return self.render_error(KeysError::GracePeriod, None).await };
        let derived_keys = if form.one("keep_derived").is_some() { DerivedKeys::Keep } else { DerivedKeys::End };
        match self.0.services.keys.rotate(&self.manager(), id, &KeyRotation { grace_period, derived_keys }).await {
            Ok(created) => self.render_secret(&created).await,
            Err(KeysError::NotFound) => Ok(self.0.back()),
            Err(error) => self.render_error(error, None).await,
        }
    }

    async fn render_secret(&self, created: &KeyWithSecret) -> Result<HttpResponse, KeysError> {
        let name = created.key.alias.clone().or_else(|| created.key.application.clone()).unwrap_or_default();
        let created = NewKey { name, secret: created.secret.expose().to_owned() };
        self.render(StatusCode::OK, None, KeysPageState { created: Some(created), ..KeysPageState::default() }).await
    }

    async fn render_error(&self, error: KeysError, refused: Option<&FormFields>) -> Result<HttpResponse, KeysError> {
        let Some((status, problem)) = Failure::from(&error).form_problem() else { return Err(error) };
        self.render_problem(status, problem, refused).await
    }

    async fn render_problem(
        &self,
        status: StatusCode,
        problem: Problem,
        refused: Option<&FormFields>,
    ) -> Result<HttpResponse, KeysError> {
        self.render(status, None, KeysPageState { problem: Some(problem), refused, created: None }).await
    }

    fn wish(&self, form: &FormFields) -> Result<KeyParameters, Problem> {
        let name = form.one("key_alias").map(str::trim).filter(|name| is_alias(name));
        let lifetime = form.one("duration").and_then(|text| KeyDuration::parse(text).ok());
        let (Some(name), Some(lifetime)) = (name, lifetime) else { return Err(Problem::of("keys-problem-name")) };
        let wish = KeyParameters {
            alias: Some(name.to_owned()),
            duration: Some(lifetime),
            restrictions: self.restrictions(form)?,
            manage_keys: form.one("manage_keys").is_some(),
            manage_users: form.one("manage_people").is_some(),
            ..KeyParameters::default()
        };
        if wish.manage_users && !wish.can_manage_users() { Err(Problem::of("keys-problem-manages-people")) } else { Ok(wish) }
    }

    /// The restrictions that the form sets. None chosen means none.
    fn restrictions(&self, form: &FormFields) -> Result<Restrictions, Problem> {
        let role = match form.all("user_role").filter(|name| !name.is_empty()).collect::<Vec<_>>().as_slice() {
            [] => None,
            [name] => Some(self.0.services.checker.role(name).ok_or_else(unknown_role)?),
            _ => return Err(unknown_role()),
        };
        let own = &self.0.caller.evaluation.grant.teams;
        let team = |name: &str| {
            own.iter().find(|team| team.as_str() == name).cloned().ok_or_else(|| Problem::of("keys-problem-teams").field("teams"))
        };
        let teams = form.all("teams").map(team).collect::<Result<Vec<_>, _>>()?;
        let lines = form.all("paths").flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
        let paths = lines.map(parse_path).collect::<Result<Vec<_>, _>>().map_err(|_| malformed_paths())?;
        if paths.len() > MOST_PATHS {
            return Err(malformed_paths());
        }
        Ok(Restrictions { role, teams: Some(teams).filter(|teams| !teams.is_empty()), paths })
    }

    /// Keys go to this application only after the user has agreed again.
    async fn remove_app_consent(&self, form: &FormFields) -> Result<HttpResponse, KeysError> {
        if let Some(redirect_uri) = form.one("redirect_uri") {
            let user = self.0.user();
            self.0.services.users.remove_app_consent(user, redirect_uri).await?;
            tracing::info!(user, "app consent removed");
        }
        Ok(self.0.back())
    }

    /// A key that no longer exists is not an error: the page lists the existing keys.
    async fn revoke(&self, form: &FormFields) -> Result<HttpResponse, KeysError> {
        if let Some(id) = form.one("token_id").and_then(KeyId::parse) {
            match self.0.services.keys.revoke(&self.manager(), id).await {
                Ok(_) | Err(KeysError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.0.back())
    }
}

fn unknown_role() -> Problem {
    Problem::of("keys-problem-role").field("user_role")
}

fn malformed_paths() -> Problem {
    Problem::of("keys-problem-paths").field("paths")
}

fn lifetimes(max: Duration, chosen: &str) -> Vec<pages::LifetimeOption> {
    let lifetime = |days: u64| {
        let value = format!("{days}d");
        pages::LifetimeOption { selected: value == chosen, value, duration: Duration::from_secs(days * 86_400) }
    };
    LIFETIMES.map(lifetime).into_iter().filter(|lifetime| lifetime.duration <= max).collect()
}

fn grace_periods(max: Duration) -> Vec<pages::LifetimeOption> {
    let period = |hours: u64| pages::LifetimeOption {
        value: format!("{hours}h"),
        duration: Duration::from_secs(hours * 3_600),
        selected: false,
    };
    GRACE_PERIODS.map(period).into_iter().filter(|period| period.duration <= max).collect()
}

fn line(key: &ApiKey, checker: &Checker) -> KeyRow {
    KeyRow {
        id: key.id.to_string(),
        name: key.alias.clone().or_else(|| key.application.clone()),
        created: key.created,
        ends: key.expires,
        last_used: key.last_used,
        restrictions: restrictions(key, checker),
        manages_keys: key.manage_keys,
        manages_users: key.can_manage_users(),
        created_by: key.created_by.clone().filter(|creator| *creator != key.user),
    }
}

/// All patterns are shown, although a path must match one of each list.
fn restrictions(key: &ApiKey, checker: &Checker) -> KeyRestrictions {
    let EffectiveRestrictions { role, teams, paths } = EffectiveRestrictions::of(key, checker);
    KeyRestrictions {
        role: role.map(|role| role.to_string()),
        teams: teams.map(|teams| teams.iter().map(|team| team.to_string()).collect()),
        paths: paths.concat(),
    }
}
