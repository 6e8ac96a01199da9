//! The check's URL refers to restrictions in the role map.

use std::time::Duration;

use super::{assert_allowed, assert_denied};
use crate::support::auth_request::auth_request_at;
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::{Pod, PodOptions, until_everywhere};
use crate::support::raw_http;
use crate::support::steps::{ALICE, BOB, CAROL};

const PATIENCE: Duration = Duration::from_secs(20);

const ROUTES: &str = r#"access:
  - {paths: [/open/**], allow: anyone}
  - {paths: [/**]}
routes:
  data: {teams: [data, data science]}
  ops: {roles: [proxy_admin], teams: [research]}
"#;

async fn fleet() -> Fleet {
    let with_routes = |pod: &mut PodOptions| pod.role_map = Some(format!("{ROLE_MAP}{ROUTES}"));
    Fleet::builder().pods(3).cluster().idp().nginx().config(with_routes).start().await
}

/// alice is a proxy_admin of the team research, bob an internal_user of research and data.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_the_role_map_restricts_what_the_gateway_says_and_nothing_else() {
    let fleet = fleet().await;
    let cookies = [fleet.session_header(ALICE).await, fleet.session_header(BOB).await, fleet.session_header(CAROL).await];
    let [data, ops] = [fleet.nginx_with_route("data").await, fleet.nginx_with_route("ops").await];
    let unknown = fleet.nginx_with_route("gone").await;
    let gateways = [(fleet.nginx(), [200, 200, 200]), (&data, [403, 200, 403]), (&ops, [200, 403, 403]), (&unknown, [403; 3])];
    // A client's query is not the check's. On an open path the route's restrictions apply all the same.
    let targets =
        ["/x", "/x?route=data", "/x?route=ops&allow_teams=data", "/open/x", "/x?host=other&echo=true", "/x%3Froute=data"];
    for (nginx, expected) in gateways {
        for target in targets {
            for (cookie, status) in cookies.iter().zip(expected) {
                let answer = raw_http::send(nginx.port(), "GET", target, &[("Cookie", cookie)]).await;
                assert_eq!(answer.status, status, "{target}: {answer:?}");
            }
        }
    }
    let anonymous = raw_http::send(data.port(), "GET", "/open/x", &[]).await;
    assert_eq!(anonymous.status, 401, "{anonymous:?}");
    until_everywhere(&fleet.pods, "the unknown route in the log", PATIENCE, async |pod| {
        pod.log().contains("auth request for an unknown route denied")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_query_names_one_route_and_also_restricts_it() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    for pod in &fleet.pods {
        for query in ["route=data", "route=data&allow_roles=internal_user", "allow_teams=data&r%6Fute=d%61ta"] {
            assert_allowed(&auth_request_at(pod, "GET", &format!("/auth/nginx?{query}"), &[("cookie", &cookie)]).await);
        }
        for query in ["route=ops", "route=data&allow_roles=proxy_admin", "route=data&allow_teams=", "route=gone"] {
            let answer = auth_request_at(pod, "GET", &format!("/auth/nginx?{query}"), &[("cookie", &cookie)]).await;
            assert_denied(&answer, 403, "access_denied");
        }
        for query in ["route=data&route=data", "route=data&route=ops", "route", "route=", "route=Data", "route=data,ops"] {
            let answer = auth_request_at(pod, "GET", &format!("/auth/nginx?{query}"), &[("cookie", &cookie)]).await;
            assert_denied(&answer, 403, "invalid_request");
        }
    }
}

async fn status(pod: &Pod, cookie: &str) -> u16 {
    auth_request_at(pod, "GET", "/auth/nginx?route=data", &[("cookie", cookie)]).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_route_is_active_at_once_and_without_it_nobody_passes() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(BOB).await;
    for (edited, expected) in
        [("data: {teams: [ops]}", 403), ("data: {teams: [research]}", 200), ("other: {teams: [research]}", 403)]
    {
        for pod in &fleet.pods {
            let document = format!("{ROLE_MAP}{}", ROUTES.replace("data: {teams: [data, data science]}", edited));
            std::fs::write(pod.config_file().with_file_name("roles.yaml"), document).expect("the pod's directory is writable");
        }
        until_everywhere(&fleet.pods, edited, PATIENCE, async |pod| status(pod, &cookie).await == expected).await;
    }
}
