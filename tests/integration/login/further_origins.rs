//! One sign-in for several hosts: three hosts on nginx, three pods.

mod attacks;

use serde_json::Value;
use tokio::sync::OnceCell;
use url::Url;

use crate::support::agent::{Agent, Page};
use crate::support::auth_request::send_to_check;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions, until_everywhere};
use crate::support::steps::{ALICE, BINDING, SESSION, TestUser, assert_page};

pub const CHAT: &str = "chat.localhost";
pub const MCP: &str = "mcp.localhost";
pub const HOSTS: [&str; 3] = ["localhost", CHAT, MCP];

/// A fleet that no test stops or reconfigures.
pub async fn shared() -> &'static Fleet {
    static FLEET: OnceCell<Fleet> = OnceCell::const_new();
    let with_brand = |pod: &mut PodOptions| {
        let chat = pod.public_url.replace("localhost", CHAT);
        pod.further += &format!("ui: {{name: Acme AI, origins: [{{origin: \"{chat}\", name: Acme Chat}}]}}\n");
    };
    let builder = || Fleet::builder().pods(3).cluster().idp().further_hosts().config(with_brand);
    FLEET.get_or_init(async || builder().start().await).await
}

/// The URL of a path on one of the hosts.
pub fn on(fleet: &Fleet, host: &str, path: &str) -> String {
    format!("http://{host}:{}{path}", fleet.nginx().port())
}

/// Opens a page of an upstream and signs in if the identity provider asks. Returns the page, and whether it asked.
async fn open(fleet: &Fleet, agent: &Agent, url: &str, user: TestUser) -> (Page, bool) {
    let issuer = fleet.idp().issuer().to_owned();
    let page = agent.follow_until(agent.get(url).await, |to| to.as_str().starts_with(&issuer)).await;
    if page.location().is_none() {
        return (page, false);
    }
    let callback = fleet.idp().sign_in(agent, page, user.name, user.password).await;
    (agent.follow(callback).await, true)
}

/// Opens a page on another host with a browser that is signed in, and stops before it redeems the code.
pub async fn until_code(fleet: &Fleet, agent: &Agent, host: &str) -> Url {
    let has_code = |to: &Url| to.query_pairs().any(|(name, _)| name == "code");
    let page = agent.follow_until(agent.get(&on(fleet, host, "/app?x=1")).await, has_code).await;
    page.location().unwrap_or_else(|| panic!("no code: {}: {}", page.url, page.body))
}

pub fn session_on(agent: &Agent, host: &str) -> Option<String> {
    agent.cookie(host, SESSION).map(|cookie| cookie.value)
}

/// The status of a check on this host with this session token.
pub async fn check_on(pod: &Pod, host: &str, session: &str) -> u16 {
    let (url, cookie) = (format!("http://{host}/x"), format!("{SESSION}={session}"));
    let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET"), ("cookie", cookie.as_str())];
    send_to_check(pod, "GET", &format!("/auth/nginx?host={host}"), &headers).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_once_for_all_hosts_and_no_upstream_receives_a_cookie_of_ours() {
    let (fleet, agent) = (shared().await, Agent::new());
    for (host, asks) in [(CHAT, true), (MCP, false), ("localhost", false), (CHAT, false)] {
        let url = on(fleet, host, "/app?x=1&y=%2Fz");
        let (page, asked) = open(fleet, &agent, &url, ALICE).await;
        assert_eq!((page.status, page.url.as_str(), asked), (200, url.as_str(), asks), "{host}: {}", page.body);
        let received: Value = agent.get_with(&url, &[("accept", "application/json")]).await.json();
        assert_eq!(received["headers"]["x-auth-request-preferred-username"], ALICE.name, "{host}: {received}");
        assert!(!received["headers"]["cookie"].to_string().contains("vestibule"), "{host}: {received}");
    }
    let mut tokens = Vec::new();
    for host in HOSTS {
        let cookie = agent.cookie(host, SESSION).unwrap_or_else(|| panic!("{host}: no session"));
        assert!(cookie.line.contains("HttpOnly") && cookie.line.contains("Path=/"), "{}", cookie.line);
        assert!(!cookie.line.to_lowercase().contains("domain"), "host-only: {}", cookie.line);
        tokens.push(cookie.value);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), HOSTS.len(), "each host has a token of its own");
    let session: Value = agent.get(&on(fleet, CHAT, "/sso/session")).await.json();
    assert!(session.to_string().contains(ALICE.name), "{session}");
    let sessions: Value = agent.get(&on(fleet, "localhost", "/vestibule/api/sessions")).await.json();
    let current: Vec<&Value> = sessions["sessions"].as_array().unwrap().iter().filter(|one| one["current"] == true).collect();
    assert_eq!(current.len(), 1, "one session on all hosts: {sessions}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_step_of_a_hand_over_leaks_the_code() {
    let fleet = shared().await;
    let agent = fleet.signed_in(ALICE).await;
    let code = until_code(fleet, &agent, CHAT).await;
    let page = agent.get(code.as_str()).await;
    assert_eq!((page.status, page.location().unwrap().as_str()), (303, on(fleet, CHAT, "/app?x=1").as_str()));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.body.is_empty());
    let secret = code.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let start = code.query_pairs().find(|(name, _)| name == "start").unwrap().1.into_owned();
    for pod in &fleet.pods {
        assert!(!pod.log().contains(&secret) && !pod.log().contains(&start), "{}", pod.log());
    }
    let metrics = futures::future::join_all(fleet.pods.iter().map(|pod| pod.metrics())).await.concat();
    assert!(!metrics.contains(&secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_on_any_host_ends_the_session_on_all_hosts_and_pods() {
    let fleet = shared().await;
    for place in HOSTS {
        let agent = Agent::new();
        for host in HOSTS {
            open(fleet, &agent, &on(fleet, host, "/app"), ALICE).await;
        }
        let tokens = HOSTS.map(|host| (host, session_on(&agent, host).unwrap()));
        for pod in &fleet.pods {
            for (host, token) in &tokens {
                assert_eq!(check_on(pod, host, token).await, 200, "before: {host}");
            }
        }
        let page = agent.get(&on(fleet, place, "/sso/logout")).await;
        let signed_out = agent.submit(&page.form(), &[]).await;
        assert_eq!(signed_out.status, 303, "{place}: {}", signed_out.body);
        assert!(
            signed_out.location().is_some_and(|to| to.as_str().starts_with(fleet.idp().issuer())),
            "{:?}",
            signed_out.location()
        );
        for (host, token) in &tokens {
            until_everywhere(&fleet.pods, "the session to end", std::time::Duration::from_secs(10), async |pod| {
                check_on(pod, host, token).await == 401
            })
            .await;
        }
        let page = agent.get(&on(fleet, MCP, "/app")).await;
        assert_eq!(page.status, 302, "{place}: {}", page.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_session_ends_on_every_host() {
    let (fleet, agent) = (shared().await, Agent::new());
    open(fleet, &agent, &on(fleet, CHAT, "/app"), ALICE).await;
    let (chat, own) = (session_on(&agent, CHAT).unwrap(), session_on(&agent, "localhost").unwrap());
    let sessions: Value = agent.get(&on(fleet, "localhost", "/vestibule/api/sessions")).await.json();
    let current = sessions["sessions"].as_array().unwrap().iter().find(|one| one["current"] == true).unwrap();
    let path = format!("/vestibule/api/sessions/{}", current["session_id"].as_str().unwrap());
    let request = fleet.http.delete(on(fleet, "localhost", &path)).header("cookie", format!("{SESSION}={own}"));
    let answer = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{answer:?}");
    until_everywhere(&fleet.pods, "the session to end", std::time::Duration::from_secs(10), async |pod| {
        check_on(pod, CHAT, &chat).await == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_continues_when_a_pod_is_killed_between_its_steps() {
    let mut fleet = Fleet::builder().pods(3).cluster().idp().further_hosts().start().await;
    let agent = Agent::new();
    let target = on(&fleet, CHAT, "/app");
    // To the sign-in on the other host, to public_url, and to the identity provider.
    let mut page = agent.get(&target).await;
    let issuer = fleet.idp().issuer().to_owned();
    let mut killed = 0;
    while let Some(to) = page.location().filter(|to| !to.as_str().starts_with(&issuer)) {
        kill_and_restart_the_one_before(&mut fleet, &mut killed).await;
        page = agent.get(to.as_str()).await;
    }
    page = fleet.idp().sign_in(&agent, page, ALICE.name, ALICE.password).await;
    // The callback, the code, the cookie, and the target.
    while let Some(to) = page.location() {
        kill_and_restart_the_one_before(&mut fleet, &mut killed).await;
        page = agent.get(to.as_str()).await;
    }
    assert_eq!((page.status, page.url.as_str()), (200, target.as_str()), "{}", page.body);
    assert!(killed >= 6, "{killed} steps");
}

async fn kill_and_restart_the_one_before(fleet: &mut Fleet, killed: &mut usize) {
    if *killed > 0 {
        fleet.restart((*killed - 1) % 3).await;
    }
    fleet.pods[*killed % 3].kill9();
    *killed += 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_on_public_url_and_programs_use_no_session_of_a_browser_elsewhere() {
    let (fleet, agent) = (shared().await, Agent::new());
    open(fleet, &agent, &on(fleet, CHAT, "/app"), ALICE).await;
    for path in ["/vestibule/", "/vestibule/keys?x=1", "/onboarding?invite_link=x", "/sso/key/generate?response_type=token"] {
        let page = agent.get(&on(fleet, CHAT, path)).await;
        assert_eq!((page.status, page.location().map(String::from)), (302, Some(fleet.url(path))), "{}", page.body);
        assert!(page.set_cookies().is_empty());
    }
    for path in ["/sso/login", "/vestibule/keys", "/onboarding", "/onboarding/claim_token", "/vestibule/api/sign-in"] {
        let page = agent.post(&on(fleet, CHAT, path), &[("a", "b")]).await;
        assert_eq!((page.status, page.set_cookies().len()), (404, 0), "{path}: {}", page.body);
    }
    let answer = agent.get(&on(fleet, CHAT, "/vestibule/api/keys")).await;
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert_eq!(agent.get(&on(fleet, CHAT, "/vestibule/jwks.json")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_of_a_gateway_to_public_url_leads_to_a_configured_host_only() {
    let fleet = shared().await;
    let (agent, port) = (fleet.signed_in(ALICE).await, fleet.nginx().port());
    let mut rd = on(fleet, CHAT, "/deep/page?a=b");
    for target in ["http://chat.localhost/deep/page?a=b", "https://CHAT.localhost:8443/deep/page?a=b", &rd.clone()] {
        let page = agent.browse(&login_with(fleet, target)).await;
        assert_eq!((page.status, page.url.as_str()), (200, rd.as_str()), "{target}: {}", page.body);
    }
    rd = on(fleet, MCP, "/x");
    for parameter in ["provider=corp", "authenticate=again"] {
        let page = agent.get(&format!("{}&{parameter}", login_with(fleet, &rd))).await;
        let issuer = fleet.idp().issuer().to_owned();
        assert!(page.location().is_some_and(|to| to.as_str().starts_with(&issuer)), "{parameter}: {:?}", page.location());
        let back = fleet.idp().sign_in(&agent, page, ALICE.name, ALICE.password).await;
        assert_eq!(agent.follow(back).await.url.as_str(), rd, "{parameter}");
    }
    for target in [
        "https://evil.example/",
        "//chat.localhost/",
        "http://chat.localhost@evil.example/",
        "http://chat.localhost.evil.example/",
        "http://x.chat.localhost/",
        "http://chat.localhost./",
        "http://chat.localhost//evil.example",
        "http://chat.localhost\\@evil.example/",
        "javascript://chat.localhost/%0aalert(1)",
        "http://docs.localhost/",
        "http://127.0.0.1/",
    ] {
        for url in [login_with(fleet, target), login_with(fleet, target).replace("//localhost", "//chat.localhost")] {
            let page = agent.get(&url).await;
            assert_eq!((page.status, page.location()), (400, None), "{url}: {}", page.body);
        }
        let handover = login_with(fleet, target).replace("/sso/login", "/sso/handover");
        assert_eq!(agent.get(&handover).await.status, 400, "{handover}");
    }
    let own = agent.get(&on(fleet, CHAT, &format!("/sso/login?rd=http://localhost:{port}/"))).await;
    assert_page(&own, 400, "Invalid sign-in link");
}

fn login_with(fleet: &Fleet, rd: &str) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("rd", rd).finish();
    fleet.url(&format!("/sso/login?{query}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_target_and_a_second_tab_end_at_their_pages() {
    let (fleet, agent) = (shared().await, Agent::new());
    let long = on(fleet, CHAT, &format!("/app?{}", "q".repeat(1500)));
    let (first, second) = (agent.get(&long).await, agent.get(&on(fleet, CHAT, "/second")).await);
    let starts = [
        agent.follow_until(first, |to| to.path() == "/sso/handover").await,
        agent.follow_until(second, |to| to.path() == "/sso/handover").await,
    ];
    assert!(agent.cookie(CHAT, BINDING).is_some());
    let [first, second] = starts.map(|page| page.location().expect("a handover"));
    let (page, asked) = open(fleet, &agent, first.as_str(), ALICE).await;
    assert_eq!((page.status, page.url.as_str(), asked), (200, long.as_str(), true), "{}", page.body);
    let (page, asked) = open(fleet, &agent, second.as_str(), ALICE).await;
    assert_eq!((page.status, page.url.path(), asked), (200, "/second", false), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_host_have_its_brand() {
    let (fleet, agent) = (shared().await, Agent::new());
    for (host, brand, other) in
        [(CHAT, "Acme Chat", "Acme AI"), (MCP, "Acme AI", "Acme Chat"), ("localhost", "Acme AI", "Acme Chat")]
    {
        for path in ["/sso/handover", "/sso/logout", "/sso/login?rd=//evil.example"] {
            let page = agent.get(&on(fleet, host, path)).await;
            assert!(page.body.contains(brand) && !page.body.contains(other), "{host}{path}: {}", page.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_relays_the_answer_gets_the_sign_in_of_the_requests_host() {
    let fleet = shared().await;
    for (number, dialect) in ["traefik", "caddy", "haproxy", "apisix"].into_iter().enumerate() {
        for host in HOSTS {
            let headers = [
                ("x-forwarded-method", "GET"),
                ("x-forwarded-proto", "http"),
                ("x-forwarded-host", host),
                ("x-forwarded-uri", "/app?x=1"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
                ("accept", "text/html"),
            ];
            let answer = send_to_check(fleet.pod(number), "GET", &format!("/auth/{dialect}?host={host}"), &headers).await;
            let sign_in = on(fleet, host, "/sso/login?rd=%2Fapp%3Fx%3D1");
            assert_eq!((answer.status, answer.all("location")), (302, vec![sign_in.as_str()]), "{dialect} {host}: {answer:?}");
        }
    }
}
