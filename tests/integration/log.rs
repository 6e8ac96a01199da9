//! The log of a pod: the same event in both formats, and requests that are not logged.

mod event_limits;

use std::time::Duration;

use crate::support::agent::Agent;
use crate::support::fleet::Fleet;
use crate::support::pod::{Pod, PodOptions};
use crate::support::raw_http;
use crate::support::steps::{ALICE, session_header};
use crate::support::wait::until;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_and_sign_out_are_one_text_line_each_with_the_user_and_without_the_cookie() {
    let (log, user, cookie) = log_of_sign_in_and_sign_out("text").await;
    for (event, further) in [("login succeeded", "role=\"internal_user_viewer\""), ("logout succeeded", "provider=\"corp\"")] {
        let line = the_line(&log, |line| line.contains(&format!(" {event} ")));
        assert!(line.contains(" INFO ") && line.contains("request_id=") && line.contains(further), "{line}");
        assert!(line.contains(&format!("user=\"{user}\"")), "{user}: {line}");
    }
    assert!(!log.contains(&cookie) && !log.contains("alice"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_have_the_same_fields() {
    let (log, user, cookie) = log_of_sign_in_and_sign_out("json").await;
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    for event in ["login succeeded", "logout succeeded"] {
        let found: Vec<_> = lines.iter().filter(|line| line["message"] == event).collect();
        let [line] = found[..] else { panic!("not one {event}: {log}") };
        assert_eq!((&line["level"], &line["user"], &line["provider"]), (&"INFO".into(), &user.as_str().into(), &"corp".into()));
        assert!(line["span"]["request_id"].is_string() && line["timestamp"].is_string(), "{line}");
    }
    assert!(!log.contains(&cookie) && !log.contains("alice"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_only_logged_at_level_debug() {
    let quiet = Pod::start(PodOptions::new()).await;
    let further = "log: {level: 'info,actix_http::h1::dispatcher=error'}\n".to_owned();
    let verbose = Pod::start(PodOptions { further, ..PodOptions::new() }).await;
    for pod in [&quiet, &verbose] {
        for port in [pod.public_port(), pod.check_port(), pod.admin_port()] {
            let answer = raw_http::send_bytes(port, b"GET / HTTP/1.1\r\nno header at all\r\n\r\n").await;
            assert_eq!(answer.map(|answer| answer.status), Some(400));
        }
    }
    let three = async || (verbose.log().matches("stream error").count() == 3).then_some(());
    until("a line for each", DEADLINE, three).await;
    assert!(!quiet.log().contains("ERROR"), "{}", quiet.log());
}

/// A user signs in and out; returns the log, the user id and the cookie value.
async fn log_of_sign_in_and_sign_out(format: &str) -> (String, String, String) {
    let log_format = format!("log: {{format: {format}}}\n");
    let fleet = Fleet::builder().idp().yaml(log_format).config(|pod| pod.role_map = None).start().await;
    let agent: Agent = fleet.signed_in(ALICE).await;
    let session = agent.get(&fleet.pod(0).public("/sso/session")).await.json();
    let line = session_header(&agent);
    let cookie = line.strip_prefix("vestibule=").expect("the cookie's name").to_owned();
    super::logout::sign_out(&agent, &fleet.url("")).await;
    let log = fleet.pod(0).log();
    (log, session["user_id"].as_str().expect("an id").to_owned(), cookie)
}

fn the_line(log: &str, is: impl Fn(&str) -> bool) -> &str {
    let found: Vec<&str> = log.lines().filter(|line| is(line)).collect();
    let [line] = found[..] else { panic!("not one line but {}: {log}", found.len()) };
    line
}
