//! A browser that is used during faults, and a program: failed requests are repeated.

use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::ledger::{Kind, Ledger, Outcome};
use crate::support::agent::{Agent, Page};
use crate::support::auth_request::SECRET_HEADER;
use crate::support::nginx::GatewayInfo;
use crate::support::pod::Pod;
use crate::support::steps::SESSION;
use crate::support::wait::pass;

/// Users take longer to try again; the load is higher than theirs.
const BEFORE_TRYING_AGAIN: Duration = Duration::from_millis(100);
/// A login or sign-out that takes longer has failed.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
pub enum Credential {
    Session(String),
    ApiKey(String),
}

pub struct Visitor<'a> {
    pub agent: Agent,
    gateway: &'a GatewayInfo,
    ledger: &'a Ledger,
}

/// A page, and whether it took a single request over one connection.
struct OpenedPage {
    page: Page,
    undisturbed: bool,
}

/// The result of a request to the upstream.
pub enum UpstreamResult {
    /// The user name that the upstream received.
    Allowed(String),
    /// With the status and text of the answer.
    Refused(u16, String),
    Cut(String),
}

impl Credential {
    pub fn header(&self) -> (&'static str, String) {
        match self {
            Self::Session(cookie) => ("cookie", format!("{SESSION}={cookie}")),
            Self::ApiKey(key) => ("authorization", format!("Bearer {key}")),
        }
    }

    /// The status of nginx's auth request to this pod.
    pub async fn status_on(&self, http: &reqwest::Client, pod: &Pod) -> u16 {
        let (name, value) = self.header();
        let request = http.get(pod.check("/auth/nginx")).header(name, value);
        let request = request.header("x-original-url", "http://localhost/app").header("x-original-method", "GET");
        let request = request.header(SECRET_HEADER.0, SECRET_HEADER.1);
        request.send().await.unwrap_or_else(|error| panic!("{error:?}")).status().as_u16()
    }
}

/// A request of a program to the upstream through nginx.
pub async fn ask(http: &reqwest::Client, gateway: &GatewayInfo, credential: &Credential) -> UpstreamResult {
    let (name, value) = credential.header();
    let request = http.get(format!("{}/v1/models", gateway.origin)).header(name, value).header("accept", "application/json");
    let received = async {
        let answer = request.send().await?;
        Ok::<_, reqwest::Error>((answer.status().as_u16(), answer.text().await?))
    };
    let (status, body) = match received.await {
        Ok(received) => received,
        Err(error) => return UpstreamResult::Cut(error.without_url().to_string()),
    };
    if status != 200 {
        return UpstreamResult::Refused(status, in_brief(status, &body));
    }
    let received: serde_json::Value = serde_json::from_str(&body).expect("the upstream answers JSON");
    let username = received["headers"]["x-auth-request-preferred-username"].as_str();
    UpstreamResult::Allowed(username.unwrap_or_default().to_owned())
}

/// The status, and the title of a page or the error of a JSON answer.
fn in_brief(status: u16, body: &str) -> String {
    let between = |from: &str, to: &str| body.split_once(from)?.1.split_once(to).map(|(words, _)| words);
    let words = between("\"error\":\"", "\"").or_else(|| between("<title>", "</title>")).unwrap_or_default();
    format!("{status} {words}")
}

impl<'a> Visitor<'a> {
    pub fn new(gateway: &'a GatewayInfo, ledger: &'a Ledger) -> Self {
        Self { agent: Agent::at_next_address(), gateway, ledger }
    }

    /// Runs a complete login flow; returns the session cookie, or `None` if the login has failed.
    pub async fn sign_in(&self, name: &str) -> Option<String> {
        let began = Instant::now();
        while began.elapsed() < ATTEMPT_TIMEOUT {
            let back = self.until_callback(name).await;
            let Some(callback) = back.location().filter(|to| to.as_str().starts_with(&self.gateway.origin)) else {
                self.wrong(Kind::Login, &back);
                return None;
            };
            let opened = self.open(Kind::Login, callback.as_str()).await;
            if let Some(cookie) = self.agent.cookie("localhost", SESSION).filter(|_| opened.page.status == 303) {
                self.ledger.note(Kind::Login, began, Outcome::Right);
                return Some(cookie.value);
            }
            if opened.undisturbed && !self.gateway.was_cut_behind_nginx(&callback) {
                self.wrong(Kind::Login, &opened.page);
                return None;
            }
            // The first attempt consumed the login flow, and its answer was lost. The user starts again.
            self.ledger.note(Kind::Login, began, Outcome::BegunAgain);
        }
        self.ledger.note(Kind::Login, began, Outcome::Wrong("lost".to_owned()));
        None
    }

    /// The redirect from the provider to the callback, or the page on which the flow ended earlier.
    pub async fn until_callback(&self, name: &str) -> Page {
        let begin = format!("{}/sso/login?provider=corp&rd=%2Fui%2F", self.gateway.origin);
        let page = self.open(Kind::Login, &begin).await.page;
        let Some(mut question) = page.location() else { return page };
        question.query_pairs_mut().append_pair("login_hint", name);
        let page = self.agent.get(question.as_str()).await;
        self.agent.follow_until(page, |to| to.as_str().starts_with(&self.gateway.origin)).await
    }

    /// Ends the session of this browser; returns true if that was confirmed.
    pub async fn sign_out(&self) -> bool {
        let (began, address) = (Instant::now(), format!("{}/sso/logout", self.gateway.origin));
        while began.elapsed() < ATTEMPT_TIMEOUT {
            let page = self.open(Kind::Logout, &address).await.page;
            let Some(form) = page.forms().into_iter().next() else {
                // The first attempt ended the session, and its answer was lost.
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
        self.ledger.note(Kind::Logout, began, if over { Outcome::Right } else { Outcome::Wrong(describe(page)) });
        over
    }

    /// Opens a page, and repeats the request while it is temporarily unavailable.
    async fn open(&self, kind: Kind, url: &str) -> OpenedPage {
        let (began, mut undisturbed) = (Instant::now(), true);
        loop {
            let sent = Instant::now();
            match self.agent.try_get(url).await {
                Ok(page) if ![502, 503, 504].contains(&page.status) || began.elapsed() > ATTEMPT_TIMEOUT => {
                    return OpenedPage { page, undisturbed };
                }
                Ok(page) => self.trouble(kind, sent, page.status, || page.body.clone()),
                Err(error) => {
                    assert!(began.elapsed() < ATTEMPT_TIMEOUT, "{url}: {error:?}");
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
            // An answer of nginx itself: pods also send 502 if a sign-in could not be confirmed.
            502 | 504 if body().contains("<center>nginx") => Outcome::Cut(in_brief(status, &body())),
            // A request of the pod to the provider failed.
            502 if kind == Kind::Login => Outcome::BegunAgain,
            other => Outcome::Wrong(format!("{other}: {}", body())),
        };
        self.ledger.note(kind, sent, outcome);
    }

    fn wrong(&self, kind: Kind, page: &Page) {
        self.ledger.note(kind, Instant::now(), Outcome::Wrong(describe(page)));
    }
}

impl GatewayInfo {
    /// True if nginx sent this request to more than one pod.
    fn was_cut_behind_nginx(&self, address: &Url) -> bool {
        let state = address.query_pairs().find(|(name, _)| name == "state").expect("a callback has a state").1;
        let log = std::fs::read_to_string(&self.access_log).unwrap_or_default();
        log.lines().any(|line| line.contains(&*state) && line.contains(", "))
    }
}

fn describe(page: &Page) -> String {
    format!("{}: {}: {}", page.url.path(), page.status, page.body)
}
