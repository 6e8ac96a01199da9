//! `/vestibule/role-map`: what is in force, and why somebody gets what they get, as a page.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web::Form};

use crate::{
    check::Checker,
    http::{
        Services,
        api::role_map::{AskError, Asked, Told, tell},
        visit::{AdministratorVisit, Posted, Visit},
    },
    pages::{
        Access, Choice, ExplainForm, ExplainProblem, Explained, GivenTeam, HeldRule, InForce, NearMiss, Place, Reading,
        RefusedEdit, RoleMapPage, Rule,
    },
    principal::CredentialKind,
    roles::{Given, RoleMaps},
};

const PLACE: Place = Place::RoleMap;

pub(super) async fn show(request: HttpRequest, services: Services) -> HttpResponse {
    match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => page(&visit, StatusCode::OK, form(None, &services.role_maps), None, None),
        Err(response) => response,
    }
}

pub(super) async fn act(request: HttpRequest, posted: Form<Posted>, services: Services) -> HttpResponse {
    let visit = match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    if let Some(response) = visit.refuse(&posted) {
        return response;
    }
    let form = form(Some(&posted), &services.role_maps);
    match tell(&asked(&posted), &services).await {
        Ok(told) => page(&visit, StatusCode::OK, form, None, Some(explained(told, &services.checker))),
        Err(AskError::People(cause)) => visit.unavailable(&cause),
        Err(error) => page(&visit, StatusCode::BAD_REQUEST, form, Some(problem(error)), None),
    }
}

fn page(
    visit: &AdministratorVisit<'_>,
    status: StatusCode,
    form: ExplainForm,
    problem: Option<ExplainProblem>,
    explained: Option<Explained>,
) -> HttpResponse {
    let role_maps = &visit.services.role_maps;
    let current = role_maps.current();
    let map = &current.map;
    let in_force = current.is_known().then(|| InForce {
        version: current.version,
        source: role_maps.source().to_owned(),
        since: current.since,
        rules: map.rule_count() as u64,
        roles: map.roles_from(None).iter().map(ToString::to_string).collect(),
        default_role: map.default_role().map(ToString::to_string),
    });
    let refused = role_maps.refused().map(|edit| RefusedEdit { at: edit.at, mistakes: edit.mistakes });
    let page = RoleMapPage { frame: visit.frame(), in_force, refused, form, problem, explained, csrf: visit.csrf() };
    visit.show(status, &page)
}

fn asked(posted: &Posted) -> Asked<'_> {
    Asked {
        person: posted.one("person").map(str::trim),
        claims: posted.one("claims"),
        provider: posted.one("provider"),
        workload: false,
        url: posted.one("url").map(str::trim),
        method: posted.one("method").map(str::trim),
        credential: posted.one("credential"),
    }
}

fn form(posted: Option<&Posted>, role_maps: &RoleMaps) -> ExplainForm {
    let one = |name: &str| posted.and_then(|posted| posted.one(name));
    let text = |name: &str| one(name).unwrap_or_default().to_owned();
    let choice = |name: &str, field: &str| Choice { name: name.to_owned(), selected: one(field) == Some(name) };
    ExplainForm {
        person: text("person"),
        claims: text("claims"),
        providers: role_maps.providers().iter().map(|id| choice(id, "provider")).collect(),
        url: text("url"),
        method: text("method"),
        credentials: CredentialKind::ALL.iter().map(|kind| choice(kind.as_str(), "credential")).collect(),
    }
}

fn problem(error: AskError) -> ExplainProblem {
    match error {
        AskError::OneOfTwo => ExplainProblem::OneOfTwo,
        AskError::SeveralPeople => ExplainProblem::SeveralPeople,
        AskError::NoSuchPerson | AskError::People(_) => ExplainProblem::NoSuchPerson,
        AskError::NobodyLookedAt => ExplainProblem::NobodyLookedAt,
        AskError::Claims(why) => ExplainProblem::Claims(why),
        AskError::Provider => ExplainProblem::Provider,
        AskError::Address(why) => ExplainProblem::Address(why),
        AskError::Credential => ExplainProblem::Address("credential must be session, key or token".to_owned()),
        AskError::NoRoleMapYet => ExplainProblem::NoRoleMapYet,
    }
}

fn explained(Told { person, is_cut, grant, access }: Told, checker: &Checker) -> Explained {
    let rule = |name: &crate::principal::RuleName| Rule::of(name.as_str());
    let team = |given: Given| GivenTeam { team: given.what, rule: rule(&given.rule), line: given.line };
    let held = |given: Given| HeldRule { role: given.what, rule: rule(&given.rule), line: given.line };
    let person = person.map(|known| checker.identity(&known.user.id, &known.user.identities, &known.grant).name().to_owned());
    Explained {
        person,
        is_cut,
        role: grant.role.map(|role| role.to_string()),
        rule: grant.rule.as_ref().map(rule),
        line: grant.line,
        refused_for_missing: grant.refused_for_missing.map(|source| source.to_string()),
        teams: grant.teams.into_iter().map(team).collect(),
        dropped_teams: grant.dropped_teams.into_iter().map(team).collect(),
        outranked: grant.outranked.into_iter().map(held).collect(),
        near_misses: grant
            .near_misses
            .into_iter()
            .map(|miss| NearMiss {
                rule: miss.rule.to_string(),
                line: miss.line,
                role: miss.role.map(|role| role.to_string()),
                why: miss.why,
            })
            .collect(),
        missing_sources: grant.missing_sources.iter().map(ToString::to_string).collect(),
        first_login_only: grant.first_login_only,
        access: access.map(|access| Access {
            allowed: access.allowed,
            reason: access.reason,
            readings: access
                .interpretations
                .into_iter()
                .map(|reading| Reading { how: reading.derivation, path: reading.path, rule: reading.rule })
                .collect(),
        }),
    }
}
