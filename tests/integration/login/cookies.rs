//! The two cookies of a sign-in.

use crate::support::agent::{Agent, Cookie};
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::steps::{ALICE, BINDING, SESSION, begin, sign_in};

const LARGEST: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_sets_two_small_cookies_that_scripts_and_other_sites_cannot_read() {
    let fleet = Fleet::shared().await;
    let agent = Agent::new();
    sign_in(fleet.idp(), &agent, &fleet.pods[0], ALICE).await;
    let session = agent.cookie("localhost", SESSION).expect("a session cookie");
    let binding = agent.cookie("localhost", BINDING).expect("a login cookie");
    for cookie in [&session, &binding] {
        assert_safe(cookie);
        assert_eq!(cookie.attribute("secure"), None, "http:// on loopback: {}", cookie.line);
    }
    assert_eq!(session.attribute("max-age").as_deref(), Some("604800"), "as long as a session can last");
    assert_eq!(binding.attribute("max-age"), None, "as long as the browser is open");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_https_cookies_are_secure_and_have_the_host_prefix() {
    let mut options = Fleet::shared().await.further_pod("https");
    options.public_url = "https://llm.example.com".to_owned();
    let pod = Pod::start(options).await;
    let agent = Agent::new();
    begin(&agent, &pod, "https://llm.example.com/ui/").await;
    let cookies = agent.cookies("localhost");
    let [cookie] = cookies.as_slice() else { panic!("one cookie: {cookies:?}") };
    assert_eq!((cookie.name.as_str(), cookie.attribute("secure").as_deref()), ("__Host-vestibule-login", Some("")));
    assert_safe(cookie);
}

#[track_caller]
fn assert_safe(cookie: &Cookie) {
    let line = &cookie.line;
    assert!(line.len() < LARGEST, "{} bytes: {line}", line.len());
    let attributes = ["httponly", "samesite", "path", "domain"].map(|name| cookie.attribute(name));
    let expected = [Some(""), Some("Lax"), Some("/"), None].map(|value| value.map(str::to_owned));
    assert_eq!(attributes, expected, "{line}");
}
