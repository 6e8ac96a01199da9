//! Chromium signs in once for three hosts over three pods, at the identity provider and with a password.

use serde_json::json;

use crate::support::agent::Agent;
use crate::support::fleet::{Fleet, FleetBuilder};
use crate::support::local_accounts::PASSWORD;
use crate::support::pod::PodOptions;
use crate::support::steps::ALICE;
use crate::support::{artifacts, browser};

async fn assert_one_sign_in(fleet: &Fleet, user: &str, password: &str, method: &str) {
    let port = fleet.nginx().port();
    let [chat, mcp] = ["chat", "mcp"].map(|name| format!("http://{name}.localhost:{port}"));
    let directory = artifacts("browser").join(format!("origins-{method}"));
    let arguments = [&fleet.url(""), &chat, &mcp, user, password, &directory.to_string_lossy(), method];
    let report = browser::run("origins.mjs", &arguments).await;
    assert_eq!(report["asked"], json!([true, false, false, false]), "{report}");
    let sessions = report["sessions"].as_array().unwrap();
    let mut hosts: Vec<&str> = sessions.iter().map(|cookie| cookie["domain"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["chat.localhost", "localhost", "mcp.localhost"], "host-only cookies: {report}");
    let mut values: Vec<&str> = sessions.iter().map(|cookie| cookie["value"].as_str().unwrap()).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 3, "a token for each host: {report}");
    assert_eq!(report["scriptCookies"], "", "{report}");
    assert_eq!(report["fetched"], "TypeError", "{report}");
    assert_eq!(report["after"], json!([false, false, false]), "{report}");
}

fn builder<'a>() -> FleetBuilder<'a> {
    Fleet::builder().pods(3).cluster().further_hosts().config(|pod| {
        let chat = pod.public_url.replace("localhost", "chat.localhost");
        pod.further += &format!("ui: {{origins: [{{origin: \"{chat}\", name: Acme Chat}}]}}\n");
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_at_the_provider_once_for_three_hosts() {
    let fleet = builder().idp().start().await;
    assert_one_sign_in(&fleet, ALICE.name, ALICE.password, "idp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_signs_in_with_a_password_once_for_three_hosts() {
    let without_providers = |pod: &mut PodOptions| pod.role_map = Some("version: 1\n".to_owned());
    let fleet = builder().local_accounts().config(without_providers).start().await;
    fleet.create_user("olga@example.com", "internal_user").await;
    for (host, brand) in [("chat.localhost", "Acme Chat"), ("mcp.localhost", "Vestibule")] {
        let page = Agent::new().browse(&format!("http://{host}:{}/", fleet.nginx().port())).await;
        assert!(page.url.path() == "/sso/login" && page.body.contains(brand), "{host}: {}", page.body);
    }
    assert_one_sign_in(&fleet, "olga@example.com", PASSWORD, "password").await;
}
