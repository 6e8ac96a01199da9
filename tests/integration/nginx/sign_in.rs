//! nginx answers a 401 with a redirect to the sign-in for browsers, and with JSON for other clients.

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::raw_http;
use crate::support::steps::{BOB, assert_page};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_returns_to_exactly_the_same_url_after_the_sign_in() {
    let fleet = Fleet::shared().await;
    for target in [
        "/ui/?tab=keys&sort=a%2Fb&x=%26+y",
        "/a%2Fb/c?d",
        "/",
        "/x?rd=/y&provider=other",
        "/ui/?q=ü".replace('ü', "%C3%BC").as_str(),
    ] {
        let agent = Agent::new();
        let page = fleet.open(&agent, target, BOB).await;
        assert_eq!(page.url.as_str(), fleet.url(target));
        assert!(page.body.contains("You reached the upstream"), "{}", page.body);
        let json = agent.get_with(&fleet.url(target), &[("accept", "application/json")]).await.json();
        assert_eq!(json["path"], target);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_receives_json() {
    let port = Fleet::shared().await.nginx().port();
    let programs: [(&str, &[(&str, &str)]); 17] = [
        ("GET", &[]),
        ("GET", &[("Accept", "*/*")]),
        ("GET", &[("Accept", "application/json")]),
        ("POST", &[("Accept", "text/html"), ("Content-Length", "0")]),
        ("GET", &[("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")]),
        ("GET", &[("Accept", "text/event-stream"), ("Sec-Fetch-Mode", "cors")]),
        ("GET", &[("Accept", "application/json"), ("Authorization", "Bearer sk-wrong")]),
        ("GET", &[("Accept", "text/html"), ("X-Requested-With", "XMLHttpRequest")]),
        ("GET", &[("Accept", "text/html"), ("Sec-Fetch-Site", "same-origin")]),
        ("GET", &[("Accept", "text/html"), ("Sec-Fetch-Dest", "document")]),
        ("GET", &[("Accept", "text/html;q=0.0, application/json")]),
        ("GET", &[("Accept", "text/html5, text/*")]),
        ("GET", &[("Accept", "text/event-stream")]),
        ("GET", &[("Accept", "text/html"), ("Connection", "close, Upgrade"), ("Upgrade", "WebSocket")]),
        ("GET", &[("Accept", "text/html"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]),
        ("OPTIONS", &[("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")]),
        ("POST", &[("Content-Type", "application/grpc"), ("TE", "trailers"), ("Content-Length", "0")]),
    ];
    for (method, headers) in programs {
        let answer = raw_http::send(port, method, "/v1/models", headers).await;
        assert_eq!(answer.status, 401, "{method} {headers:?}: {answer:?}");
        assert!(answer.json()["error"].is_string() && answer.json()["error_description"].is_string(), "{answer:?}");
        assert_eq!(answer.one("content-type"), "application/json");
        assert!(answer.one("www-authenticate").starts_with("Bearer "), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_redirected_to_the_sign_in() {
    let port = Fleet::shared().await.nginx().port();
    let browsers: [&[(&str, &str)]; 6] = [
        &[("Accept", "text/html,application/xhtml+xml"), ("Sec-Fetch-Mode", "navigate")],
        &[("Accept", "*/*"), ("Sec-Fetch-Mode", "navigate"), ("X-Requested-With", "com.example.app")],
        &[("Accept", "text/html,*/*;q=0.8")],
        &[("Accept", "application/json;q=0, TEXT/HTML ;level=1;q=0.5")],
        &[("Accept", "text/html"), ("X-Requested-With", "")],
        // An expired session leads to the sign-in, too.
        &[("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Cookie", "vestibule=expired")],
    ];
    for headers in browsers {
        let answer = raw_http::send(port, "GET", "/ui/?a=1&b=2", headers).await;
        assert_eq!(answer.status, 302, "{headers:?}: {answer:?}");
        assert_eq!(answer.one("location"), "/sso/login?rd=%2Fui%2F%3Fa%3D1%26b%3D2");
        for method in ["HEAD", "POST"] {
            let answer = raw_http::send(port, method, "/ui/?a=1&b=2", &[headers, &[("Content-Length", "0")]].concat()).await;
            assert_eq!(answer.status, 401, "{method} {headers:?}: {answer:?}");
        }
    }
}

/// A new session would not help: the check refuses the header, and the browser would be redirected for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_in_browser_with_a_wrong_credential_in_a_header_gets_a_page_that_names_it() {
    let fleet = Fleet::shared().await;
    let agent = fleet.signed_in(BOB).await;
    for (header, value, name) in [
        ("authorization", "Bearer sk-wrong", "Authorization"),
        ("authorization", "Bearer a.b.c", "Authorization"),
        ("x-api-key", "wrong", "x-api-key"),
    ] {
        let refused = agent.get_with(&fleet.url("/ui/?a=1"), &[(header, value)]).await;
        let sign_in = refused.location().expect("a redirect to the sign-in");
        let page = agent.get_with(sign_in.as_str(), &[(header, value)]).await;
        assert_page(&page, 401, "A header of your browser is not accepted");
        assert!(page.body.contains(name), "{name}: {}", page.body);
        assert!(page.links().iter().any(|link| link.as_str() == fleet.url("/ui/?a=1")), "{:?}", page.links());
        assert!(page.set_cookies().is_empty());
        // Without the header the session still counts.
        assert_eq!(agent.get(&fleet.url("/ui/?a=1")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_the_check_does_not_refuse_leads_to_the_sign_in() {
    let fleet = Fleet::shared().await;
    let signed_in = fleet.signed_in(BOB).await;
    let (none, wrong) = (Agent::new(), ("authorization", "Bearer sk-wrong"));
    for (agent, path, header) in [
        (&none, "/sso/login?provider=corp&rd=/ui/", wrong),
        (&none, "/sso/login?rd=/ui/", wrong),
        (&signed_in, "/sso/login?rd=/ui/", ("authorization", "Basic YTpi")),
        (&signed_in, "/sso/login?rd=/ui/", ("x-api-key", "")),
        // The user asked for another sign-in, or the target is one of Vestibule's pages, which read no header.
        (&signed_in, "/sso/login?authenticate=recent&rd=/ui/", wrong),
        (&signed_in, "/sso/login?rd=/vestibule/keys", wrong),
    ] {
        let page = agent.get_with(&fleet.url(path), &[header]).await;
        assert_eq!(page.status, 302, "{path}: {header:?}: {}", page.body);
    }
}
