//! Searches for users report that they are incomplete when there are more users than the limit.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use vestibule::clock::SystemClock;
use vestibule::metrics::Metrics;
use vestibule::principal::IdentityClaims;
use vestibule::role_map::{ConfiguredNames, RoleMaps};
use vestibule::users::{Browser, Limits, Logout, PriorAccess, Users, VerifiedLogin};

use crate::support::agent::Agent;
use crate::support::api::{Auth, get, post};
use crate::support::fleet::Fleet;
use crate::support::wait::timed;

/// The documented number of users that a search reads.
const MOST: usize = 2000;
const AT_ONCE: usize = 32;
const EXPLAIN: &str = "/vestibule/api/role-map/explain";
const LIMITS: Limits = Limits { idle: Duration::from_secs(3600), absolute: Duration::from_secs(7200), max_per_user: 100 };
const KEYS_MAX_AGE: Duration = Duration::from_secs(7200);

/// Writes users directly to the store, because so many sign-ins would take too long.
async fn create_users(fleet: &Fleet, numbers: std::ops::Range<usize>) {
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
    let role_maps = RoleMaps::new(None, ConfiguredNames::default(), clock.clone(), Arc::clone(&metrics));
    let role_maps = Arc::new(role_maps.expect("no document is invalid"));
    let users = Users::new(fleet.records().await, role_maps, LIMITS, KEYS_MAX_AGE, clock, metrics);
    let sign_ins = stream::iter(numbers).map(|number| {
        let claims = json!({"sub": format!("sub-{number}"), "email": email(number), "email_verified": true});
        let identity = IdentityClaims {
            provider: "corp".to_owned(),
            issuer: fleet.idp().issuer().to_owned(),
            subject: format!("sub-{number}"),
            id_token: serde_json::from_value(claims).expect("an object"),
            ..IdentityClaims::default()
        };
        let (logout, browser) = (Logout::default(), Browser::default());
        let (provider_session, authenticated_at, prior_access) = (None, None, PriorAccess::Keep);
        let login = VerifiedLogin { identity, provider_session, logout, authenticated_at, browser, prior_access };
        let users = &users;
        async move { users.complete_login(&login).await.map(drop).expect("every user is granted a role") }
    });
    sign_ins.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

fn email(number: usize) -> String {
    format!("person-{number}@example.com")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_search_says_so() {
    let fleet = Fleet::builder().standalone().idp().start().await;
    let alice = fleet.sign_in(0).await;
    let (pod, admin) = (&fleet.pods[0], Auth::Session(&alice.cookie));
    let search = async |query: &str| get(pod, admin, &format!("/vestibule/api/people?{query}")).await;
    let summary = |found: &Value| (found["people"].as_array().expect("a list").len(), found["is_cut"].clone());
    let explain = async |number: usize| post(pod, admin, EXPLAIN, json!({"user_email": email(number)})).await;

    create_users(&fleet, 0..3).await;
    assert_eq!(summary(&search("q=person-").await), (3, json!(false)));
    assert_eq!(summary(&search("q=person-&limit=3").await), (3, json!(false)));
    assert_eq!(summary(&search("q=person-&limit=2").await), (2, json!(true)), "there is no room for the third");
    assert_eq!(summary(&search("limit=2").await), (2, json!(false)), "a page with `next` is not cut");
    let explanation = explain(1).await;
    assert_eq!((explanation.status(), &explanation.json()["is_cut"]), (200, &json!(false)), "{explanation:?}");
    explain(MOST + 60).await.assert(404, "not_found");

    let ((), took) = timed(create_users(&fleet, 3..MOST + 61)).await;
    println!("{} users were written in {took:.1?}", MOST + 58);
    // The list is sorted by age, so the last user created is the last one in it.
    create_users(&fleet, MOST + 61..MOST + 62).await;
    assert_eq!(summary(&search(&format!("q={}", email(1))).await), (1, json!(true)));
    let beyond = search(&format!("q={}", email(MOST + 61))).await;
    assert_eq!(summary(&beyond), (0, json!(true)));
    let explanation = explain(1).await;
    assert_eq!(
        (explanation.status(), &explanation.json()["is_cut"]),
        (200, &json!(true)),
        "another user may have the address too: {explanation:?}"
    );
    let explanation = explain(MOST + 61).await;
    explanation.assert(404, "not_found");
    assert!(
        explanation.json()["error_description"]
            .as_str()
            .is_some_and(|text| text.contains("Only the first 2,000 users were searched")),
        "{explanation:?}"
    );
    let by_id = post(pod, admin, EXPLAIN, json!({"user_id": first_user_id(&search(&format!("q={}", email(1))).await)})).await;
    assert_eq!((by_id.status(), &by_id.json()["is_cut"]), (200, &json!(false)), "an id is unique");

    check_page(&fleet, &alice.agent).await;
}

/// Sends the same requests with the form of the page.
async fn check_page(fleet: &Fleet, admin: &Agent) {
    let address = fleet.pods[0].public("/vestibule/role-map");
    for (number, words) in
        [(1, "Another user may have the same email."), (MOST + 61, "not all users were searched. Enter the ID.")]
    {
        let form = admin.get(&address).await.form();
        let page = admin.submit(&form, &[("person", &email(number))]).await;
        assert!(page.body.contains(words), "{number}: {}", page.body);
    }
}

fn first_user_id(found: &Value) -> Value {
    found["people"][0]["user_id"].clone()
}
