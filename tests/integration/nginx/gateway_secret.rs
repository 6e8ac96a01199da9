//! The check answers only gateways that send the gateway secret, in front of an upstream with its own credential.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::assert_denied;
use crate::support::auth_request::{GATEWAY_SECRET, SECRET_HEADER};
use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::{Pod, PodOptions, until_everywhere};
use crate::support::raw_http::{self, Answer};
use crate::support::scratch::Scratch;
use crate::support::steps::ALICE;

const PATIENCE: Duration = Duration::from_secs(20);
const UPSTREAM: &str = "Bearer sk-of-the-upstream";
const OTHER_SECRET: &str = "another-gateway-secret-0123456789abcdef";

/// A static credential for anonymous requests. Without a secret, any client that reaches the check would receive it.
const ACCESS: &str = "access:
  - {paths: [/open/**], allow: anyone, upstream_credential: upstream}
  - {paths: [/**]}
";

fn with_credential(pod: &mut PodOptions) {
    pod.role_map = Some(format!("{ROLE_MAP}{ACCESS}"));
    pod.further +=
        &format!("upstream_credential: {{default: upstream, static: [{{name: upstream, authorization: {UPSTREAM}}}]}}\n");
}

async fn fleet() -> &'static Fleet {
    static FLEET: OnceCell<Fleet> = OnceCell::const_new();
    FLEET.get_or_init(|| Fleet::builder().pods(3).cluster().idp().nginx().config(with_credential).start()).await
}

async fn direct(pod: &Pod, target: &str, headers: &[(&str, &str)]) -> Answer {
    let original = [("x-original-url", "http://localhost/open/x"), ("x-original-method", "GET")];
    raw_http::send(pod.check_port(), "GET", target, &[&original, headers].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_without_exactly_one_gateway_secret_returns_no_credential() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    let session = ("cookie", cookie.as_str());
    let name = SECRET_HEADER.0;
    let (upper, longer) = (GATEWAY_SECRET.to_uppercase(), format!("{GATEWAY_SECRET}x"));
    let (twice, bearer) = (format!("{GATEWAY_SECRET}, {GATEWAY_SECRET}"), format!("Bearer {GATEWAY_SECRET}"));
    let cases: [&[(&str, &str)]; 13] = [
        &[],
        &[(name, "")],
        &[(name, "wrong")],
        &[(name, OTHER_SECRET)],
        &[(name, &GATEWAY_SECRET[1..])],
        &[(name, &upper)],
        &[(name, &longer)],
        &[(name, &twice)],
        &[SECRET_HEADER, SECRET_HEADER],
        &[SECRET_HEADER, (name, OTHER_SECRET)],
        &[(name, "wrong"), SECRET_HEADER],
        &[("x_vestibule_gateway_secret", GATEWAY_SECRET)],
        &[("authorization", &bearer), ("x-gateway-secret", GATEWAY_SECRET)],
    ];
    for pod in &fleet.pods {
        let refused = async || pod.metric("vestibule_checks_refused_total", &["reason=\"gateway_secret\""]).await;
        let before = refused().await;
        for headers in cases {
            for headers in [headers, &[headers, &[session]].concat()] {
                for target in ["/auth/nginx", "/auth/nginx?echo=true&host=localhost"] {
                    let answer = direct(pod, target, headers).await;
                    assert_denied(&answer, 403, "invalid_request");
                    let text = format!("{answer:?}");
                    assert!(!text.contains(UPSTREAM) && !text.contains(GATEWAY_SECRET), "{headers:?}: {text}");
                }
            }
        }
        assert_eq!(refused().await - before, 4.0 * cases.len() as f64);
        let target = format!("/auth/nginx?secret={GATEWAY_SECRET}");
        assert_denied(&direct(pod, &target, &[]).await, 403, "invalid_request");
        let log = pod.log();
        assert!(log.contains("auth request without the gateway secret refused") && !log.contains(GATEWAY_SECRET), "{log}");
        let answer = direct(pod, "/auth/nginx", &[SECRET_HEADER]).await;
        assert_eq!((answer.status, answer.one("authorization")), (200, UPSTREAM));
    }
}

/// nginx sends its own secret, whatever the client sends.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_own_gateway_secret_reaches_neither_the_check_nor_the_upstream() {
    let fleet = fleet().await;
    let cookie = fleet.session_header(ALICE).await;
    for name in ["X-Vestibule-Gateway-Secret", "x-vestibule-gateway-secret", "X_Vestibule_Gateway_Secret"] {
        for secret in ["forged", GATEWAY_SECRET, OTHER_SECRET] {
            let headers = [("Accept", "application/json"), ("Cookie", cookie.as_str()), (name, secret), (name, "forged")];
            for path in ["/page", "/open/x"] {
                let answer = raw_http::send(fleet.nginx().port(), "GET", path, &headers).await;
                assert_eq!(answer.status, 200, "{name}: {answer:?}");
                let received = answer.json();
                assert_eq!(received["headers"]["authorization"], UPSTREAM);
                let text = received.to_string().to_ascii_lowercase();
                assert!(!text.contains("gateway") && !text.contains("forged"), "{name}: {text}");
            }
            let answer = raw_http::send(fleet.nginx().port(), "GET", "/sso/session", &headers).await;
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
        }
    }
}

/// The file of all pods of the rotation.
struct SecretFile(Scratch);

impl SecretFile {
    fn shared() -> &'static Self {
        static FILE: OnceLock<SecretFile> = OnceLock::new();
        FILE.get_or_init(|| {
            let file = Self(Scratch::new("gateway-secret"));
            file.write(GATEWAY_SECRET);
            file
        })
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("secrets")
    }

    fn write(&self, text: &str) {
        let beside = self.0.write("secrets.new", text);
        std::fs::rename(beside, self.path()).expect("the directory is writable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_rotated_on_every_pod_without_a_restart() {
    let file = SecretFile::shared();
    let with_file = |pod: &mut PodOptions| {
        with_credential(pod);
        pod.gateway_secret = None;
        pod.further += &format!("check: {{secret_file: {}}}\n", file.path().display());
    };
    let fleet = Fleet::builder().pods(3).cluster().idp().nginx().config(with_file).start().await;
    let status = async |pod: &Pod, secret: &str| direct(pod, "/auth/nginx", &[(SECRET_HEADER.0, secret)]).await.status;
    let through_nginx = async || raw_http::send(fleet.nginx().port(), "GET", "/open/x", &[]).await.status;
    for pod in &fleet.pods {
        assert_eq!((status(pod, GATEWAY_SECRET).await, status(pod, OTHER_SECRET).await), (200, 403));
    }
    file.write(&format!("# new\n{OTHER_SECRET}\n# old\n{GATEWAY_SECRET}\n"));
    until_everywhere(&fleet.pods, "the new secret", PATIENCE, async |pod| status(pod, OTHER_SECRET).await == 200).await;
    for pod in &fleet.pods {
        assert_eq!(status(pod, GATEWAY_SECRET).await, 200, "the old secret is accepted too");
    }
    assert_eq!(through_nginx().await, 200);
    let twice = format!("{OTHER_SECRET}\n{OTHER_SECRET}");
    let rejected = "gateway secrets rejected; keeping previous version";
    for (invalid, event) in [("", "file not readable"), ("short", rejected), (&twice, rejected)] {
        fleet.until_logged_again(event, || file.write(invalid)).await;
        assert_eq!(through_nginx().await, 200, "an invalid file keeps the old secrets");
    }
    file.write(OTHER_SECRET);
    until_everywhere(&fleet.pods, "the end of the old secret", PATIENCE, async |pod| status(pod, GATEWAY_SECRET).await == 403)
        .await;
    for pod in &fleet.pods {
        assert_eq!(status(pod, OTHER_SECRET).await, 200);
        let log = pod.log();
        assert!(log.contains("gateway secrets reloaded") && !log.contains(OTHER_SECRET) && !log.contains(GATEWAY_SECRET));
        let metrics = pod.metrics().await;
        assert!(!metrics.contains(OTHER_SECRET) && !metrics.contains(GATEWAY_SECRET));
    }
    assert_eq!(through_nginx().await, 403, "nginx still sends the old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_configured_secret_the_header_is_ignored() {
    let pod = Pod::start(PodOptions::new()).await;
    for headers in [&[][..], &[SECRET_HEADER], &[SECRET_HEADER, SECRET_HEADER]] {
        assert_denied(&direct(&pod, "/auth/nginx", headers).await, 401, "login_required");
    }
}
