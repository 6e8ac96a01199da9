//! A directory that pages, throttles and fails, behind a provider whose id_tokens are too small for the user's groups.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use vestibule::clock::{Clock, SystemClock};

use super::cases::id_token;
use super::{FaultyFleet, PATIENCE};
use crate::support::agent::{Agent, Page};
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::pod_clock::PodClock;
use crate::support::ports;
use crate::support::steps::{assert_not_signed_in, assert_signed_in, at, begin, check, session_of};
use crate::support::wait;

const FIRST_PAGE: &str = "/v1.0/me/transitiveMemberOf/microsoft.graph.group";
const FAILED_LOOKUP: &str = "directory lookup failed";

/// The group on the third page grants the role. Users without it have the default role.
const RULES: &str = "rules:
  - {source: directory, claim: groups, match: group-of-page-3, role: proxy_admin}
teams:
  - {source: directory, claim: group_names, match: 'Team *', strip: 'Team '}
";

/// Two pods with one store, whose provider has a directory. The second pod refuses users without claims from it.
struct DirectoryFleet {
    faulty: FaultyFleet,
    clock: PodClock,
}

impl DirectoryFleet {
    async fn start() -> Self {
        let (idp, clock) = (FaultyIdp::start().await, PodClock::new());
        let mut provider = ProviderSection::corp(idp.issuer(), random_key());
        let directory = format!("directory: {{kind: entra_id, api_url: '{}', interval: 10s}}", idp.issuer());
        provider.further.extend(["userinfo: 'off'".to_owned(), directory]);
        let configure = |pod: &mut PodOptions| {
            let refuses = pod.name == "pod-1";
            let missing_source = if refuses { "missing_source: refuse\n" } else { "" };
            pod.role_map = Some(format!("version: 1\n{missing_source}{RULES}"));
            pod.further.push_str("log: {level: \"trace,notify=warn,inotify=warn\"}\n");
            pod.environment = clock.environment();
        };
        let fleet = Fleet::builder().pods(2).cluster().provider(provider).config(configure).start().await;
        let directories = Self { faulty: FaultyFleet { fleet, idp }, clock };
        directories.answer_with_pages().await;
        directories
    }

    fn pod(&self, number: usize) -> &Pod {
        self.faulty.fleet.pod(number)
    }

    /// Sets the answers of the directory: three pages.
    async fn answer_with_pages(&self) {
        for page in 1..=3 {
            self.set_page(page, &self.page(page)).await;
        }
    }

    fn page(&self, number: usize) -> Value {
        let next = (number < 3).then(|| format!("{}{}", self.faulty.idp.issuer(), path(number + 1)));
        let group = json!({"@odata.type": "#microsoft.graph.group", "id": format!("group-of-page-{number}"), "displayName": format!("Team {number}")});
        json!({"body": json!({"value": [group], "@odata.nextLink": next}).to_string()})
    }

    async fn set_page(&self, number: usize, answer: &Value) {
        self.faulty.idp.spoil(path(number), answer).await;
    }

    async fn requests(&self, page: usize) -> u64 {
        self.faulty.idp.requests(path(page)).await
    }

    /// Signs in on a pod as a user whose groups do not fit into the id_token.
    async fn log_in(&self, pod: &Pod, subject: &str, agent: &Agent) -> Page {
        let question = begin(agent, pod, "/ui/").await.location().expect("begin gives a redirect");
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        let evil = format!("{}/address-in-the-token", self.faulty.idp.issuer());
        let claims = json!({"sub": subject, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": evil}}});
        self.faulty.idp.fault(&super::parameter(&callback, "code"), &id_token(claims)).await;
        agent.get(&at(pod, &callback)).await
    }

    /// Signs in on a pod, and returns role and teams on each pod.
    async fn grants(&self, pod: usize, subject: &str) -> [(String, String); 2] {
        let agent = Agent::new();
        assert_signed_in(&self.log_in(self.pod(pod), subject, &agent).await);
        [self.grant(0, &agent).await, self.grant(1, &agent).await]
    }

    async fn grant(&self, pod: usize, agent: &Agent) -> (String, String) {
        let page = check(agent, self.pod(pod), &session_of(agent)).await;
        let header = |name: &str| page.header(name).unwrap_or_default().to_owned();
        (header("x-auth-request-role"), header("x-auth-request-groups"))
    }

    async fn assert_refused(&self, pod: usize, subject: &str) {
        let page = self.log_in(self.pod(pod), subject, &Agent::new()).await;
        assert_eq!(page.status, 403, "{}", page.body);
        assert_not_signed_in(&page);
    }

    async fn lookups(&self, outcome: &str) -> f64 {
        self.faulty.fleet.metric("vestibule_directory_lookups_total", &[&format!("outcome=\"{outcome}\"")]).await
    }

    /// Asserts that the last failure on a pod has this reason.
    async fn assert_failed(&self, pod: usize, reason: &str) {
        let words = format!("reason=\"{reason}\"");
        let is_logged = async || {
            let log = self.pod(pod).log();
            log.lines().rfind(|line| line.contains(FAILED_LOOKUP)).filter(|line| line.contains(&words)).map(|_| ())
        };
        wait::until(&words, PATIENCE, is_logged).await;
    }
}

fn path(page: usize) -> &'static str {
    match page {
        1 => FIRST_PAGE,
        2 => "/v1.0/page-2",
        _ => "/v1.0/page-3",
    }
}

fn granted(role: &str, teams: &str) -> (String, String) {
    (role.to_owned(), teams.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_a_directory_grant_roles_on_every_pod_and_a_failed_look_up_removes_none() {
    let mut directories = DirectoryFleet::start().await;
    every_page_counts_and_the_result_is_shared(&directories).await;
    a_failed_page_is_an_absent_source(&directories).await;
    an_existing_grant_survives_a_failed_look_up(&directories).await;
    a_pause_is_respected(&directories).await;
    a_longer_pause_fails_the_look_up_and_not_the_login(&directories).await;
    the_token_stays_with_its_directory(&directories).await;
    a_restarted_pod_knows_the_last_look_up(&mut directories).await;
    let log = directories.pod(0).log();
    assert!(!log.contains("Team 3") && !log.contains("group-of-page"), "groups are personal data");
    directories.faulty.assert_no_token_in_the_log().await;
    assert_eq!(directories.faulty.idp.requests("/address-in-the-token").await, 0);
}

async fn every_page_counts_and_the_result_is_shared(directories: &DirectoryFleet) {
    let admin = granted("proxy_admin", "1,2,3");
    assert_eq!(directories.grants(0, "ada").await, [admin.clone(), admin.clone()]);
    assert_eq!(directories.grants(1, "ada").await, [admin.clone(), admin]);
    for page in 1..=3 {
        assert_eq!(directories.requests(page).await, 1, "the second login is within the interval");
    }
    assert_eq!((directories.lookups("ok").await, directories.lookups("cached").await), (1.0, 1.0));
}

async fn a_failed_page_is_an_absent_source(directories: &DirectoryFleet) {
    for (answer, reason) in [
        (json!({"status": 500, "body": "{}"}), "request_failed"),
        (json!({"status": 403, "body": "{}"}), "request_refused"),
        (json!({"body": "<html>Sign in</html>"}), "answer_malformed"),
    ] {
        directories.set_page(3, &answer).await;
        let subject = format!("new-{reason}");
        let without = granted("internal_user_viewer", "");
        let [ignoring, refusing] = directories.grants(0, &subject).await;
        assert_eq!((ignoring, refusing.0.as_str()), (without, ""), "{reason}: the first two pages do not count");
        directories.assert_failed(0, reason).await;
        directories.assert_refused(1, &subject).await;
    }
    directories.answer_with_pages().await;
}

async fn an_existing_grant_survives_a_failed_look_up(directories: &DirectoryFleet) {
    let admin = granted("proxy_admin", "1,2,3");
    directories.set_page(1, &json!({"status": 503, "body": "", "headers": {"Retry-After": "3600"}})).await;
    directories.clock.set("+20s");
    for pod in [0, 1] {
        assert_eq!(directories.grants(pod, "ada").await, [admin.clone(), admin.clone()]);
        directories.assert_failed(pod, "throttled").await;
    }
    directories.answer_with_pages().await;
    // The next page is a group that the user has left.
    directories.set_page(3, &json!({"body": r#"{"value": []}"#})).await;
    let (before, other) = (directories.requests(1).await, granted("internal_user_viewer", "1,2"));
    assert_eq!(directories.grants(0, "bob").await, [other.clone(), other]);
    assert_eq!(directories.requests(1).await, before + 1);
    assert_eq!(directories.grants(0, "ada").await[0], admin, "the directory has asked for a pause");
    assert_eq!(directories.requests(1).await, before + 1);
    directories.answer_with_pages().await;
}

async fn a_pause_is_respected(directories: &DirectoryFleet) {
    directories.set_page(2, &json!({"status": 429, "body": "", "headers": {"Retry-After": "1"}})).await;
    let before = directories.requests(2).await;
    let login = directories.grants(0, "carol");
    let recovery = async {
        let is_throttled = async || (directories.requests(2).await > before).then_some(());
        wait::until("a throttled request", PATIENCE, is_throttled).await;
        directories.set_page(2, &directories.page(2)).await;
    };
    let (grants, ()) = tokio::join!(login, recovery);
    let admin = granted("proxy_admin", "1,2,3");
    assert_eq!(grants, [admin.clone(), admin]);
}

async fn a_longer_pause_fails_the_look_up_and_not_the_login(directories: &DirectoryFleet) {
    directories.set_page(1, &json!({"status": 429, "body": "", "headers": {"Retry-After": "60"}})).await;
    let before = directories.requests(1).await;
    let began = SystemClock.monotonic();
    for _ in 0..2 {
        assert_eq!(directories.grants(0, "dora").await[0], granted("internal_user_viewer", ""));
    }
    assert!(SystemClock.monotonic() - began < Duration::from_secs(30), "no login waits for the pause");
    assert_eq!(directories.requests(1).await, before + 1, "no request before the pause has ended");
    directories.answer_with_pages().await;
}

async fn the_token_stays_with_its_directory(directories: &DirectoryFleet) {
    let port = ports::free();
    let other = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is reserved for this test");
    let next = json!({"value": [], "@odata.nextLink": format!("http://127.0.0.1:{port}/v1.0/page-3")});
    directories.set_page(2, &json!({"body": next.to_string()})).await;
    assert_eq!(directories.grants(0, "erin").await[0], granted("internal_user_viewer", ""));
    directories.assert_failed(0, "next_page_on_other_host").await;
    let itself = json!({"value": [], "@odata.nextLink": format!("{}{}", directories.faulty.idp.issuer(), path(2))});
    directories.set_page(2, &json!({"body": itself.to_string()})).await;
    assert_eq!(directories.grants(0, "erin").await[0], granted("internal_user_viewer", ""));
    directories.assert_failed(0, "next_page_repeated").await;
    assert!(tokio::time::timeout(Duration::ZERO, other.accept()).await.is_err(), "the other host receives nothing");
    directories.answer_with_pages().await;
}

async fn a_restarted_pod_knows_the_last_look_up(directories: &mut DirectoryFleet) {
    directories.set_page(1, &json!({"status": 500, "body": "{}"})).await;
    directories.faulty.fleet.restart(0).await;
    let admin = granted("proxy_admin", "1,2,3");
    assert_eq!(directories.grants(0, "ada").await, [admin.clone(), admin]);
}
