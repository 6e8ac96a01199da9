//! Claims that are older than `max_claims_age` are renewed at the provider: silently, or interactively once if it has to ask.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use url::Url;
use vestibule::clock::{Clock, SystemClock};
use vestibule::secret::Digest;
use vestibule::store::Ttl;
use vestibule::users::{Session, shard_of};

use crate::support::agent::{Agent, Page};
use crate::support::api::{ApiKey, Auth, check_key, create_key};
use crate::support::auth_request::auth_request;
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::pod::{Pod, PodOptions, until_everywhere};
use crate::support::raw_http;
use crate::support::records::age_identity;
use crate::support::steps::{ALICE, BOB, CAROL, SESSION, assert_page, at_upstream, session_header, session_of};
use crate::support::wait;

const PATIENCE: Duration = Duration::from_secs(60);
const AGE: Duration = Duration::from_secs(120);
const TARGET: &str = "/ui/?tab=keys&x=%2F";

/// Three pods behind nginx, whose provider's claims count for one minute, and alice's browser.
struct Renewal {
    fleet: Fleet,
    agent: Agent,
    user: String,
}

impl Renewal {
    async fn start(adjust: impl FnOnce(FleetBuilder<'_>) -> FleetBuilder<'_>) -> Self {
        let builder = Fleet::builder().pods(3).cluster().idp().nginx().provider_setting("max_claims_age: 1m");
        let fleet = adjust(builder).start().await;
        let agent = fleet.signed_in(ALICE).await;
        let user =
            at_upstream(&fleet, &agent, "/ui/").await["headers"]["x-auth-request-user"].as_str().expect("an id").to_owned();
        Self { fleet, agent, user }
    }

    /// Moves the sign-in into the past, and waits until every pod refuses the session.
    async fn expire(&self) {
        self.age_session().await;
        self.fleet.change_user(&self.user, |user| age_identity(user, "corp", AGE)).await;
        self.until_refused(&session_header(&self.agent)).await;
    }

    async fn age_session(&self) {
        let (records, digest) = (self.fleet.records().await, Digest::of(session_of(&self.agent).as_bytes()));
        let place = Session::key(shard_of(&self.user), &digest);
        let mut stored = records.get::<Session>(&place).await.expect("it can be read").expect("it is there");
        stored.value.created = SystemClock.now() - AGE;
        let change = records.change(place.shard).expect_version(&place, stored.version);
        let change = change.put(&place, &stored.value, Ttl::For(Duration::from_secs(3600))).drop_credential(&digest);
        change.commit().await.expect("the store is there").expect("no other writer");
    }

    async fn until_refused(&self, cookie: &str) {
        let is_refused = async |pod: &Pod| auth_request(pod, &[("cookie", cookie)]).await.status == 401;
        until_everywhere(&self.fleet.pods, "401 on every pod", PATIENCE, is_refused).await;
    }

    async fn role(&self) -> String {
        at_upstream(&self.fleet, &self.agent, "/ui/").await["headers"]["x-auth-request-role"].as_str().expect("a role").to_owned()
    }

    /// Follows the redirects from a path behind nginx until the provider answers with a page, or the path is reached. Returns the
    /// page and the requests to the provider.
    async fn navigate(&self, agent: &Agent, path: &str) -> (Page, Vec<Url>) {
        let issuer = self.fleet.idp().issuer().to_owned();
        let (mut page, mut requests) = (agent.get(&self.fleet.url(path)).await, Vec::new());
        for _ in 0..20 {
            let Some(next) = page.location() else { return (page, requests) };
            if next.as_str().starts_with(&issuer) && next.query_pairs().any(|(name, _)| name == "client_id") {
                requests.push(next.clone());
            }
            page = agent.get(next.as_str()).await;
        }
        panic!("too many redirects: {requests:?}");
    }

    /// Asserts that the pages of own keys and sessions revoke access, and do nothing else, while the provider does not answer.
    async fn assert_own_access_can_be_revoked(&self, key: &ApiKey) {
        let (fleet, agent) = (&self.fleet, &self.agent);
        let [keys, sessions] = ["/vestibule/keys", "/vestibule/sessions"].map(|path| fleet.url(path));
        let page = wait::until("every pod to notice the outage", PATIENCE, async || {
            let page = agent.get(&keys).await;
            (page.status == 200).then_some(page)
        })
        .await;
        let made = agent.submit(&page.form(), &[("action", "make"), ("key_alias", "more"), ("duration", "7d")]).await;
        assert_eq!(made.location().map(|url| url.path().to_owned()).as_deref(), Some("/sso/login"), "{}", made.body);
        assert_eq!(check_key(fleet.pod(1), &key.key).await.status, 200);
        let revoked = agent.submit(&page.form(), &[("action", "revoke"), ("token_id", &key.id)]).await;
        assert_eq!(revoked.status, 303, "{}", revoked.body);
        let is_refused = async |pod: &Pod| check_key(pod, &key.key).await.status == 401;
        until_everywhere(&fleet.pods, "401 for the key on every pod", PATIENCE, is_refused).await;
        let page = wait::until("the page of sessions", PATIENCE, async || {
            let page = agent.get(&sessions).await;
            (page.status == 200).then_some(page)
        })
        .await;
        assert_eq!(agent.submit(&page.form(), &[("action", "end_others")]).await.status, 303);
        for path in ["/vestibule/", "/vestibule/sign-in"] {
            let page = agent.get(&fleet.url(path)).await;
            assert_ne!(page.status, 200, "{path}: other pages need current claims");
        }
        self.assert_programs_refused(agent).await;
    }

    /// Asserts that every program with the session of the agent gets 401 with the reason.
    async fn assert_programs_refused(&self, agent: &Agent) {
        let cookie = session_header(agent);
        let port = self.fleet.nginx().port();
        let websocket =
            [("Accept", "*/*"), ("Sec-Fetch-Mode", "websocket"), ("Connection", "close, Upgrade"), ("Upgrade", "websocket")];
        let programs: [(&str, &[(&str, &str)]); 5] = [
            ("GET", &[("Accept", "application/json"), ("Sec-Fetch-Mode", "cors")]),
            ("GET", &[("Accept", "text/html"), ("Sec-Fetch-Mode", "same-origin")]),
            ("POST", &[("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Content-Length", "0")]),
            ("POST", &[("Accept", "*/*"), ("Content-Length", "0")]),
            ("GET", &websocket),
        ];
        for (method, headers) in programs {
            let answer = raw_http::send(port, method, "/v1/models", &[headers, &[("Cookie", &cookie)]].concat()).await;
            assert_eq!(
                (answer.status, &answer.json()["error"]),
                (401, &json!("claims_expired")),
                "{method} {headers:?}: {answer:?}"
            );
            assert!(answer.all("set-cookie").is_empty(), "the browser keeps its session: {answer:?}");
        }
        for pod in &self.fleet.pods {
            let answer = auth_request(pod, &[("cookie", &cookie)]).await;
            assert_eq!((answer.status, &answer.json()["error"]), (401, &json!("claims_expired")), "{answer:?}");
            assert!(answer.one("www-authenticate").contains(r#"error="invalid_token""#), "{answer:?}");
            let shown = agent.get_with(&pod.public("/sso/session"), &[("accept", "application/json")]).await;
            assert_eq!((shown.status, &shown.json()["error"]), (401, &json!("claims_expired")), "{}", shown.body);
        }
    }
}

#[track_caller]
fn parameters<'a>(request: &'a Url, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    request.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn prompts(requests: &[Url]) -> Vec<Option<String>> {
    requests.iter().map(|request| parameters(request, "prompt").map(|prompt| prompt.into_owned())).collect()
}

fn silent() -> Option<String> {
    Some("none".to_owned())
}

async fn cancel(agent: &Agent, form: Page) -> Page {
    let page = agent.submit(&form.form(), &[("action", "cancel")]).await;
    agent.follow(page).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_maximum_age_a_navigation_gets_the_reduced_role_without_a_question() {
    let renewal = Renewal::start(|fleet| fleet.idp()).await;
    let Renewal { fleet, agent, .. } = &renewal;
    assert_eq!(renewal.role().await, "proxy_admin");
    let key = create_key(fleet.pod(0), Auth::Session(&session_of(agent)), json!({})).await;
    fleet.idp().set_access_token_claims("alice", json!({})).await;
    fleet.idp().set_claims("alice", json!({"email": "alice@example.com", "email_verified": true, "groups": []})).await;
    assert_eq!(renewal.role().await, "proxy_admin", "the claims are not old enough");

    renewal.expire().await;
    renewal.assert_programs_refused(agent).await;
    for pod in &fleet.pods {
        assert_eq!(check_key(pod, &key.key).await.status, 200, "keys have a bound of their own");
    }
    let old = session_header(agent);
    let (page, requests) = renewal.navigate(agent, TARGET).await;
    assert_eq!((page.url.as_str(), page.status), (fleet.url(TARGET).as_str(), 200), "{}", page.body);
    // Two providers are configured, and there is no page of choices.
    assert_eq!(prompts(&requests), [silent()]);
    assert_eq!(parameters(&requests[0], "login_hint").as_deref(), Some("alice@example.com"));
    assert_eq!(renewal.role().await, "internal_user_viewer");
    renewal.until_refused(&old).await;

    // Vestibule's own pages renew the claims in the same way.
    renewal.expire().await;
    let (page, requests) = renewal.navigate(agent, "/vestibule/keys").await;
    assert_eq!((page.url.path(), page.status, prompts(&requests)), ("/vestibule/keys", 200, vec![silent()]), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_at_the_provider_the_user_is_asked_once() {
    let renewal = Renewal::start(|fleet| fleet).await;
    renewal.expire().await;
    let agent = Agent::new();
    agent.set_cookie("localhost", &format!("{}; Path=/", session_header(&renewal.agent)));
    for _ in 0..2 {
        let (form, requests) = renewal.navigate(&agent, TARGET).await;
        assert_eq!(prompts(&requests), [silent(), None], "{}", form.url);
        assert!(form.body.contains("<form"), "{}", form.body);
        // Nothing else happens if the user gives up.
        assert_page(&cancel(&agent, form).await, 403, "Access denied");
        renewal.assert_programs_refused(&agent).await;
    }
    let old = session_header(&agent);
    let (form, _) = renewal.navigate(&agent, TARGET).await;
    let fields = [("username", ALICE.name), ("password", ALICE.password), ("action", "login")];
    let page = agent.submit(&form.form(), &fields).await;
    let page = agent.follow(page).await;
    assert_eq!((page.url.as_str(), page.status), (renewal.fleet.url(TARGET).as_str(), 200), "{}", page.body);
    renewal.until_refused(&old).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_was_deleted_at_the_provider_is_refused() {
    let renewal = Renewal::start(|fleet| fleet).await;
    renewal.fleet.idp().delete_account("alice").await;
    renewal.expire().await;
    let (form, requests) = renewal.navigate(&renewal.agent, TARGET).await;
    assert_eq!(prompts(&requests), [silent(), None], "{}", form.url);
    let fields = [("username", ALICE.name), ("password", ALICE.password), ("action", "login")];
    let refused = renewal.agent.submit(&form.form(), &fields).await;
    assert!(refused.body.contains("Wrong username or password"), "{}", refused.body);
    renewal.assert_programs_refused(&renewal.agent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_signs_nobody_out() {
    let renewal = Renewal::start(|fleet| fleet).await;
    let Renewal { fleet, agent, .. } = &renewal;
    let key = create_key(fleet.pod(0), Auth::Session(&session_of(agent)), json!({})).await;
    let elsewhere = session_of(&fleet.signed_in(ALICE).await);
    renewal.expire().await;
    let cookie = session_header(agent);
    fleet.idp().fail().await;
    // A pod that has reached the provider a moment ago does not try again at once.
    let page = wait::until("the pods to notice the outage", PATIENCE, async || {
        let (page, _) = renewal.navigate(agent, TARGET).await;
        (page.url.path() == "/sso/login").then_some(page)
    })
    .await;
    assert_eq!((page.status, page.header("retry-after")), (503, Some("10")), "{}", page.body);
    assert!(page.set_cookies().iter().all(|line| !line.starts_with(&format!("{SESSION}="))), "{:?}", page.set_cookies());
    assert_eq!(session_header(agent), cookie);
    let again = page.links().into_iter().find(|link| link.path() == "/sso/login").expect("a link to try again");
    assert_eq!(parameters(&again, "provider"), None, "the next attempt is silent too");
    renewal.assert_own_access_can_be_revoked(&key).await;
    assert_eq!(fleet.passing(&elsewhere).await, 0, "the other session has ended");

    fleet.idp().resume().await;
    let requests = wait::until("the provider to answer again", PATIENCE, async || {
        let (page, requests) = renewal.navigate(agent, TARGET).await;
        (page.status == 200).then_some(requests)
    })
    .await;
    assert_eq!(prompts(&requests), [silent()]);
    assert_eq!(renewal.role().await, "proxy_admin");
}

/// The provider of the fleet as one without OpenID Connect, whose userinfo endpoint identifies the user.
fn without_metadata(pod: &mut PodOptions) {
    let section = &mut pod.providers[0];
    let issuer = std::mem::take(&mut section.issuer);
    let endpoints = [("authorization", "auth"), ("token", "token"), ("userinfo", "me")];
    section.further = endpoints.map(|(name, path)| format!("{name}_endpoint: {issuer}/{path}")).to_vec();
    section.further.extend(["kind: oauth2", "scopes: [openid, email]", "max_claims_age: 1m"].map(str::to_owned));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_a_provider_without_metadata_is_detected() {
    let renewal = Renewal::start(|fleet| fleet.config(without_metadata)).await;
    let Renewal { fleet, agent, .. } = &renewal;
    renewal.expire().await;
    fleet.idp().fail().await;
    let until_status = async |status: u16| {
        wait::until("the pods to notice", PATIENCE, async || {
            let page = agent.browse_until_away(&fleet.url(TARGET)).await;
            (page.status == status).then_some(page)
        })
        .await
    };
    let page = until_status(503).await;
    assert_eq!((page.url.path(), page.header("retry-after")), ("/sso/login", Some("10")), "{}", page.body);
    assert!(fleet.pods.iter().any(|pod| pod.log().contains("provider not reachable")));
    fleet.idp().resume().await;
    let page = until_status(302).await;
    assert!(page.location().is_some_and(|url| url.path().ends_with("/auth")), "the provider is asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_sign_in_is_for_the_same_account_if_the_session_keeps_the_id_token() {
    let renewal = Renewal::start(|fleet| fleet.provider_setting("logout: id_token_hint")).await;
    let Renewal { fleet, agent, .. } = &renewal;
    renewal.expire().await;
    let (page, requests) = renewal.navigate(agent, TARGET).await;
    assert_eq!((page.status, prompts(&requests)), (200, vec![silent()]), "{}", page.body);
    assert!(parameters(&requests[0], "id_token_hint").is_some_and(|token| token.split('.').count() == 3));

    renewal.expire().await;
    // Bob signs in at the provider in another tab of the same browser.
    let shared = fleet.signed_in(BOB).await;
    shared.set_cookie("localhost", &format!("{}; Path=/", session_header(agent)));
    let (page, requests) = renewal.navigate(&shared, TARGET).await;
    assert_eq!(prompts(&requests), [silent(), None]);
    assert_eq!(page.status, 200, "an ordinary sign-in, which the provider answers for bob: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_in_another_browser_renews_every_session_of_the_identity() {
    let renewal = Renewal::start(|fleet| fleet).await;
    let Renewal { fleet, agent, .. } = &renewal;
    renewal.expire().await;
    let (old, carol) = (session_header(agent), fleet.signed_in(CAROL).await);
    renewal.assert_programs_refused(agent).await;
    assert_eq!(at_upstream(fleet, &carol, "/ui/").await["headers"]["x-auth-request-role"], "internal_user_viewer");
    fleet.signed_in(ALICE).await;
    let is_allowed = async |pod: &Pod| auth_request(pod, &[("cookie", &old)]).await.status == 200;
    until_everywhere(&fleet.pods, "200 on every pod", PATIENCE, is_allowed).await;
    let sent = fleet.http.request(Method::POST, fleet.url("/v1/models")).header("cookie", &old).send().await.expect("an answer");
    assert_eq!(sent.status().as_u16(), 200);
}
