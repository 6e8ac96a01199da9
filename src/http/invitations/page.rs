//! `/vestibule/invitations`: the page of invitations, for administrators.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Form, Query, ServiceConfig},
};
use serde::Deserialize;

use crate::{
    administration::AdministrationError,
    api_keys,
    http::{
        Services,
        display_names::{MOST_TEAMS, parse_team},
        error::{self, Failure},
        get,
        page_request::{AdministratorRequest, FormFields, PageRequest, PageResult, answer},
        pagination::{PAGE_SIZE, next_href},
    },
    local_accounts::{
        AccountGrant, Accounts, Invitation, InvitationError, InvitationId, InvitationParameters, InvitationStatus, Inviter,
    },
    pages::{
        Choice, InvitationForm, InvitationRow, InvitationState, InvitationsPage, LifetimeOption, NewInvitation, Problem, SitePage,
    },
    principal::Role,
    users::normal_email,
};

const PLACE: SitePage = SitePage::Invitations;

/// Lifetimes that the form offers, in days.
const LIFETIMES: [u64; 4] = [1, 7, 14, 30];
const DAY: u64 = 86_400;

#[derive(Deserialize)]
struct InvitationsQuery {
    after: Option<String>,
    user_email: Option<String>,
}

/// The parts of the page that depend on the form or query before it.
#[derive(Default)]
struct InvitationsPageState<'a> {
    created: Option<NewInvitation>,
    problem: Option<Problem>,
    /// The refused form, whose fields are filled in again.
    refused: Option<&'a FormFields>,
    /// The address that the form is filled in with.
    email: Option<&'a str>,
    after: Option<InvitationId>,
}

pub(in crate::http) fn routes(app: &mut ServiceConfig) {
    let show = async |request, query, services| answer(show(request, query, services).await);
    let submit = async |request, form, services| answer(submit(request, form, services).await);
    app.service(web::resource(PLACE.href()).route(get().to(show)).post(submit));
}

async fn show(request: HttpRequest, query: Query<InvitationsQuery>, services: Services) -> PageResult {
    let page = InvitationsRequest::of(PageRequest::authenticate(&request, &services, PLACE).await?)?;
    let after = query.after.as_deref().and_then(InvitationId::parse);
    page.render(
        StatusCode::OK,
        InvitationsPageState { after, email: query.user_email.as_deref(), ..InvitationsPageState::default() },
    )
    .await
}

async fn submit(request: HttpRequest, form: Form<FormFields>, services: Services) -> PageResult {
    let page = InvitationsRequest::of(PageRequest::authenticate_form(&request, &services, PLACE, &form, &["withdraw"]).await?)?;
    match form.one("action") {
        Some("make") => page.create(&form).await,
        Some("withdraw") => page.revoke(&form).await,
        _ => Err(page.admin.foreign_form()),
    }
}

/// A request for this page.
struct InvitationsRequest<'a> {
    admin: AdministratorRequest<'a>,
    accounts: &'a Accounts,
}

impl<'a> InvitationsRequest<'a> {
    #[expect(clippy::result_large_err, reason = "an error is a response, which is built once for each request")]
    fn of(page: PageRequest<'a>) -> Result<Self, HttpResponse> {
        let admin = page.into_administrator()?;
        match admin.services.local_accounts.as_deref() {
            Some(accounts) => Ok(Self { admin, accounts }),
            None => Err(admin.respond(error::no_local_accounts())),
        }
    }

    async fn render(&self, status: StatusCode, state: InvitationsPageState<'_>) -> PageResult {
        let admin = &self.admin;
        let listed = self.accounts.invitations(state.after, PAGE_SIZE).await.map_err(|error| admin.fail(&error))?;
        let again = self.find_grant(state.email).await.map_err(|error| admin.fail(&error))?;
        let next_href = listed.next.map(|id| next_href(PLACE, &id.to_string()));
        let lines = listed.invitations.into_iter().map(async |invitation| self.line(invitation).await);
        let view = InvitationsPage {
            frame: admin.frame(),
            form: self.form(&state, again),
            created: state.created,
            problem: state.problem,
            sign_in_href: admin.fresh_sign_in_href(),
            invitations: futures::future::join_all(lines).await,
            next_href,
            csrf: admin.csrf(),
        };
        Ok(admin.show(status, &view))
    }

    /// The role and teams of the account's last invitation, where the page was opened to invite its user again.
    async fn find_grant(&self, email: Option<&str>) -> Result<Option<AccountGrant>, AdministrationError> {
        let Some(email) = email.and_then(normal_email) else { return Ok(None) };
        match self.admin.services.administration.get_by_email(&email).await {
            Ok(known) => Ok(known.user.local_account().map(AccountGrant::of)),
            Err(AdministrationError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the form. It offers the inviter's role and those below.
    fn form(&self, state: &InvitationsPageState<'_>, again: Option<AccountGrant>) -> InvitationForm {
        let is_again = again.is_some();
        let AccountGrant { role: role_before, teams } = again.unwrap_or_default();
        let one = |name: &str| state.refused.and_then(|form| form.one(name));
        let roles = self.admin.services.checker.roles_from(Some(self.admin.administrator().role));
        let chosen = one("user_role").map(str::to_owned).or(role_before);
        let usual = chosen.unwrap_or_else(|| {
            self.admin.services.role_maps.active().map.default_role().map(ToString::to_string).unwrap_or_default()
        });
        let choice = |role: &Role| Choice { selected: role.as_str() == usual, name: role.to_string() };
        let default_lifetime = self.accounts.invitation_duration();
        let chosen_lifetime =
            one("duration").and_then(|text| api_keys::KeyDuration::parse(text).ok()?.as_duration()).unwrap_or(default_lifetime);
        let mut offered: Vec<Duration> = LIFETIMES.map(|days| Duration::from_secs(days * DAY)).into();
        offered.extend([default_lifetime].iter().filter(|lifetime| !offered.contains(lifetime)).copied().collect::<Vec<_>>());
        offered.sort_unstable();
        InvitationForm {
            email: one("user_email").or(state.email).unwrap_or_default().to_owned(),
            roles: roles.iter().map(choice).collect(),
            teams: one("teams").map_or(teams, str::to_owned),
            again: is_again,
            lifetimes: offered.into_iter().map(|lifetime| lifetime_option(lifetime, chosen_lifetime)).collect(),
        }
    }

    async fn create(&self, form: &FormFields) -> PageResult {
        self.admin.require_fresh_sign_in()?;
        let wanted = match self.read_parameters(form) {
            Ok(wanted) => wanted,
            Err(problem) => return self.render_problem(StatusCode::BAD_REQUEST, problem, form).await,
        };
        match self.accounts.invite(Inviter::Administrator(self.admin.administrator()), &wanted).await {
            Ok(created) => {
                let created = NewInvitation {
                    email: created.invitation.email.clone(),
                    link: created.address(&self.admin.site().public_url).to_string(),
                    expires: created.invitation.expires,
                };
                self.render(StatusCode::OK, InvitationsPageState { created: Some(created), ..InvitationsPageState::default() })
                    .await
            }
            Err(error) => match Failure::from(&error).form_problem() {
                Some((status, problem)) => self.render_problem(status, problem, form).await,
                None => Err(self.admin.fail(&error)),
            },
        }
    }

    async fn render_problem(&self, status: StatusCode, problem: Problem, form: &FormFields) -> PageResult {
        let state = InvitationsPageState { problem: Some(problem), refused: Some(form), ..InvitationsPageState::default() };
        self.render(status, state).await
    }

    fn read_parameters(&self, form: &FormFields) -> Result<InvitationParameters, Problem> {
        let role = form
            .one("user_role")
            .and_then(|name| self.admin.services.checker.role(name))
            .ok_or_else(|| Problem::of("invitations-problem-role").field("user_role"))?;
        let teams: Result<Vec<_>, _> = form.listed("teams").map(parse_team).collect();
        let teams = teams
            .ok()
            .filter(|teams| teams.len() <= MOST_TEAMS)
            .ok_or_else(|| Problem::of("invitations-problem-teams").field("teams"))?;
        let lifetime = form.one("duration").and_then(|text| api_keys::KeyDuration::parse(text).ok());
        let lifetime = lifetime
            .and_then(api_keys::KeyDuration::as_duration)
            .ok_or_else(|| Problem::of("invitations-problem-duration").field("duration"))?;
        let email = form.one("user_email").unwrap_or_default().to_owned();
        Ok(InvitationParameters { email, role, teams, lifetime: Some(lifetime) })
    }

    /// An invitation that is gone already is no error: the page lists the invitations that there are.
    async fn revoke(&self, form: &FormFields) -> PageResult {
        let Some(id) = form.one("invitation_id").and_then(InvitationId::parse) else { return Ok(self.admin.back()) };
        match self.accounts.revoke(id, self.admin.administrator()).await {
            Ok(_) | Err(InvitationError::NotFound) => Ok(self.admin.back()),
            Err(error) => Err(self.admin.fail(&error)),
        }
    }

    async fn line(&self, invitation: Invitation) -> InvitationRow {
        let state = match self.accounts.status(&invitation) {
            InvitationStatus::Open => InvitationState::Open,
            InvitationStatus::Accepted => InvitationState::Accepted,
            InvitationStatus::Expired => InvitationState::Expired,
        };
        InvitationRow {
            id: invitation.id.to_string(),
            email: invitation.email,
            role: invitation.role.to_string(),
            teams: invitation.teams.iter().map(ToString::to_string).collect(),
            created: invitation.created,
            created_by: match &invitation.by {
                Some(by) => Some(self.name_of(by).await),
                None => None,
            },
            expires: invitation.expires,
            state,
        }
    }

    /// The name of a user, or the id of a user who was deleted.
    async fn name_of(&self, user: &str) -> String {
        match self.admin.services.administration.get(user).await {
            Ok(known) => self.admin.services.checker.identity(user, &known.user.identities, &known.grant).name().to_owned(),
            Err(_) => user.to_owned(),
        }
    }
}

fn lifetime_option(lifetime: Duration, chosen: Duration) -> LifetimeOption {
    LifetimeOption { value: format!("{}s", lifetime.as_secs()), duration: lifetime, selected: lifetime == chosen }
}
