//! A login through each kind of directory, with the credential that it needs.

use std::path::PathBuf;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use serde_json::{Value, json};

use super::PATIENCE;
use crate::support::agent::{Agent, Page};
use crate::support::faulty_idp::FaultyIdp;
use crate::support::fleet::Fleet;
use crate::support::pod::{PodOptions, ProviderSection, random_key};
use crate::support::pod_clock::PodClock;
use crate::support::scratch::Scratch;
use crate::support::steps::{assert_signed_in, at, check, session_of};
use crate::support::wait;

const ROLES: &str = "version: 1
default_role: none
rules:
  - {provider: google, source: directory, claim: groups, match: llm-admins@example.com, role: proxy_admin}
  - {provider: gitlab, source: directory, claim: group_ids, match: 7, role: org_admin}
  - {provider: github, source: directory, claim: teams, match: acme/llm-admins, role: team}
  - {provider: entra, source: directory, claim: group_names, match: Admins, role: internal_user}
";

const GOOGLE_GROUPS: &str = "/admin/directory/v1/groups";

/// A pod whose four providers are one server, each with another kind of directory.
struct Directories {
    fleet: Fleet,
    idp: FaultyIdp,
    clock: PodClock,
    key_file: PathBuf,
    _scratch: Scratch,
}

impl Directories {
    async fn start() -> Self {
        let (idp, scratch, clock) = (FaultyIdp::start().await, Scratch::new("service-account"), PodClock::new());
        let url = idp.issuer().to_owned();
        let key_file = scratch.write("key.json", &service_account(&url));
        let section = |id: &str, lines: &[String]| {
            let own = ProviderSection { id: id.to_owned(), ..ProviderSection::corp(&url, random_key()) };
            ProviderSection { further: lines.to_vec(), ..own }
        };
        let userinfo = "userinfo: 'off'".to_owned();
        let google = format!(
            "directory: {{kind: google, api_url: '{url}', interval: 10s, service_account_file: '{}'}}",
            key_file.display()
        );
        let gitlab = format!("directory: {{kind: gitlab, api_url: '{url}/api/v4'}}");
        let github = format!("directory: {{kind: github, api_url: '{url}/api/v3'}}");
        let entra = format!(
            "directory: {{kind: entra_id, when: always, credential: client, api_url: '{url}', token_endpoint: '{url}/client-token'}}"
        );
        let oauth2 = [
            "kind: oauth2".to_owned(),
            format!("authorization_endpoint: '{url}/authorize'"),
            format!("token_endpoint: '{url}/token'"),
            format!("userinfo_endpoint: '{url}/userinfo'"),
            github,
        ];
        let github = ProviderSection { issuer: String::new(), ..section("github", &oauth2) };
        let builder = Fleet::builder()
            .provider(section("google", &[userinfo.clone(), google]))
            .provider(section("gitlab", &[userinfo.clone(), gitlab, "scopes: [openid, read_api]".to_owned()]))
            .provider(github)
            .provider(section("entra", &[userinfo, entra]));
        let configure = |pod: &mut PodOptions| {
            pod.role_map = Some(ROLES.to_owned());
            pod.environment = clock.environment();
        };
        let fleet = builder.config(configure).start().await;
        Self { fleet, idp, clock, key_file, _scratch: scratch }
    }

    /// Sets the answers of the four APIs.
    async fn answer(&self) {
        let body = |body: Value| json!({"body": body.to_string()});
        let token = body(json!({"access_token": "token-of-the-application", "token_type": "Bearer", "expires_in": 3599}));
        let next = json!({"Link": format!("<{}/api/v3/teams-2>; rel=\"next\"", self.idp.issuer())});
        let team = |id: u32, slug: &str| json!({"id": id, "slug": slug, "organization": {"login": "acme", "id": 65}});
        for (path, answer) in [
            ("/service-account-token", token.clone()),
            ("/client-token", token),
            (
                GOOGLE_GROUPS,
                body(json!({"kind": "admin#directory#groups", "groups": [{"id": "01a", "email": "llm-admins@example.com"}]})),
            ),
            ("/api/v4/groups", body(json!([{"id": 7, "full_path": "acme/llm"}]))),
            ("/api/v3/user/orgs", body(json!([{"login": "acme", "id": 65}]))),
            ("/api/v3/user/teams", json!({"body": json!([team(41, "red")]).to_string(), "headers": next})),
            ("/api/v3/teams-2", body(json!([team(42, "llm-admins")]))),
            (
                "/v1.0/users/7f3a1c52/transitiveMemberOf/microsoft.graph.group",
                body(json!({"value": [{"id": "0760b6cf", "displayName": "Admins"}]})),
            ),
        ] {
            self.idp.spoil(path, &answer).await;
        }
    }

    /// Signs in at a provider, and returns the role.
    async fn role(&self, provider: &str, subject: &str) -> String {
        let agent = self.sign_in(provider, subject).await;
        self.check(&agent).await.header("x-auth-request-role").unwrap_or_default().to_owned()
    }

    async fn sign_in(&self, provider: &str, subject: &str) -> Agent {
        let (agent, pod) = (Agent::new(), self.fleet.pod(0));
        let page = agent.get(&pod.public(&format!("/sso/login?provider={provider}"))).await;
        let question = page.location().unwrap_or_else(|| panic!("no redirect: {}", page.body));
        let callback = agent.get(question.as_str()).await.location().expect("the provider shows no form");
        let claims = json!({"sub": subject, "oid": "7f3a1c52"});
        self.idp.fault(&super::parameter(&callback, "code"), &json!({"idToken": {"claims": claims}})).await;
        assert_signed_in(&agent.get(&at(pod, &callback)).await);
        agent
    }

    async fn check(&self, agent: &Agent) -> Page {
        check(agent, self.fleet.pod(0), &session_of(agent)).await
    }

    async fn set_google_groups(&self, groups: Value) {
        let body = json!({"kind": "admin#directory#groups", "groups": groups}).to_string();
        self.idp.spoil(GOOGLE_GROUPS, &json!({"body": body})).await;
    }

    /// Uses the session until the check answers with this status.
    async fn until_status(&self, agent: &Agent, status: u16) {
        wait::until(&format!("status {status}"), PATIENCE, async || (self.check(agent).await.status == status).then_some(()))
            .await;
    }

    async fn until_logged(&self, words: &str) {
        wait::until(words, PATIENCE, async || self.fleet.pod(0).log().contains(words).then_some(())).await;
    }
}

/// The JSON key of a service account whose tokens this server issues.
fn service_account(url: &str) -> String {
    let key = KeyPair::generate(KeySize::Rsa2048).expect("a key can be generated");
    let key = AsDer::<Pkcs8V1Der>::as_der(&key).expect("a key can be encoded");
    let key = pem::encode(&pem::Pem::new("PRIVATE KEY", key.as_ref()));
    let account = json!({
        "type": "service_account", "client_email": "reader@acme.iam.gserviceaccount.com", "private_key_id": "k1",
        "private_key": key, "token_uri": format!("{url}/service-account-token"),
    });
    account.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_directory_grants_roles() {
    let directories = Directories::start().await;
    directories.answer().await;
    for (provider, role) in [("google", "proxy_admin"), ("gitlab", "org_admin"), ("github", "team"), ("entra", "internal_user")] {
        assert_eq!(directories.role(provider, provider).await, role, "{}", directories.fleet.pod(0).log());
    }
    for path in ["/service-account-token", "/client-token", "/api/v3/teams-2"] {
        assert_eq!(directories.idp.requests(path).await, 1, "{path}");
    }

    std::fs::write(&directories.key_file, "{}").expect("the file is ours");
    directories.until_logged("service account key rejected; keeping previous version").await;
    assert_eq!(directories.role("google", "another").await, "proxy_admin");
    std::fs::write(&directories.key_file, service_account(directories.idp.issuer())).expect("the file is ours");
    directories.until_logged("service account key reloaded").await;
    assert_eq!(directories.role("google", "third").await, "proxy_admin");

    let log = directories.fleet.pod(0).log();
    assert!(!log.contains("token-of-the-application") && !log.contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_looked_up_in_the_background_when_claims_are_used_and_a_failure_removes_no_role() {
    let directories = Directories::start().await;
    directories.answer().await;
    let agent = directories.sign_in("google", "ada").await;
    let requests = async || directories.idp.requests(GOOGLE_GROUPS).await;
    assert_eq!((directories.check(&agent).await.status, requests().await), (200, 1));

    directories.idp.spoil(GOOGLE_GROUPS, &json!({"status": 500, "body": "{}"})).await;
    directories.clock.set("+15s");
    assert_eq!(directories.check(&agent).await.status, 200, "a use is answered with the last claims");
    directories.until_logged("directory lookup failed").await;
    for _ in 0..10 {
        assert_eq!(directories.check(&agent).await.status, 200);
    }
    assert_eq!(requests().await, 2, "a failed look-up is repeated after the interval");

    directories.set_google_groups(json!([])).await;
    directories.clock.set("+30s");
    directories.until_status(&agent, 403).await;
    assert_eq!(requests().await, 3);

    directories.set_google_groups(json!([{"id": "01a", "email": "llm-admins@example.com"}])).await;
    directories.clock.set("+45s");
    directories.until_status(&agent, 200).await;
    assert_eq!(directories.check(&agent).await.header("x-auth-request-role"), Some("proxy_admin"));
}
