//! The first and the current version side by side on one store: each reads the records of the other.

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use url::Url;

use crate::support::agent::Agent;
use crate::support::api::{Auth, KEYS, call, create_key, get, key_status, post, revoke_key, rotate_key, until_key_status};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{OTHER_PASSWORD, PASSWORD, accept_invitation, link_in, sign_in_with_json};
use crate::support::pod::{Pod, random_key};
use crate::support::steps::at;
use crate::support::versions;
use crate::support::wait::until;

/// The consistency bound, and a margin for the load of the machine.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(10);
/// The event of a key ring that was read, of the present version and of the first one.
const RING_READ: [&str; 2] = ["key ring reloaded", "the key ring was read again"];
const ADA: &str = "ada@example.com";
const OLD: usize = 0;
const NEW: usize = 1;

struct Pair<'a> {
    fleet: &'a Fleet,
    writer: usize,
    reader: usize,
}

#[rstest]
#[case::old_writes(OLD, NEW)]
#[case::new_writes(NEW, OLD)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the first version: `make test-versions` builds it"]
async fn each_version_reads_the_records_of_the_other(#[case] writer: usize, #[case] reader: usize) {
    let first = versions::first();
    let fleet = Fleet::builder()
        .pods(3)
        .cluster()
        .idp()
        .local_accounts()
        .config(|pod| {
            if pod.name == "pod-0" {
                pod.binary.clone_from(&first);
                pod.gateway_secret = None;
            }
        })
        .start()
        .await;
    let pair = Pair { fleet: &fleet, writer, reader };
    pair.check_login_and_session().await;
    pair.keys().await;
    pair.users().await;
    if writer == OLD {
        pair.check_reencrypted_records().await;
    }
}

impl Pair<'_> {
    fn writes(&self) -> &Pod {
        self.fleet.pod(self.writer)
    }

    fn reads(&self) -> &Pod {
        self.fleet.pod(self.reader)
    }

    async fn check_login_and_session(&self) {
        let fleet = &self.fleet;
        let agent = Agent::new();
        let begun = fleet.callback(self.writer, &agent).await;
        let callback = at(self.reads(), &Url::parse(&begun).expect("an address"));
        assert_eq!(agent.get(&callback).await.status, 303, "a login begun by one is finished by the other");

        let browser = fleet.sign_in(self.writer).await;
        let who = async |pod: &Pod| get(pod, Auth::Session(&browser.cookie), "/sso/session").await;
        assert_eq!(who(self.reads()).await, who(self.writes()).await);
        assert_eq!(self.fleet.passing(&browser.cookie).await, 3);
        fleet.sign_out(self.reader, &browser).await;
        self.until_ended(&browser.cookie).await;
    }

    async fn keys(&self) {
        let unproven = self.fleet.sign_in(OLD).await.cookie;
        let refused = call(self.fleet.pod(NEW), Auth::Session(&unproven), Method::POST, KEYS, Some(json!({}))).await;
        // The first version does not record when the user authenticated.
        refused.assert(401, "insufficient_user_authentication");
        let owner = self.fleet.sign_in(NEW).await.cookie;
        let created_key =
            create_key(self.writes(), Auth::Session(&owner), json!({"key_alias": "laptop", "duration": "30d"})).await;
        assert_eq!(key_status(self.reads(), &created_key.key).await, 200);
        let child =
            call(self.reads(), Auth::Key(&created_key.key), Method::GET, "/sso/key/generate?response_type=oauth_token", None)
                .await;
        let child = child.json()["access_token"].as_str().expect("a child").to_owned();
        assert_eq!(key_status(self.writes(), &child).await, 200);

        let again = rotate_key(self.reads(), Auth::Session(&owner), &created_key.id, json!({})).await.into_key();
        until_key_status(self.writes(), &created_key.key, 401).await;
        assert_eq!(key_status(self.writes(), &again.key).await, 200);
        assert_eq!(revoke_key(self.reads(), Auth::Session(&owner), &again.id).await.status(), 200);
        for key in [&again.key, &child] {
            until_key_status(self.writes(), key, 401).await;
        }
    }

    async fn users(&self) {
        let admin = self.fleet.create_user("admin@example.com", "proxy_admin").await;
        let invited = json!({"user_email": ADA, "user_role": "internal_user", "teams": ["research"]});
        let invited = post(self.writes(), admin.auth(), "/vestibule/api/invitations", invited).await.json();
        let accepted =
            accept_invitation(self.reads(), &link_in(invited["invitation_link"].as_str().expect("a link")), PASSWORD).await;
        assert_eq!(accepted.status(), 200, "{accepted:?}");
        let (id, cookie) = (accepted.json()["user_id"].as_str().expect("an id").to_owned(), accepted.cookie("vestibule"));
        let cookie = cookie.expect("a session");
        assert_eq!(get(self.writes(), Auth::Session(&cookie), "/sso/session").await["teams"], json!(["research"]));

        let change = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
        assert_eq!(post(self.writes(), Auth::Session(&cookie), "/vestibule/api/password", change).await.status(), 200);
        let entered = sign_in_with_json(self.reads(), ADA, OTHER_PASSWORD, &[]).await;
        assert_eq!(entered.status(), 200);

        let recent = entered.cookie("vestibule").expect("a session");
        let key = create_key(self.reads(), Auth::Session(&recent), json!({})).await.key;
        let act = async |pod: &Pod, what: &str| {
            assert_eq!(post(pod, admin.auth(), &format!("/vestibule/api/people/{id}/{what}"), json!({})).await.status(), 200);
        };
        act(self.writes(), "disable").await;
        self.until_ended(&cookie).await;
        until_key_status(self.reads(), &key, 401).await;
        sign_in_with_json(self.reads(), ADA, OTHER_PASSWORD, &[]).await.assert(403, "access_denied");
        act(self.reads(), "enable").await;
        assert_eq!(sign_in_with_json(self.writes(), ADA, OTHER_PASSWORD, &[]).await.status(), 200);
        assert_eq!(key_status(self.writes(), &key).await, 401, "a revoked key stays revoked");
    }

    /// With the command of the current version; the old version reads the result.
    async fn check_reencrypted_records(&self) {
        let owner = self.fleet.sign_in(self.writer).await.cookie;
        let key = create_key(self.writes(), Auth::Session(&owner), json!({})).await.key;
        let file = &self.fleet.key_ring_file;
        let old = std::fs::read_to_string(file).expect("the file is ours");
        std::fs::write(file, format!("{}\n{old}", random_key())).expect("the file is ours");
        for pod in &self.fleet.pods {
            let read = async || RING_READ.iter().any(|event| pod.log().contains(event)).then_some(());
            until("the ring to be read", AT_ONCE * 6, read).await;
        }
        let config = self.reads().config_file().to_string_lossy();
        let output = crate::support::cli::vestibule(&["key-ring", "rewrap", "--config", &config]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(key_status(self.writes(), &key).await, 200);
        let listed: Value = get(self.writes(), Auth::Session(&owner), "/vestibule/api/keys").await;
        assert!(!listed["keys"].as_array().expect("a list").is_empty());
    }

    async fn until_ended(&self, cookie: &str) {
        let has_ended = async || (self.fleet.passing(cookie).await == 0).then_some(());
        until("the session to end everywhere", AT_ONCE, has_ended).await;
    }
}
