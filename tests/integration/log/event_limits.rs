//! Events that anonymous requests cause: one line a second for each kind, and a count of the others.

use std::time::Duration;

use futures::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::support::auth_request::SECRET_HEADER;
use crate::support::fleet::Fleet;
use crate::support::pod::Pod;
use crate::support::wait::{timed, until};

const REQUESTS: u64 = 1000;
/// Requests at the same time.
const CONCURRENCY: usize = 16;
/// The suppressed lines are reported after one second.
const REPORTED: Duration = Duration::from_secs(20);

/// A kind of event, and an anonymous request that causes it.
struct RefusedRequest {
    event: &'static str,
    reason: &'static str,
    method: Method,
    /// The path at the public listener, or with `check:` at the check listener.
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    form: &'static str,
}

impl RefusedRequest {
    fn get(event: &'static str, reason: &'static str, path: &'static str) -> Self {
        Self { event, reason, method: Method::GET, path, headers: &[], form: "" }
    }

    fn post(event: &'static str, reason: &'static str, path: &'static str, form: &'static str) -> Self {
        Self { method: Method::POST, form, ..Self::get(event, reason, path) }
    }

    fn request(&self, http: &reqwest::Client, pod: &Pod) -> RequestBuilder {
        let request = match self.path.strip_prefix("check:") {
            Some(path) if self.has_secret() => http.request(self.method.clone(), pod.check(path)),
            Some(path) => http.request(self.method.clone(), pod.check(path)).header(SECRET_HEADER.0, SECRET_HEADER.1),
            None => http.request(self.method.clone(), pod.public(self.path)),
        };
        let request = self.headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        match self.method {
            Method::POST => request.header("content-type", "application/x-www-form-urlencoded").body(self.form),
            _ => request,
        }
    }

    fn has_secret(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == SECRET_HEADER.0)
    }

    /// The lines of this kind, and the number of events that they report.
    fn count(&self, log: &[Value]) -> (u64, u64) {
        let is_own = |line: &&Value| {
            let event = if line["message"] == "log lines suppressed" { &line["event"] } else { &line["message"] };
            let reason = if line["reason"].is_null() { &line["activity"] } else { &line["reason"] };
            *event == self.event && *reason == self.reason
        };
        let events = |line: &Value| u64::from(line["message"] == self.event) + line["suppressed"].as_u64().unwrap_or_default();
        let own: Vec<&Value> = log.iter().filter(is_own).collect();
        (own.len() as u64, own.into_iter().map(events).sum())
    }
}

const MALFORMED: &str = "malformed auth request; check the gateway's X-Original-* headers";

fn refused_requests() -> Vec<RefusedRequest> {
    vec![
        RefusedRequest::get("login refused", "unknown_provider", "/sso/login?provider=none"),
        RefusedRequest::post("login refused", "foreign_form", "/sso/login", "user_email=a@example.com&password=x"),
        RefusedRequest::get("request refused", "malformed_query_or_form", "/sso/login?rd=/a&rd=/b"),
        RefusedRequest::get("login failed", "login_unknown_or_expired", "/sso/callback?state=x&code=y"),
        RefusedRequest {
            headers: &[("cookie", "vestibule=x")],
            ..RefusedRequest::post("logout refused", "foreign_form", "/sso/logout", "csrf=x")
        },
        RefusedRequest::get("api request refused", "no_credential", "/vestibule/api/keys"),
        RefusedRequest::get("api request refused", "not_found", "/vestibule/api/none"),
        RefusedRequest::get("invitation link refused", "invitation_invalid", "/onboarding?invite_link=x"),
        RefusedRequest::get("app key request refused", "response_type_not_supported", "/sso/key/generate?response_type=none"),
        RefusedRequest::get(MALFORMED, "original_url_missing", "check:/auth/nginx"),
        RefusedRequest::get(MALFORMED, "unknown_gateway_path", "check:/auth/none"),
        RefusedRequest::get(
            "malformed auth request; check the gateway's configuration",
            "forwarded_method_missing",
            "check:/auth/traefik",
        ),
        RefusedRequest {
            headers: &[(SECRET_HEADER.0, "wrong")],
            ..RefusedRequest::get("auth request without the gateway secret refused", "gateway_secret_wrong", "check:/auth/nginx")
        },
        RefusedRequest {
            headers: &[("x-original-url", "http://localhost/"), ("x-original-method", "GET")],
            ..RefusedRequest::get(
                "auth request for another host refused",
                "host_not_named",
                "check:/auth/nginx?host=llm.example.com",
            )
        },
        RefusedRequest {
            headers: &[("x-forwarded-for", "203.0.113.1")],
            ..RefusedRequest::get("rate limit exceeded", "login_start", "/sso/login?provider=none")
        },
    ]
}

async fn send_all(http: &reqwest::Client, pod: &Pod, refused: &RefusedRequest) {
    let requests = (0..REQUESTS).map(|_| refused.request(http, pod).send());
    let statuses = futures::stream::iter(requests)
        .buffer_unordered(CONCURRENCY)
        .map(|answer| answer.unwrap_or_else(|error| panic!("{}: {error:?}", refused.path)).status().as_u16());
    let unexpected: Vec<u16> = statuses.filter(|status| std::future::ready(*status < 400)).collect().await;
    assert_eq!(unexpected, Vec::<u16>::new(), "{}", refused.path);
}

fn lines(pod: &Pod) -> Vec<Value> {
    pod.log().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// One provider and local accounts, and `trusted_proxies`, so that `X-Forwarded-For` names a client.
const CONFIG: &str = "log: {format: json}\ntrusted_proxies: [127.0.0.0/8]\nrate_limits: {login_starts: 1}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_refused_requests_of_each_kind_write_few_lines_whose_counts_add_up() {
    let fleet = Fleet::builder().idp().local_accounts().yaml(CONFIG).config(|pod| pod.role_map = None).heavy().start().await;
    let pod = fleet.pod(0);
    for refused in refused_requests() {
        // The first request of the address is within its limit.
        let expected = if refused.event == "rate limit exceeded" { REQUESTS - 1 } else { REQUESTS };
        let complete = async || {
            let (written, events) = refused.count(&lines(pod));
            (events >= expected).then_some((written, events))
        };
        let sent_and_reported = timed(async {
            send_all(&fleet.http, pod, &refused).await;
            until(&format!("the count of {} {}", refused.event, refused.reason), REPORTED, complete).await
        });
        let ((written, events), took) = sent_and_reported.await;
        let most = took.as_secs() + 2;
        assert_eq!(events, expected, "{} {}", refused.event, refused.reason);
        assert!(written <= most, "{} {}: {written} lines, at most {most}", refused.event, refused.reason);
    }
    let total = u32::try_from(REQUESTS).expect("a small number");
    let malformed = pod.metric("vestibule_checks_total", &[r#"outcome="malformed""#]).await;
    let limited = pod.metric("vestibule_rate_limited_total", &[]).await;
    // Four kinds are refused checks. Requests of an unknown gateway path are no checks.
    assert_eq!((malformed, limited), (f64::from(4 * total), f64::from(total - 1)), "metrics count each request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_pod_reports_its_suppressed_lines() {
    let mut fleet = Fleet::builder().idp().yaml("log: {format: json}\nshutdown: {delay: 0s}\n").start().await;
    let refused = RefusedRequest::get("api request refused", "no_credential", "/vestibule/api/keys");
    send_all(&fleet.http, fleet.pod(0), &refused).await;
    fleet.pods[0].process().term();
    let status = fleet.pods[0].process().wait_exit(REPORTED).await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(refused.count(&lines(fleet.pod(0))).1, REQUESTS);
}

/// A wrong password at an existing account is an audit record; the account's quota bounds them.
#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_password_at_an_account_has_a_line_with_the_user() {
    let fleet = Fleet::builder()
        .standalone()
        .local_accounts()
        .yaml("log: {format: json}\n")
        .config(|pod| pod.role_map = None)
        .start()
        .await;
    let user = fleet.create_user("ada@example.com", "internal_user").await;
    let sign_in = |email: &str| {
        let body = serde_json::json!({"user_email": email, "password": "a-wrong-password-81"});
        fleet.http.post(fleet.pod(0).public("/vestibule/api/sign-in")).json(&body).send()
    };
    for _ in 0..5 {
        assert_eq!(sign_in("ada@example.com").await.expect("an answer").status(), 401);
        assert_eq!(sign_in("nobody@example.com").await.expect("an answer").status(), 401);
    }
    let log = lines(fleet.pod(0));
    let of_account = |line: &&Value| line["message"] == "login failed" && line["user"] == user.id;
    assert_eq!(log.iter().filter(of_account).count(), 5);
    let anonymous = RefusedRequest::get("login failed", "wrong_password", "");
    let all = |log: &[Value]| anonymous.count(log);
    let (written, _) = all(&log);
    assert!(written < 10, "{written} lines");
    until("the count of both", REPORTED, async || (all(&lines(fleet.pod(0))).1 == 10).then_some(())).await;
}
