//! Access rules behind nginx, which passes paths on unchanged: a refused path is not reachable by any other spelling.

mod recorder;
pub mod table;

use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::nginx::Nginx;
use crate::support::pod::PodOptions;
use crate::support::raw_http;
use crate::support::raw_http::Answer;
use crate::support::steps::{ALICE, BOB};
use recorder::Recorder;
use table::{OTHER_PATHS, RESTRICTED_PATHS, is_restricted};

const ACCESS: &str = "access:
  - {paths: [/admin/**, /v1/admin, /files/*/private], roles: [proxy_admin]}
  - {paths: [/closed/**], allow: nobody}
  - {paths: [/public/**], allow: anyone}
  - {paths: [/**], allow: signed_in}
";

/// A fleet whose role map has access rules, and another nginx in front of an upstream that records the paths of its requests.
struct RecordedFleet {
    fleet: Fleet,
    nginx: Nginx,
    upstream: Recorder,
}

impl RecordedFleet {
    async fn start() -> Self {
        let with_access = |pod: &mut PodOptions| pod.role_map = Some(format!("{ROLE_MAP}{ACCESS}"));
        let fleet = Fleet::builder().cluster().idp().nginx().config(with_access).start();
        let (fleet, upstream) = tokio::join!(fleet, Recorder::start());
        let nginx = fleet.nginx_to(upstream.port()).await;
        Self { fleet, nginx, upstream }
    }

    /// The answer, and the paths that the upstream received meanwhile.
    async fn send(&self, target: &[u8], cookie: Option<&str>) -> (Option<Answer>, Vec<Vec<u8>>) {
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let rest = format!(" HTTP/1.1\r\nHost: localhost\r\n{cookie}Connection: close\r\n\r\n");
        let request = [b"GET ", target, rest.as_bytes()].concat();
        let answer = raw_http::send_bytes(self.nginx.port(), &request).await;
        (answer, self.upstream.take())
    }

    /// The number of paths that reached the upstream. Asserts that none of them leads to a restricted path.
    async fn reached(&self, cookie: Option<&str>) -> usize {
        let mut reached = 0;
        for path in RESTRICTED_PATHS {
            let (answer, targets) = self.send(path, cookie).await;
            let shown = path.escape_ascii();
            for path in &targets {
                assert!(!is_restricted(path), "{shown} came through as {}: {answer:?}", path.escape_ascii());
            }
            assert!(answer.is_none_or(|answer| [400, 401, 403].contains(&answer.status)), "{shown}");
            reached += targets.len();
        }
        reached
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_path_is_not_reachable_by_any_spelling_and_other_paths_pass() {
    assert!(RESTRICTED_PATHS.len() >= 60 && OTHER_PATHS.len() >= 15);
    for path in RESTRICTED_PATHS {
        assert!(is_restricted(path), "{} leads elsewhere", path.escape_ascii());
    }
    let recorded = RecordedFleet::start().await;
    let bob = recorded.fleet.session_header(BOB).await;
    assert_eq!(recorded.reached(Some(&bob)).await, 0, "bob is no administrator");
    assert_eq!(recorded.reached(None).await, 0, "without a session");
    for path in OTHER_PATHS {
        let (answer, targets) = recorded.send(path, Some(&bob)).await;
        assert_eq!(answer.map(|answer| answer.status), Some(200), "{}", path.escape_ascii());
        assert_eq!(targets, [path.to_vec()], "handed on as it was spelled");
    }
    assert_administrator_has_access(&recorded).await;
    assert_only_public_paths_are_open(&recorded).await;
}

/// Shows that the access rules refuse bob, and not nginx.
async fn assert_administrator_has_access(recorded: &RecordedFleet) {
    let alice = recorded.fleet.session_header(ALICE).await;
    let mut reached = 0;
    for path in RESTRICTED_PATHS {
        let (answer, targets) = recorded.send(path, Some(&alice)).await;
        let passed = answer.is_some_and(|answer| answer.status == 200);
        assert_eq!(targets.len(), usize::from(passed), "{}", path.escape_ascii());
        reached += targets.iter().filter(|path| is_restricted(path)).count();
    }
    assert!(reached > 40, "by {reached} spellings");
    let (answer, targets) = recorded.send(b"/closed/x", Some(&alice)).await;
    assert_eq!((answer.map(|answer| answer.status), targets.len()), (Some(403), 0));
}

async fn assert_only_public_paths_are_open(recorded: &RecordedFleet) {
    let (answer, targets) = recorded.send(b"/public/x", None).await;
    assert_eq!((answer.map(|answer| answer.status), targets.len()), (Some(200), 1));
    let (answer, targets) = recorded.send(b"/v1/models", None).await;
    assert_eq!((answer.map(|answer| answer.status), targets.len()), (Some(401), 0));
}
