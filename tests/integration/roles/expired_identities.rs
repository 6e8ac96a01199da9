//! A role ends when the identity that granted it has not been verified for too long, also if the user signs in with others.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::agent::Agent;
use crate::support::api::{ApiKey, Auth, call, check_key, create_key, get, post};
use crate::support::auth_request::auth_request;
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::idp::{Idp, client};
use crate::support::local_accounts::{PASSWORD, sign_in_with_json};
use crate::support::pod::{Pod, PodOptions, random_key, until_everywhere};
use crate::support::raw_http::Answer;
use crate::support::records::age_identity;
use crate::support::steps::{ALICE, CAROL, SESSION, TestUser, at, at_provider, session_of};
use crate::support::wait;
use crate::tokens::{CLI, tokens_of};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY: Duration = Duration::from_secs(86_400);
/// The maximum age of claims for sessions, long enough for a slow machine.
const BOUND: Duration = Duration::from_secs(30);
const EMAIL: &str = "ada@example.org";

/// Only the provider `corp` grants roles and teams.
const ROLE_MAP: &str = r#"version: 1
default_role: internal_user_viewer
rules:
  - {provider: corp, claim: resource_access.litellm.roles, match: llm-admins, role: proxy_admin}
teams:
  - {provider: corp, claim: groups, match: "/teams/*", strip: /teams/}
"#;

/// Three pods, a corporate provider (`corp`), a private one (`partner`) and local accounts. Ada has a local account, and has
/// linked alice at `corp` and carol at `partner`.
struct LinkedUser {
    fleet: Fleet,
    user: String,
    /// Ada's browser, with the session of her local account.
    agent: Agent,
}

impl LinkedUser {
    async fn start(adjust: impl FnOnce(FleetBuilder<'_>) -> FleetBuilder<'_>) -> Self {
        let builder = Fleet::builder().pods(3).cluster().idp().idp().local_accounts();
        let with_map = |pod: &mut PodOptions| pod.role_map = Some(ROLE_MAP.to_owned());
        let fleet = adjust(builder.config(with_map)).start().await;
        let ada = fleet.create_user(EMAIL, "internal_user_viewer").await;
        let agent = Agent::new();
        agent.set_cookie("localhost", &format!("{SESSION}={}; Path=/", ada.cookie));
        link(&fleet, &agent, "corp", fleet.idp(), ALICE).await;
        link(&fleet, &agent, "partner", fleet.partner_idp(), CAROL).await;
        Self { fleet, user: ada.id, agent }
    }

    fn session(&self) -> String {
        session_of(&self.agent)
    }

    /// A new session of the private identity, in another browser.
    async fn private_session(&self, pod: usize) -> String {
        sign_in_with(self.fleet.pod(pod), "partner", self.fleet.partner_idp(), CAROL).await
    }

    async fn corporate_session(&self, pod: usize) -> String {
        sign_in_with(self.fleet.pod(pod), "corp", self.fleet.idp(), ALICE).await
    }

    /// A new session of the local account.
    async fn password_session(&self, pod: usize) -> String {
        let answer = sign_in_with_json(self.fleet.pod(pod), EMAIL, PASSWORD, &[]).await;
        answer.cookie(SESSION).unwrap_or_else(|| panic!("{answer:?}"))
    }

    async fn age(&self, provider: &str, age: Duration) {
        self.fleet.change_user(&self.user, |user| age_identity(user, provider, age)).await;
    }

    /// Waits until the answer of each pod, as `role` summarizes it, is the expected one.
    async fn until(&self, expected: &str, check: impl AsyncFn(&Pod) -> Answer) {
        let what = format!("{expected} on every pod");
        until_everywhere(&self.fleet.pods, &what, PATIENCE, async |pod| role(&check(pod).await) == expected).await;
    }

    async fn identities(&self, by: &str) -> Vec<Value> {
        let shown = get(self.fleet.pod(0), Auth::Session(by), &format!("/vestibule/api/people/{}", self.user)).await;
        shown["identities"].as_array().expect("a list").clone()
    }
}

/// Links an identity to the user who is signed in.
async fn link(fleet: &Fleet, agent: &Agent, provider: &str, idp: &Idp, user: TestUser) {
    let page = agent.get(&fleet.pod(0).public("/vestibule/sign-in")).await;
    let is_link = |fields: &[(String, String)]| fields.iter().any(|(name, value)| name == "action" && value == "link");
    let form = page.forms().into_iter().find(|form| is_link(&form.fields));
    let away = agent.submit(&form.unwrap_or_else(|| panic!("{}", page.body)), &[("provider", provider)]).await;
    let address = away.links().into_iter().find(|link| link.query().is_some_and(|query| query.contains("code_challenge")));
    let page = agent.get(address.unwrap_or_else(|| panic!("{}", away.body)).as_str()).await;
    let callback = at_provider(idp, agent, page, user).await;
    let done = agent.get(&at(fleet.pod(1), &callback)).await;
    assert_eq!(done.status, 303, "{}", done.body);
}

async fn sign_in_with(pod: &Pod, provider: &str, idp: &Idp, user: TestUser) -> String {
    let agent = Agent::new();
    let page = agent.get(&pod.public(&format!("/sso/login?provider={provider}"))).await;
    let callback = at_provider(idp, &agent, page, user).await;
    let done = agent.get(&at(pod, &callback)).await;
    assert_eq!(done.status, 303, "{}", done.body);
    session_of(&agent)
}

enum Credential<'a> {
    Session(&'a str),
    Jwt(&'a str),
}

impl Credential<'_> {
    async fn role(&self, pod: &Pod) -> String {
        role(&match self {
            Self::Session(session) => check_session(pod, session).await,
            Self::Jwt(token) => check_token(pod, token).await,
        })
    }
}

async fn check_session(pod: &Pod, session: &str) -> Answer {
    auth_request(pod, &[("cookie", &format!("{SESSION}={session}"))]).await
}

async fn check_token(pod: &Pod, token: &str) -> Answer {
    auth_request(pod, &[("authorization", &format!("Bearer {token}"))]).await
}

/// Role, teams and email, or the status of a refusal.
fn role(answer: &Answer) -> String {
    match answer.status {
        200 => ["role", "groups", "email"].map(|name| answer.one(&format!("x-auth-request-{name}")).to_owned()).join(" "),
        status => status.to_string(),
    }
}

const ADMIN: &str = "proxy_admin research ada@example.org";
const VIEWER: &str = "internal_user_viewer  ada@example.org";

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_otherwise_does_not_renew_the_role_of_an_identity_that_is_no_longer_used() {
    let seconds = BOUND.as_secs();
    let linked = LinkedUser::start(|fleet| fleet.yaml(format!("sessions: {{idle: {seconds}s, absolute: {seconds}s}}\n"))).await;
    let verified = Instant::now();
    assert_eq!(role(&check_session(linked.fleet.pod(0), &linked.session()).await), ADMIN);
    // Signs in with the other two identities, again and again, until the corporate one has expired.
    let mut sign_ins = 0;
    let session = wait::until("the corporate role to end", 3 * BOUND, async || {
        sign_ins += 1;
        let private = linked.private_session(sign_ins).await;
        // Few attempts, because the limit counts correct passwords too.
        let session = if sign_ins % 8 == 1 { linked.password_session(sign_ins).await } else { private };
        let found = role(&check_session(linked.fleet.pod(sign_ins + 1), &session).await);
        assert!([ADMIN, VIEWER].contains(&found.as_str()), "{found}");
        wait::pass(Duration::from_secs(1)).await;
        (found == VIEWER).then_some(session)
    })
    .await;
    let lasted = verified.elapsed();
    println!("the role lasted {lasted:?}, through {sign_ins} other sign-ins");
    assert!(lasted + Duration::from_secs(4) >= BOUND, "too early: {lasted:?}");
    linked.until(VIEWER, async |pod| check_session(pod, &session).await).await;
    linked.corporate_session(2).await;
    linked.until(ADMIN, async |pod| check_session(pod, &session).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_keys_have_limits_of_their_own_and_each_identity_its_own_time() {
    let linked = LinkedUser::start(|fleet| fleet).await;
    let session = linked.private_session(1).await;
    let key = create_key(linked.fleet.pod(0), Auth::Session(&linked.session()), json!({})).await;
    let check_of = async |pod: &Pod, key: &ApiKey| check_key(pod, &key.key).await;
    linked.until(ADMIN, async |pod| check_session(pod, &session).await).await;
    linked.until(ADMIN, async |pod| check_of(pod, &key).await).await;

    linked.age("corp", 8 * DAY).await;
    linked.until(VIEWER, async |pod| check_session(pod, &session).await).await;
    linked.until(ADMIN, async |pod| check_of(pod, &key).await).await;
    linked.age("corp", 31 * DAY).await;
    linked.until(VIEWER, async |pod| check_of(pod, &key).await).await;
    linked.private_session(2).await;
    linked.password_session(2).await;
    linked.until(VIEWER, async |pod| check_of(pod, &key).await).await;

    for pod in &linked.fleet.pods {
        pod.edit_role_map(&ROLE_MAP.replace("internal_user_viewer", "none"));
    }
    linked.age("local", 31 * DAY).await;
    linked.until("401", async |pod| check_of(pod, &key).await).await;
    let refused = check_of(linked.fleet.pod(1), &key).await;
    assert!(refused.json()["error_description"].as_str().is_some_and(|text| text.contains("until its owner signs in")));
    linked.until("403", async |pod| check_session(pod, &session).await).await;
    linked.corporate_session(0).await;
    linked.until("proxy_admin research alice@example.com", async |pod| check_of(pod, &key).await).await;
    linked.until("proxy_admin research alice@example.com", async |pod| check_session(pod, &session).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_keeps_no_pinned_role_of_an_expired_identity() {
    let secret = random_key();
    let cli = client("cli", &secret, &[CLI.to_owned()], &[]);
    let fleet = Fleet::builder().pods(3).cluster().idp().idp_with(|idp| idp.clients.push(cli)).config(|pod| {
        pod.role_map = Some(format!("{ROLE_MAP}litellm_jwtauth: {{sync_user_role_and_teams: false}}\n"));
        pod.further += "token_issuers:\n  - {id: partner-api, provider: partner, audiences: [litellm]}\n";
    });
    let fleet = fleet.start().await;
    let agent = Agent::new();
    let page = agent.get(&fleet.pod(0).public("/sso/login?provider=corp")).await;
    let callback = at_provider(fleet.idp(), &agent, page, ALICE).await;
    agent.get(&at(fleet.pod(0), &callback)).await;
    link(&fleet, &agent, "partner", fleet.partner_idp(), CAROL).await;
    let session = session_of(&agent);
    let user = check_session(fleet.pod(0), &session).await.one("x-auth-request-user").to_owned();
    let (token, _) = tokens_of(fleet.partner_idp(), &secret, CAROL).await;
    let expect = async |expected: &str, credential: Credential<'_>| {
        until_everywhere(&fleet.pods, expected, PATIENCE, async |pod| credential.role(pod).await.starts_with(expected)).await;
    };
    expect("proxy_admin research", Credential::Jwt(&token)).await;
    fleet.change_user(&user, |user| age_identity(user, "corp", 31 * DAY)).await;
    expect("internal_user_viewer ", Credential::Jwt(&token)).await;
    expect("internal_user_viewer ", Credential::Session(&session)).await;
    sign_in_with(fleet.pod(1), "partner", fleet.partner_idp(), CAROL).await;
    expect("internal_user_viewer ", Credential::Jwt(&token)).await;
    sign_in_with(fleet.pod(1), "corp", fleet.idp(), ALICE).await;
    expect("proxy_admin research", Credential::Jwt(&token)).await;
    expect("proxy_admin research", Credential::Session(&session)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_of_a_released_version_count_from_the_last_sign_in() {
    let linked = LinkedUser::start(|fleet| fleet).await;
    let session = linked.corporate_session(0).await;
    let key = create_key(linked.fleet.pod(0), Auth::Session(&session), json!({})).await;
    let released = |user: &mut vestibule::users::User, ago: Duration| {
        age_identity(user, "corp", ago);
        user.signed_in = user.identities.iter().find(|known| known.provider == "corp").and_then(|known| known.verified_at);
        user.identities.iter_mut().for_each(|known| known.verified_at = None);
    };
    linked.fleet.change_user(&linked.user, |user| released(user, 6 * DAY)).await;
    linked.until(ADMIN, async |pod| check_session(pod, &session).await).await;
    let before = linked.identities(&session).await;
    assert!(before.iter().all(|known| known["verified_at"] == before[0]["verified_at"]), "{before:?}");

    // From the first sign-in on, each identity has its own time.
    linked.private_session(1).await;
    let after = linked.identities(&session).await;
    let of = |all: &[Value], provider: &str| all.iter().find(|known| known["provider"] == provider).expect("listed").clone();
    assert_eq!(of(&after, "corp"), of(&before, "corp"));
    let renewed = of(&after, "partner")["verified_at"].as_str().expect("a time").to_owned();
    assert!(renewed.len() == 20 && renewed.ends_with('Z') && renewed != before[0]["verified_at"], "to the second: {renewed}");

    linked.fleet.change_user(&linked.user, |user| released(user, 31 * DAY)).await;
    linked.until("401", async |pod| check_key(pod, &key.key).await).await;
    linked.private_session(2).await;
    linked.until("internal_user_viewer  ", async |pod| check_key(pod, &key.key).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_see_the_times_and_an_absent_user_keeps_the_rank() {
    let linked = LinkedUser::start(|fleet| fleet.yaml("admin_roles: [proxy_admin, org_admin]\n")).await;
    let lower = linked.fleet.create_user("lower@example.org", "org_admin").await;
    let explain = async |credential: &str| {
        let question = json!({"user_id": linked.user, "credential": credential});
        post(linked.fleet.pod(0), lower.auth(), "/vestibule/api/role-map/explain", question).await.json()
    };
    let expired = |told: &Value| -> Vec<bool> {
        told["identities"].as_array().expect("a list").iter().map(|known| known["expired"] == true).collect()
    };
    linked.age("corp", 8 * DAY).await;
    let told = explain("session").await;
    assert_eq!((&told["role"], expired(&told)), (&json!("internal_user_viewer"), vec![false, true, false]), "{told}");
    let told = explain("key").await;
    assert_eq!((&told["role"], expired(&told)), (&json!("proxy_admin"), vec![false; 3]), "{told}");

    linked.age("corp", 31 * DAY).await;
    let shown = linked.identities(&lower.cookie).await;
    assert_eq!(shown.len(), 3);
    let path = format!("/vestibule/api/people/{}", linked.user);
    let user = get(linked.fleet.pod(0), lower.auth(), &path).await;
    assert_eq!(user["user_role"], "internal_user_viewer");
    let (disable, invite) = (format!("{path}/disable"), "/vestibule/api/invitations");
    post(linked.fleet.pod(0), lower.auth(), &disable, json!({})).await.assert(403, "access_denied");
    call(linked.fleet.pod(0), lower.auth(), Method::DELETE, &path, None).await.assert(403, "access_denied");
    let wish = json!({"user_email": EMAIL, "user_role": "internal_user_viewer"});
    let refused = post(linked.fleet.pod(0), lower.auth(), invite, wish).await;
    assert_eq!(refused.status(), 403, "an acceptance would grant the role of the linked user at the next sign-in: {refused:?}");
    let page = linked.agent.get(&linked.fleet.pod(0).public("/vestibule/sign-in")).await;
    assert_eq!(page.body.matches("Last verified on").count(), 3, "{}", page.body);
    let administrator = Agent::new();
    administrator.set_cookie("localhost", &format!("{SESSION}={}; Path=/", lower.cookie));
    let page = administrator.get(&linked.fleet.pod(1).public(&format!("/vestibule/people/{}", linked.user))).await;
    assert_eq!(page.body.matches("Last verified on").count(), 3, "{}", page.body);
    for identity in &shown {
        let verified = identity["verified_at"].as_str().expect("a time").parse().expect("RFC 3339");
        let line = format!("Last verified on {}", vestibule::pages::text::date_time(verified));
        assert!(page.body.contains(&line), "{line}: {}", page.body);
    }
}
