//! The records that ways in are read by: whoever spoils them, nobody comes in as somebody else, the cause is named, and
//! nothing is lost once they are as they were.

use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use super::{FRESH, TamperedFleet, Written, cut, swapped};
use crate::support::agent::Agent;
use crate::support::api::{ApiResponse, Auth, get, post};
use crate::support::local_accounts::{OTHER_PASSWORD, PASSWORD, accept_with_token, claims_of, get_token, sign_in_with_json};
use crate::support::steps::SESSION;

const ADA: &str = "ada@example.com";
const API_KEYS: &str = "/vestibule/api/keys";

/// Everything that is read on some way in, or by who is in, but the person's own record.
const BUT_THE_PERSONS: [&str; 8] = ["session", "key", "key_secret", "keys_of", "flow", "identity", "password", "invitation"];

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Alice, by the provider.
    Callback,
    /// Ada, by her password.
    Password,
    /// Somebody new, by an invitation.
    Claim,
    /// Ada, who is in, makes a key.
    NewKey,
}

/// A way that somebody has begun to go.
enum Begun {
    Callback { agent: Agent, address: String },
    Password,
    Claim { token: String, body: serde_json::Value },
    NewKey,
}

/// What came of it.
#[derive(Debug)]
struct Came {
    status: u16,
    text: String,
    /// The session that it opened.
    cookie: Option<String>,
}

impl Came {
    fn of(reply: &ApiResponse) -> Self {
        Self { status: reply.status(), text: format!("{reply:?}"), cookie: reply.cookie(SESSION) }
    }
}

impl TamperedFleet {
    async fn begin(&self, way: Way, number: usize) -> Begun {
        match way {
            Way::Callback => {
                let agent = Agent::new();
                let address = self.fleet.callback(FRESH, &agent).await;
                Begun::Callback { agent, address }
            }
            Way::Password => Begun::Password,
            Way::Claim => {
                let link = self.fleet.invite(&format!("new-{number}@example.com"), "internal_user");
                let told = get_token(self.fleet.pod(0), &link).await;
                assert_eq!(told.status(), 200, "{told:?}");
                let token = told.json()["token"].as_str().expect("a token").to_owned();
                let user = claims_of(&token)["user_id"].clone();
                Begun::Claim { token, body: json!({"invitation_link": link, "user_id": user, "password": PASSWORD}) }
            }
            Way::NewKey => Begun::NewKey,
        }
    }

    async fn go_on(&self, begun: &Begun) -> Came {
        let pod = self.fleet.pod(FRESH);
        match begun {
            Begun::Callback { agent, address } => {
                let page = agent.get(address).await;
                let cookie = agent.cookie("localhost", SESSION).map(|cookie| cookie.value);
                Came { status: page.status, text: page.body, cookie }
            }
            Begun::Password => Came::of(&sign_in_with_json(pod, ADA, PASSWORD, &[]).await),
            Begun::Claim { token, body } => Came::of(&accept_with_token(pod, token, body.clone()).await),
            Begun::NewKey => Came::of(&post(pod, self.ada.auth(), API_KEYS, json!({})).await),
        }
    }

    /// Who somebody is by a session, as every pod has it.
    async fn who(&self, cookie: &str) -> (String, String) {
        assert_eq!(self.fleet.passing(cookie).await, 3);
        let session = get(self.fleet.pod(0), Auth::Session(cookie), "/sso/session").await;
        let text = |name: &str| session[name].as_str().unwrap_or_default().to_owned();
        (text("user_id"), text("user_email"))
    }

    /// That it succeeded, for whom it is meant.
    async fn assert_went_well(&self, way: Way, begun: &Begun, came: &Came, context: &str) {
        let status = match way {
            Way::Callback => 303,
            Way::Password | Way::Claim => 200,
            Way::NewKey => 201,
        };
        assert_eq!(came.status, status, "{context}: {came:?}");
        let Some(cookie) = &came.cookie else { return assert!(matches!(way, Way::NewKey), "{context}: {came:?}") };
        let (id, email) = self.who(cookie).await;
        match begun {
            Begun::Callback { .. } => assert_eq!(email, "alice@example.com", "{context}"),
            Begun::Claim { body, .. } => assert_eq!(id, body["user_id"], "{context}"),
            Begun::Password | Begun::NewKey => assert_eq!(id, self.ada.id, "{context}"),
        }
    }
}

/// Under each name a record of another kind.
async fn of_another_kind(tampered: &TamperedFleet, before: &Written, kind: &str) -> Written {
    let others = tampered.written(&[if kind == "user" { "identity" } else { "user" }]).await;
    before.keys().cloned().zip(others.values().cycle().cloned()).collect()
}

#[rstest]
#[case::a_login_in_flight("flow", Way::Callback, "a Flow record can't be read")]
#[case::who_somebody_is_at_the_provider("identity", Way::Callback, "a Identity record can't be read")]
#[case::who_somebody_is_here("identity", Way::Password, "a Identity record can't be read")]
#[case::whose_invitation_it_is("invitation", Way::Claim, "a Invitation record can't be read")]
#[case::a_password("password", Way::Password, "a Password record can't be read")]
#[case::a_person_by_a_provider("user", Way::Callback, "a User record can't be read")]
#[case::a_person_by_a_password("user", Way::Password, "a User record can't be read")]
#[case::the_turn_for_a_key("keys_of", Way::NewKey, "a KeyCreations record can't be read")]
#[tokio::test(flavor = "multi_thread")]
async fn by_spoilt_records_nobody_comes_in_and_nothing_is_lost(#[case] kind: &str, #[case] way: Way, #[case] cause: &str) {
    let tampered = TamperedFleet::new().await;
    // So that there is somebody to be taken for.
    tampered.fleet.sign_in(0).await;
    for (number, spoilt) in ["swapped", "cut", "emptied", "of another kind"].into_iter().enumerate() {
        let context = format!("{kind}, {spoilt}, {way:?}");
        let (first, second) = (tampered.begin(way, 2 * number).await, tampered.begin(way, 2 * number + 1).await);
        let before = tampered.written(&[kind]).await;
        let after = match spoilt {
            "swapped" => swapped(&before),
            "cut" => cut(&before),
            "emptied" => before.keys().map(|name| (name.clone(), Vec::new())).collect(),
            _ => of_another_kind(&tampered, &before, kind).await,
        };
        tampered.write(&after).await;
        let known = tampered.fleet.pod(FRESH).log().matches(cause).count();
        let refused = tampered.go_on(&first).await;
        assert!([500, 503].contains(&refused.status) && refused.cookie.is_none(), "{context}: {refused:?}");
        assert!(!refused.text.contains("not_found"), "{context}: {refused:?}");
        assert!(tampered.fleet.pod(FRESH).log().matches(cause).count() > known, "{context}: not in the log: {cause}");
        assert_eq!(tampered.written(&[kind]).await, after, "{context}: nothing is written over");

        tampered.write(&before).await;
        let came = tampered.go_on(&second).await;
        tampered.assert_went_well(way, &second, &came, &context).await;
        if kind == "flow" || kind == "invitation" {
            let came = tampered.go_on(&first).await;
            tampered.assert_went_well(way, &first, &came, &format!("{context}: what was refused goes on")).await;
        }
    }
}

/// What docs/store.md says can be done by it, and what not.
#[tokio::test(flavor = "multi_thread")]
async fn a_way_in_that_was_put_back_is_open_again_and_leads_to_nobody_else() {
    let tampered = TamperedFleet::new().await;
    let change = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
    let password = tampered.written(&["password"]).await;
    assert_eq!(post(tampered.fleet.pod(0), tampered.ada.auth(), "/vestibule/api/password", change).await.status(), 200);
    sign_in_with_json(tampered.fleet.pod(1), ADA, PASSWORD, &[]).await.assert(401, "invalid_grant");
    tampered.write(&password).await;
    let again = sign_in_with_json(tampered.fleet.pod(1), ADA, PASSWORD, &[]).await;
    assert_eq!((again.status(), &again.json()["user_id"]), (200, &json!(tampered.ada.id)), "a change of a password is undone");

    let begun = tampered.begin(Way::Claim, 0).await;
    let invitation = tampered.written(&["invitation"]).await;
    let came = tampered.go_on(&begun).await;
    tampered.assert_went_well(Way::Claim, &begun, &came, "an invitation").await;
    assert_eq!(tampered.go_on(&begun).await.status, 401, "once");
    tampered.write(&invitation).await;
    let came = tampered.go_on(&begun).await;
    tampered
        .assert_went_well(Way::Claim, &begun, &came, "an invitation that was taken up is open again, to the same person")
        .await;

    let (begun, _another) = (tampered.begin(Way::Callback, 0).await, tampered.begin(Way::Callback, 1).await);
    let flow = tampered.written(&["flow"]).await;
    let Begun::Callback { agent, address } = &begun else { unreachable!("it was begun so") };
    assert_eq!(agent.get(address).await.status, 303);
    tampered.write(&flow).await;
    let page = agent.get(address).await;
    assert!(page.status == 502 && page.set_cookies().is_empty(), "the provider takes a code once: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_does_not_come_back_by_any_record_but_their_own() {
    let mut tampered = TamperedFleet::new().await;
    let invited = tampered.fleet.invite(ADA, "internal_user");
    let before = tampered.written(&BUT_THE_PERSONS).await;
    tampered.administer(Method::POST, "/disable").await;
    tampered.write(&before).await;
    let (session, key) = tampered.seen_afresh().await;
    assert!(session != 200 && key != 200, "{session}, {key}");
    sign_in_with_json(tampered.fleet.pod(FRESH), ADA, PASSWORD, &[]).await.assert(403, "access_denied");
    let told = get_token(tampered.fleet.pod(FRESH), &invited).await;
    assert_eq!((told.status(), told.cookie(SESSION)), (200, None), "the link is good, and opens nothing: {told:?}");
    let token = told.json()["token"].as_str().expect("a token").to_owned();
    let body = json!({"invitation_link": invited, "user_id": tampered.ada.id, "password": OTHER_PASSWORD});
    let claimed = accept_with_token(tampered.fleet.pod(FRESH), &token, body).await;
    assert!(claimed.status() == 401 && claimed.cookie(SESSION).is_none(), "{claimed:?}");
    let made = post(tampered.fleet.pod(FRESH), tampered.ada.auth(), API_KEYS, json!({})).await;
    assert_eq!(made.status(), 401, "{made:?}");
}

/// Tries at passwords are counted in plain numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_of_tries_that_is_none_lets_nobody_try() {
    let tampered = TamperedFleet::new().await;
    sign_in_with_json(tampered.fleet.pod(0), ADA, OTHER_PASSWORD, &[]).await.assert(401, "invalid_grant");
    sign_in_with_json(tampered.fleet.pod(0), "bob@example.com", OTHER_PASSWORD, &[]).await.assert(401, "invalid_grant");
    let before = tampered.written(&["counter"]).await;
    for (spoilt, status, code) in [("", 503, "outcome_unknown"), ("many", 503, "outcome_unknown"), ("9999", 429, "slow_down")] {
        tampered.write(&before.keys().map(|name| (name.clone(), spoilt.into())).collect()).await;
        let reply = sign_in_with_json(tampered.fleet.pod(FRESH), ADA, PASSWORD, &[]).await;
        reply.assert(status, code);
        assert_eq!(reply.cookie(SESSION), None, "{spoilt:?}");
    }
    tampered.write(&before).await;
    assert_eq!(sign_in_with_json(tampered.fleet.pod(FRESH), ADA, PASSWORD, &[]).await.status(), 200);
}
