//! Tests every kind of directory against a server that pages, throttles and fails.

mod application_tokens;
mod invalid_answers;
mod server;

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use rstest::rstest;
use serde_json::json;
use url::Url;

use self::server::{Reply, Request, ScriptedServer};
use super::*;
use crate::{
    clock::{SystemClock, manual::ManualClock},
    config,
    json::object,
    secret::KeyRing,
    store::{MemoryStore, RecordKind, TestStore},
};

static PRIVATE_KEY: LazyLock<String> = LazyLock::new(|| {
    let pkcs8 = AsDer::<Pkcs8V1Der>::as_der(&KeyPair::generate(KeySize::Rsa2048).unwrap()).unwrap();
    pem::encode(&pem::Pem::new("PRIVATE KEY", pkcs8.as_ref()))
});

const USER_TOKEN: &str = "token-of-the-user";
const APPLICATION_TOKEN: &str = "token-of-the-application";

/// A kind of directory with the form of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    EntraUser,
    EntraClient,
    Google,
    GitHub,
    GitLab,
}

use Dialect::*;

impl Dialect {
    fn configuration(self, server: &Url) -> String {
        let account = json!({
            "type": "service_account", "private_key_id": "k1", "private_key": *PRIVATE_KEY,
            "client_email": "reader@acme.iam.gserviceaccount.com", "token_uri": format!("{server}token"),
        });
        let account = account.to_string().replace('\'', "''");
        match self {
            EntraUser => "kind: entra_id, when: always".to_owned(),
            EntraClient => format!("kind: entra_id, credential: client, token_endpoint: '{server}token', when: always"),
            Google => format!("kind: google, service_account: '{account}', subject: admin@example.com"),
            GitHub => "kind: github".to_owned(),
            GitLab => "kind: gitlab".to_owned(),
        }
    }

    /// A page with these groups. `next` is the number of the next page.
    fn page(self, server: &Url, request: &Request, groups: std::ops::Range<usize>, next: Option<usize>) -> Reply {
        let path = request.target.split('?').next().unwrap();
        let link = |reply: Reply| match next {
            Some(next) => reply.with("Link", format!("<{server}{}?page={next}>; rel=\"next\"", &path[1..])),
            None => reply,
        };
        match self {
            EntraUser | EntraClient => {
                let group = |n: usize| json!({"@odata.type": "#microsoft.graph.group", "id": format!("id-{n}"), "displayName": format!("Group {n}")});
                let next = next.map(|next| format!("{server}{}?page={next}", &path[1..]));
                Reply::ok(json!({"value": groups.map(group).collect::<Vec<_>>(), "@odata.nextLink": next}).to_string())
            }
            Google => {
                let group = |n: usize| json!({"id": format!("id-{n}"), "email": format!("group-{n}@example.com")});
                let next = next.map(|next| next.to_string());
                let groups: Vec<_> = groups.map(group).collect();
                Reply::ok(json!({"kind": "admin#directory#groups", "groups": groups, "nextPageToken": next}).to_string())
            }
            GitHub if path == "/user/orgs" => Reply::ok(json!([{"login": "acme", "id": 65}]).to_string()),
            GitHub => {
                let group =
                    |n: usize| json!({"id": n, "slug": format!("group-{n}"), "organization": {"login": "acme", "id": 65}});
                link(Reply::ok(json!(groups.map(group).collect::<Vec<_>>()).to_string()))
            }
            GitLab => {
                let group = |n: usize| json!({"id": n, "full_path": format!("acme/group-{n}")});
                link(Reply::ok(json!(groups.map(group).collect::<Vec<_>>()).to_string()))
            }
        }
    }

    /// The claim with the names of the groups, and the name of a group.
    fn group(self, number: usize) -> (&'static str, String) {
        match self {
            EntraUser | EntraClient => ("groups", format!("id-{number}")),
            Google => ("groups", format!("group-{number}@example.com")),
            GitHub => ("teams", format!("acme/group-{number}")),
            GitLab => ("groups", format!("acme/group-{number}")),
        }
    }

    /// The requests before the first page of groups.
    fn earlier_requests(self) -> usize {
        if self == GitHub { 1 } else { 0 }
    }
}

/// A directory under test with the server that it asks.
struct Fixture {
    directory: Directory,
    server: ScriptedServer,
}

impl Fixture {
    /// `answer` scripts the requests for groups. The server also issues tokens, and lists the organization of GitHub.
    async fn start(dialect: Dialect, answer: impl Fn(&Url, &Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(dialect, Arc::new(SystemClock), "", answer).await
    }

    async fn start_with(
        dialect: Dialect,
        clock: Arc<dyn Clock>,
        settings: &str,
        answer: impl Fn(&Url, &Request, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = ScriptedServer::start(move |server, request, number| match request.target.as_str() {
            "/token" => Reply::ok(json!({"access_token": APPLICATION_TOKEN, "expires_in": "3599"}).to_string()),
            target if target.starts_with("/user/orgs") => dialect.page(server, request, 0..0, None),
            _ => answer(server, request, number),
        });
        let server = server.await;
        let directory = directory(dialect, &server.url, clock, settings);
        Self { directory, server }
    }

    async fn claims(&self) -> Option<Claims> {
        claims(&self.directory, &identity(json!({"sub": "s-1", "oid": "7f3a1c52"}))).await
    }

    async fn look_up(&self) -> Result<Claims, DirectoryError> {
        self.directory.look_up(&identity(json!({"sub": "s-1", "oid": "7f3a1c52"})), Some(&user_token())).await
    }

    /// The reason why a look-up fails.
    async fn reason(&self) -> &'static str {
        self.look_up().await.expect_err("the look-up fails").reason()
    }
}

fn directory(dialect: Dialect, server: &Url, clock: Arc<dyn Clock>, settings: &str) -> Directory {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let provider = format!(
        "{{id: corp, issuer: '{server}', client_id: vestibule, client_secret: s3cret, scopes: [openid, read_api], \
         directory: {{api_url: '{server}', {}{settings}}}}}",
        dialect.configuration(server)
    );
    let loaded = config::parse(&format!("public_url: https://llm.example.com\nproviders: [{provider}]"), std::iter::empty());
    let provider = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).config.providers.remove(0);
    let settings = provider.directory.clone().expect("a directory");
    let secret = match &settings.kind {
        DirectoryKind::Google { key, .. } => key.expose_initial(),
        _ => "s3cret",
    };
    let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
    let ring = Arc::new(KeyRing::ephemeral(Arc::clone(&clock)));
    let resources = DirectoryResources {
        secret: Some(Arc::new(SecretCell::new(secret))),
        records: Records::new(store, ring, "test"),
        clock,
        metrics: Arc::new(Metrics::new()),
    };
    Directory::new(&provider, settings, HttpClient::new(None, None).unwrap(), resources)
}

fn identity(id_token: serde_json::Value) -> IdentityClaims {
    let (provider, issuer) = ("corp".to_owned(), "https://idp.example.com".to_owned());
    let subject = "110169484474386276334".to_owned();
    IdentityClaims { provider, issuer, subject, id_token: object(id_token), ..IdentityClaims::default() }
}

/// The claims of an identity after a login.
async fn claims(directory: &Directory, identity: &IdentityClaims) -> Option<Claims> {
    let mut identity = identity.clone();
    directory.add_claims(&mut identity, Some(&user_token())).await.expect("the store answers");
    identity.directory
}

fn user_token() -> AccessToken {
    AccessToken::new(USER_TOKEN.to_owned())
}

fn values(claims: &Claims, claim: &str) -> Vec<String> {
    let values = claims.get(claim).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {claim}"));
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// Three pages of 100 groups.
fn three_pages(dialect: Dialect) -> impl Fn(&Url, &Request) -> Reply + Copy {
    move |server, request| {
        let page = request.page();
        dialect.page(server, request, (page - 1) * 100..page * 100, (page < 3).then_some(page + 1))
    }
}

#[rstest]
#[tokio::test]
async fn all_pages_are_read_with_the_right_token(#[values(EntraUser, EntraClient, Google, GitHub, GitLab)] dialect: Dialect) {
    let page = three_pages(dialect);
    let fixture = Fixture::start(dialect, move |server, request, _| page(server, request)).await;
    let claims = fixture.look_up().await.unwrap();
    let (claim, third_page) = dialect.group(250);
    assert_eq!(values(&claims, claim).len(), 300);
    assert!(values(&claims, claim).contains(&third_page), "{claim}");
    let requests = fixture.server.requests();
    assert_eq!(requests.len(), 3 + dialect.earlier_requests());
    let is_application = matches!(dialect, EntraClient | Google);
    let token = if is_application { APPLICATION_TOKEN } else { USER_TOKEN };
    for request in &requests {
        assert!(request.head.contains(&format!("authorization: bearer {token}\r\n")), "{}", request.head);
        assert!(request.head.contains("accept: application/"), "{}", request.head);
    }
    assert_eq!(fixture.server.token_requests().len(), usize::from(is_application));
}

#[tokio::test]
async fn requests_and_claims_are_those_of_each_api() {
    for (dialect, first, claims) in [
        (
            EntraUser,
            "/v1.0/me/transitiveMemberOf/microsoft.graph.group?%24select=id%2CdisplayName&%24top=999&%24count=true",
            json!({"groups": ["id-7"], "group_names": ["Group 7"]}),
        ),
        (
            EntraClient,
            "/v1.0/users/7f3a1c52/transitiveMemberOf/microsoft.graph.group?%24select=id%2CdisplayName&%24top=999&%24count=true",
            json!({"groups": ["id-7"], "group_names": ["Group 7"]}),
        ),
        (
            Google,
            "/admin/directory/v1/groups?userKey=110169484474386276334&maxResults=200&fields=kind%2CnextPageToken%2Cgroups%28id%2Cemail%29",
            json!({"groups": ["group-7@example.com"], "group_ids": ["id-7"]}),
        ),
        (
            GitHub,
            "/user/orgs?per_page=100",
            json!({"organizations": ["acme"], "organization_ids": ["65"], "teams": ["acme/group-7"], "team_ids": ["7"]}),
        ),
        (
            GitLab,
            "/groups?min_access_level=10&per_page=100&pagination=keyset&order_by=name&sort=asc",
            json!({"groups": ["acme/group-7"], "group_ids": ["7"]}),
        ),
    ] {
        let fixture = Fixture::start(dialect, move |server, request, _| dialect.page(server, request, 7..8, None)).await;
        assert_eq!(fixture.look_up().await.unwrap(), object(claims), "{dialect:?}");
        assert_eq!(fixture.server.requests()[0].target, first);
        let is_advanced = matches!(dialect, EntraUser | EntraClient);
        assert_eq!(fixture.server.requests()[0].head.contains("consistencylevel: eventual"), is_advanced);
    }
}

#[rstest]
#[tokio::test]
async fn no_groups_are_an_empty_list(#[values(EntraUser, Google, GitHub, GitLab)] dialect: Dialect) {
    let fixture = Fixture::start(dialect, move |server, request, _| match dialect {
        Google => Reply::ok(r#"{"kind": "admin#directory#groups", "etag": "x"}"#),
        _ => dialect.page(server, request, 0..0, None),
    });
    let claims = fixture.await.look_up().await.unwrap();
    assert_eq!(values(&claims, dialect.group(0).0), Vec::<String>::new());
}

#[rstest]
#[tokio::test]
async fn a_throttled_look_up_continues_after_the_pause(
    #[values(EntraUser, EntraClient, Google, GitHub, GitLab)] dialect: Dialect,
    #[values(429, 503)] status: u16,
) {
    let page = three_pages(dialect);
    let throttled = std::sync::atomic::AtomicBool::new(false);
    let fixture = Fixture::start(dialect, move |server, request, _| {
        let is_first = request.page() == 2 && !throttled.swap(true, std::sync::atomic::Ordering::SeqCst);
        if is_first { Reply::status(status).with("Retry-After", "1") } else { page(server, request) }
    });
    let fixture = fixture.await;
    let began = SystemClock.monotonic();
    let claims = fixture.look_up().await.unwrap();
    assert_eq!(values(&claims, dialect.group(0).0).len(), 300);
    assert!(SystemClock.monotonic() - began >= Duration::from_secs(1), "the pause is respected");
    assert_eq!(fixture.server.requests().len(), 4 + dialect.earlier_requests());
}

#[rstest]
#[tokio::test]
async fn a_pause_beyond_the_time_limit_ends_the_look_up_and_holds_the_next_ones_back(
    #[values(EntraUser, EntraClient, Google, GitHub, GitLab)] dialect: Dialect,
) {
    let clock = ManualClock::new();
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let fixture = Fixture::start_with(dialect, shared, "", |_, _, _| Reply::status(429).with("Retry-After", "60")).await;
    assert_eq!(fixture.reason().await, "throttled");
    let requests = fixture.server.requests().len();
    assert_eq!(requests, 1 + dialect.earlier_requests());
    clock.advance(Duration::from_secs(59));
    assert!(matches!(fixture.look_up().await, Err(DirectoryError::Held(_))));
    assert_eq!(fixture.server.requests().len(), requests, "no request before the time that the directory names");
    clock.advance(Duration::from_secs(1));
    assert!(matches!(fixture.look_up().await, Err(DirectoryError::Throttled(_))));
}

#[tokio::test]
async fn throttling_of_one_users_token_holds_back_no_other_user() {
    for (dialect, is_shared) in [(GitHub, false), (EntraUser, false), (Google, true), (EntraClient, true)] {
        let fixture = Fixture::start(dialect, |_, _, _| Reply::status(429).with("Retry-After", "60")).await;
        assert_eq!(fixture.reason().await, "throttled");
        let other = IdentityClaims { subject: "s-2".to_owned(), ..identity(json!({"oid": "8f3a1c52"})) };
        let other = fixture.directory.look_up(&other, Some(&user_token())).await;
        assert_eq!(matches!(other, Err(DirectoryError::Held(_))), is_shared, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_directory_that_throttles_without_end_is_not_asked_forever() {
    let fixture = Fixture::start(GitLab, |_, _, _| Reply::status(429).with("Retry-After", "0")).await;
    assert_eq!(fixture.reason().await, "throttled");
    assert_eq!(fixture.server.requests().len(), 6);
}

#[tokio::test]
async fn the_last_claims_stay_until_the_maximum_age_if_a_look_up_fails() {
    let clock = ManualClock::new();
    let fails = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (shared, failing): (Arc<dyn Clock>, _) = (Arc::new(clock.clone()), Arc::clone(&fails));
    let settings = ", interval: 10m, max_age: 1h";
    let fixture = Fixture::start_with(GitLab, shared, settings, move |server, request, _| {
        match failing.load(std::sync::atomic::Ordering::SeqCst) {
            true => Reply::status(500),
            false => GitLab.page(server, request, 7..8, None),
        }
    });
    let fixture = fixture.await;
    let found = fixture.claims().await.expect("the directory answers");
    assert_eq!(values(&found, "groups"), ["acme/group-7"]);

    clock.advance(Duration::from_secs(599));
    assert_eq!(fixture.claims().await.as_ref(), Some(&found));
    assert_eq!(fixture.server.requests().len(), 1, "within the interval nothing is requested");

    fails.store(true, std::sync::atomic::Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.claims().await.as_ref(), Some(&found), "a failed look-up is no empty list");
    assert_eq!(fixture.server.requests().len(), 2);

    let other = IdentityClaims { subject: "s-2".to_owned(), ..identity(json!({})) };
    assert_eq!(claims(&fixture.directory, &other).await, None, "another user has no last claims");

    clock.advance(Duration::from_secs(3000));
    assert_eq!(fixture.claims().await, None);
    let metrics = String::from_utf8(fixture.directory.metrics.render()).unwrap();
    for (outcome, count) in [("ok", 1), ("cached", 1), ("failed", 3)] {
        let sample = format!(r#"vestibule_directory_lookups_total{{outcome="{outcome}",provider="corp"}} {count}"#);
        assert!(metrics.contains(&sample), "{sample}: {metrics}");
    }
}

#[tokio::test]
async fn a_failed_look_up_is_an_error_if_the_store_does_not_tell_the_last_claims() {
    let fixture = Fixture::start(GitLab, |server, request, number| match number {
        2 => Reply::status(500),
        _ => GitLab.page(server, request, 7..8, None),
    });
    let Fixture { directory, server } = fixture.await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = Arc::new(TestStore::new(Arc::clone(&clock)));
    let records = Records::new(Arc::clone(&store) as Arc<_>, Arc::new(KeyRing::ephemeral(clock)), "test");
    let known = KnownClaims::new(records, "corp", directory.settings.kind.name(), directory.settings.max_age);
    let directory = Directory { known, ..directory };
    let found = claims(&directory, &identity(json!({}))).await;
    assert!(found.is_some());
    store.fail_reads(Some(RecordKind::DirectoryClaims));
    let mut signed_in = IdentityClaims { directory: found.clone(), ..identity(json!({})) };
    let unknown = directory.add_claims(&mut signed_in, Some(&user_token())).await;
    assert!(matches!(unknown, Err(store::Error::Unavailable(_))), "an unread record is not absent: {unknown:?}");
    assert_eq!(signed_in.directory, found);
    assert_eq!(claims(&directory, &signed_in).await, found, "the directory itself answers again");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn entra_id_is_asked_only_after_an_overage() {
    let server = ScriptedServer::start(|server, request, _| EntraUser.page(server, request, 7..8, None)).await;
    let directory = directory(EntraUser, &server.url, Arc::new(SystemClock), "");
    let directory = Directory {
        settings: DirectorySettings {
            kind: DirectoryKind::EntraId { when: LookupCondition::Overage, credential: EntraCredential::User },
            ..directory.settings.clone()
        },
        ..directory
    };
    let small = identity(json!({"groups": ["a", "b"]}));
    assert_eq!(claims(&directory, &small).await, Some(object(json!({"groups": ["a", "b"]}))));
    assert_eq!(server.requests().len(), 0);
    let source = format!("{}evil", server.url);
    let large = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": source}}});
    let claims = claims(&directory, &identity(large)).await.unwrap();
    assert_eq!(values(&claims, "groups"), ["id-7"]);
    assert!(server.requests().iter().all(|request| request.target.starts_with("/v1.0/me/")), "never the address in the token");
}

#[tokio::test]
async fn entries_of_other_types_and_hidden_names_are_left_out() {
    let body = json!({"value": [
        {"@odata.type": "#microsoft.graph.directoryRole", "id": "role", "displayName": "Administrator"},
        {"@odata.type": "#microsoft.graph.group", "id": "b", "displayName": null},
        {"id": "a", "displayName": "A"},
        {"id": "a", "displayName": "A"},
    ]});
    let fixture = Fixture::start(EntraUser, move |_, _, _| Reply::ok(body.to_string())).await;
    assert_eq!(fixture.look_up().await.unwrap(), object(json!({"groups": ["a", "b"], "group_names": ["A"]})));
}

#[tokio::test]
async fn errors_contain_neither_tokens_nor_the_user() {
    for dialect in [EntraUser, EntraClient, Google, GitHub, GitLab] {
        for reply in [|| Reply::status(403), || Reply::ok("x"), || Reply::status(500)] {
            let fixture = Fixture::start(dialect, move |_, _, _| reply()).await;
            let error = fixture.look_up().await.unwrap_err();
            let shown = format!("{error} {error:?}");
            for secret in [USER_TOKEN, APPLICATION_TOKEN, "110169484474386276334", "7f3a1c52", "s3cret"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
    let missing = directory(GitHub, &Url::parse("http://127.0.0.1:1").unwrap(), Arc::new(SystemClock), "");
    assert_eq!(missing.look_up(&identity(json!({})), None).await.unwrap_err().reason(), "access_token_missing");
    let closed = missing.look_up(&identity(json!({})), Some(&user_token())).await.unwrap_err();
    assert_eq!(closed.reason(), "request_failed");
}
