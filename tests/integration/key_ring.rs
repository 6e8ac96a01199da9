//! A key ring is rotated to its end: everything is sealed anew, and the old key taken out.

use std::time::Duration;

use serde_json::{Value, json};

use crate::accounts::{PASSWORD, Resident, Village, get, post, sign_in_by_json};
use crate::cli::vestibule;
use crate::keys::{make, status};
use crate::support::pod::random_key;
use crate::support::wait::until;

const DEADLINE: Duration = Duration::from_secs(60);
pub const UNKNOWN_KEY: &str = "it was sealed with a key that is not in the key ring";

/// An administrator, somebody with a key, and somebody who is disabled.
struct People {
    village: Village,
    admin: Resident,
    key: String,
    bob: Resident,
}

impl People {
    async fn new() -> Self {
        let village = Village::new().await;
        let admin = village.resident("admin@example.com", "proxy_admin").await;
        let ada = village.resident("ada@example.com", "team").await;
        let bob = village.resident("bob@example.com", "team").await;
        let key = make(village.pod(0), ada.by(), json!({})).await.key;
        let disabled = post(village.pod(0), admin.by(), &format!("/vestibule/api/people/{}/disable", bob.id), json!({})).await;
        assert_eq!(disabled.status(), 200, "{disabled:?}");
        let people = Self { village, admin, key, bob };
        people.key_is(200).await;
        people
    }

    /// Replaces the ring, and waits until every pod has read it.
    async fn ring(&self, keys: &[&str]) {
        let pods = &self.village.site.pods;
        let times = |log: &str| log.matches("the key ring was read again").count();
        let before: Vec<usize> = pods.iter().map(|pod| times(&pod.log())).collect();
        std::fs::write(&self.village.site.key_ring_file, keys.join("\n") + "\n").expect("the file is ours");
        let read = async || pods.iter().zip(&before).all(|(pod, before)| times(&pod.log()) > *before).then_some(());
        until("the ring to be read", DEADLINE, read).await;
    }

    fn old_key(&self) -> String {
        std::fs::read_to_string(&self.village.site.key_ring_file).expect("the file is ours").trim().to_owned()
    }

    /// What the command says, and whether it did all that there was to do.
    fn rewrap(&self) -> (bool, String, String) {
        let config = self.village.pod(0).config_file().to_string_lossy();
        let output = vestibule(&["key-ring", "rewrap", "--config", &config]);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.success(), text(output.stdout), text(output.stderr))
    }

    async fn key_is(&self, wanted: u16) {
        for pod in &self.village.site.pods {
            until("the key to be judged anew", DEADLINE, async || (status(pod, &self.key).await == wanted).then_some(())).await;
        }
    }

    async fn bob_stays_disabled(&self) {
        sign_in_by_json(self.village.pod(1), "bob@example.com", PASSWORD, &[]).await.assert(403, "access_denied");
        let fresh = sign_in_by_json(self.village.pod(2), "admin@example.com", PASSWORD, &[]).await;
        let cookie = fresh.cookie("vestibule").expect("the administrator signs in");
        let by = crate::keys::By::Page(&cookie);
        let bob = get(self.village.pod(0), by, &format!("/vestibule/api/people/{}", self.bob.id)).await;
        assert_eq!(bob["disabled"], Value::Bool(true), "{bob}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rewrap_the_old_key_goes_and_nothing_is_lost_but_sessions() {
    let people = People::new().await;
    let (old, new) = (people.old_key(), random_key());
    people.ring(&[&new, &old]).await;
    assert_eq!(people.village.passing(&people.admin.cookie).await, 3, "a rotation signs nobody out");

    let (done, told, complaints) = people.rewrap();
    assert!(done && complaints.is_empty() && !told.starts_with("sealed anew: 0;"), "{told}{complaints}");
    let (done, told, _) = people.rewrap();
    assert!(done && told.starts_with("sealed anew: 0; "), "the second time there is nothing to do: {told}");

    // Nobody has done anything since: pods seal with the old key for three minutes more.
    people.ring(&[&new]).await;
    people.key_is(200).await;
    assert_eq!(sign_in_by_json(people.village.pod(0), "ada@example.com", PASSWORD, &[]).await.status(), 200);
    people.bob_stays_disabled().await;
    assert_eq!(people.village.passing(&people.admin.cookie).await, 0, "a session's handle is the old key's");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_rewrap_what_the_old_key_sealed_is_an_error_with_its_cause_until_the_key_is_back() {
    let people = People::new().await;
    let (old, new) = (people.old_key(), random_key());
    people.ring(&[&new, &old]).await;
    people.ring(&[&new]).await;

    people.key_is(503).await;
    for email in ["ada@example.com", "bob@example.com"] {
        let reply = sign_in_by_json(people.village.pod(1), email, PASSWORD, &[]).await;
        assert!(reply.status() >= 500, "never \"not found\": {reply:?}");
    }
    let log = people.village.pod(1).log();
    assert!(log.contains(UNKNOWN_KEY), "{log}");
    let (done, _, complaints) = people.rewrap();
    assert!(!done && complaints.contains(UNKNOWN_KEY) && complaints.contains("leave the old keys in"), "{complaints}");

    people.ring(&[&new, &old]).await;
    people.key_is(200).await;
    people.bob_stays_disabled().await;
}
