//! Chromium gives keys to applications on loopback, to an editor and to a web application, and refuses other origins.

use serde_json::{Value, json};
use url::Url;

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::PodOptions;
use crate::support::steps::{ALICE, check_with};
use crate::support::{artifacts, browser};

fn fields(address: &str) -> std::collections::HashMap<String, String> {
    let url = Url::parse("http://localhost/").unwrap().join(address).unwrap();
    url.query_pairs().into_owned().collect()
}

async fn status(fleet: &Fleet, key: &str) -> u16 {
    let bearer = format!("Bearer {key}");
    check_with(&Agent::new(), &fleet.pods[2], "", &[("authorization", &bearer)]).await.status
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().unwrap_or_else(|| panic!("{list}")).iter().filter_map(Value::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_gives_keys_to_applications_and_no_other_origin_gets_one() {
    let with_redirect_hosts = |pod: &mut PodOptions| pod.further += "apps: {redirect_hosts: [app.example.com]}\n";
    let fleet = Fleet::builder().pods(3).cluster().idp().nginx().config(with_redirect_hosts).start().await;
    let directory = artifacts("browser").join("ide");
    let seen = browser::run("ide.mjs", &[&fleet.url(""), ALICE.name, ALICE.password, &directory.to_string_lossy()]).await;

    let [callback] = texts(&seen["loopback"])[..] else { panic!("one visit: {seen}") };
    assert!(callback.starts_with("/callback?run=7&access_token=sk-"), "{callback}");
    let told = fields(callback);
    assert_eq!((told["state"].as_str(), told["token_type"].as_str()), ("s t&1", "Bearer"));
    assert_eq!(status(&fleet, &told["access_token"]).await, 200);

    assert_eq!(seen["anotherPath"], json!([]), "another application gets nothing unasked");
    let [refused] = texts(&seen["refused"])[..] else { panic!("{seen}") };
    assert_eq!(fields(refused)["error"], "access_denied");
    let [ipv6] = texts(&seen["ipv6"])[..] else { panic!("{seen}") };
    assert_eq!(status(&fleet, &fields(ipv6)["access_token"]).await, 200);

    let location = seen["editor"]["location"].as_str().expect("a redirect");
    assert!(location.starts_with("vscode://publisher.ext/callback?access_token=sk-"), "{location}");
    assert_eq!(fields(location)["state"], "editor");

    let web = texts(&seen["web"]);
    assert_eq!(web.len(), 2, "once asked and once not: {seen}");
    assert_ne!(fields(web[0])["access_token"], fields(web[1])["access_token"]);
    assert_eq!(seen["ledByScript"], 2, "a page that leads there by itself gets no further key");

    assert_foreign(&fleet, &seen);
    let made: f64 = futures::future::join_all(
        fleet.pods.iter().map(async |pod| pod.metric("vestibule_key_changes_total", &[r#"change="made""#]).await),
    )
    .await
    .iter()
    .sum();
    assert_eq!(made, 5.0, "two on loopback, an editor's, two of the web application: {seen}");
}

/// All of these requests carried the session cookie and were refused.
fn assert_foreign(fleet: &Fleet, seen: &Value) {
    let answers = seen["foreign"].as_array().unwrap();
    for (method, path, status) in
        [("POST", "/sso/key/generate", 403), ("POST", "/vestibule/keys", 403), ("GET", "/sso/key/generate", 200)]
    {
        let found = answers.iter().find(|answer| answer["method"] == method && answer["path"] == path);
        let found = found.unwrap_or_else(|| panic!("no {method} {path}: {seen}"));
        assert!(found["cookie"] == true && found["status"] == status, "{found}");
    }
    // Requests of a page's script only show in the log of nginx: without the cookie they would be 401.
    let log = fleet.nginx().access_log();
    let count = |line: &str| log.lines().filter(|logged| logged.starts_with(line)).count();
    assert_eq!((count("POST /vestibule/api/keys 403"), count("GET /vestibule/api/keys 200")), (2, 1), "{log}");
    assert_eq!((count("POST /vestibule/api/keys"), count("DELETE ")), (2, 0), "a preflight stops the others: {log}");
    // The browser hides all answers from the page.
    assert_eq!(texts(&seen["read"]), ["TypeError"; 6], "{seen}");
    assert!(seen["frames"].as_array().unwrap().iter().all(|shown| *shown == json!(false)), "{seen}");
}
