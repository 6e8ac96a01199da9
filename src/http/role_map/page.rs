//! `/vestibule/role-map`: the page of the role map and its explanations, for administrators.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Form, ServiceConfig},
};

use super::{ExplainedIdentity, ExplanationRequest, ExplanationResponse, explain};
use crate::{
    http::{
        Services,
        display_names::linked_identity,
        error::Failure,
        get,
        page_request::{AdministratorRequest, FormFields, PageRequest, PageResult, answer},
    },
    pages::{
        Choice, ExplainForm, GrantExplanation, GrantRule, IdentityRow, InterpretationRow, ListWarningRow, NearMissRow,
        OutrankedRole, Problem, RejectedEdit, RequestExplanation, RoleMapPage, RoleMapSummary, SitePage, TeamGrant,
    },
    principal::CredentialKind,
    role_map::{RoleMaps, RuleGrant},
};

const PLACE: SitePage = SitePage::RoleMap;

pub(in crate::http) fn routes(app: &mut ServiceConfig) {
    let show = async |request, services| answer(show(request, services).await);
    let submit = async |request, form, services| answer(submit(request, form, services).await);
    app.service(web::resource(PLACE.href()).route(get().to(show)).post(submit));
}

async fn show(request: HttpRequest, services: Services) -> PageResult {
    let page = PageRequest::authenticate(&request, &services, PLACE).await?.into_administrator()?;
    Ok(render(&page, StatusCode::OK, form(None, &services.role_maps), None, None))
}

async fn submit(request: HttpRequest, posted: Form<FormFields>, services: Services) -> PageResult {
    let page = PageRequest::authenticate_form(&request, &services, PLACE, &posted, &[]).await?.into_administrator()?;
    let form = form(Some(&posted), &services.role_maps);
    match explain(&question(&posted), &services).await {
        Ok(answer) => Ok(render(&page, StatusCode::OK, form, None, Some(grant_explanation(answer, &services)))),
        Err(error) => match Failure::from(&error).form_problem() {
            Some((status, problem)) => Ok(render(&page, status, form, Some(problem), None)),
            None => Err(page.fail(&error)),
        },
    }
}

fn render(
    page: &AdministratorRequest<'_>,
    status: StatusCode,
    form: ExplainForm,
    problem: Option<Problem>,
    explained: Option<GrantExplanation>,
) -> HttpResponse {
    let role_maps = &page.services.role_maps;
    let active = role_maps.active();
    let map = &active.map;
    let summary = active.is_loaded().then(|| RoleMapSummary {
        version: active.version,
        source: role_maps.source().to_owned(),
        since: active.since,
        rules: map.rule_count() as u64,
        roles: map.roles_from(None).iter().map(ToString::to_string).collect(),
        default_role: map.default_role().map(ToString::to_string),
    });
    let refused = role_maps.latest_refusal().map(|edit| RejectedEdit { at: edit.at, mistakes: edit.mistakes });
    let view = RoleMapPage { frame: page.frame(), active: summary, refused, form, problem, explained, csrf: page.csrf() };
    page.show(status, &view)
}

fn question(posted: &FormFields) -> ExplanationRequest {
    let text = |name: &str| posted.one(name).map(str::to_owned);
    let trimmed = |name: &str| posted.one(name).map(|value| value.trim().to_owned());
    ExplanationRequest {
        user: trimmed("person"),
        claims: text("claims"),
        provider: text("provider"),
        workload: false,
        url: trimmed("url"),
        method: trimmed("method"),
        credential: text("credential"),
    }
}

fn form(posted: Option<&FormFields>, role_maps: &RoleMaps) -> ExplainForm {
    let one = |name: &str| posted.and_then(|posted| posted.one(name));
    let text = |name: &str| one(name).unwrap_or_default().to_owned();
    let choice = |name: &str, field: &str| Choice { name: name.to_owned(), selected: one(field) == Some(name) };
    ExplainForm {
        user: text("person"),
        claims: text("claims"),
        providers: role_maps.providers().iter().map(|id| choice(id, "provider")).collect(),
        url: text("url"),
        method: text("method"),
        credentials: CredentialKind::ALL.iter().map(|kind| choice(kind.as_str(), "credential")).collect(),
    }
}

fn grant_explanation(response: ExplanationResponse, services: &Services) -> GrantExplanation {
    let ExplanationResponse { user, is_cut, identities, grant, ignored_claims, access } = response;
    let Services { checker, login, .. } = services;
    let row = |ExplainedIdentity { identity, has_expired }: ExplainedIdentity| IdentityRow {
        identity: linked_identity(&identity, login),
        has_expired,
    };
    let rule = |name: &crate::principal::RuleName| GrantRule::of(name.as_str());
    let team = |granted: RuleGrant| TeamGrant { team: granted.name, rule: rule(&granted.rule), line: granted.line };
    let held = |granted: RuleGrant| OutrankedRole { role: granted.name, rule: rule(&granted.rule), line: granted.line };
    let user = user.map(|known| checker.identity(&known.user.id, &known.user.identities, &known.grant).name().to_owned());
    GrantExplanation {
        user,
        is_cut,
        identities: identities.into_iter().map(row).collect(),
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
            .map(|miss| NearMissRow {
                rule: miss.rule.to_string(),
                line: miss.line,
                role: miss.role.map(|role| role.to_string()),
                reason: miss.reason,
            })
            .collect(),
        warnings: grant
            .warnings
            .into_iter()
            .map(|warning| ListWarningRow { rule: warning.rule.to_string(), line: warning.line, reason: warning.reason })
            .collect(),
        missing_sources: grant.missing_sources.iter().map(ToString::to_string).collect(),
        ignored_claims,
        first_login_only: grant.first_login_only,
        access: access.map(|access| RequestExplanation {
            allowed: access.allowed,
            reason: access.reason,
            interpretations: access
                .interpretations
                .into_iter()
                .map(|one| InterpretationRow { derivation: one.derivation, path: one.path, rule: one.rule })
                .collect(),
        }),
    }
}
