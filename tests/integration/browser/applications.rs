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
    let report = browser::run("ide.mjs", &[&fleet.url(""), ALICE.name, ALICE.password, &directory.to_string_lossy()]).await;

    let [callback] = texts(&report["loopback"])[..] else { panic!("one visit: {report}") };
    assert!(callback.starts_with("/callback?run=7&access_token=sk-"), "{callback}");
    let parameters = fields(callback);
    assert_eq!((parameters["state"].as_str(), parameters["token_type"].as_str()), ("s t&1", "Bearer"));
    assert_eq!(status(&fleet, &parameters["access_token"]).await, 200);

    assert_eq!(report["anotherPath"], json!([]), "another application gets no key without consent");
    let [denial] = texts(&report["refused"])[..] else { panic!("{report}") };
    assert_eq!(fields(denial)["error"], "access_denied");
    let [ipv6] = texts(&report["ipv6"])[..] else { panic!("{report}") };
    assert_eq!(status(&fleet, &fields(ipv6)["access_token"]).await, 200);

    let location = report["editor"]["location"].as_str().expect("a redirect");
    assert!(location.starts_with("vscode://publisher.ext/callback?access_token=sk-"), "{location}");
    assert_eq!(fields(location)["state"], "editor");

    let web = texts(&report["web"]);
    assert_eq!(web.len(), 2, "one key with consent and one without: {report}");
    assert_ne!(fields(web[0])["access_token"], fields(web[1])["access_token"]);
    assert_eq!(report["keysAfterScript"], 2, "a redirect without a click gets no key");

    assert_eq!(report["keysAfterForeignClicks"], 2, "a click on a page of another origin gets no key");
    assert_eq!(report["keysAfterSignIn"], 3, "a click in the application gets one, also if the user has to sign in");

    assert_foreign(&fleet, &report);
    let created: f64 = futures::future::join_all(
        fleet.pods.iter().map(async |pod| pod.metric("vestibule_key_changes_total", &[r#"change="made""#]).await),
    )
    .await
    .iter()
    .sum();
    assert_eq!(created, 6.0, "two on loopback, an editor's, three of the web application: {report}");
}

/// All of these requests carried the session cookie and were refused.
fn assert_foreign(fleet: &Fleet, report: &Value) {
    let responses = report["foreign"].as_array().unwrap();
    for (method, path, status) in
        [("POST", "/sso/key/generate", 403), ("POST", "/vestibule/keys", 403), ("GET", "/sso/key/generate", 403)]
    {
        let found = responses.iter().find(|response| response["method"] == method && response["path"] == path);
        let found = found.unwrap_or_else(|| panic!("no {method} {path}: {report}"));
        assert!(found["cookie"] == true && found["status"] == status, "{found}");
    }
    // Requests of a page's script only show in the log of nginx: without the cookie they would be 401.
    let log = fleet.nginx().access_log();
    let count = |line: &str| log.lines().filter(|logged| logged.starts_with(line)).count();
    assert_eq!((count("POST /vestibule/api/keys 403"), count("GET /vestibule/api/keys 200")), (2, 1), "{log}");
    assert_eq!((count("POST /vestibule/api/keys"), count("DELETE ")), (2, 0), "a preflight stops the others: {log}");
    // The browser hides all responses from the page.
    assert_eq!(texts(&report["read"]), ["TypeError"; 6], "{report}");
    assert!(report["frames"].as_array().unwrap().iter().all(|is_visible| *is_visible == json!(false)), "{report}");
}
