//! Tests every kind of directory against a server that pages, throttles and fails.

mod server;

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
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
    store::MemoryStore,
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
        self.directory.claims(&identity(json!({"sub": "s-1", "oid": "7f3a1c52"})), Some(&user_token())).await
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

#[rstest]
#[case::bad_request(400, "request_refused")]
#[case::unauthorized(401, "request_refused")]
#[case::forbidden(403, "request_refused")]
#[case::not_found(404, "request_refused")]
#[case::redirect(302, "request_failed")]
#[case::not_modified(304, "request_failed")]
#[case::server_error(500, "request_failed")]
#[case::bad_gateway(502, "request_failed")]
#[tokio::test]
async fn a_refused_or_failed_page_fails_the_whole_look_up(#[case] status: u16, #[case] reason: &str) {
    for dialect in [EntraUser, EntraClient, Google, GitHub, GitLab] {
        for failing in [1, 3] {
            let page = three_pages(dialect);
            let fixture = Fixture::start(dialect, move |server, request, _| match request.page() == failing {
                true => Reply::status(status).with("Location", format!("{server}elsewhere")),
                false => page(server, request),
            });
            let fixture = fixture.await;
            assert_eq!(fixture.reason().await, reason, "{dialect:?}, page {failing}");
            assert_eq!(fixture.claims().await, None, "{dialect:?}: no list, and not an empty one");
            assert!(fixture.server.requests().iter().all(|request| !request.target.contains("elsewhere")));
        }
    }
}

#[rstest]
#[case::empty("")]
#[case::html("<html>Sign in</html>")]
#[case::cut("{\"value\": [{\"id\": \"a\"}")]
#[case::text("\"ok\"")]
#[case::null("null")]
#[case::number("7")]
#[case::empty_object("{}")]
#[case::error(r#"{"error": {"code": "x"}}"#)]
#[case::wrong_list(r#"{"value": {"id": "a"}, "groups": "a"}"#)]
#[case::wrong_entries(r#"[7, null, "a"]"#)]
#[case::wrong_entries_in_an_object(r#"{"value": [7], "groups": [null]}"#)]
#[case::without_ids(r#"[{"name": "a"}]"#)]
#[case::without_ids_in_an_object(r#"{"value": [{"displayName": "a"}], "groups": [{"name": "a"}]}"#)]
#[case::ids_of_other_types(r#"{"value": [{"id": ["a"]}], "groups": [{"id": "", "email": true}]}"#)]
#[case::not_unicode("[{\"id\": \"\u{1}\", ]")]
#[case::next_page_of_another_type(r#"{"value": [], "@odata.nextLink": 7, "groups": [], "nextPageToken": {}}"#)]
#[tokio::test]
async fn an_unreadable_page_fails_the_look_up(#[case] body: &'static str) {
    for dialect in [EntraUser, Google, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |_, _, _| Reply::ok(body)).await;
        assert_eq!(fixture.reason().await, "answer_malformed", "{dialect:?}");
        assert_eq!(fixture.claims().await, None);
    }
}

/// A page whose next page is at this address, which may contain the server's own.
fn with_next(dialect: Dialect, server: &Url, next: &str) -> Reply {
    let next = next.replace("SERVER", server.as_str().trim_end_matches('/'));
    match dialect {
        EntraUser | EntraClient => Reply::ok(json!({"value": [{"id": "a"}], "@odata.nextLink": next}).to_string()),
        _ => Reply::ok("[]").with("Link", format!("<{next}>; rel=next")),
    }
}

#[rstest]
#[case::other_host("https://graph.example.net/page=2")]
#[case::metadata("http://169.254.169.254/latest/meta-data/")]
#[case::other_port("http://127.0.0.1:1/groups?page=2")]
#[case::name_of_the_same_host("http://localhost/groups?page=2")]
#[case::without_scheme("//evil.example/groups?page=2")]
#[case::other_scheme("file:///etc/passwd")]
#[case::data("data:application/json,[]")]
#[tokio::test]
async fn a_next_page_on_another_host_is_not_requested(#[case] next: &'static str) {
    for dialect in [EntraUser, EntraClient, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |server, _, _| with_next(dialect, server, next)).await;
        assert_eq!(fixture.reason().await, "next_page_on_other_host", "{dialect:?}");
        assert_eq!(fixture.server.requests().len(), 1 + dialect.earlier_requests());
    }
}

#[tokio::test]
async fn a_next_page_with_a_user_name_is_not_requested() {
    let next = |server: &Url| server.as_str().replace("http://", "http://user:pw@");
    let fixture = Fixture::start(GitLab, move |server, _, _| with_next(GitLab, server, &next(server))).await;
    assert_eq!(fixture.reason().await, "next_page_on_other_host");
}

#[tokio::test]
async fn a_loop_of_next_pages_ends() {
    for dialect in [EntraUser, Google, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |server, request, _| {
            let page = request.page();
            dialect.page(server, request, page..page + 1, Some(3 - page.min(2)))
        });
        let fixture = fixture.await;
        assert_eq!(fixture.reason().await, "next_page_repeated", "{dialect:?}");
        assert!(fixture.server.requests().len() <= 4 + dialect.earlier_requests(), "{dialect:?}");
    }
    let itself = Fixture::start(GitLab, |server, _, _| with_next(GitLab, server, "SERVER/groups?page=2")).await;
    assert_eq!(itself.reason().await, "next_page_repeated");
}

#[rstest]
#[case::pages(1, usize::MAX, "too_many_pages")]
#[case::groups(1_000, usize::MAX, "too_many_groups")]
#[case::claims(1_000, 4, "claims_too_large")]
#[tokio::test]
async fn an_answer_without_end_is_cut_off(#[case] groups: usize, #[case] last: usize, #[case] reason: &str) {
    for dialect in [EntraUser, Google, GitHub, GitLab] {
        let fixture = Fixture::start(dialect, move |server, request, _| {
            let page = request.page();
            dialect.page(server, request, page * groups..(page + 1) * groups, (page < last).then_some(page + 1))
        });
        let fixture = fixture.await;
        assert_eq!(fixture.reason().await, reason, "{dialect:?}");
        assert_eq!(fixture.claims().await, None);
    }
}

#[tokio::test]
async fn a_huge_answer_is_cut_off() {
    let huge = Fixture::start(GitLab, |_, _, _| Reply::ok(format!("[{}]", " ".repeat(1 << 20)))).await;
    assert_eq!(huge.reason().await, "answer_too_large");
    let many = Fixture::start(GitLab, |server, request, _| {
        let reply = GitLab.page(server, request, 0..1, Some(request.page() + 1));
        Reply { body: format!("{}{}", reply.body, " ".repeat(900 << 10)), ..reply }
    });
    let many = many.await;
    assert_eq!(many.reason().await, "answer_too_large");
    assert_eq!(many.server.requests().len(), 5);
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
    assert_eq!(fixture.directory.claims(&other, Some(&user_token())).await, None, "another user has no last claims");

    clock.advance(Duration::from_secs(3000));
    assert_eq!(fixture.claims().await, None);
    let metrics = String::from_utf8(fixture.directory.metrics.render()).unwrap();
    for (outcome, count) in [("ok", 1), ("cached", 1), ("failed", 3)] {
        let sample = format!(r#"vestibule_directory_lookups_total{{outcome="{outcome}",provider="corp"}} {count}"#);
        assert!(metrics.contains(&sample), "{sample}: {metrics}");
    }
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
    let token = user_token();
    let small = identity(json!({"groups": ["a", "b"]}));
    assert_eq!(directory.claims(&small, Some(&token)).await, Some(object(json!({"groups": ["a", "b"]}))));
    assert_eq!(server.requests().len(), 0);
    let source = format!("{}evil", server.url);
    let large = json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": source}}});
    let claims = directory.claims(&identity(large), Some(&token)).await.unwrap();
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
async fn a_service_account_signs_an_assertion_for_the_least_scope() {
    let fixture = Fixture::start(Google, |server, request, _| Google.page(server, request, 0..1, None)).await;
    fixture.look_up().await.unwrap();
    fixture.look_up().await.unwrap();
    let requests = fixture.server.token_requests();
    assert_eq!(requests.len(), 1, "the token is used until it ends");
    let form: std::collections::HashMap<_, _> = url::form_urlencoded::parse(requests[0].body.as_bytes()).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let part = |number: usize| {
        let part = form["assertion"].split('.').nth(number).unwrap();
        serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    assert_eq!((&part(0)["alg"], &part(0)["kid"]), (&json!("RS256"), &json!("k1")));
    let claims = part(1);
    assert_eq!(claims["iss"], "reader@acme.iam.gserviceaccount.com");
    assert_eq!(claims["sub"], "admin@example.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/admin.directory.group.readonly");
    assert_eq!(claims["aud"], format!("{}token", fixture.server.url));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[tokio::test]
async fn a_client_requests_its_own_token_for_the_api() {
    let fixture = Fixture::start(EntraClient, |server, request, _| EntraClient.page(server, request, 0..1, None)).await;
    fixture.look_up().await.unwrap();
    let form = fixture.server.token_requests()[0].body.clone();
    let scope: String = url::form_urlencoded::byte_serialize(format!("{}.default", fixture.server.url).as_bytes()).collect();
    assert_eq!(form, format!("grant_type=client_credentials&client_id=vestibule&client_secret=s3cret&scope={scope}"));
    let anonymous = fixture.directory.look_up(&identity(json!({"sub": "s"})), None).await;
    assert!(matches!(anonymous, Err(DirectoryError::NoObjectId)));
}

#[tokio::test]
async fn a_revoked_token_of_the_application_is_replaced_once() {
    let fixture = Fixture::start(Google, |server, request, number| match number {
        // The first request is for the token.
        2 => Reply::status(401),
        _ => Google.page(server, request, 0..1, None),
    });
    let fixture = fixture.await;
    fixture.look_up().await.unwrap();
    assert_eq!((fixture.server.token_requests().len(), fixture.server.requests().len()), (2, 2));
    let refused = Fixture::start(Google, |_, _, _| Reply::status(401)).await;
    assert_eq!(refused.reason().await, "request_refused");
    assert_eq!((refused.server.token_requests().len(), refused.server.requests().len()), (2, 2));
}

#[rstest]
#[case::refused(400, r#"{"error": "unauthorized_client"}"#, "token_request_failed")]
#[case::without_token(200, "{}", "token_request_failed")]
#[case::unreadable(200, "<html>", "token_request_failed")]
#[case::throttled(429, "", "throttled")]
#[tokio::test]
async fn a_failed_token_request_fails_the_look_up(#[case] status: u16, #[case] body: &'static str, #[case] reason: &str) {
    for dialect in [EntraClient, Google] {
        let server = ScriptedServer::start(move |_, _, _| Reply { body: body.to_owned(), ..Reply::status(status) }).await;
        let directory = directory(dialect, &server.url, Arc::new(SystemClock), "");
        let error = directory.look_up(&identity(json!({"oid": "a"})), None).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{dialect:?}: {error}");
        assert_eq!(server.requests().len(), 0);
    }
}

proptest::proptest! {
    #[test]
    fn a_page_of_any_json_is_read_or_refused(body in crate::json::arbitrary_text(), wrapped in crate::json::arbitrary_text()) {
        let api = Url::parse("https://api.example.com").unwrap();
        let identity = identity(json!({"oid": "a"}));
        let lists = [
            entra_id::own_groups(&api),
            entra_id::groups_of(&api, &identity).unwrap(),
            google::groups(&api, "a"),
            gitlab::groups(&api),
        ];
        let bodies = [body, format!(r#"{{"value": [{wrapped}], "groups": [{wrapped}], "nextPageToken": "a"}}"#), format!("[{wrapped}]")];
        for (listing, body) in lists.iter().chain(&github::organizations_and_teams(&api)).flat_map(|list| bodies.iter().map(move |body| (list, body))) {
            let page = (listing.read)(&openidconnect::http::Response::new(body.clone().into_bytes()), &listing.url);
            let groups = page.map(|page| page.groups).unwrap_or_default();
            proptest::prop_assert!(groups.iter().flatten().all(|(claim, value)| listing.claims.contains(claim) && !value.is_empty()));
        }
    }
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
