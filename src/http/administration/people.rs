//! `/vestibule/people`: who is known here and what administrators do with them, as pages.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Form, Path, Query},
};
use serde::Deserialize;
use url::form_urlencoded;

use crate::{
    http::{
        Services, error,
        links::further_href,
        names::{linked_identity, mentions, provider_name},
        redirect,
        visit::{AdministratorVisit, Posted, Visit},
    },
    pages::{PeoplePage, PersonLine, PersonPage, Place, Power, Rule, text::text},
    people::{Known, PeopleError},
    sign_ins::Administrator,
};

const PLACE: Place = Place::People;
const ON_A_PAGE: usize = 50;

#[derive(Deserialize)]
pub(super) struct Which {
    after: Option<String>,
    q: Option<String>,
}

struct Desk<'a> {
    services: &'a Services,
}

pub(super) async fn list(request: HttpRequest, which: Query<Which>, services: Services) -> HttpResponse {
    let desk = Desk { services: &services };
    match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => desk.list(&visit, &which).await.unwrap_or_else(|cause| visit.unavailable(&cause)),
        Err(response) => response,
    }
}

pub(super) async fn show(request: HttpRequest, id: Path<String>, services: Services) -> HttpResponse {
    let desk = Desk { services: &services };
    match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => match desk.show(&visit, &id).await {
            Ok(page) => page,
            Err(error) => desk.told(&visit, &error),
        },
        Err(response) => response,
    }
}

pub(super) async fn act(request: HttpRequest, id: Path<String>, form: Form<Posted>, services: Services) -> HttpResponse {
    let desk = Desk { services: &services };
    let visit = match Visit::of_administrator(&request, &services, PLACE).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    if let Some(response) = visit.refuse(&form) {
        return response;
    }
    match desk.act(&visit, &id, form.one("action").unwrap_or_default()).await {
        Ok(response) => response,
        Err(error) => desk.told(&visit, &error),
    }
}

impl Desk<'_> {
    async fn list(&self, visit: &AdministratorVisit<'_>, which: &Which) -> Result<HttpResponse, PeopleError> {
        let query = which.q.as_deref().map(str::trim).unwrap_or_default();
        let (found, next, is_cut) = match query {
            "" => {
                let (people, next) = self.services.people.list(which.after.as_deref(), ON_A_PAGE).await?;
                (people, next, false)
            }
            query => {
                let found =
                    self.services.people.search(query, ON_A_PAGE, |known| mentions(known, &self.services.checker, query)).await?;
                (found.people, None, found.is_cut)
            }
        };
        let next_href = next.map(|id| further_href(PLACE, &id));
        let people = found.iter().map(|known| self.line(visit, known)).collect();
        let page = PeoplePage { frame: visit.frame(), people, query: query.to_owned(), is_cut, next_href };
        Ok(visit.show(StatusCode::OK, &page))
    }

    fn line(&self, visit: &AdministratorVisit<'_>, Known { user, grant }: &Known) -> PersonLine {
        let identity = self.services.checker.identity(&user.id, &user.identities, grant);
        let name = identity.name().to_owned();
        PersonLine {
            email: Some(identity.email.clone()).filter(|email| !email.is_empty() && *email != name),
            name,
            role: grant.role.as_ref().map(ToString::to_string),
            rule: grant.rule.as_ref().map(|rule| Rule::of(rule.as_str())),
            line: grant.rule.as_ref().and_then(|rule| self.services.role_maps.current().map.line_of(rule)),
            teams: grant.teams.iter().map(ToString::to_string).collect(),
            last_sign_in: user.signed_in,
            methods: user.identities.iter().map(|identity| self.method(&identity.provider)).collect(),
            disabled: user.disabled,
            is_you: user.id == visit.user(),
            id: user.id.clone(),
        }
    }

    fn method(&self, provider: &str) -> String {
        provider_name(&self.services.login, provider).unwrap_or_else(|| text("methods-password", &[]))
    }

    async fn show(&self, visit: &AdministratorVisit<'_>, id: &str) -> Result<HttpResponse, PeopleError> {
        let known = self.services.people.get(id).await?;
        let by = visit.by();
        let in_use = self.services.people.in_use(by, id).await?;
        let power = match self.services.people.judge(by, &known) {
            Ok(()) => Power::May,
            Err(PeopleError::Oneself) => Power::Yourself,
            Err(_) => Power::Above,
        };
        let Known { user, grant } = known;
        let identity = self.services.checker.identity(&user.id, &user.identities, &grant);
        let name = identity.name().to_owned();
        let invite_href =
            user.local_account().filter(|_| self.services.local_accounts.is_some() && !user.disabled).map(|account| {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair("user_email", &account.subject).finish();
                format!("{}?{query}", Place::Invitations.href())
            });
        let page = PersonPage {
            frame: visit.frame(),
            email: Some(identity.email).filter(|email| !email.is_empty()),
            name,
            role: grant.role.as_ref().map(ToString::to_string),
            line: grant.rule.as_ref().and_then(|rule| self.services.role_maps.current().map.line_of(rule)),
            rule: grant.rule.as_ref().map(|rule| Rule::of(rule.as_str())),
            teams: grant.teams.iter().map(ToString::to_string).collect(),
            first_seen: user.created,
            last_sign_in: user.signed_in,
            identities: user.identities.iter().map(|identity| linked_identity(identity, &self.services.login, false)).collect(),
            pinned: user.pinned.is_some(),
            disabled: user.disabled,
            sessions: in_use.sessions as u64,
            keys: in_use.keys as u64,
            power,
            invite_href,
            csrf: visit.csrf(),
            id: user.id,
        };
        Ok(visit.show(StatusCode::OK, &page))
    }

    async fn act(&self, visit: &AdministratorVisit<'_>, id: &str, action: &str) -> Result<HttpResponse, PeopleError> {
        let by = visit.by();
        let to = match action {
            "delete" => self.services.people.delete(by, id).await.map(|_| PLACE.href().to_owned())?,
            action => self.change(by, id, action).await?.map_or_else(|| PLACE.href().to_owned(), |()| address_of(id)),
        };
        Ok(redirect(StatusCode::SEE_OTHER, &to))
    }

    /// `None` for what is no action of the page's.
    async fn change(&self, by: Administrator<'_>, id: &str, action: &str) -> Result<Option<()>, PeopleError> {
        match action {
            "disable" => self.services.people.disable(by, id).await.map(drop)?,
            "enable" => self.services.people.enable(by, id).await.map(drop)?,
            "end_sessions" => self.services.people.end_sessions(by, id).await?,
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn told(&self, visit: &AdministratorVisit<'_>, error: &PeopleError) -> HttpResponse {
        match error {
            PeopleError::NotFound => error::no_such_person().respond(visit.request, visit.site()),
            PeopleError::Above | PeopleError::Oneself => error::not_yours_to_change().respond(visit.request, visit.site()),
            PeopleError::Store(_) => visit.unavailable(error),
        }
    }
}

fn address_of(id: &str) -> String {
    format!("{}/{id}", PLACE.href())
}
