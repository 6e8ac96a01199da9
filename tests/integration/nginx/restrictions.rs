//! The query of the check URL restricts a route.

use super::{assert_allowed, assert_denied};
use crate::support::auth_request::auth_request_at;
use crate::support::fleet::Fleet;
use crate::support::steps::ALICE;

/// alice is a proxy_admin of the team research.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_can_be_restricted_to_roles_and_teams() {
    let fleet = Fleet::shared().await;
    let cookie = fleet.session_header(ALICE).await;
    let passes = [
        "allow_roles=proxy_admin",
        "allow_roles=customer,proxy_admin",
        "allow_roles=customer&allow_roles=proxy_admin",
        "allow_teams=research",
        "allow_teams=data,%72esearch",
        "allow_roles=proxy_admin&allow_teams=research",
        "",
    ];
    let refused = [
        "allow_roles=internal_user",
        "allow_roles=PROXY_ADMIN",
        "allow_roles=",
        "allow_roles=research",
        "allow_teams=data",
        "allow_teams=",
        "allow_teams",
        "allow_roles=proxy_admin&allow_teams=data",
        "allow_roles=customer&allow_teams=research",
    ];
    for pod in &fleet.pods {
        for query in passes {
            assert_allowed(&auth_request_at(pod, "GET", &format!("/auth/nginx?{query}"), &[("cookie", &cookie)]).await);
        }
        for query in refused {
            let answer = auth_request_at(pod, "GET", &format!("/auth/nginx?{query}"), &[("cookie", &cookie)]).await;
            assert_denied(&answer, 403, "access_denied");
        }
    }
}

/// An unknown parameter could be a misspelled restriction.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_parameter_of_the_check_is_refused() {
    let fleet = Fleet::shared().await;
    let (pod, cookie) = (&fleet.pods[0], fleet.session_header(ALICE).await);
    for query in [
        "allow_role=proxy_admin",
        "ALLOW_ROLES=proxy_admin",
        "allow_roles=proxy_admin&x=1",
        "x",
        "rd=/",
        "allow_teams=a+b",
        "allow_roles=%zz",
    ] {
        let answer = auth_request_at(pod, "GET", &format!("/auth/nginx?{query}"), &[("cookie", &cookie)]).await;
        assert_denied(&answer, 403, "invalid_request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_route_still_requires_a_sign_in_first() {
    let pod = &Fleet::shared().await.pods[0];
    let answer = auth_request_at(pod, "GET", "/auth/nginx?allow_roles=proxy_admin", &[]).await;
    assert_denied(&answer, 401, "login_required");
}
