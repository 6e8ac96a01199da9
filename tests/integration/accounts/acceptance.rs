//! Accepting an invitation: once, completely, and only with its link.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{Auth, call, get, key_status, post, send};
use crate::support::fleet::Fleet;
use crate::support::http_client;
use crate::support::local_accounts::{
    LOCAL_ACCOUNTS, OTHER_PASSWORD, PASSWORD, accept_invitation, accept_with_token, claims_of, get_token, invite, link_in,
    sign_in_with_json,
};
use crate::support::proxy::{CutTime, FaultProxy};
use crate::support::redis::{Options, Standalone};
use crate::support::wait::{pass, until};

const NO_INVITATION: &str = "This invitation link is invalid or has expired. Ask an administrator for a new one.";

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_opened_on_any_pod_and_accepted_once() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let admin = fleet.create_user("admin@example.com", "proxy_admin").await;
    let wanted = json!({"user_email": "Ada@Example.com", "user_role": "internal_user", "teams": ["research"], "duration": "2d"});
    let response = post(fleet.pod(0), admin.auth(), "/vestibule/api/invitations", wanted).await;
    assert_eq!(response.status(), 201, "{response:?}");
    let (response, id) = (response.json(), response.json()["id"].as_str().unwrap().to_owned());
    let link = link_in(response["invitation_link"].as_str().expect("a link"));
    let secret = link.split('.').nth(1).expect("a link has a secret").to_owned();
    assert_eq!((&response["user_email"], &response["is_accepted"]), (&json!("ada@example.com"), &json!(false)));

    let listed = get(fleet.pod(2), admin.auth(), "/vestibule/api/invitations").await;
    assert!(!listed.to_string().contains(&secret), "a list shows the id alone");
    for number in 0..4 {
        let opened = get_token(fleet.pod(number), &link).await;
        assert_eq!((opened.status(), &opened.json()["user_email"]), (200, &json!("ada@example.com")));
        assert!(opened.json()["login_url"].as_str().unwrap().ends_with("/sso/login"), "{opened:?}");
        assert_eq!(opened.cookie("vestibule"), None);
    }
    let users = get(fleet.pod(2), admin.auth(), "/vestibule/api/people").await;
    assert_eq!(users["people"].as_array().unwrap().len(), 1, "opening it creates no user: {users}");

    let token = get_token(fleet.pod(0), &link).await.json()["token"].as_str().unwrap().to_owned();
    let user = claims_of(&token)["user_id"].clone();
    let body = json!({"invitation_link": link, "user_id": user, "password": PASSWORD, "key": true});
    let accepted = accept_with_token(fleet.pod(1), &token, body.clone()).await;
    assert_eq!(accepted.status(), 200, "{accepted:?}");
    let account = accepted.json();
    assert_eq!((&account["user_id"], &account["user_role"]), (&user, &json!("internal_user")));
    let cookie = accepted.cookie("vestibule").expect("a session");
    assert_eq!(fleet.passing(&cookie).await, 3);
    for pod in &fleet.pods {
        assert_eq!(key_status(pod, account["key"].as_str().expect("a key")).await, 200);
    }
    let me = get(fleet.pod(2), Auth::Session(&cookie), "/sso/session").await;
    assert_eq!((&me["teams"], &me["provider"]), (&json!(["research"]), &json!("local")));

    let again = accept_with_token(fleet.pod(2), &token, body).await;
    again.assert(401, "invalid_token");
    assert_eq!(again.cookie("vestibule"), None);
    let listed = get(fleet.pod(2), admin.auth(), "/vestibule/api/invitations").await;
    let ours = listed["invitations"].as_array().unwrap().iter().find(|one| one["id"] == json!(id)).expect("it is listed");
    assert_eq!(ours["is_accepted"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_hundred_concurrent_acceptances_on_three_pods_succeeds() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let link = fleet.invite("ada@example.com", "internal_user");
    let token = get_token(fleet.pod(0), &link).await.json()["token"].as_str().unwrap().to_owned();
    let user = claims_of(&token)["user_id"].clone();
    let claims = (0..100).map(|number| {
        let (pod, token) = (fleet.pod(number), token.as_str());
        let password = format!("{PASSWORD}-{number}");
        let body = json!({"invitation_link": link, "user_id": user, "password": password, "key": true});
        async move { (accept_with_token(pod, token, body).await, password) }
    });
    let (mut won, mut lost) = (Vec::new(), 0);
    for (reply, password) in join_all(claims).await {
        match reply.status() {
            200 => won.push((reply.cookie("vestibule").expect("a session"), password, reply.json()["key"].clone())),
            401 => lost += 1,
            other => panic!("{other}: {reply:?}"),
        }
        assert_eq!(reply.cookie("vestibule").is_some(), reply.status() == 200, "no failed acceptance sets a cookie");
    }
    assert_eq!((won.len(), lost), (1, 99));
    let (cookie, password, key) = &won[0];
    assert_eq!(fleet.passing(cookie).await, 3);
    assert_eq!(key_status(fleet.pod(1), key.as_str().expect("a key")).await, 200);
    assert_eq!(keys_of(&fleet, cookie).await, 1, "no other key was created");
    assert_eq!(sign_in_with_json(fleet.pod(2), "ada@example.com", password, &[]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invalid_acceptance_gets_the_same_error() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let (link, other) = (fleet.invite("ada@example.com", "team"), fleet.invite("bob@example.com", "team"));
    let token_of = async |link: &str| get_token(fleet.pod(0), link).await.json()["token"].as_str().unwrap().to_owned();
    let (token, other_token) = (token_of(&link).await, token_of(&other).await);
    let user_of = |token: &str| claims_of(token)["user_id"].as_str().unwrap().to_owned();
    let (user, other_user) = (user_of(&token), user_of(&other_token));
    let (signed, signature) = token.rsplit_once('.').expect("a JWT has three parts");
    // Of its last character not every bit counts.
    let altered = format!("{signed}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..]);
    let unknown = format!("{}.{}", "01a220c6-1a6a-7cf0-b9ec-6f5616152820", "x".repeat(43));
    let id = link.split('.').next().expect("a link has an id").to_owned();
    let wrong_secret = format!("{id}.{}", "x".repeat(43));
    let key = "sk-IC2twwxlIe2uz7dubuIYKTv27VFRMUax8Cbc76U27Cd9mBvizw".to_owned();
    let mut replies = Vec::new();
    for (token, link, user) in [
        (&other_token, &link, &user),
        (&token, &other, &user),
        (&token, &link, &other_user),
        (&token, &id, &user),
        (&token, &wrong_secret, &user),
        (&token, &unknown, &user),
        (&altered, &link, &user),
        (&key, &link, &user),
        (&String::new(), &link, &user),
    ] {
        replies.push(
            accept_with_token(fleet.pod(1), token, json!({"invitation_link": link, "user_id": user, "password": PASSWORD})).await,
        );
    }
    for link in [&unknown, &wrong_secret, &id, &String::new(), &"%ff".to_owned()] {
        replies.push(get_token(fleet.pod(2), link).await);
        replies.push(send(fleet.pod(2), Method::GET, &format!("/onboarding/get_token?id={link}"), &[], None).await);
    }
    for reply in &replies {
        reply.assert(401, "invalid_token");
        assert_eq!(reply.json()["error_description"], NO_INVITATION);
        assert_eq!(reply.cookie("vestibule"), None);
    }
    let page = crate::support::agent::Agent::new().get(&fleet.pod(0).public(&format!("/onboarding?invite_link={unknown}"))).await;
    assert_eq!(page.status, 401);
    assert!(page.body.contains("Ask the person who invited you for a new link."), "{}", page.body);
    assert_eq!(accept_invitation(fleet.pod(0), &link, PASSWORD).await.status(), 200, "the failed attempts did not accept it");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_onboarding_token_is_no_other_credential() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let link = fleet.invite("ada@example.com", "proxy_admin");
    let token = get_token(fleet.pod(0), &link).await.json()["token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(fleet.check_with(1, ("authorization", &bearer)).await.status, 401);
    for path in ["/vestibule/api/keys", "/vestibule/api/people", "/vestibule/api/invitations", "/sso/session"] {
        let reply = send(fleet.pod(1), Method::GET, path, &[("authorization", &bearer)], None).await;
        assert_eq!(reply.status(), 401, "{path}: {reply:?}");
    }
    let application = "/sso/key/generate?response_type=oauth_token";
    assert_eq!(send(fleet.pod(1), Method::GET, application, &[("authorization", &bearer)], None).await.status(), 401);
    let cookie = format!("vestibule={token}");
    assert_eq!(fleet.check_with(1, ("cookie", &cookie)).await.status, 401);
}

/// The pod is killed one step later after each invitation that stayed open, so that the kills approach the commit from both
/// sides on a machine of any speed.
const STEP: Duration = Duration::from_millis(40);
const MOST_ROUNDS: u32 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_killed_during_an_acceptance_leaves_the_invitation_open_or_the_acceptance_complete() {
    let mut fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let email = "ada@example.com";
    fleet.create_user(email, "team").await;
    let (mut finished, mut open) = (0, 0);
    let mut password = PASSWORD.to_owned();
    let mut delay = Duration::ZERO;
    for round in 0..MOST_ROUNDS {
        let link = fleet.invite(email, "team");
        let token = get_token(fleet.pod(1), &link).await.json()["token"].as_str().unwrap().to_owned();
        let (user, chosen) = (claims_of(&token)["user_id"].clone(), format!("{OTHER_PASSWORD}-{round}"));
        let body = json!({"invitation_link": link, "user_id": user, "password": chosen, "key": true});
        let request = http_client().post(fleet.pod(0).public("/onboarding/claim_token"));
        let request = request.header("authorization", format!("Bearer {token}")).header("content-type", "application/json");
        let sent = tokio::spawn(request.body(body.to_string()).send());
        pass(delay).await;
        fleet.pods[0].kill9();
        let is_answered = sent.await.expect("the request ends").is_ok();
        fleet.restart(0).await;
        let before = sign_in_with_json(fleet.pod(1), email, &password, &[]).await;
        let after = sign_in_with_json(fleet.pod(2), email, &chosen, &[]).await;
        let session = before.cookie("vestibule").or(after.cookie("vestibule")).expect("one of the two passwords counts");
        let is_open = get_token(fleet.pod(1), &link).await.status() == 200;
        match (before.status(), after.status(), is_open) {
            (200, 401, true) => {
                open += 1;
                delay += STEP;
            }
            (401, 200, false) => {
                finished += 1;
                password = chosen;
                delay = delay.saturating_sub(STEP * 3);
            }
            half => panic!("round {round}: {half:?}"),
        }
        assert!(!is_answered || !is_open, "an acceptance with an answer is complete");
        assert_eq!(keys_of(&fleet, &session).await, finished, "a key for each completed acceptance");
        if finished > 1 && open > 8 {
            return;
        }
        delete_attempt_counters(&fleet).await;
    }
    panic!("{finished} acceptances were finished and {open} invitations stayed open in {MOST_ROUNDS} rounds");
}

/// The pod is killed before and after each store request about the user.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_killed_at_any_store_request_leaves_the_invitation_open_or_the_acceptance_complete() {
    let redis = Standalone::start(Options::default()).await;
    let proxy = FaultProxy::start(redis.node.port()).await;
    let mut fleet = Fleet::builder()
        .stores([proxy.url(), redis.url()])
        .idp()
        .config(|pod| {
            pod.further.push_str(LOCAL_ACCOUNTS);
            pod.role_map = None;
        })
        .start()
        .await;
    let (mut finished, mut open) = (0, 0);
    for step in 0.. {
        let mut reached = false;
        for when in [CutTime::Before, CutTime::After] {
            let invited = invite(&fleet.pods[1], &["--email", &format!("{when:?}-{step}@example.com"), "--role", "team"]);
            let link = link_in(&String::from_utf8(invited.stdout).expect("text"));
            let token = get_token(&fleet.pods[1], &link).await.json()["token"].as_str().unwrap().to_owned();
            let user = claims_of(&token)["user_id"].as_str().unwrap().to_owned();
            let body = json!({"invitation_link": link, "user_id": user, "password": PASSWORD, "key": true}).to_string();
            proxy.end_at(&user, step, when);
            let request = http_client().post(fleet.pods[0].public("/onboarding/claim_token"));
            let request = request.header("authorization", format!("Bearer {token}")).header("content-type", "application/json");
            let mut sent = tokio::spawn(request.body(body).send());
            // A slow machine may need seconds to hash the password, which comes before most requests to the store.
            let occurred = async || (sent.is_finished() || proxy.has_reached_end()).then_some(());
            until("the request to be answered or to stop at its step", Duration::from_secs(30), occurred).await;
            let is_answered = tokio::time::timeout(Duration::from_millis(1500), &mut sent).await;
            let is_answered =
                is_answered.is_ok_and(|sent| sent.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status() == 200)));
            fleet.pods[0].kill9();
            reached |= proxy.has_ended();
            proxy.resume();

            let email = format!("{when:?}-{step}@example.com");
            let entered = sign_in_with_json(&fleet.pods[1], &email, PASSWORD, &[]).await;
            let is_open = get_token(&fleet.pods[1], &link).await.status() == 200;
            assert_eq!(entered.status() == 200, !is_open, "{when:?} request {step}: {entered:?}");
            assert!(!is_answered || !is_open, "an acceptance with an answer is complete");
            let session = match is_open {
                true => accept_invitation(&fleet.pods[1], &link, PASSWORD).await,
                false => entered,
            };
            let session = session.cookie("vestibule").expect("a session after the acceptance");
            let keys =
                get(&fleet.pods[1], Auth::Session(&session), "/vestibule/api/keys").await["keys"].as_array().unwrap().len();
            assert_eq!(keys, usize::from(!is_open), "{when:?} request {step}: a key for a completed acceptance only");
            if is_open {
                open += 1
            } else {
                finished += 1
            }
            fleet.restart(0).await;
        }
        if !reached {
            println!("{step} requests; {finished} acceptances were completed, {open} invitations stayed open");
            assert!(step >= 4 && finished > 0 && open > 0, "{step}: {finished} finished, {open} open");
            return;
        }
    }
}

async fn keys_of(fleet: &Fleet, session: &str) -> usize {
    get(fleet.pod(1), Auth::Session(session), "/vestibule/api/keys").await["keys"].as_array().expect("a list").len()
}

/// The rounds take more attempts than an unknown client may make.
async fn delete_attempt_counters(fleet: &Fleet) {
    for node in &fleet.cluster().nodes {
        for name in node.keys().await {
            let name = String::from_utf8(name).expect("our keys are text");
            if name.contains(":counter:guess:") {
                // A replica refuses, and follows.
                let _ = node.try_call(&["DEL", &name]).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_password_is_explained_and_changes_nothing() {
    let fleet = Fleet::builder().pods(3).cluster().idp().local_accounts().start().await;
    let link = fleet.invite("ada@example.com", "team");
    for (password, description) in [
        ("short", "at least 12 characters"),
        ("password1234", "too easy to guess"),
        ("ada@example.com", "too easy to guess"),
        (&"long-".repeat(30), "at most 128 bytes"),
    ] {
        let reply = accept_invitation(fleet.pod(0), &link, password).await;
        reply.assert(400, "weak_password");
        let body: Value = reply.json();
        assert!(body["error_description"].as_str().unwrap().contains(description), "{body}");
    }
    assert_eq!(accept_invitation(fleet.pod(0), &link, PASSWORD).await.status(), 200);
    let reply = call(fleet.pod(0), Auth::Key("sk-1"), Method::GET, "/vestibule/api/invitations", None).await;
    assert_eq!(reply.status(), 401);
}
