//! `/vestibule/invitations`: inviting people, as a page.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Form, Query},
};
use serde::Deserialize;

use crate::{
    accounts::{Accounts, Granted, Invitation, InvitationId, InviteError, Inviter, Made, Standing, Wanted, normal_email},
    http::{
        Services,
        api::keys::{MOST_TEAMS, team},
        error,
        links::further_href,
        visit::{AdministratorVisit, Posted, Visit},
    },
    keys,
    pages::{
        Choice, InvitationForm, InvitationLine, InvitationProblem, InvitationState, InvitationsPage, Lasting, NewInvitation,
        Place,
    },
    people::PeopleError,
    principal::Role,
    sign_ins::Administrator,
};

const PLACE: Place = Place::Invitations;
const ON_A_PAGE: usize = 50;

/// How long a link may be made to last here, in days.
const LASTINGS: [u64; 4] = [1, 7, 14, 30];
const DAY: u64 = 86_400;

#[derive(Deserialize)]
pub(super) struct Which {
    after: Option<String>,
    user_email: Option<String>,
}

struct Desk<'a> {
    accounts: &'a Accounts,
    services: &'a Services,
}

/// What stands above the list, and in the form.
#[derive(Default)]
struct Notes<'a> {
    made: Option<NewInvitation>,
    problem: Option<InvitationProblem>,
    /// What was typed before, where that is to be mended.
    typed: Option<&'a Posted>,
    /// Whom the page was opened to invite.
    email: Option<&'a str>,
    after: Option<InvitationId>,
}

/// Why nobody was invited.
enum NotMade {
    /// By what was typed.
    Problem(InvitationProblem),
    Failed(InviteError),
}

pub(super) async fn show(request: HttpRequest, which: Query<Which>, services: Services) -> HttpResponse {
    let visit = match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let Some(accounts) = services.local_accounts.as_deref() else {
        return error::no_local_accounts().respond(&request, &services.site);
    };
    let after = which.after.as_deref().and_then(InvitationId::parse);
    let notes = Notes { after, email: which.user_email.as_deref(), ..Notes::default() };
    Desk { accounts, services: &services }.page(&visit, StatusCode::OK, notes).await
}

pub(super) async fn act(request: HttpRequest, form: Form<Posted>, services: Services) -> HttpResponse {
    let visit = match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let Some(accounts) = services.local_accounts.as_deref() else {
        return error::no_local_accounts().respond(&request, &services.site);
    };
    if let Some(response) = visit.refuse(&form) {
        return response;
    }
    let desk = Desk { accounts, services: &services };
    match form.one("action") {
        Some("make") => desk.make(&visit, &form).await,
        Some("withdraw") => desk.withdraw(&visit, &form).await,
        _ => visit.foreign_form(),
    }
}

impl Desk<'_> {
    async fn page(&self, visit: &AdministratorVisit<'_>, status: StatusCode, notes: Notes<'_>) -> HttpResponse {
        let page = match self.accounts.invitations(notes.after, ON_A_PAGE).await {
            Ok(page) => page,
            Err(cause) => return visit.unavailable(&cause),
        };
        let again = match self.granted(notes.email).await {
            Ok(again) => again,
            Err(cause) => return visit.unavailable(&cause),
        };
        let next_href = page.next.map(|id| further_href(PLACE, &id.to_string()));
        let lines = page.invitations.into_iter().map(async |invitation| self.line(invitation).await);
        let page = InvitationsPage {
            frame: visit.frame(),
            form: self.form(visit, &notes, again),
            made: notes.made,
            problem: notes.problem,
            sign_in_href: visit.sign_in_first(),
            invitations: futures::future::join_all(lines).await,
            next_href,
            csrf: visit.csrf(),
        };
        visit.show(status, &page)
    }

    /// What the account has by its last invitation, of whom the page was opened to invite again.
    async fn granted(&self, email: Option<&str>) -> Result<Option<Granted>, PeopleError> {
        let Some(email) = email.and_then(normal_email) else { return Ok(None) };
        match self.services.people.of_account(&email).await {
            Ok(known) => Ok(known.user.local_account().map(Granted::of)),
            Err(PeopleError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Roles are offered from the inviter's own downwards.
    fn form(&self, visit: &AdministratorVisit<'_>, notes: &Notes<'_>, again: Option<Granted>) -> InvitationForm {
        let is_again = again.is_some();
        let Granted { role: role_before, teams } = again.unwrap_or_default();
        let one = |name: &str| notes.typed.and_then(|typed| typed.one(name));
        let roles = self.services.checker.roles_from(Some(visit.by().role));
        let chosen = one("user_role").map(str::to_owned).or(role_before);
        let usual = chosen
            .unwrap_or_else(|| self.services.role_maps.current().map.default_role().map(ToString::to_string).unwrap_or_default());
        let choice = |role: &Role| Choice { selected: role.as_str() == usual, name: role.to_string() };
        let usual_life = self.accounts.invitation_duration();
        let chosen_life = one("duration").and_then(|text| keys::Lasting::parse(text).ok()?.as_duration()).unwrap_or(usual_life);
        let mut lives: Vec<Duration> = LASTINGS.map(|days| Duration::from_secs(days * DAY)).into();
        lives.extend([usual_life].iter().filter(|life| !lives.contains(life)).copied().collect::<Vec<_>>());
        lives.sort_unstable();
        InvitationForm {
            email: one("user_email").or(notes.email).unwrap_or_default().to_owned(),
            roles: roles.iter().map(choice).collect(),
            teams: one("teams").map_or(teams, str::to_owned),
            again: is_again,
            lasting: lives.into_iter().map(|life| lasting_of(life, chosen_life)).collect(),
        }
    }

    async fn make(&self, visit: &AdministratorVisit<'_>, form: &Posted) -> HttpResponse {
        if let Some(response) = visit.refuse_stale() {
            return response;
        }
        let outcome = match self.wanted(form) {
            Ok(wanted) => self.invite(visit.by(), &wanted).await,
            Err(problem) => Err(NotMade::Problem(problem)),
        };
        match outcome {
            Ok(made) => {
                let made = NewInvitation {
                    email: made.invitation.email.clone(),
                    link: made.address(&visit.services.site.public_url).to_string(),
                    expires: made.invitation.expires,
                };
                self.page(visit, StatusCode::OK, Notes { made: Some(made), ..Notes::default() }).await
            }
            Err(NotMade::Problem(problem)) => {
                let notes = Notes { problem: Some(problem), typed: Some(form), ..Notes::default() };
                self.page(visit, StatusCode::BAD_REQUEST, notes).await
            }
            Err(NotMade::Failed(cause)) => visit.unavailable(&cause),
        }
    }

    async fn invite(&self, by: Administrator<'_>, wanted: &Wanted) -> Result<Made, NotMade> {
        let inviter = Inviter::Administrator(by);
        self.accounts.invite(inviter, wanted).await.map_err(|error| match error {
            InviteError::Email => NotMade::Problem(InvitationProblem::Email),
            InviteError::UnknownRole => NotMade::Problem(InvitationProblem::Role),
            InviteError::Above => NotMade::Problem(InvitationProblem::AboveYou),
            InviteError::Duration => NotMade::Problem(InvitationProblem::Duration),
            InviteError::Disabled => NotMade::Problem(InvitationProblem::Disabled),
            error => NotMade::Failed(error),
        })
    }

    fn wanted(&self, form: &Posted) -> Result<Wanted, InvitationProblem> {
        let role = form.one("user_role").and_then(|name| self.services.checker.role(name)).ok_or(InvitationProblem::Role)?;
        let teams: Result<Vec<_>, _> = form.listed("teams").map(team).collect();
        let teams = teams.ok().filter(|teams| teams.len() <= MOST_TEAMS).ok_or(InvitationProblem::Teams)?;
        let lasting = form.one("duration").and_then(|text| keys::Lasting::parse(text).ok());
        let lasting = lasting.and_then(keys::Lasting::as_duration).ok_or(InvitationProblem::Duration)?;
        let email = form.one("user_email").unwrap_or_default().to_owned();
        Ok(Wanted { email, role, teams, lasting: Some(lasting) })
    }

    /// One that is gone already is gone: the page says what there is.
    async fn withdraw(&self, visit: &AdministratorVisit<'_>, form: &Posted) -> HttpResponse {
        let Some(id) = form.one("invitation_id").and_then(InvitationId::parse) else { return visit.back() };
        match self.accounts.withdraw(id, visit.by()).await {
            Ok(_) | Err(InviteError::NotFound) => visit.back(),
            Err(InviteError::Above) => error::not_yours_to_change().respond(visit.request, visit.site()),
            Err(cause) => visit.unavailable(&cause),
        }
    }

    async fn line(&self, invitation: Invitation) -> InvitationLine {
        let state = match self.accounts.standing(&invitation) {
            Standing::Open => InvitationState::Open,
            Standing::Accepted => InvitationState::Accepted,
            Standing::Expired => InvitationState::Expired,
        };
        InvitationLine {
            id: invitation.id.to_string(),
            email: invitation.email,
            role: invitation.role.to_string(),
            teams: invitation.teams.iter().map(ToString::to_string).collect(),
            made: invitation.created,
            made_by: match &invitation.by {
                Some(by) => Some(self.name_of(by).await),
                None => None,
            },
            expires: invitation.expires,
            state,
        }
    }

    /// Whoever is gone has left their id.
    async fn name_of(&self, user: &str) -> String {
        match self.services.people.get(user).await {
            Ok(known) => self.services.checker.identity(user, &known.user.identities, &known.grant).name().to_owned(),
            Err(_) => user.to_owned(),
        }
    }
}

fn lasting_of(life: Duration, chosen: Duration) -> Lasting {
    Lasting { value: format!("{}s", life.as_secs()), duration: life, selected: life == chosen }
}
