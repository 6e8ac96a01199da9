//! Unusual targets through a complete login flow: the redirect always leads to our own origin.

use url::Url;

use crate::support::agent::Agent;
use crate::support::faulty_idp::FaultyIdp;
use crate::support::pod::{Pod, PodOptions, ProviderSection, random_key};
use crate::support::raw_http;
use crate::support::steps::BINDING;

/// The query of `/sso/login`, and the path and query of the final redirect.
const FOLLOWED: &[(&str, &str)] = &[
    ("", "/"),
    ("rd=/ui/x?y=z", "/ui/x?y=z"),
    ("rd=%2Fui%2Fx%3Fy%3Dz%26w%3D1", "/ui/x?y=z&w=1"),
    ("rd=/ui/%23//evil.example.com", "/ui/"),
    ("rd=/caf%C3%A9", "/caf%C3%A9"),
    ("rd=/%FF", "/%EF%BF%BD"),
    ("rd=/..//evil.example.com", "/..//evil.example.com"),
    ("rd=/.%252e//evil.example.com", "/.%2e//evil.example.com"),
    ("rd=/%252f/evil.example.com", "/%2f/evil.example.com"),
    ("rd=/%255c/evil.example.com", "/%5c/evil.example.com"),
    ("rd=/%250d%250aLocation:%252f%252fevil.example.com", "/%0d%0aLocation:%2f%2fevil.example.com"),
    ("rd=/@evil.example.com", "/@evil.example.com"),
    ("rd=/:80@evil.example.com", "/:80@evil.example.com"),
    ("rd=/https://evil.example.com", "/https://evil.example.com"),
    ("rd=/x?rd=https://evil.example.com", "/x?rd=https://evil.example.com"),
    ("rd=/%22%3E%3Cscript%3E", "/\"><script>"),
    ("rd=http://localhost:1/ui/", "/ui/"),
    ("rd=HTTPS://LOCALHOST", "/"),
    ("rd=http://localhost?x=//evil.example.com", "/?x=//evil.example.com"),
    ("rd=http://localhost%23@evil.example.com", "/"),
    // Other parameters are ignored.
    ("RD=//evil.example.com", "/"),
    ("rd[]=//evil.example.com", "/"),
    ("redirect=//evil.example.com", "/"),
];

const REFUSED: &[&str] = &[
    "rd=",
    "rd=//evil.example.com",
    "rd=%2f%2fevil.example.com",
    "rd=///evil.example.com",
    "rd=/%5Cevil.example.com",
    "rd=/\\evil.example.com",
    "rd=%5C%5Cevil.example.com",
    "rd=/%09/evil.example.com",
    "rd=%09//evil.example.com",
    "rd=%20/ui/",
    "rd=+//evil.example.com",
    "rd=/%00",
    "rd=/%0d%0aLocation:%20https://evil.example.com",
    "rd=/%0aSet-Cookie:%20a=b",
    "rd=/%E2%80%A8",
    "rd=https://evil.example.com",
    "rd=https:evil.example.com",
    "rd=https:/evil.example.com",
    "rd=https:%5C%5Cevil.example.com",
    "rd=http://localhost@evil.example.com",
    "rd=http://localhost:80@evil.example.com",
    "rd=http://localhost.evil.example.com",
    "rd=http://localhost./",
    "rd=http://localhost%252f.evil.example.com",
    "rd=http://localhost//evil.example.com",
    "rd=http://evil.example.com%23localhost",
    "rd=http://evil.example.com%3Flocalhost",
    "rd=http://127.0.0.1/",
    "rd=http://[::1]/",
    "rd=http://local%E2%80%8Bhost/",
    "rd=javascript:alert(1)",
    "rd=javascript://localhost/%250aalert(1)",
    "rd=data:text/html,x",
    "rd=evil.example.com",
    "rd=%252f%252fevil.example.com",
    "rd=%FF",
    "rd=/ui/&rd=//evil.example.com",
    "rd=//evil.example.com&rd=/ui/",
];

/// All parameters that the provider receives.
const PARAMETER_NAMES: [&str; 9] = [
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "max_age",
    "nonce",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_unusual_target_redirects_to_our_own_origin_or_is_refused() {
    let idp = FaultyIdp::start().await;
    let providers = vec![ProviderSection::corp(idp.issuer(), random_key())];
    let options = PodOptions { providers, ..PodOptions::new() };
    let origin = options.public_url.clone();
    let pod = Pod::start(options).await;
    for (query, path) in FOLLOWED {
        assert_eq!(run_login_flow(&pod, &origin, &idp, query).await, *path, "{query}");
    }
    let long = format!("rd=/{}", "a".repeat(4096));
    for query in REFUSED.iter().chain([&long.as_str()]) {
        let refused = raw_http::send(pod.public_port(), "GET", &format!("/sso/login?{query}"), &[]).await;
        assert!(refused.status == 400 && refused.body.contains("<title>"), "{query}: {refused:?}");
        assert!(refused.all("location").is_empty() && refused.all("set-cookie").is_empty(), "{query}: {refused:?}");
        assert!(!refused.body.contains("evil.example.com"), "{query}: {}", refused.body);
    }
    let begun = pod.metric("vestibule_logins_total", &["outcome=\"success\""]).await;
    assert_eq!(begun, FOLLOWED.len() as f64);
    assert!(!pod.log().contains("evil.example.com"));
    assert_eq!(pod.metric("vestibule_panics_total", &[]).await, 0.0);
}

/// Runs a complete login flow with raw requests; returns the final redirect without our origin.
async fn run_login_flow(pod: &Pod, origin: &str, idp: &FaultyIdp, query: &str) -> String {
    let begun = raw_http::send(pod.public_port(), "GET", &format!("/sso/login?{query}"), &[]).await;
    assert_eq!(begun.status, 302, "{query}: {begun:?}");
    let question = Url::parse(begun.one("location")).expect("an address");
    assert!(question.as_str().starts_with(idp.issuer()), "{query}: {question}");
    let mut names: Vec<String> = question.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort_unstable();
    assert_eq!(names, PARAMETER_NAMES, "{query}: {question}");
    assert_eq!(super::parameter(&question, "redirect_uri"), format!("{origin}/sso/callback"), "{query}");
    assert!(!question.as_str().contains("evil"), "{query}: {question}");

    let callback = Agent::new().get(question.as_str()).await.location().expect("the provider shows no form");
    assert_eq!(callback.origin(), Url::parse(origin).expect("an address").origin(), "{query}: {callback}");
    let cookie = begun.one("set-cookie").split(';').next().expect("a cookie has a value");
    assert!(cookie.starts_with(BINDING), "{query}: {cookie}");
    let target = format!("{}?{}", callback.path(), callback.query().expect("it has a code"));
    let back = raw_http::send(pod.public_port(), "GET", &target, &[("Cookie", cookie)]).await;
    assert_eq!(back.status, 303, "{query}: {back:?}");
    let location = back.one("location");
    // Resolved like in a browser.
    assert_eq!(callback.join(location).expect("an address").origin(), callback.origin(), "{query}: {location}");
    assert!(back.all("set-cookie").iter().all(|cookie| cookie.starts_with("vestibule")), "{query}: {back:?}");
    location.strip_prefix(origin).unwrap_or_else(|| panic!("{query}: {location} is not at {origin}")).to_owned()
}
