//! Logs and metrics of logins and of the active role map.

use serde_json::json;

use super::{PATIENCE, edit, edit_and_wait, grant_after_login, granted, log_lines, version, with_map};
use crate::support::agent::Agent;
use crate::support::fleet::ROLE_MAP;
use crate::support::steps::{ALICE, BOB, CAROL, sign_in};
use crate::support::wait;

#[tokio::test(flavor = "multi_thread")]
async fn each_login_is_counted_by_role_and_its_log_line_names_the_rule() {
    let fleet = with_map(ROLE_MAP, |_| ()).await;
    let users = [
        (ALICE, "proxy_admin", "rules[0]", 2),
        (BOB, "internal_user", "rules[1]", 1),
        (CAROL, "internal_user_viewer", "default_role", 1),
    ];
    for (user, role, rule, times) in users {
        for _ in 0..times {
            assert_eq!(grant_after_login(&fleet, user).await.0, role);
        }
        let (label, text) = (format!("role=\"{role}\""), fleet.pod(0).log());
        let counted = fleet.pod(0).metric("vestibule_logins_by_role_total", &["provider=\"corp\"", &label]).await;
        assert_eq!(counted, f64::from(times), "{role}");
        let lines = log_lines(fleet.pod(0), &[" login succeeded ", role, rule, "corp"]);
        assert_eq!(lines.len(), usize::try_from(times).unwrap(), "{rule}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_that_no_header_can_carry_is_dropped_and_counted() {
    let fleet = with_map(ROLE_MAP, |_| ()).await;
    let groups = ["/teams/one,two", "/teams/fine", "/teams/three\nfour", "/elsewhere/a,b"];
    fleet.idp().set_claims("bob", json!({"preferred_username": "bob", "groups": groups})).await;
    let session = sign_in(fleet.idp(), &Agent::new(), fleet.pod(0), BOB).await;
    for _ in 0..3 {
        assert_eq!(granted(fleet.pod(0), &session).await.1, "fine");
    }
    assert_eq!(fleet.pod(0).metric("vestibule_dropped_claim_values_total", &[]).await, 2.0, "once, and not at each check");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_show_version_size_and_age_of_the_map_and_refused_edits() {
    let fleet = with_map(ROLE_MAP, |_| ()).await;
    let pod = fleet.pod(0);
    let seen = async || {
        let edits =
            async |outcome: &str| pod.metric("vestibule_role_map_edits_total", &[&format!("outcome=\"{outcome}\"")]).await;
        [version(pod).await, pod.metric("vestibule_role_map_rules", &[]).await, edits("ok").await, edits("error").await]
    };
    let since = async || pod.metric("vestibule_role_map_loaded_timestamp_seconds", &[]).await;
    assert_eq!(seen().await, [1.0, 3.0, 1.0, 0.0]);
    let first = since().await;
    let started = pod.metric("process_start_time_seconds", &[]).await;
    assert!((-2.0..600.0).contains(&(first - started)), "read when the process started: {first} {started}");

    let whole = format!("{ROLE_MAP}access:\n  - {{allow: signed_in}}\n");
    edit_and_wait(pod, &whole).await;
    assert_eq!(seen().await, [2.0, 4.0, 2.0, 0.0]);
    assert!(since().await >= first);
    edit(pod, "version: 7\n");
    wait::until("the edit to be refused", PATIENCE, async || (seen().await[3] > 0.0).then_some(())).await;
    assert_eq!(seen().await, [2.0, 4.0, 2.0, 1.0], "the current map is still reported");
}
