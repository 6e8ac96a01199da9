//! The records that ways in are read by: whoever spoils them, nobody comes in as somebody else, the cause is named, and
//! nothing is lost once they are as they were.

use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use super::{FRESH, House, Written, cut, swapped};
use crate::accounts::{ANOTHER, PASSWORD, claim_with, claims_of, get, get_token, post, sign_in_by_json};
use crate::cache::site::COOKIE;
use crate::keys::{By, Reply};
use crate::support::agent::Agent;

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
    fn of(reply: &Reply) -> Self {
        Self { status: reply.status(), text: format!("{reply:?}"), cookie: reply.cookie(COOKIE) }
    }
}

impl House {
    async fn begin(&self, way: Way, number: usize) -> Begun {
        match way {
            Way::Callback => {
                let agent = Agent::new();
                let address = self.village.site.callback(FRESH, &agent).await;
                Begun::Callback { agent, address }
            }
            Way::Password => Begun::Password,
            Way::Claim => {
                let link = self.village.invite(&format!("new-{number}@example.com"), "internal_user");
                let told = get_token(self.village.pod(0), &link).await;
                assert_eq!(told.status(), 200, "{told:?}");
                let token = told.json()["token"].as_str().expect("a token").to_owned();
                let user = claims_of(&token)["user_id"].clone();
                Begun::Claim { token, body: json!({"invitation_link": link, "user_id": user, "password": PASSWORD}) }
            }
            Way::NewKey => Begun::NewKey,
        }
    }

    async fn go_on(&self, begun: &Begun) -> Came {
        let pod = self.village.pod(FRESH);
        match begun {
            Begun::Callback { agent, address } => {
                let page = agent.get(address).await;
                let cookie = agent.cookie("localhost", COOKIE).map(|cookie| cookie.value);
                Came { status: page.status, text: page.body, cookie }
            }
            Begun::Password => Came::of(&sign_in_by_json(pod, ADA, PASSWORD, &[]).await),
            Begun::Claim { token, body } => Came::of(&claim_with(pod, token, body.clone()).await),
            Begun::NewKey => Came::of(&post(pod, self.ada.by(), API_KEYS, json!({})).await),
        }
    }

    /// Who somebody is by a session, as every pod has it.
    async fn who(&self, cookie: &str) -> (String, String) {
        assert_eq!(self.village.passing(cookie).await, 3);
        let session = get(self.village.pod(0), By::Page(cookie), "/sso/session").await;
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
async fn of_another_kind(house: &House, before: &Written, kind: &str) -> Written {
    let others = house.written(&[if kind == "user" { "identity" } else { "user" }]).await;
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
#[case::the_turn_for_a_key("keys_of", Way::NewKey, "a KeysOf record can't be read")]
#[tokio::test(flavor = "multi_thread")]
async fn by_spoilt_records_nobody_comes_in_and_nothing_is_lost(#[case] kind: &str, #[case] way: Way, #[case] cause: &str) {
    let house = House::new().await;
    // So that there is somebody to be taken for.
    house.village.site.sign_in(0).await;
    for (number, spoilt) in ["swapped", "cut", "emptied", "of another kind"].into_iter().enumerate() {
        let context = format!("{kind}, {spoilt}, {way:?}");
        let (first, second) = (house.begin(way, 2 * number).await, house.begin(way, 2 * number + 1).await);
        let before = house.written(&[kind]).await;
        let after = match spoilt {
            "swapped" => swapped(&before),
            "cut" => cut(&before),
            "emptied" => before.keys().map(|name| (name.clone(), Vec::new())).collect(),
            _ => of_another_kind(&house, &before, kind).await,
        };
        house.write(&after).await;
        let known = house.village.pod(FRESH).log().matches(cause).count();
        let refused = house.go_on(&first).await;
        assert!([500, 503].contains(&refused.status) && refused.cookie.is_none(), "{context}: {refused:?}");
        assert!(!refused.text.contains("not_found"), "{context}: {refused:?}");
        assert!(house.village.pod(FRESH).log().matches(cause).count() > known, "{context}: not in the log: {cause}");
        assert_eq!(house.written(&[kind]).await, after, "{context}: nothing is written over");

        house.write(&before).await;
        let came = house.go_on(&second).await;
        house.assert_went_well(way, &second, &came, &context).await;
        if kind == "flow" || kind == "invitation" {
            let came = house.go_on(&first).await;
            house.assert_went_well(way, &first, &came, &format!("{context}: what was refused goes on")).await;
        }
    }
}

/// What docs/store.md says can be done by it, and what not.
#[tokio::test(flavor = "multi_thread")]
async fn a_way_in_that_was_put_back_is_open_again_and_leads_to_nobody_else() {
    let house = House::new().await;
    let change = json!({"current_password": PASSWORD, "new_password": ANOTHER});
    let password = house.written(&["password"]).await;
    assert_eq!(post(house.village.pod(0), house.ada.by(), "/vestibule/api/password", change).await.status(), 200);
    sign_in_by_json(house.village.pod(1), ADA, PASSWORD, &[]).await.assert(401, "invalid_grant");
    house.write(&password).await;
    let again = sign_in_by_json(house.village.pod(1), ADA, PASSWORD, &[]).await;
    assert_eq!((again.status(), &again.json()["user_id"]), (200, &json!(house.ada.id)), "a change of a password is undone");

    let begun = house.begin(Way::Claim, 0).await;
    let invitation = house.written(&["invitation"]).await;
    let came = house.go_on(&begun).await;
    house.assert_went_well(Way::Claim, &begun, &came, "an invitation").await;
    assert_eq!(house.go_on(&begun).await.status, 401, "once");
    house.write(&invitation).await;
    let came = house.go_on(&begun).await;
    house.assert_went_well(Way::Claim, &begun, &came, "an invitation that was taken up is open again, to the same person").await;

    let (begun, _another) = (house.begin(Way::Callback, 0).await, house.begin(Way::Callback, 1).await);
    let flow = house.written(&["flow"]).await;
    let Begun::Callback { agent, address } = &begun else { unreachable!("it was begun so") };
    assert_eq!(agent.get(address).await.status, 303);
    house.write(&flow).await;
    let page = agent.get(address).await;
    assert!(page.status == 502 && page.set_cookies().is_empty(), "the provider takes a code once: {}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_does_not_come_back_by_any_record_but_their_own() {
    let mut house = House::new().await;
    let invited = house.village.invite(ADA, "internal_user");
    let before = house.written(&BUT_THE_PERSONS).await;
    house.administer(Method::POST, "/disable").await;
    house.write(&before).await;
    let (session, key) = house.seen_afresh().await;
    assert!(session != 200 && key != 200, "{session}, {key}");
    sign_in_by_json(house.village.pod(FRESH), ADA, PASSWORD, &[]).await.assert(403, "access_denied");
    let told = get_token(house.village.pod(FRESH), &invited).await;
    assert_eq!((told.status(), told.cookie(COOKIE)), (200, None), "the link is good, and opens nothing: {told:?}");
    let token = told.json()["token"].as_str().expect("a token").to_owned();
    let body = json!({"invitation_link": invited, "user_id": house.ada.id, "password": ANOTHER});
    let claimed = claim_with(house.village.pod(FRESH), &token, body).await;
    assert!(claimed.status() == 401 && claimed.cookie(COOKIE).is_none(), "{claimed:?}");
    let made = post(house.village.pod(FRESH), house.ada.by(), API_KEYS, json!({})).await;
    assert_eq!(made.status(), 401, "{made:?}");
}

/// Tries at passwords are counted in plain numbers.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_of_tries_that_is_none_lets_nobody_try() {
    let house = House::new().await;
    sign_in_by_json(house.village.pod(0), ADA, ANOTHER, &[]).await.assert(401, "invalid_grant");
    sign_in_by_json(house.village.pod(0), "bob@example.com", ANOTHER, &[]).await.assert(401, "invalid_grant");
    let before = house.written(&["counter"]).await;
    for (spoilt, status, code) in [("", 503, "outcome_unknown"), ("many", 503, "outcome_unknown"), ("9999", 429, "slow_down")] {
        house.write(&before.keys().map(|name| (name.clone(), spoilt.into())).collect()).await;
        let reply = sign_in_by_json(house.village.pod(FRESH), ADA, PASSWORD, &[]).await;
        reply.assert(status, code);
        assert_eq!(reply.cookie(COOKIE), None, "{spoilt:?}");
    }
    house.write(&before).await;
    assert_eq!(sign_in_by_json(house.village.pod(FRESH), ADA, PASSWORD, &[]).await.status(), 200);
}
