//! The upstream credential that replaces the client's credential, through nginx from three pods.

mod assertion;
mod identity_encoding;
mod litellm;
mod other_header;
mod own_credentials;
mod static_credentials;

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;
use tokio::sync::OnceCell;

use crate::support::fleet::{Fleet, ROLE_MAP};
use crate::support::pod::PodOptions;
use crate::support::raw_http::{self, Answer};
use crate::support::scratch::Scratch;

const AUDIENCE: &str = "upstream-under-test";

/// alice is a proxy_admin of the team research, bob an internal_user of research and data, carol has the default role and no
/// team.
const ACCESS: &str = r#"access:
  - {hosts: [asserted.example.com], upstream_credential: assertion}
  - {paths: [/open/**], allow: anyone}
  - {paths: [/open-with-key/**], allow: anyone, upstream_credential: litellm}
  - {paths: [/none/**], upstream_credential: none}
  - {paths: [/pass/**], upstream_credential: pass}
  - {paths: [/data/**], upstream_credential: data}
  - {paths: [/asserted/**], upstream_credential: assertion}
  - {paths: [/theirs/**], read: [session], upstream_credential: pass}
  - {paths: [/some/**], read: [x-api-key, session]}
  - {paths: [/subscription/**], read: [x-litellm-api-key], upstream_credential: proxied}
  - {paths: [/browser/**], read: [session], upstream_credential: proxied}
  - {paths: [/read/**], upstream_credential: proxied}
  - {paths: [/anyone/**], allow: anyone, upstream_credential: proxied}
  - {paths: [/closed/**], allow: nobody}
  - {paths: [/**]}
"#;

/// The files that all pods of the shared fleet read.
struct Files {
    scratch: Scratch,
}

impl Files {
    fn shared() -> &'static Self {
        static FILES: OnceLock<Files> = OnceLock::new();
        FILES.get_or_init(|| {
            let files = Self { scratch: Scratch::new("upstream-credentials") };
            files.write("for-admins", "Bearer sk-upstream-for-admins\n");
            files.write("for-all", "sk-upstream-for-all\n");
            files.write("for-data", "Basic ZGF0YTp1cHN0cmVhbQ==\n");
            files.write("for-proxied", "Bearer sk-of-the-proxy\n");
            files.write("keys.pem", &new_key("es256"));
            files
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let beside = self.path(&format!("{name}.new"));
        std::fs::write(&beside, text).expect("the directory is writable");
        std::fs::rename(beside, self.path(name)).expect("the directory is writable");
    }

    fn section(&self) -> String {
        let [admins, all, data, proxied, keys] =
            ["for-admins", "for-all", "for-data", "for-proxied", "keys.pem"].map(|name| self.path(name).display().to_string());
        format!(
            "upstream_credential:
  default: litellm
  static:
    - {{name: litellm, roles: [proxy_admin], authorization_file: {admins}}}
    - {{name: litellm, authorization_file: {all}}}
    - {{name: data, teams: [data], authorization_file: {data}}}
    - {{name: proxied, header: X-LiteLLM-Api-Key, value_file: {proxied}}}
  assertion: {{audience: {AUDIENCE}, keys_file: {keys}}}
"
        )
    }
}

/// The output of `vestibule assertion-key new`.
fn new_key(algorithm: &str) -> String {
    let mut command = std::process::Command::new(PodOptions::new().binary);
    command.args(["assertion-key", "new", "--algorithm", algorithm]);
    let output = command.output().expect("the binary runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("PEM is text")
}

async fn fleet() -> &'static Fleet {
    static FLEET: OnceCell<Fleet> = OnceCell::const_new();
    let with_credentials = |pod: &mut PodOptions| {
        pod.role_map = Some(format!("{ROLE_MAP}{ACCESS}"));
        pod.further += &Files::shared().section();
    };
    FLEET.get_or_init(|| Fleet::builder().pods(3).cluster().idp().nginx().config(with_credentials).start()).await
}

/// A client's request through nginx.
async fn ask(port: u16, path: &str, headers: &[(&str, &str)]) -> Answer {
    raw_http::send(port, "GET", path, &[&[("Accept", "application/json")], headers].concat()).await
}

/// The headers that reached the upstream.
async fn received(fleet: &Fleet, path: &str, headers: &[(&str, &str)]) -> Value {
    let answer = ask(fleet.nginx().port(), path, headers).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    for secret in ["authorization", "x-vestibule-assertion"] {
        assert!(answer.all(secret).is_empty(), "the client received the upstream credential: {answer:?}");
    }
    answer.json()["headers"].clone()
}
