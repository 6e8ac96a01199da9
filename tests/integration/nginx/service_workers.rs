//! The template lets pages of the upstream register service workers only where the operator says so.

use crate::support::fleet::Fleet;
use crate::support::raw_http;
use crate::support::steps::ALICE;

/// The values of `VESTIBULE_ALLOW_SERVICE_WORKERS`, and the status of a worker's script. The last one is a variable that the
/// operator's list of names for `envsubst` lacks.
const VALUES: [(&str, u16); 8] = [
    ("1", 200),
    ("0", 403),
    ("", 403),
    ("true", 403),
    ("11", 403),
    ("01", 403),
    (" 1", 403),
    ("${VESTIBULE_ALLOW_SERVICE_WORKERS}", 403),
];

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_service_workers_pass_only_with_the_value_1() {
    let fleet = Fleet::builder().pods(3).cluster().idp().nginx().start().await;
    let cookie = fleet.session_header(ALICE).await;
    for (value, status) in VALUES {
        let nginx = fleet.nginx_with_service_workers(value).await;
        let send = async |path: &str, marks: &[(&str, &str)]| {
            let headers = [&[("Accept", "*/*"), ("Cookie", cookie.as_str())], marks].concat();
            raw_http::send(nginx.port(), "GET", path, &headers).await
        };
        for name in ["Service-Worker", "service-worker"] {
            for path in ["/worker.js", "/sso/session"] {
                let answer = send(path, &[(name, "script")]).await;
                assert_eq!(answer.status, status, "{value:?} {path}: {answer:?}");
            }
        }
        for marks in [&[("Service-Worker", "script"), ("Service-Worker", "script")][..], &[("Service-Worker", "other")]] {
            let answer = send("/worker.js", marks).await;
            assert_eq!(answer.status, 403, "{value:?} {marks:?}: {answer:?}");
        }
        for path in ["/worker.js", "/sso/session"] {
            let answer = send(path, &[]).await;
            assert_eq!(answer.status, 200, "{value:?}: only scripts of service workers are refused: {answer:?}");
        }
    }
}
