//! `/vestibule/keys`: a person's own keys, as a page.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Form, Query},
};
use serde::Deserialize;

use crate::{
    access::PathPattern,
    check::Checker,
    http::{
        Services,
        api::manager,
        links::further_href,
        visit::{Posted, Visit},
    },
    keys::{Key, KeyId, KeysError, Lasting, Limits, Manager, Wish, is_alias},
    pages::{self, Choice, KeyForm, KeyLine, KeyProblem, KeysPage, Narrowed, NewKey, Place},
};

const ON_A_PAGE: usize = 50;

/// Patterns of paths that a key may be narrowed to, as by the JSON call.
const MOST_PATHS: usize = 32;

/// How long a key may be made to last here, in days: those that the configuration allows are offered.
const LASTINGS: [u64; 5] = [1, 7, 30, 90, 365];
const USUAL_LASTING: &str = "30d";

#[derive(Deserialize)]
pub(super) struct Which {
    after: Option<String>,
}

pub(super) async fn show(request: HttpRequest, which: Query<Which>, services: Services) -> HttpResponse {
    let visit = match Visit::begin(&request, &services, Place::Keys).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let after = which.after.as_deref().and_then(KeyId::parse);
    let desk = Desk { visit: &visit, services: &services };
    desk.page(StatusCode::OK, after, Notes::default()).await.unwrap_or_else(|cause| visit.unavailable(&cause))
}

pub(super) async fn act(request: HttpRequest, form: Form<Posted>, services: Services) -> HttpResponse {
    let visit = match Visit::begin(&request, &services, Place::Keys).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    if let Some(response) = visit.refuse(&form) {
        return response;
    }
    let desk = Desk { visit: &visit, services: &services };
    let outcome = match form.one("action") {
        Some("make") => desk.make(&form).await,
        Some("narrow") => desk.narrow(&form).await,
        Some("forget") => desk.forget(&form).await,
        Some("revoke") => desk.revoke(&form).await,
        _ => return visit.foreign_form(),
    };
    outcome.unwrap_or_else(|cause| visit.unavailable(&cause))
}

/// One person's visit.
struct Desk<'a> {
    visit: &'a Visit<'a>,
    services: &'a Services,
}

/// What stands above the list.
#[derive(Default)]
struct Notes<'a> {
    made: Option<NewKey>,
    problem: Option<KeyProblem>,
    /// What was typed before, where that is to be mended.
    typed: Option<&'a Posted>,
}

impl Desk<'_> {
    fn manager(&self) -> Manager<'_> {
        manager(&self.visit.caller)
    }

    async fn page(&self, status: StatusCode, after: Option<KeyId>, notes: Notes<'_>) -> Result<HttpResponse, KeysError> {
        let listed = self.services.keys.list(&self.manager(), None, after, ON_A_PAGE).await?;
        let next_href = listed.next.map(|id| further_href(Place::Keys, &id.to_string()));
        let trusted = self.services.users.trusted(&self.visit.caller.evaluation.identity.user).await?;
        let page_of_keys = KeysPage {
            frame: self.visit.frame(),
            sign_in_href: self.visit.sign_in_first(),
            trusted,
            keys: listed.keys.iter().map(|key| line(key, &self.services.checker)).collect(),
            made: notes.made,
            problem: notes.problem,
            next_href,
            form: self.form(notes.typed),
            csrf: self.visit.csrf(),
            action: Place::Keys.href(),
        };
        Ok(self.visit.show(status, &page_of_keys))
    }

    /// The form that makes a key, with what was typed into it before.
    fn form(&self, typed: Option<&Posted>) -> KeyForm {
        let one = |name: &str| typed.and_then(|typed| typed.one(name));
        let ticked = |team: &str| typed.is_some_and(|typed| typed.all("teams").any(|ticked| ticked == team));
        let team = |name: &str| Choice { name: name.to_owned(), selected: ticked(name) };
        KeyForm {
            name: one("key_alias").unwrap_or_default().to_owned(),
            lasting: lastings(self.services.keys.settings().max_duration, one("duration").unwrap_or(USUAL_LASTING)),
            roles: self.roles(one("user_role")),
            teams: self.visit.caller.evaluation.grant.teams.iter().map(|name| team(name.as_str())).collect(),
            paths: one("paths").unwrap_or_default().to_owned(),
            manages_keys: one("manage_keys").is_some(),
            manages_people: self.visit.administrator().map(|_| one("manage_people").is_some()),
        }
    }

    /// The person's own role and those below it.
    fn roles(&self, chosen: Option<&str>) -> Vec<Choice> {
        let own = self.visit.caller.evaluation.grant.role.as_ref();
        let roles = self.services.checker.roles_from(own);
        roles.iter().map(|role| Choice { name: role.to_string(), selected: Some(role.as_str()) == chosen }).collect()
    }

    /// What is taken away from a key is gone for good.
    async fn narrow(&self, form: &Posted) -> Result<HttpResponse, KeysError> {
        let Some(id) = form.one("token_id").and_then(KeyId::parse) else { return Ok(self.visit.back()) };
        let limits = match self.limits(form) {
            Ok(limits) if limits == Limits::default() => return Ok(self.visit.back()),
            Ok(limits) => limits,
            Err(problem) => {
                return self.page(StatusCode::BAD_REQUEST, None, Notes { problem: Some(problem), ..Notes::default() }).await;
            }
        };
        match self.services.keys.narrow(&self.manager(), id, &limits).await {
            Ok(_) | Err(KeysError::NotFound) => Ok(self.visit.back()),
            Err(refused @ KeysError::TooOften) => {
                let problem = Some(problem(&refused));
                self.page(StatusCode::CONFLICT, None, Notes { problem, ..Notes::default() }).await
            }
            Err(error) => Err(error),
        }
    }

    async fn make(&self, form: &Posted) -> Result<HttpResponse, KeysError> {
        if let Some(response) = self.visit.refuse_stale() {
            return Ok(response);
        }
        let wish = match self.wish(form) {
            Ok(wish) => wish,
            Err(problem) => return self.refused(StatusCode::BAD_REQUEST, problem, form).await,
        };
        match self.services.keys.make(&self.manager(), &wish).await {
            Ok(made) => {
                let name = made.key.alias.clone().unwrap_or_default();
                let made = NewKey { name, secret: made.secret.expose().to_owned() };
                self.page(StatusCode::OK, None, Notes { made: Some(made), ..Notes::default() }).await
            }
            Err(KeysError::Store(error)) => Err(error.into()),
            Err(refused) => {
                tracing::info!(reason = %refused, "a key refused");
                self.refused(StatusCode::FORBIDDEN, problem(&refused), form).await
            }
        }
    }

    async fn refused(&self, status: StatusCode, problem: KeyProblem, form: &Posted) -> Result<HttpResponse, KeysError> {
        self.page(status, None, Notes { problem: Some(problem), typed: Some(form), made: None }).await
    }

    fn wish(&self, form: &Posted) -> Result<Wish, KeyProblem> {
        let name = form.one("key_alias").map(str::trim).filter(|name| is_alias(name));
        let lasting = form.one("duration").and_then(|text| Lasting::parse(text).ok());
        let (Some(name), Some(lasting)) = (name, lasting) else { return Err(KeyProblem::NameOrDuration) };
        let wish = Wish {
            alias: Some(name.to_owned()),
            lasting: Some(lasting),
            limits: self.limits(form)?,
            manage_keys: form.one("manage_keys").is_some(),
            manage_people: form.one("manage_people").is_some(),
            ..Wish::default()
        };
        if wish.manage_people && !wish.may_manage_people() { Err(KeyProblem::ManagesPeople) } else { Ok(wish) }
    }

    /// What the form narrows; nothing chosen narrows nothing.
    fn limits(&self, form: &Posted) -> Result<Limits, KeyProblem> {
        let role = match form.all("user_role").filter(|name| !name.is_empty()).collect::<Vec<_>>().as_slice() {
            [] => None,
            [name] => Some(self.services.checker.role(name).ok_or(KeyProblem::Role)?),
            _ => return Err(KeyProblem::Role),
        };
        let own = &self.visit.caller.evaluation.grant.teams;
        let team = |name: &str| own.iter().find(|team| team.as_str() == name).cloned().ok_or(KeyProblem::Teams);
        let teams = form.all("teams").map(team).collect::<Result<Vec<_>, _>>()?;
        let lines = form.all("paths").flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
        let pattern = |line: &str| PathPattern::parse(line).map(|pattern| pattern.as_str().to_owned());
        let paths = lines.map(pattern).collect::<Result<Vec<_>, _>>().map_err(|_| KeyProblem::Paths)?;
        if paths.len() > MOST_PATHS {
            return Err(KeyProblem::Paths);
        }
        Ok(Limits { role, teams: Some(teams).filter(|teams| !teams.is_empty()), paths })
    }

    /// The application is asked about again.
    async fn forget(&self, form: &Posted) -> Result<HttpResponse, KeysError> {
        if let Some(redirect_uri) = form.one("redirect_uri") {
            let user = &self.visit.caller.evaluation.identity.user;
            self.services.users.distrust(user, redirect_uri).await?;
            tracing::info!(user, "an application is asked about again");
        }
        Ok(self.visit.back())
    }

    /// One that is gone already is gone: the page says what there is.
    async fn revoke(&self, form: &Posted) -> Result<HttpResponse, KeysError> {
        if let Some(id) = form.one("token_id").and_then(KeyId::parse) {
            match self.services.keys.revoke(&self.manager(), id).await {
                Ok(_) | Err(KeysError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.visit.back())
    }
}

fn problem(refused: &KeysError) -> KeyProblem {
    match refused {
        KeysError::Full => KeyProblem::Full,
        KeysError::NoRole => KeyProblem::NoRole,
        KeysError::Duration => KeyProblem::TooLong,
        _ => KeyProblem::Failed,
    }
}

fn lastings(max: Duration, chosen: &str) -> Vec<pages::Lasting> {
    let lasting = |days: u64| {
        let value = format!("{days}d");
        pages::Lasting { selected: value == chosen, value, duration: Duration::from_secs(days * 86_400) }
    };
    LASTINGS.map(lasting).into_iter().filter(|lasting| lasting.duration <= max).collect()
}

fn line(key: &Key, checker: &Checker) -> KeyLine {
    KeyLine {
        id: key.id.to_string(),
        name: key.alias.clone().or_else(|| key.application.clone()),
        made: key.created,
        ends: key.expires,
        last_used: key.last_used,
        narrowed: narrowed(key, checker),
        manages_keys: key.manage_keys,
        manages_people: key.may_manage_people(),
    }
}

/// What its maker set and what came with the maker, as one. Of paths all have to match, and all are shown.
fn narrowed(key: &Key, checker: &Checker) -> Narrowed {
    let ceilings = key.limits.iter().filter_map(|limits| limits.role.clone());
    let role = ceilings.reduce(|one, other| checker.lower_of(&one, &other).unwrap_or(one));
    let lists = key.limits.iter().filter_map(|limits| limits.teams.clone());
    let teams = lists.reduce(|kept, list| kept.into_iter().filter(|team| list.contains(team)).collect());
    Narrowed {
        role: role.map(|role| role.to_string()),
        teams: teams.map(|teams| teams.iter().map(|team| team.to_string()).collect()),
        paths: key.limits.iter().flat_map(|limits| limits.paths.iter().cloned()).collect(),
    }
}
