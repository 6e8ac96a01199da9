//! Host rules hold although clients write any host: the gateway names its host in the check's URL.

mod directives;

use tokio::sync::OnceCell;

use super::assert_denied;
use crate::support::auth_request::send_to_check;
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::nginx::Nginx;
use crate::support::pod::PodOptions;
use crate::support::raw_http::{self, Answer};
use crate::support::steps::{ALICE, CAROL};

/// Only administrators may reach `localhost`. Every other host is open, so that a request which is taken for one of these
/// passes.
const ACCESS: &str = r#"access:
  - {hosts: [localhost], roles: [proxy_admin]}
  - {allow: anyone}
"#;

const PUBLIC_HOST: &str = "docs.example.com";
const SERVED: [&str; 2] = ["localhost", PUBLIC_HOST];

/// Requests that nginx serves as `localhost`, or as an unknown host. `{}` is nginx's port.
const DISGUISED: [(&str, &[&str]); 27] = [
    ("GET http://localhost/secret HTTP/1.1", &["Host: docs.example.com"]),
    ("GET HTTP://LOCALHOST/secret HTTP/1.1", &["Host: docs.example.com"]),
    ("GET http://localhost./secret HTTP/1.1", &["Host: docs.example.com"]),
    ("GET http://localhost:{}/secret HTTP/1.1", &["Host: docs.example.com:{}"]),
    ("GET https://localhost/secret HTTP/1.1", &["Host: docs.example.com"]),
    ("GET http://localhost/secret HTTP/1.0", &["Host: docs.example.com"]),
    ("GET http://localhost/secret HTTP/1.0", &[]),
    ("GET http://anything.example/secret HTTP/1.1", &["Host: localhost"]),
    ("GET http://anything.example/secret HTTP/1.0", &[]),
    ("GET http://localhost/secret HTTP/1.1", &["Host: docs.example.com", "X-Forwarded-Host: docs.example.com"]),
    ("GET http://localhost/secret?host=docs.example.com HTTP/1.1", &["Host: docs.example.com"]),
    ("GET http://docs.example.com@localhost/secret HTTP/1.1", &["Host: docs.example.com"]),
    ("GET http://localhost/secret HTTP/1.1", &["Host: localhost", "Host: docs.example.com"]),
    ("GET /secret HTTP/1.1", &["Host: localhost", "Host: docs.example.com"]),
    ("GET /secret HTTP/1.0", &["Host: localhost", "Host: docs.example.com"]),
    ("GET /secret HTTP/1.0", &[]),
    ("GET /secret HTTP/1.1", &["Host: anything.example"]),
    ("GET /secret HTTP/1.0", &["Host: anything.example"]),
    ("GET /secret HTTP/1.1", &["Host: docs.example.com.anything.example"]),
    ("GET /secret HTTP/1.1", &["Host: docs.example.com@localhost"]),
    ("GET /secret HTTP/1.1", &["Host: localhost@docs.example.com"]),
    ("GET /secret HTTP/1.1", &["Host: localhost, docs.example.com"]),
    ("GET /secret HTTP/1.1", &["Host: localhost", "X-Original-URL: http://docs.example.com/secret"]),
    ("GET /secret HTTP/1.1", &["Host: localhost", "X-Forwarded-Host: docs.example.com", "X-Host: docs.example.com"]),
    ("GET /secret?host=docs.example.com HTTP/1.1", &["Host: localhost"]),
    ("GET /secret HTTP/1.1", &["Host: LOCALHOST:{}"]),
    ("GET /secret HTTP/1.1", &["Host: localhost."]),
];

/// Spellings of a host that is served.
const HONEST: [(&str, &[&str]); 7] = [
    ("GET /page HTTP/1.1", &["Host: docs.example.com"]),
    ("GET /page HTTP/1.0", &["Host: docs.example.com"]),
    ("GET /page HTTP/1.1", &["Host: Docs.EXAMPLE.com"]),
    ("GET /page HTTP/1.1", &["Host: docs.example.com."]),
    ("GET /page HTTP/1.1", &["Host: docs.example.com:{}"]),
    ("GET http://docs.example.com/page HTTP/1.1", &["Host: docs.example.com"]),
    ("GET http://docs.example.com:{}/page HTTP/1.1", &["Host: docs.example.com:{}"]),
];

struct HostFleet {
    fleet: Fleet,
    template: Nginx,
    /// nginx with the directives of ingress-nginx.
    directives: Nginx,
}

async fn host_fleet() -> &'static HostFleet {
    static FLEET: OnceCell<HostFleet> = OnceCell::const_new();
    let start = async || {
        let with_access = |pod: &mut PodOptions| pod.role_map = Some(format!("{ROLE_MAP}{ACCESS}"));
        let fleet = Fleet::builder().pods(3).cluster().idp().nginx().config(with_access).start().await;
        let template = fleet.nginx_of(&SERVED, fleet.upstream().port()).await;
        let directives = directives::start(&SERVED, &fleet).await;
        HostFleet { fleet, template, directives }
    };
    FLEET.get_or_init(start).await
}

impl HostFleet {
    fn gateways(&self) -> [(&'static str, &Nginx); 2] {
        [("template", &self.template), ("directives of ingress-nginx", &self.directives)]
    }

    async fn host_refusals(&self) -> f64 {
        self.fleet.metric("vestibule_checks_refused_total", &["reason=\"host\""]).await
    }
}

async fn send(port: u16, (line, headers): (&str, &[&str]), cookie: &str) -> Option<Answer> {
    let mut request = format!("{line}\r\nConnection: close\r\nAccept: application/json\r\n");
    for header in headers {
        request += &format!("{header}\r\n");
    }
    if !cookie.is_empty() {
        request += &format!("Cookie: {cookie}\r\n");
    }
    raw_http::send_bytes(port, format!("{request}\r\n").replace("{}", &port.to_string()).as_bytes()).await
}

/// The server block that forwarded the request, if it reached the upstream.
fn served_by(answer: &Answer) -> Option<String> {
    let received: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    let headers = received.get("rawHeaders").and(received.get("headers"))?;
    let name = headers.get("x-served-host").or(headers.get("host"))?.as_str()?;
    Some(name.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_disguise_makes_a_protected_host_pass_as_an_open_one() {
    let hosts = host_fleet().await;
    let viewer = hosts.fleet.session_header(CAROL).await;
    for (gateway, nginx) in hosts.gateways() {
        for request in DISGUISED {
            for cookie in ["", &viewer] {
                let Some(answer) = send(nginx.port(), request, cookie).await else { continue };
                assert_eq!(served_by(&answer), None, "{gateway}: {request:?}: {answer:?}");
                assert!([400, 401, 403, 404, 421].contains(&answer.status), "{gateway}: {request:?}: {answer:?}");
            }
        }
        // nginx serves the host of the request line. Only ingress-nginx takes the other one for the check.
        let reversed = ("GET http://docs.example.com/page HTTP/1.1", &["Host: localhost"][..]);
        let answer = send(nginx.port(), reversed, "").await.unwrap();
        assert!(answer.status == 403 || served_by(&answer).as_deref() == Some(PUBLIC_HOST), "{gateway}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_a_served_host_passes() {
    let hosts = host_fleet().await;
    let administrator = hosts.fleet.session_header(ALICE).await;
    for (gateway, nginx) in hosts.gateways() {
        for request in HONEST {
            let answer = send(nginx.port(), request, "").await.unwrap();
            assert_eq!(served_by(&answer).as_deref(), Some(PUBLIC_HOST), "{gateway}: {request:?}: {answer:?}");
        }
        for host in ["Host: localhost", "Host: LocalHost:{}", "Host: localhost."] {
            let answer = send(nginx.port(), ("GET /secret HTTP/1.1", &[host]), &administrator).await.unwrap();
            assert_eq!(served_by(&answer).as_deref(), Some("localhost"), "{gateway}: {host}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_template_answers_421_for_every_other_host_also_at_our_own_pages() {
    let port = host_fleet().await.template.port();
    for path in
        ["/", "/secret", "/sso/login", "/sso/session", "/vestibule/", "/vestibule/api/keys", "/onboarding", "/_vestibule_check"]
    {
        for (version, headers) in [
            ("1.1", &["Host: anything.example"][..]),
            ("1.1", &["Host: 127.0.0.1"]),
            ("1.1", &["Host: localhost.example.com"]),
            ("1.0", &["Host: anything.example"]),
            ("1.0", &[]),
        ] {
            let answer = send(port, (&format!("GET {path} HTTP/{version}"), headers), "").await.unwrap();
            assert_eq!((answer.status, answer.all("location").len()), (421, 0), "{path} {headers:?}: {answer:?}");
        }
        let absolute = format!("GET http://anything.example{path} HTTP/1.1");
        assert_eq!(send(port, (&absolute, &["Host: localhost"]), "").await.unwrap().status, 421, "{absolute}");
    }
}

/// The query, the host of `X-Original-URL`, and the status without a credential.
const CHECKS: [(&str, &str, u16); 36] = [
    ("?host=docs.example.com", "docs.example.com", 200),
    ("?host=docs.example.com", "DOCS.example.com", 200),
    ("?host=docs.example.com", "docs.example.com.", 200),
    ("?host=docs.example.com", "docs.example.com:8443", 200),
    ("?host=docs.example.com", "Docs.example.com.:8443", 200),
    ("?host=DOCS.Example.com.", "docs.example.com", 200),
    ("?host=docs.example.com:443", "docs.example.com:8443", 200),
    ("?host=docs%2Eexample.com&echo=true", "docs.example.com", 200),
    ("?host=[2001:DB8::1]", "[2001:db8::1]:80", 200),
    ("?host=localhost", "localhost", 401),
    ("?host=docs.example.com", "localhost", 403),
    ("?host=localhost", "docs.example.com", 403),
    ("?host=docs.example.com", "docs.example.com.evil.example", 403),
    ("?host=docs.example.com", "evil.docs.example.com", 403),
    ("?host=docs.example.com", "example.com", 403),
    ("?host=docs.example.com", "docs.example.com..", 403),
    ("?host=docs.example.com", "user@docs.example.com", 403),
    ("?host=docs.example.com", "docs.example.com@localhost", 403),
    ("?host=docs.example.com", "", 403),
    ("?host=[::1]", "[0:0:0:0:0:0:0:1]", 403),
    ("?host=127.0.0.1", "[::ffff:127.0.0.1]", 403),
    ("?host=docs.example.com&host=docs.example.com", "docs.example.com", 403),
    ("?host=localhost&host=docs.example.com", "docs.example.com", 403),
    ("?host=docs.example.com&h%6Fst=localhost", "docs.example.com", 403),
    ("?host=docs.example.com,localhost", "docs.example.com", 403),
    ("?host=docs.example.com&host=", "docs.example.com", 403),
    ("?host=*.example.com", "docs.example.com", 403),
    ("?host=", "docs.example.com", 403),
    ("?host", "docs.example.com", 403),
    ("?Host=docs.example.com", "docs.example.com", 403),
    ("?host=https://docs.example.com", "docs.example.com", 403),
    ("?host=docs.example.com%00", "docs.example.com", 403),
    ("", "localhost", 401),
    ("", "docs.example.com", 403),
    ("", "127.0.0.1", 403),
    ("?echo=true", "docs.example.com", 403),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_host_of_a_check_is_the_one_that_its_url_names_or_a_configured_one() {
    let fleet = &host_fleet().await.fleet;
    for pod in &fleet.pods {
        for (query, host, status) in CHECKS {
            let url = format!("http://{host}/secret");
            let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
            let answer = send_to_check(pod, "GET", &format!("/auth/nginx{query}"), &headers).await;
            match status {
                403 => assert_denied(&answer, 403, "invalid_request"),
                _ => assert_eq!(answer.status, status, "{query} {host}: {answer:?}"),
            }
            assert_eq!(answer.all("x-vestibule-sign-in").len(), usize::from(status == 401), "{query} {host}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_host_is_counted_and_logged() {
    let hosts = host_fleet().await;
    let before = hosts.host_refusals().await;
    let disguised = ("GET http://localhost/secret HTTP/1.1", &["Host: docs.example.com"][..]);
    for _ in 0..3 {
        assert_eq!(send(hosts.directives.port(), disguised, "").await.unwrap().status, 403);
    }
    // Other tests send such requests too.
    assert!(hosts.host_refusals().await >= before + 3.0);
    let logged = |pod: &crate::support::pod::Pod| pod.log().contains("auth request for another host refused");
    assert!(hosts.fleet.pods.iter().any(logged));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_without_a_host_is_for_public_url_or_one_of_origins() {
    let origins = |pod: &mut PodOptions| {
        pod.further += "origins: [http://docs.localhost, http://chat.localhost:8443]\n";
        pod.role_map = Some(format!("version: 1\n{ACCESS}"));
    };
    let fleet = Fleet::builder().config(origins).start().await;
    for (host, status) in [
        ("localhost", 401),
        ("docs.localhost", 200),
        ("CHAT.localhost.:1", 200),
        ("example.com", 403),
        ("anything.example", 403),
        ("127.0.0.1", 403),
    ] {
        let url = format!("http://{host}/secret");
        let headers = [("x-original-url", url.as_str()), ("x-original-method", "GET")];
        assert_eq!(send_to_check(&fleet.pods[0], "GET", "/auth/nginx", &headers).await.status, status, "{host}");
    }
    assert_eq!(fleet.metric("vestibule_checks_refused_total", &["reason=\"host\""]).await, 3.0);
    assert_eq!(fleet.metric("vestibule_checks_total", &["outcome=\"malformed\""]).await, 3.0);
}
