//! Access rules behind nginx, which hands a path on as the client spelled it: what a rule refuses is
//! reached under no other spelling of it.

mod recorder;
mod table;

use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::nginx::Nginx;
use crate::support::pod::PodOptions;
use crate::support::raw_http;
use crate::support::raw_http::Answer;
use crate::support::steps::{ALICE, BOB};
use recorder::Recorder;
use table::{LEADING_THERE, PASSING, is_kept};

const ACCESS: &str = "access:
  - {paths: [/admin/**, /v1/admin, /files/*/private], roles: [proxy_admin]}
  - {paths: [/closed/**], allow: nobody}
  - {paths: [/public/**], allow: anyone}
  - {paths: [/**], allow: signed_in}
";

/// A fleet whose role map has access rules, and a further nginx in front of an upstream that records the paths of its
/// requests.
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

    /// What the client is told, and what the upstream was asked for meanwhile.
    async fn send(&self, target: &[u8], cookie: Option<&str>) -> (Option<Answer>, Vec<Vec<u8>>) {
        let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
        let rest = format!(" HTTP/1.1\r\nHost: localhost\r\n{cookie}Connection: close\r\n\r\n");
        let request = [b"GET ", target, rest.as_bytes()].concat();
        let answer = raw_http::send_bytes(self.nginx.port(), &request).await;
        (answer, self.upstream.take())
    }

    /// How many of the paths came to the upstream. None of them names a place that is kept for others.
    async fn reached(&self, cookie: Option<&str>) -> usize {
        let mut reached = 0;
        for path in LEADING_THERE {
            let (answer, asked) = self.send(path, cookie).await;
            let shown = path.escape_ascii();
            for path in &asked {
                assert!(!is_kept(path), "{shown} came through as {}: {answer:?}", path.escape_ascii());
            }
            assert!(answer.is_none_or(|answer| [400, 401, 403].contains(&answer.status)), "{shown}");
            reached += asked.len();
        }
        reached
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_place_is_reached_under_no_spelling_and_honest_spellings_pass() {
    assert!(LEADING_THERE.len() >= 60 && PASSING.len() >= 15);
    for path in LEADING_THERE {
        assert!(is_kept(path), "{} leads elsewhere", path.escape_ascii());
    }
    let recorded = RecordedFleet::start().await;
    let bob = recorded.fleet.session_header(BOB).await;
    assert_eq!(recorded.reached(Some(&bob)).await, 0, "bob is no administrator");
    assert_eq!(recorded.reached(None).await, 0, "nobody is signed in");
    for path in PASSING {
        let (answer, asked) = recorded.send(path, Some(&bob)).await;
        assert_eq!(answer.map(|answer| answer.status), Some(200), "{}", path.escape_ascii());
        assert_eq!(asked, [path.to_vec()], "handed on as it was spelled");
    }
    an_administrator_gets_there(&recorded).await;
    anyone_gets_to_a_public_place_and_no_further(&recorded).await;
}

/// It is the rules that refuse bob, and neither nginx nor chance.
async fn an_administrator_gets_there(recorded: &RecordedFleet) {
    let alice = recorded.fleet.session_header(ALICE).await;
    let mut reached = 0;
    for path in LEADING_THERE {
        let (answer, asked) = recorded.send(path, Some(&alice)).await;
        let passed = answer.is_some_and(|answer| answer.status == 200);
        assert_eq!(asked.len(), usize::from(passed), "{}", path.escape_ascii());
        reached += asked.iter().filter(|path| is_kept(path)).count();
    }
    assert!(reached > 40, "by {reached} spellings");
    let (answer, asked) = recorded.send(b"/closed/x", Some(&alice)).await;
    assert_eq!((answer.map(|answer| answer.status), asked.len()), (Some(403), 0));
}

async fn anyone_gets_to_a_public_place_and_no_further(recorded: &RecordedFleet) {
    let (answer, asked) = recorded.send(b"/public/x", None).await;
    assert_eq!((answer.map(|answer| answer.status), asked.len()), (Some(200), 1));
    let (answer, asked) = recorded.send(b"/v1/models", None).await;
    assert_eq!((answer.map(|answer| answer.status), asked.len()), (Some(401), 0));
}
