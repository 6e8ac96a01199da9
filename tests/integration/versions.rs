//! The first version and the present one beside each other on one store: what one writes, the other reads.

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use url::Url;

use crate::accounts::{ANOTHER, PASSWORD, Village, claim, get, link_in, post, sign_in_by_json};
use crate::keys::{By, call, make, regenerate, revoke, status, until_status};
use crate::support::agent::Agent;
use crate::support::pod::{Pod, random_key};
use crate::support::steps::at;
use crate::support::versions;
use crate::support::wait::until;

/// The bound, and this machine's load.
const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(10);
const ADA: &str = "ada@example.com";
const OLD: usize = 0;
const NEW: usize = 1;

struct Pair<'a> {
    village: &'a Village,
    writer: usize,
    reader: usize,
}

#[rstest]
#[case::old_writes(OLD, NEW)]
#[case::new_writes(NEW, OLD)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the first version: `make test-versions` builds it"]
async fn what_one_version_writes_the_other_reads(#[case] writer: usize, #[case] reader: usize) {
    let first = versions::first();
    let village = Village::adjusted(|pod| {
        if pod.name == "pod-0" {
            pod.binary.clone_from(&first);
        }
    })
    .await;
    let pair = Pair { village: &village, writer, reader };
    pair.a_login_and_its_session().await;
    pair.keys().await;
    pair.people().await;
    if writer == OLD {
        pair.what_it_sealed_is_sealed_anew().await;
    }
}

impl Pair<'_> {
    fn writes(&self) -> &Pod {
        self.village.pod(self.writer)
    }

    fn reads(&self) -> &Pod {
        self.village.pod(self.reader)
    }

    async fn a_login_and_its_session(&self) {
        let site = &self.village.site;
        let agent = Agent::new();
        let begun = site.callback(self.writer, &agent).await;
        let callback = at(self.reads(), &Url::parse(&begun).expect("an address"));
        assert_eq!(agent.get(&callback).await.status, 303, "a login begun by one is finished by the other");

        let browser = site.sign_in(self.writer).await;
        let who = async |pod: &Pod| get(pod, By::Page(&browser.cookie), "/sso/session").await;
        assert_eq!(who(self.reads()).await, who(self.writes()).await);
        assert_eq!(self.village.passing(&browser.cookie).await, 3);
        site.sign_out(self.reader, &browser).await;
        self.until_ended(&browser.cookie).await;
    }

    async fn keys(&self) {
        let owner = self.village.site.sign_in(self.reader).await.cookie;
        let made = make(self.writes(), By::Page(&owner), json!({"key_alias": "laptop", "duration": "30d"})).await;
        assert_eq!(status(self.reads(), &made.key).await, 200);
        let child =
            call(self.reads(), By::Key(&made.key), Method::GET, "/sso/key/generate?response_type=oauth_token", None).await;
        let child = child.json()["access_token"].as_str().expect("a child").to_owned();
        assert_eq!(status(self.writes(), &child).await, 200);

        let again = regenerate(self.reads(), By::Page(&owner), &made.id, json!({})).await.made();
        until_status(self.writes(), &made.key, 401).await;
        assert_eq!(status(self.writes(), &again.key).await, 200);
        assert_eq!(revoke(self.reads(), By::Page(&owner), &again.id).await.status(), 200);
        for key in [&again.key, &child] {
            until_status(self.writes(), key, 401).await;
        }
    }

    async fn people(&self) {
        let admin = self.village.resident("admin@example.com", "proxy_admin").await;
        let invited = json!({"user_email": ADA, "user_role": "internal_user", "teams": ["research"]});
        let invited = post(self.writes(), admin.by(), "/vestibule/api/invitations", invited).await.json();
        let claimed = claim(self.reads(), &link_in(invited["invitation_link"].as_str().expect("a link")), PASSWORD).await;
        assert_eq!(claimed.status(), 200, "{claimed:?}");
        let (id, cookie) = (claimed.json()["user_id"].as_str().expect("an id").to_owned(), claimed.cookie("vestibule"));
        let cookie = cookie.expect("a session");
        assert_eq!(get(self.writes(), By::Page(&cookie), "/sso/session").await["teams"], json!(["research"]));

        let change = json!({"current_password": PASSWORD, "new_password": ANOTHER});
        assert_eq!(post(self.writes(), By::Page(&cookie), "/vestibule/api/password", change).await.status(), 200);
        assert_eq!(sign_in_by_json(self.reads(), ADA, ANOTHER, &[]).await.status(), 200);

        let key = make(self.reads(), By::Page(&cookie), json!({})).await.key;
        let act = async |pod: &Pod, what: &str| {
            assert_eq!(post(pod, admin.by(), &format!("/vestibule/api/people/{id}/{what}"), json!({})).await.status(), 200);
        };
        act(self.writes(), "disable").await;
        self.until_ended(&cookie).await;
        until_status(self.reads(), &key, 401).await;
        sign_in_by_json(self.reads(), ADA, ANOTHER, &[]).await.assert(403, "access_denied");
        act(self.reads(), "enable").await;
        assert_eq!(sign_in_by_json(self.writes(), ADA, ANOTHER, &[]).await.status(), 200);
        assert_eq!(status(self.writes(), &key).await, 401, "what has ended has ended");
    }

    /// By the present version's command; the old one reads it then.
    async fn what_it_sealed_is_sealed_anew(&self) {
        let owner = self.village.site.sign_in(self.writer).await.cookie;
        let key = make(self.writes(), By::Page(&owner), json!({})).await.key;
        let file = &self.village.site.key_ring_file;
        let old = std::fs::read_to_string(file).expect("the file is ours");
        std::fs::write(file, format!("{}\n{old}", random_key())).expect("the file is ours");
        for pod in &self.village.site.pods {
            let read = async || pod.log().contains("the key ring was read again").then_some(());
            until("the ring to be read", AT_ONCE * 6, read).await;
        }
        let config = self.reads().config_file().to_string_lossy();
        let output = crate::cli::vestibule(&["key-ring", "rewrap", "--config", &config]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(status(self.writes(), &key).await, 200);
        let listed: Value = get(self.writes(), By::Page(&owner), "/vestibule/api/keys").await;
        assert!(!listed["keys"].as_array().expect("a list").is_empty());
    }

    async fn until_ended(&self, cookie: &str) {
        let gone = async || (self.village.passing(cookie).await == 0).then_some(());
        until("the session to end everywhere", AT_ONCE, gone).await;
    }
}
