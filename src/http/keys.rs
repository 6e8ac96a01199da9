//! `/vestibule/keys`: a person's own keys, as a page.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, Form, Query},
};
use jiff::Timestamp;
use serde::Deserialize;
use url::form_urlencoded;

use super::{
    Site,
    api::manager,
    csrf, error,
    links::login_href,
    page,
    pages::{self, KeyLine, KeysPage, NewKey},
    redirect,
};
use crate::{
    check::{By, Checker, Credential, Recognised, Unrecognised},
    keys::{Key, KeyId, Keys, KeysError, Lasting, Wish, is_alias},
    principals::Principals,
    return_to::ReturnTo,
    users::{Users, UsersError},
};

pub(super) const PATH: &str = "/vestibule/keys";

/// What the forms on this page are for.
const FORM: &str = "keys";

const ON_A_PAGE: usize = 50;

#[derive(Deserialize)]
pub(super) struct Which {
    after: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    csrf: String,
    action: String,
    key_alias: Option<String>,
    duration: Option<String>,
    token_id: Option<String>,
    redirect_uri: Option<String>,
}

type Services = (Data<Checker>, Data<Keys>, Data<Principals>, Data<Users>);

pub(super) async fn show(request: HttpRequest, site: Data<Site>, which: Query<Which>, services: Services) -> HttpResponse {
    let (cookie, caller) = match person(&request, &site, &services.0).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    let after = which.after.as_deref().and_then(KeyId::parse);
    let desk = Desk { site: &site, keys: &services.1, users: &services.3, caller: &caller, cookie: &cookie };
    desk.page(StatusCode::OK, after, Notes::default()).await.unwrap_or_else(|cause| unavailable(&request, &cause))
}

pub(super) async fn act(request: HttpRequest, form: Form<Answer>, site: Data<Site>, services: Services) -> HttpResponse {
    let (cookie, caller) = match person(&request, &site, &services.0).await {
        Ok(found) => found,
        Err(response) => return response,
    };
    if !csrf::is_own_form(&request, &site) || !csrf::matches(&site.ring, FORM, &cookie, &form.csrf) {
        tracing::warn!(reason = "not from our own page", "a change of keys refused");
        return error::foreign_form("Your keys", PATH).respond(&request);
    }
    let desk = Desk { site: &site, keys: &services.1, users: &services.3, caller: &caller, cookie: &cookie };
    let outcome = match form.action.as_str() {
        "make" => desk.make(&request, &form).await,
        "forget" => desk.forget(&form).await,
        _ => desk.revoke(&form, &services.2).await,
    };
    outcome.unwrap_or_else(|cause| unavailable(&request, &cause))
}

/// One person's visit.
struct Desk<'a> {
    site: &'a Site,
    keys: &'a Keys,
    users: &'a Users,
    caller: &'a Recognised,
    cookie: &'a str,
}

/// What stands above the list.
#[derive(Default)]
struct Notes {
    made: Option<NewKey>,
    problem: Option<String>,
}

impl Desk<'_> {
    async fn page(&self, status: StatusCode, after: Option<KeyId>, notes: Notes) -> Result<HttpResponse, KeysError> {
        let listed = self.keys.list(&manager(self.caller), None, after, ON_A_PAGE).await?;
        let next_href = listed.next.map(|id| {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("after", &id.to_string()).finish();
            format!("{PATH}?{query}")
        });
        let trusted = self.users.trusted(&self.caller.judged.identity.user).await?;
        let page_of_keys = KeysPage {
            sign_in_href: (!self.is_fresh()).then(sign_in_href),
            trusted,
            keys: listed.keys.iter().map(line).collect(),
            made: notes.made,
            problem: notes.problem,
            next_href,
            csrf: csrf::token(&self.site.ring, FORM, self.cookie),
            action: PATH,
        };
        Ok(page(status, pages::render(&page_of_keys)))
    }

    fn is_fresh(&self) -> bool {
        matches!(&self.caller.by, By::Session(signed_in) if self.keys.is_fresh(signed_in.session.created))
    }

    async fn make(&self, request: &HttpRequest, form: &Answer) -> Result<HttpResponse, KeysError> {
        // The page was opened while the sign-in was fresh still.
        if !self.is_fresh() {
            return Ok(error::sign_in_again(&sign_in_href()).respond(request));
        }
        let name = form.key_alias.as_deref().map(str::trim).filter(|name| is_alias(name));
        let lasting = form.duration.as_deref().and_then(|text| Lasting::parse(text).ok());
        let (Some(name), Some(lasting)) = (name, lasting) else {
            let problem = Some("The name has 1 to 128 characters, and a duration is chosen from the list.".to_owned());
            return self.page(StatusCode::BAD_REQUEST, None, Notes { problem, ..Notes::default() }).await;
        };
        let wish = Wish { alias: Some(name.to_owned()), lasting: Some(lasting), ..Wish::default() };
        match self.keys.make(&manager(self.caller), &wish).await {
            Ok(made) => {
                let made = NewKey { name: name.to_owned(), secret: made.secret.expose().to_owned() };
                self.page(StatusCode::OK, None, Notes { made: Some(made), problem: None }).await
            }
            Err(KeysError::Read(error)) => Err(error.into()),
            Err(KeysError::Write(error)) => Err(error.into()),
            Err(refused) => {
                tracing::info!(reason = %refused, "a key refused");
                let problem = Some(in_words(&refused).to_owned());
                self.page(StatusCode::FORBIDDEN, None, Notes { problem, ..Notes::default() }).await
            }
        }
    }

    /// The application is asked about again.
    async fn forget(&self, form: &Answer) -> Result<HttpResponse, KeysError> {
        if let Some(redirect_uri) = form.redirect_uri.as_deref() {
            let user = &self.caller.judged.identity.user;
            match self.users.distrust(user, redirect_uri).await {
                Ok(()) => tracing::info!(user, "an application is asked about again"),
                Err(UsersError::Read(error)) => return Err(error.into()),
                Err(UsersError::Write(error)) => return Err(error.into()),
                Err(UsersError::Contended) => return Err(KeysError::Contended),
            }
        }
        Ok(redirect(StatusCode::SEE_OTHER, PATH))
    }

    /// One that is gone already is gone: the page says what there is.
    async fn revoke(&self, form: &Answer, principals: &Principals) -> Result<HttpResponse, KeysError> {
        if let Some(id) = form.token_id.as_deref().and_then(KeyId::parse) {
            match self.keys.revoke(&manager(self.caller), id).await {
                Ok(key) => principals.forget_key(key.id),
                Err(KeysError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(redirect(StatusCode::SEE_OTHER, PATH))
    }
}

/// A sign-in that leads back here.
fn sign_in_href() -> String {
    login_href(&ReturnTo::parse(PATH, "").unwrap_or_else(|_| ReturnTo::root()), None)
}

/// Whose browser it is, and the session's cookie; otherwise what to answer.
async fn person(request: &HttpRequest, site: &Site, checker: &Checker) -> Result<(String, Recognised), HttpResponse> {
    let sign_in = || redirect(StatusCode::FOUND, &sign_in_href());
    let cookie = site.cookies.session_in(request).ok_or_else(sign_in)?;
    match checker.recognise(Ok(Credential::Session(&cookie))).await {
        Ok(recognised) => Ok((cookie, recognised)),
        Err(Unrecognised::Unauthenticated(_)) => Err(sign_in()),
        Err(Unrecognised::Unavailable(cause)) => {
            tracing::error!(%cause, "who is signed in can't be looked up");
            Err(error::store_unavailable(PATH).respond(request))
        }
    }
}

fn unavailable(request: &HttpRequest, cause: &KeysError) -> HttpResponse {
    tracing::error!(%cause, "keys can't be looked up or changed");
    error::store_unavailable(PATH).respond(request)
}

fn in_words(refused: &KeysError) -> &'static str {
    match refused {
        KeysError::Full => "You have as many keys as are allowed. Revoke one first.",
        KeysError::NoRole => "No role is granted to you, so a key would give nothing.",
        KeysError::Duration => "A key may not last that long here. Choose a shorter time.",
        _ => "The key could not be made. Try again.",
    }
}

fn line(key: &Key) -> KeyLine {
    let named = key.alias.clone().or_else(|| key.application.clone());
    let day = |at: Timestamp| at.strftime("%-d %B %Y").to_string();
    let used = key.last_used.map_or_else(|| "not used yet".to_owned(), |at| format!("last used on {}", day(at)));
    KeyLine {
        id: key.id.to_string(),
        name: named.unwrap_or_else(|| "Without a name".to_owned()),
        facts: format!("Made on {}, ends on {}, {used}", day(key.created), day(key.expires)),
    }
}
