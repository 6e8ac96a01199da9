//! The single steps of users and gateways, so that a test can send each step to another pod.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;
use vestibule::secret::{Digest, random_bytes};

use super::agent::{Agent, Page};
use super::auth_request::SECRET_HEADER;
use super::fleet::Fleet;
use super::idp::Idp;
use super::pod::Pod;

/// The session cookie's name on a plain loopback origin.
pub const SESSION: &str = "vestibule";
/// The cookie that binds login flows to their browser.
pub const BINDING: &str = "vestibule-login";

pub const ALICE: TestUser = TestUser { name: "alice", password: "alice-in-wonderland" };
pub const BOB: TestUser = TestUser { name: "bob", password: "bob-the-builder" };
pub const CAROL: TestUser = TestUser { name: "carol", password: "carol-sings-well" };
pub const DORA: TestUser = TestUser { name: "dora", password: "dora-the-explorer" };

pub const IDENTITY_HEADERS: [&str; 6] = [
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-preferred-username",
    "x-auth-request-groups",
    "x-auth-request-role",
    "x-auth-request-key",
];

#[derive(Debug, Clone, Copy)]
pub struct TestUser {
    pub name: &'static str,
    pub password: &'static str,
}

/// The path and query of a URL at a pod's own listener, like a request that nginx sends to that pod.
pub fn at(pod: &Pod, address: &Url) -> String {
    let query = address.query().map(|query| format!("?{query}")).unwrap_or_default();
    pod.public(&format!("{}{query}", address.path()))
}

/// Starts a login flow for the path `rd` on this pod and returns the redirect to the provider.
pub async fn begin(agent: &Agent, pod: &Pod, rd: &str) -> Page {
    let page = agent.get(&login_address(pod, rd)).await;
    assert_eq!(page.status, 302, "{}: {}", page.url, page.body);
    page
}

pub fn login_address(pod: &Pod, rd: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("rd", rd).finish();
    pod.public(&format!("/sso/login?{query}"))
}

/// Signs in at the provider and returns the callback URL without opening it.
pub async fn at_provider(idp: &Idp, agent: &Agent, page: Page, user: TestUser) -> Url {
    let page = idp.sign_in(agent, page, user.name, user.password).await;
    page.location().unwrap_or_else(|| panic!("{}: no callback: {}", page.url, page.body))
}

/// Runs a login flow up to the callback URL.
pub async fn until_callback(idp: &Idp, agent: &Agent, pod: &Pod, rd: &str, user: TestUser) -> Url {
    let page = begin(agent, pod, rd).await;
    at_provider(idp, agent, page, user).await
}

/// Runs a complete login flow on one pod.
pub async fn sign_in(idp: &Idp, agent: &Agent, pod: &Pod, user: TestUser) -> String {
    let callback = until_callback(idp, agent, pod, "/", user).await;
    let page = agent.get(&at(pod, &callback)).await;
    assert_signed_in(&page);
    session_of(agent)
}

/// The value of the session cookie.
pub fn session_of(agent: &Agent) -> String {
    agent.cookie("localhost", SESSION).expect("a session cookie").value
}

/// The session cookie as a value of the `Cookie` header.
pub fn session_header(agent: &Agent) -> String {
    format!("{SESSION}={}", session_of(agent))
}

#[track_caller]
pub fn assert_signed_in(page: &Page) {
    assert_eq!(page.status, 303, "{}: {}", page.url, page.body);
    let cookies = page.set_cookies();
    assert!(cookies.iter().any(|line| line.starts_with(&format!("{SESSION}="))), "{cookies:?}");
}

/// Asserts that the page sets no session cookie and is no redirect.
#[track_caller]
pub fn assert_not_signed_in(page: &Page) {
    let cookies = page.set_cookies();
    assert!(!cookies.iter().any(|line| line.starts_with(&format!("{SESSION}="))), "{cookies:?}");
    assert!(page.location().is_none(), "a redirect to {:?}", page.location());
}

/// Sends the auth request that nginx sends when a browser with this session opens a page.
pub async fn check(agent: &Agent, pod: &Pod, session: &str) -> Page {
    let cookie = format!("{SESSION}={session}");
    check_with(agent, pod, "", &[("cookie", &cookie)]).await
}

/// Sends an auth request of nginx with additional headers and a query of its own.
pub async fn check_with(agent: &Agent, pod: &Pod, query: &str, headers: &[(&str, &str)]) -> Page {
    let original = [("x-original-url", "http://localhost/ui/"), ("x-original-method", "GET"), SECRET_HEADER];
    agent.get_with(&pod.check(&format!("/auth/nginx{query}")), &[&original, headers].concat()).await
}

/// The request that the upstream receives through nginx from a client with this agent's cookies.
pub async fn at_upstream(fleet: &Fleet, agent: &Agent, path: &str) -> serde_json::Value {
    let page = agent.get_with(&fleet.url(path), &[("accept", "application/json")]).await;
    assert_eq!(page.status, 200, "{}: {}", page.url, page.body);
    page.json()
}

/// The `rd` of the page's link to the sign-in, which restarts the login flow.
#[track_caller]
pub fn restart_target(page: &Page) -> String {
    let links = page.links();
    let link = links.iter().find(|link| link.path() == "/sso/login");
    let link = link.unwrap_or_else(|| panic!("{}: no link to the sign-in: {}", page.url, page.body));
    link.query_pairs().find(|(name, _)| name == "rd").map_or_else(|| "/".to_owned(), |(_, value)| value.into_owned())
}

/// Asserts that the answer is an HTML page with this status and title.
#[track_caller]
pub fn assert_page(page: &Page, status: u16, title: &str) {
    let expected = (status, true);
    let found = (page.status, page.body.contains(&format!("<title>{title} ")));
    assert_eq!(found, expected, "{title}: {}: {}", page.url, page.body);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
}

/// A well-formed API key that does not exist.
pub fn unknown_key() -> String {
    let mut bytes = random_bytes::<33>().to_vec();
    bytes[0] %= 64;
    let checksum = Digest::of(&[b"vestibule key  1", bytes.as_slice()].concat());
    bytes.extend_from_slice(&checksum.as_bytes()[..4]);
    format!("sk-{}", URL_SAFE_NO_PAD.encode(bytes))
}
