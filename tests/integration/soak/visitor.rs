//! A browser that people use while something breaks, and a program: what didn't come through is tried again.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::ledger::{Kind, Ledger, Outcome};
use crate::support::agent::{Agent, Page};
use crate::support::nginx::GatewayInfo;
use crate::support::pod::Pod;
use crate::support::steps::SESSION;
use crate::support::wait::pass;

/// Somebody who reads "try again" takes longer; the load is to be heavier than people are.
const BEFORE_TRYING_AGAIN: Duration = Duration::from_millis(100);
/// A login or logout that takes longer than this is lost.
const GIVES_UP: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub enum Credential {
    Session(String),
    Key(String),
}

pub struct Visitor<'a> {
    pub agent: Agent,
    site: &'a GatewayInfo,
    ledger: &'a Ledger,
}

/// A page, and whether it was asked for only once, over a connection that held.
struct Opened {
    page: Page,
    undisturbed: bool,
}

/// What an upstream request came to.
pub enum Checked {
    /// By the name that the upstream was told.
    Allowed(String),
    /// With the words of the answer.
    Refused(u16, String),
    Cut(String),
}

impl Credential {
    pub fn header(&self) -> (&'static str, String) {
        match self {
            Self::Session(cookie) => ("cookie", format!("{SESSION}={cookie}")),
            Self::Key(key) => ("authorization", format!("Bearer {key}")),
        }
    }

    /// nginx's question to this very pod.
    pub async fn status_on(&self, http: &reqwest::Client, pod: &Pod) -> u16 {
        let (name, value) = self.header();
        let request = http.get(pod.check("/auth/nginx")).header(name, value);
        let request = request.header("x-original-url", "http://localhost/app").header("x-original-method", "GET");
        request.send().await.unwrap_or_else(|error| panic!("{error:?}")).status().as_u16()
    }
}

/// A program asks the upstream through nginx.
pub async fn ask(http: &reqwest::Client, site: &GatewayInfo, credential: &Credential) -> Checked {
    let (name, value) = credential.header();
    let request = http.get(format!("{}/v1/models", site.origin)).header(name, value).header("accept", "application/json");
    let received = async {
        let answer = request.send().await?;
        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
    };
    let (status, body) = match received.await {
        Ok(received) => received,
        Err(error) => return Checked::Cut(error.without_url().to_string()),
    };
    if status != 200 {
        return Checked::Refused(status, in_brief(status, &body));
    }
    let received: serde_json::Value = serde_json::from_str(&body).expect("the upstream answers JSON");
    let told = received["headers"]["x-auth-request-preferred-username"].as_str();
    Checked::Allowed(told.unwrap_or_default().to_owned())
}

/// The status, and the title of a page or the error of a program's answer.
fn in_brief(status: u16, body: &str) -> String {
    let between = |from: &str, to: &str| body.split_once(from)?.1.split_once(to).map(|(words, _)| words);
    let words = between("\"error\":\"", "\"").or_else(|| between("<title>", "</title>")).unwrap_or_default();
    format!("{status} {words}")
}

impl<'a> Visitor<'a> {
    pub fn new(site: &'a GatewayInfo, ledger: &'a Ledger) -> Self {
        Self { agent: Agent::new(), site, ledger }
    }

    /// A whole login of this person; the session's cookie, or nothing when the login is lost.
    pub async fn sign_in(&self, name: &str) -> Option<String> {
        let began = Instant::now();
        while began.elapsed() < GIVES_UP {
            let back = self.until_callback(name).await;
            let Some(callback) = back.location().filter(|to| to.as_str().starts_with(&self.site.origin)) else {
                self.wrong(Kind::Login, &back);
                return None;
            };
            let opened = self.open(Kind::Login, callback.as_str()).await;
            if let Some(cookie) = self.agent.cookie("localhost", SESSION).filter(|_| opened.page.status == 303) {
                self.ledger.note(Kind::Login, began, Outcome::Right);
                return Some(cookie.value);
            }
            if opened.undisturbed && !self.site.was_cut_behind_nginx(&callback) {
                self.wrong(Kind::Login, &opened.page);
                return None;
            }
            // The first try got as far as using the login up, and nobody heard the answer. The person starts again.
            self.ledger.note(Kind::Login, began, Outcome::BegunAgain);
        }
        self.ledger.note(Kind::Login, began, Outcome::Wrong("lost".to_owned()));
        None
    }

    /// The redirect from the provider back to us, or where the way ended before.
    pub async fn until_callback(&self, name: &str) -> Page {
        let begin = format!("{}/sso/login?provider=corp&rd=%2Fui%2F", self.site.origin);
        let page = self.open(Kind::Login, &begin).await.page;
        let Some(mut question) = page.location() else { return page };
        question.query_pairs_mut().append_pair("login_hint", name);
        let page = self.agent.get(question.as_str()).await;
        self.agent.follow_until(page, |to| to.as_str().starts_with(&self.site.origin)).await
    }

    /// Ends the session of this browser; tells whether that was said to have happened.
    pub async fn sign_out(&self) -> bool {
        let (began, address) = (Instant::now(), format!("{}/sso/logout", self.site.origin));
        while began.elapsed() < GIVES_UP {
            let page = self.open(Kind::Logout, &address).await.page;
            let Some(form) = page.forms().into_iter().next() else {
                // The first try ended it, and nobody heard the answer.
                return self.has_ended(began, &page);
            };
            let fields: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let sent = Instant::now();
            match self.agent.try_post(&address, &fields).await {
                Ok(page) if page.status == 303 => {
                    self.ledger.note(Kind::Logout, began, Outcome::Right);
                    return true;
                }
                Ok(page) => self.trouble(Kind::Logout, sent, page.status, || page.body.clone()),
                Err(error) => self.ledger.note(Kind::Logout, sent, Outcome::Cut(error.without_url().to_string())),
            }
            pass(BEFORE_TRYING_AGAIN).await;
        }
        self.ledger.note(Kind::Logout, began, Outcome::Wrong("lost".to_owned()));
        false
    }

    fn has_ended(&self, began: Instant, page: &Page) -> bool {
        let over = page.status < 400;
        self.ledger.note(Kind::Logout, began, if over { Outcome::Right } else { Outcome::Wrong(said(page)) });
        over
    }

    /// Opens a page, again as long as it says that it can't be had at the moment.
    async fn open(&self, kind: Kind, url: &str) -> Opened {
        let (began, mut undisturbed) = (Instant::now(), true);
        loop {
            let sent = Instant::now();
            match self.agent.try_get(url).await {
                Ok(page) if ![502, 503, 504].contains(&page.status) || began.elapsed() > GIVES_UP => {
                    return Opened { page, undisturbed };
                }
                Ok(page) => self.trouble(kind, sent, page.status, || page.body.clone()),
                Err(error) => {
                    assert!(began.elapsed() < GIVES_UP, "{url}: {error:?}");
                    self.ledger.note(kind, sent, Outcome::Cut(error.without_url().to_string()));
                }
            }
            undisturbed = false;
            pass(BEFORE_TRYING_AGAIN).await;
        }
    }

    fn trouble(&self, kind: Kind, sent: Instant, status: u16, body: impl Fn() -> String) {
        let outcome = match status {
            503 => Outcome::Unavailable(in_brief(status, &body())),
            // In nginx' own words: a pod says 502 too, when a sign-in could not be confirmed.
            502 | 504 if body().contains("<center>nginx") => Outcome::Cut(in_brief(status, &body())),
            // What the pod had asked the provider came to nothing.
            502 if kind == Kind::Login => Outcome::BegunAgain,
            other => Outcome::Wrong(format!("{other}: {}", body())),
        };
        self.ledger.note(kind, sent, outcome);
    }

    fn wrong(&self, kind: Kind, page: &Page) {
        self.ledger.note(kind, Instant::now(), Outcome::Wrong(said(page)));
    }
}

impl GatewayInfo {
    /// Whether nginx sent this very request to more than one pod, since the first didn't answer.
    fn was_cut_behind_nginx(&self, address: &Url) -> bool {
        let state = address.query_pairs().find(|(name, _)| name == "state").expect("a callback has a state").1;
        let log = std::fs::read_to_string(&self.access_log).unwrap_or_default();
        log.lines().any(|line| line.contains(&*state) && line.contains(", "))
    }
}

fn said(page: &Page) -> String {
    format!("{}: {}: {}", page.url.path(), page.status, page.body)
}
