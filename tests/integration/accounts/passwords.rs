//! Signing in with a password, limits on attempts, and changing the password.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use futures::future::join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use vestibule::local_accounts::Password;
use vestibule::principal_cache::CONSISTENCY_BOUND;
use vestibule::store::{Record, RecordKind, Ttl};

use crate::support::agent::Agent;
use crate::support::api::{Auth, get, post};
use crate::support::fleet::Fleet;
use crate::support::local_accounts::{
    LOCAL_ACCOUNTS, OTHER_PASSWORD, PASSWORD, accept_invitation, accept_with_token, claims_of, get_token, sign_in_with_form,
    sign_in_with_json,
};
use crate::support::pod::{Pod, PodOptions};
use crate::support::steps::session_of;
use crate::support::wait::until;

const ADA: &str = "ada@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_password_signs_in_on_any_pod_and_redirects_to_the_requested_page() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "internal_user").await;
    let agent = Agent::new();
    let page = sign_in_with_form(fleet.pod(0), &agent, "/sso/login?rd=%2Fui%2F%3Fa%3D1", ADA, OTHER_PASSWORD).await;
    assert_eq!(page.status, 401, "{}", page.body);
    assert!(page.body.contains(ADA) && !page.body.contains(OTHER_PASSWORD), "{}", page.body);
    let page = agent.submit(&page.form(), &[("user_email", "ADA@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, 303, "{}", page.body);
    assert_eq!(page.location().expect("a redirect").path(), "/ui/");
    let first = session_of(&agent);
    assert_eq!(fleet.passing(&first).await, 3);
    let page = sign_in_with_form(fleet.pod(0), &agent, "/sso/login", ADA, PASSWORD).await;
    assert_eq!(page.status, 303);
    let second = session_of(&agent);
    assert_ne!(first, second, "a new session token after each sign-in");
    assert_eq!((fleet.passing(&first).await, fleet.passing(&second).await), (0, 3), "it replaces the previous session");
    assert_eq!(fleet.passing(&ada.cookie).await, 3, "the session of another browser stays");
    let redirect = Agent::new().get(&fleet.pod(1).public("/vestibule/invitations?user_email=bob%40example.com")).await;
    let to = redirect.location().expect("a redirect to the sign-in");
    assert!(to.as_str().ends_with("/sso/login?rd=%2Fvestibule%2Finvitations%3Fuser_email%3Dbob%2540example.com"), "{to}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_another_browser_or_site_signs_nobody_in() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    fleet.create_user(ADA, "team").await;
    let pod = fleet.pod(0);
    let page = Agent::new().get(&pod.public("/sso/login")).await;
    let form = page.form();
    let filled = [("user_email", ADA), ("password", PASSWORD)];
    let other_agent = Agent::new();
    assert_eq!(other_agent.submit(&form, &filled).await.status, 403, "without the cookie");
    other_agent.get(&pod.public("/sso/login")).await;
    assert_eq!(other_agent.submit(&form, &filled).await.status, 403, "with another browser's");
    let own = other_agent.get(&pod.public("/sso/login")).await.form();
    let fields: Vec<(&str, &str)> = own.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let fields = [&fields[..], &filled].concat();
    let foreign = other_agent.post_with(own.action.as_str(), &fields, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(foreign.status, 403);
    let by_json = sign_in_with_json(pod, ADA, PASSWORD, &[("origin", "https://evil.example.com")]).await;
    by_json.assert(403, "access_denied");
    assert_eq!(sign_in_with_json(pod, ADA, PASSWORD, &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_sign_in_completes_an_applications_authorization() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    fleet.create_user(ADA, "internal_user").await;
    let (pod, agent) = (fleet.pod(0), Agent::new());
    let wanted = "/sso/key/generate?response_type=oauth_token&redirect_uri=http%3A%2F%2F127.0.0.1%3A9%2Fcb&state=s-1";
    let page = agent.get(&pod.public(wanted)).await;
    assert_eq!(page.status, 302);
    let at_sign_in = agent.get(&crate::support::steps::at(pod, &page.location().expect("the sign-in"))).await;
    let page = agent.submit(&at_sign_in.form(), &[("user_email", ADA), ("password", PASSWORD)]).await;
    let consent = agent.get(&crate::support::steps::at(pod, &page.location().expect("back to the application's request"))).await;
    assert_eq!(consent.status, 200, "{}", consent.body);
    let callback = agent.submit(&consent.form(), &[("decision", "allow")]).await;
    let back = callback.location().unwrap_or_else(|| panic!("{}: {}", callback.status, callback.body));
    let parameter = |name: &str| back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    assert_eq!(parameter("state").as_deref(), Some("s-1"));
    assert_eq!(crate::support::api::key_status(fleet.pod(2), &parameter("access_token").expect("a key")).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_attempts_are_limited_across_pods_and_known_browsers_are_not_locked_out() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let mut tries = 0;
    let slowed = loop {
        let reply = sign_in_with_json(fleet.pod(tries), ADA, OTHER_PASSWORD, &[]).await;
        match reply.status() {
            401 => tries += 1,
            429 => break reply,
            other => panic!("{other}: {reply:?}"),
        }
        assert!(tries <= 40, "no attempt was limited");
    };
    slowed.assert(429, "slow_down");
    assert_eq!(tries, 20, "the pods share one counter");
    assert_eq!(
        sign_in_with_json(fleet.pod(1), ADA, PASSWORD, &[]).await.status(),
        429,
        "an unknown browser, even with the password"
    );
    let device = format!("vestibule-device={}", ada.device);
    assert_eq!(sign_in_with_json(fleet.pod(2), ADA, PASSWORD, &[("cookie", &device)]).await.status(), 200);
    // Attempts for unknown users are limited in the same way.
    for number in 0..20 {
        assert_eq!(sign_in_with_json(fleet.pod(number), "nobody@example.com", OTHER_PASSWORD, &[]).await.status(), 401);
    }
    sign_in_with_json(fleet.pod(0), "nobody@example.com", OTHER_PASSWORD, &[]).await.assert(429, "slow_down");
    let page = sign_in_with_form(fleet.pod(0), &Agent::new(), "/sso/login", ADA, PASSWORD).await;
    assert_eq!(page.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_takes_as_long_as_a_known_one() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    fleet.create_user(ADA, "team").await;
    let mut cost = Vec::new();
    for email in [ADA, "nobody@example.com", "no address", ADA] {
        let before = fleet.commands(2).await;
        let reply = sign_in_with_json(fleet.pod(2), email, OTHER_PASSWORD, &[]).await;
        reply.assert(401, "invalid_grant");
        cost.push((fleet.commands(2).await - before, reply.json()));
    }
    assert!(cost[0].0 > 0.0 && cost.iter().all(|one| *one == cost[0]), "{cost:?}");
}

/// More than the places in the queue.
const UNKNOWN_CLIENTS: usize = 150;

const AT_ONCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn known_browsers_invited_users_and_sessions_are_served_while_unknown_clients_fill_the_queue() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let link = fleet.invite("bob@example.com", "team");
    let pod = fleet.pod(0);
    let (done, mut turned_away) = (AtomicBool::new(false), AtomicUsize::new(0));
    let unknown_client = async |number: usize| {
        for attempt in 0.. {
            if done.load(Ordering::Relaxed) {
                return;
            }
            let reply = sign_in_with_json(pod, &format!("nobody-{number}-{attempt}@example.com"), PASSWORD, &[]).await;
            assert!([401, 503].contains(&reply.status()), "{reply:?}");
            turned_away.fetch_add(usize::from(reply.status() == 503), Ordering::Relaxed);
        }
    };
    let known_users = async {
        let device = format!("vestibule-device={}", ada.device);
        until("the queue to be full", AT_ONCE, async || (turned_away.load(Ordering::Relaxed) > UNKNOWN_CLIENTS).then_some(()))
            .await;
        for _ in 0..5 {
            assert_eq!(sign_in_with_json(pod, ADA, PASSWORD, &[("cookie", &device)]).await.status(), 200, "a known browser");
        }
        assert_eq!(accept_invitation(pod, &link, PASSWORD).await.status(), 200, "an invited user");
        let change = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
        assert_eq!(post(pod, ada.auth(), "/vestibule/api/password", change).await.status(), 200, "a signed-in user");
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(known_users, join_all((0..UNKNOWN_CLIENTS).map(unknown_client)));
    println!("{} attempts of unknown clients were refused", turned_away.get_mut());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_attempts_are_limited_by_address_across_accounts() {
    let options = PodOptions { further: format!("{LOCAL_ACCOUNTS}trusted_proxies: [127.0.0.0/8]\n"), ..PodOptions::new() };
    let pod = Pod::start(options).await;
    let from = |address: &'static str| [("x-forwarded-for", address)];
    let mut tries = 0;
    while sign_in_with_json(&pod, &format!("p{tries}@example.com"), OTHER_PASSWORD, &from("192.0.2.7")).await.status() == 401 {
        tries += 1;
        assert!(tries <= 200, "no attempt was limited");
    }
    assert_eq!(tries, 100);
    assert_eq!(sign_in_with_json(&pod, "other@example.com", OTHER_PASSWORD, &from("192.0.2.7")).await.status(), 429);
    assert_eq!(sign_in_with_json(&pod, "other@example.com", OTHER_PASSWORD, &from("192.0.2.8")).await.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_ends_every_other_session_on_every_pod() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let other = sign_in_with_json(fleet.pod(2), ADA, PASSWORD, &[]).await.cookie("vestibule").expect("a session");
    assert_eq!(fleet.passing(&other).await, 3);
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        post(fleet.pod(0), ada.auth(), "/vestibule/api/password", body).await
    };
    change(OTHER_PASSWORD, OTHER_PASSWORD).await.assert(403, "invalid_grant");
    change(PASSWORD, "password1234").await.assert(400, "weak_password");
    assert_eq!(fleet.passing(&other).await, 3);
    assert_eq!(change(PASSWORD, OTHER_PASSWORD).await.status(), 200);
    let has_ended = async || (fleet.passing(&other).await == 0).then_some(());
    crate::support::wait::until("the other session to end everywhere", CONSISTENCY_BOUND * 5, has_ended).await;
    assert_eq!(fleet.passing(&ada.cookie).await, 3, "the session that changed the password stays");
    assert_eq!(sign_in_with_json(fleet.pod(1), ADA, PASSWORD, &[]).await.status(), 401);
    assert_eq!(sign_in_with_json(fleet.pod(1), ADA, OTHER_PASSWORD, &[]).await.status(), 200);
}

/// A user's password hash in the store.
#[derive(Serialize, Deserialize)]
struct StoredPassword {
    hash: String,
    set: Timestamp,
}

impl Record for StoredPassword {
    const KIND: RecordKind = RecordKind::Password;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_rehashes_a_password_with_outdated_parameters_and_a_wrong_password_does_not() {
    // Simulates an edit that has reached only one pod.
    let fleet = Fleet::builder()
        .pods(3)
        .cluster()
        .idp()
        .local_accounts()
        .config(|pod| {
            if pod.name == "pod-1" {
                pod.further = pod.further.replace("iterations: 1", "iterations: 2");
            }
        })
        .start()
        .await;
    let ada = fleet.create_user(ADA, "team").await;
    let records = fleet.records().await;
    let place = Password::key(&ada.id);
    let made_with = async |iterations: u32| {
        let kept = records.get::<StoredPassword>(&place).await.expect("it can be read").expect("she has a password").value;
        assert!(kept.hash.starts_with(&format!("$argon2id$v=19$m=8192,t={iterations},p=")), "{}", kept.hash);
    };
    made_with(2).await;
    assert_eq!(sign_in_with_json(fleet.pod(0), ADA, OTHER_PASSWORD, &[]).await.status(), 401);
    made_with(2).await;
    for (pod, iterations) in [(0, 1), (2, 1), (1, 2)] {
        assert_eq!(sign_in_with_json(fleet.pod(pod), ADA, PASSWORD, &[]).await.status(), 200);
        made_with(iterations).await;
    }
    assert_eq!(fleet.passing(&ada.cookie).await, 3, "rehashing ends no session");
}

/// Replaces a user's password hash by one of the typed text, as earlier versions made it, with the same parameters.
async fn store_hash_of_typed_text(fleet: &Fleet, user: &str, typed: &str) -> String {
    let (records, place) = (fleet.records().await, Password::key(user));
    let stored = records.get::<StoredPassword>(&place).await.expect("it can be read").expect("the user has a password");
    let parameters = Params::try_from(&PasswordHash::new(&stored.value.hash).expect("a hash")).expect("parameters");
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    let hash = argon2.hash_password(typed.as_bytes()).expect("it can be hashed").to_string();
    let old = StoredPassword { hash: hash.clone(), set: stored.value.set };
    let change = records.change(place.shard).expect_version(&place, stored.version).put(&place, &old, Ttl::Forever);
    change.commit().await.expect("the store is there").expect("no other writer");
    hash
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_of_a_version_without_normal_forms_signs_in_as_it_was_typed_and_is_upgraded() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let records = fleet.records().await;
    let current = async || {
        let stored = records.get::<StoredPassword>(&Password::key(&ada.id)).await;
        stored.expect("it can be read").expect("she has a password").value.hash
    };
    let device = format!("vestibule-device={}", ada.device);
    let status =
        async |pod: usize, typed: &str| sign_in_with_json(fleet.pod(pod), ADA, typed, &[("cookie", &device)]).await.status();
    for (typed, normal) in [
        ("vio\u{308}lin-otte\u{301}r-97-gravel", "vi\u{f6}lin-ott\u{e9}r-97-gravel"),
        ("violin\u{a0}otter\u{3000}97\u{2009}gravel", "violin otter 97 gravel"),
    ] {
        let old = store_hash_of_typed_text(&fleet, &ada.id, typed).await;
        for wrong in [OTHER_PASSWORD, normal] {
            assert_eq!((status(0, wrong).await, current().await == old), (401, true), "the hash is of another text: {wrong:?}");
        }
        assert_eq!(status(1, typed).await, 200, "{typed:?}");
        let upgraded = current().await;
        assert_ne!(upgraded, old, "{typed:?}");
        // A sign-in with the normal form compares this form alone, so the new hash is one of it.
        for (pod, form) in [(2, normal), (0, typed), (1, normal)] {
            assert_eq!((status(pod, form).await, current().await == upgraded), (200, true), "{form:?}");
        }
        assert_eq!(status(2, OTHER_PASSWORD).await, 401);
    }
    // A control character has no normal form, so this hash stays.
    let typed = "violin\totter-97-gravel";
    let old = store_hash_of_typed_text(&fleet, &ada.id, typed).await;
    assert_eq!((status(0, typed).await, status(1, typed).await), (200, 200));
    assert_eq!(current().await, old);
    assert_eq!(fleet.passing(&ada.cookie).await, 3, "an upgrade ends no session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_unit_repeated_is_refused_as_a_weak_password() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let link = fleet.invite("bob@example.com", "team");
    for weak in ["4/4/44/4/4/4/44/4/4/", &"4/".repeat(18), &"qwer".repeat(8)] {
        accept_invitation(fleet.pod(0), &link, weak).await.assert(400, "weak_password");
        let change = json!({"current_password": PASSWORD, "new_password": weak});
        post(fleet.pod(1), ada.auth(), "/vestibule/api/password", change).await.assert(400, "weak_password");
    }
    assert_eq!(accept_invitation(fleet.pod(2), &link, PASSWORD).await.status(), 200);
    assert_eq!(sign_in_with_json(fleet.pod(2), ADA, PASSWORD, &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_with_their_browser_and_ended_singly_or_all_but_the_current_one() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0";
    let mut others = Vec::new();
    for number in 0..3 {
        let reply = sign_in_with_json(fleet.pod(number), ADA, PASSWORD, &[("user-agent", agent)]).await;
        others.push(reply.cookie("vestibule").expect("a session"));
    }
    let sessions =
        async || get(fleet.pod(1), ada.auth(), "/vestibule/api/sessions").await["sessions"].as_array().unwrap().clone();
    let listed = sessions().await;
    assert_eq!(listed.len(), 4);
    assert_eq!(listed.iter().filter(|session| session["current"] == json!(true)).count(), 1);
    assert_eq!(listed.iter().filter(|session| session["user_agent"] == json!(agent)).count(), 3);
    for cookie in &others {
        assert!(!serde_json::to_string(&listed).unwrap().contains(cookie.as_str()), "a list holds no cookie");
    }
    let digest = vestibule::secret::Digest::of(others[0].as_bytes()).to_hex();
    let end = async |id: &str, by: Auth<'_>| {
        crate::support::api::call(fleet.pod(2), by, Method::DELETE, &format!("/vestibule/api/sessions/{id}"), None).await
    };
    let bob = fleet.create_user("bob@example.com", "team").await;
    end(&digest, bob.auth()).await.assert(404, "not_found");
    assert_eq!(end(&digest, ada.auth()).await.status(), 200);
    let has_ended = async || (fleet.passing(&others[0]).await == 0).then_some(());
    crate::support::wait::until("one session to end everywhere", CONSISTENCY_BOUND * 5, has_ended).await;
    assert_eq!(sessions().await.len(), 3);
    let rest = crate::support::api::call(fleet.pod(0), ada.auth(), Method::DELETE, "/vestibule/api/sessions", None).await;
    assert_eq!(rest.status(), 200, "{rest:?}");
    let has_ended = async || (fleet.passing(&others[1]).await + fleet.passing(&others[2]).await == 0).then_some(());
    crate::support::wait::until("all others to end everywhere", CONSISTENCY_BOUND * 5, has_ended).await;
    assert_eq!((fleet.passing(&ada.cookie).await, sessions().await.len()), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_unavailable_no_password_is_called_wrong_and_no_invitation_is_used() {
    let mut fleet = Fleet::builder().pods(3).own_cluster().idp().local_accounts().start().await;
    let ada = fleet.create_user(ADA, "team").await;
    let link = fleet.invite("bob@example.com", "team");
    let token = get_token(fleet.pod(0), &link).await.json()["token"].as_str().expect("a token").to_owned();
    let user = claims_of(&token)["user_id"].clone();
    assert_eq!(fleet.passing(&ada.cookie).await, 3);
    fleet.cluster_mut().nodes.iter_mut().for_each(crate::support::redis::Node::stop);
    for password in [PASSWORD, OTHER_PASSWORD] {
        let reply = sign_in_with_json(fleet.pod(0), ADA, password, &[]).await;
        assert_eq!((reply.status(), reply.cookie("vestibule")), (503, None), "{reply:?}");
    }
    let body = json!({"invitation_link": link, "user_id": user, "password": PASSWORD});
    let accepted = accept_with_token(fleet.pod(1), &token, body).await;
    assert_eq!((accepted.status(), accepted.cookie("vestibule")), (503, None), "{accepted:?}");
    assert_eq!(get_token(fleet.pod(2), &link).await.status(), 503);
    assert_eq!(fleet.passing(&ada.cookie).await, 3, "existing sessions are served");
    fleet.cluster_mut().nodes.iter_mut().for_each(crate::support::redis::Node::cont);
    let back = async || (get_token(fleet.pod(0), &link).await.status() == 200).then_some(());
    crate::support::wait::until("Redis to be back", std::time::Duration::from_secs(30), back).await;
    assert_eq!(accept_invitation(fleet.pod(2), &link, PASSWORD).await.status(), 200);
    assert_eq!(sign_in_with_json(fleet.pod(1), ADA, PASSWORD, &[]).await.status(), 200);
}
