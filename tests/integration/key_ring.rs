//! A complete rotation of a key ring: all records are re-encrypted, and the old key is removed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::api::{Auth, create_key, get, key_status, post};
use crate::support::cli::vestibule;
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{LocalUser, PASSWORD, sign_in_with_json};
use crate::support::pod::random_key;
use crate::support::wait::until;

const DEADLINE: Duration = Duration::from_secs(60);
pub const UNKNOWN_KEY: &str = "it was encrypted with a key that is not in the key ring";

/// An administrator, a user with a key, and a disabled user.
struct KeyRingFleet {
    fleet: Fleet,
    admin: LocalUser,
    key: String,
    bob: LocalUser,
}

impl KeyRingFleet {
    async fn new() -> Self {
        let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
        let admin = fleet.create_user("admin@example.com", "proxy_admin").await;
        let ada = fleet.create_user("ada@example.com", "team").await;
        let bob = fleet.create_user("bob@example.com", "team").await;
        let key = create_key(fleet.pod(0), ada.auth(), json!({})).await.key;
        let disabled = post(fleet.pod(0), admin.auth(), &format!("/vestibule/api/people/{}/disable", bob.id), json!({})).await;
        assert_eq!(disabled.status(), 200, "{disabled:?}");
        let fixture = Self { fleet, admin, key, bob };
        fixture.assert_key_status(200).await;
        fixture
    }

    /// Replaces the key ring and waits until every pod has read it.
    async fn ring(&self, keys: &[&str]) {
        let replace = || std::fs::write(&self.fleet.key_ring_file, keys.join("\n") + "\n").expect("the file is ours");
        self.fleet.until_logged_again("key ring reloaded", replace).await;
    }

    fn old_key(&self) -> String {
        std::fs::read_to_string(&self.fleet.key_ring_file).expect("the file is ours").trim().to_owned()
    }

    /// Runs the command; returns whether it was complete, and its outputs.
    fn re_encrypt(&self) -> (bool, String, String) {
        let config = self.fleet.pod(0).config_file().to_string_lossy();
        let output = vestibule(&["key-ring", "re-encrypt", "--config", &config]);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    async fn assert_key_status(&self, wanted: u16) {
        for pod in &self.fleet.pods {
            until("the status of the key to change", DEADLINE, async || {
                (key_status(pod, &self.key).await == wanted).then_some(())
            })
            .await;
        }
    }

    async fn assert_bob_is_disabled(&self) {
        sign_in_with_json(self.fleet.pod(1), "bob@example.com", PASSWORD, &[]).await.assert(403, "access_denied");
        let fresh = sign_in_with_json(self.fleet.pod(2), "admin@example.com", PASSWORD, &[]).await;
        let cookie = fresh.cookie("vestibule").expect("the administrator signs in");
        let by = Auth::Session(&cookie);
        let bob = get(self.fleet.pod(0), by, &format!("/vestibule/api/people/{}", self.bob.id)).await;
        assert_eq!(bob["disabled"], Value::Bool(true), "{bob}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_re_encryption_the_old_key_can_be_removed_and_only_sessions_end() {
    let fixture = KeyRingFleet::new().await;
    let (old, new) = (fixture.old_key(), random_key());
    fixture.ring(&[&new, &old]).await;
    assert_eq!(fixture.fleet.passing(&fixture.admin.cookie).await, 3, "a rotation ends no session");

    let (done, output, complaints) = fixture.re_encrypt();
    assert!(done && complaints.is_empty() && !output.starts_with("re-encrypted: 0;"), "{output}{complaints}");
    let (done, output, _) = fixture.re_encrypt();
    assert!(done && output.starts_with("re-encrypted: 0; "), "the second run has nothing to do: {output}");

    // No request was sent since; pods encrypt with the old key for three more minutes.
    fixture.ring(&[&new]).await;
    fixture.assert_key_status(200).await;
    assert_eq!(sign_in_with_json(fixture.fleet.pod(0), "ada@example.com", PASSWORD, &[]).await.status(), 200);
    fixture.assert_bob_is_disabled().await;
    assert_eq!(fixture.fleet.passing(&fixture.admin.cookie).await, 0, "session tokens are bound to the old key");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_re_encryption_records_of_a_removed_key_are_errors_with_their_cause_until_the_key_is_restored() {
    let fixture = KeyRingFleet::new().await;
    let (old, new) = (fixture.old_key(), random_key());
    fixture.ring(&[&new, &old]).await;
    fixture.ring(&[&new]).await;

    fixture.assert_key_status(503).await;
    for email in ["ada@example.com", "bob@example.com"] {
        let reply = sign_in_with_json(fixture.fleet.pod(1), email, PASSWORD, &[]).await;
        assert!(reply.status() >= 500, "never \"not found\": {reply:?}");
    }
    let log = fixture.fleet.pod(1).log();
    assert!(log.contains(UNKNOWN_KEY), "{log}");
    let (done, _, complaints) = fixture.re_encrypt();
    assert!(
        !done && complaints.contains(UNKNOWN_KEY) && complaints.contains("keep the old keys in the key ring"),
        "{complaints}"
    );

    fixture.ring(&[&new, &old]).await;
    fixture.assert_key_status(200).await;
    fixture.assert_bob_is_disabled().await;
}
