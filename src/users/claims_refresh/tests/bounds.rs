//! The ages up to which claims count after refreshes, failures and the end of the last token.

use super::*;

#[tokio::test]
async fn the_loss_of_a_token_after_a_failed_refresh_restores_nothing_until_the_next_sign_in() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("corp", Some("t-1")).await;
    let leased = fixture.lease(&open, "corp").await;
    fixture.users.pause_refresh(&leased, &leased.token.failed(None)).await.unwrap();
    fixture.end_and_forget(&open, "corp").await;
    assert!(!fixture.identity_of(&open, "corp").await.is_refreshable);
    fixture.clock.advance(DAY - INTERVAL);
    fixture.assert_overdue(&open).await;
    let again = fixture.sign_in("corp", None).await;
    let user = fixture.user(&again).await.value;
    assert_eq!(fixture.users.claims_for(&user, CredentialKind::ApiKey).identities.len(), 1);
    assert_eq!(fixture.users.max_age().of(CredentialKind::ApiKey, &user.identities[0]), DAY * 30);
}

/// The next use may be before or after the maximum age of refreshes.
#[tokio::test]
async fn after_a_sign_out_without_a_failed_refresh_keys_go_by_their_own_bound() {
    for unused in [INTERVAL, DAY * 2] {
        let fixture = Fixture::new();
        let open = fixture.sign_in("corp", Some("t-1")).await;
        let leased = fixture.lease(&open, "corp").await;
        fixture.users.pause_refresh(&leased, &leased.token.failed(None)).await.unwrap();
        fixture.clock.advance(Duration::from_secs(60));
        let leased = fixture.lease(&open, "corp").await;
        let next = leased.token.renewed(None, fixture.clock.now());
        fixture.users.complete_refresh(&leased, &identity("corp", "refreshed"), &next).await.unwrap();
        fixture.clock.advance(unused);
        fixture.end_and_forget(&open, "corp").await;
        let user = fixture.user(&open).await.value;
        assert_eq!(fixture.users.claims_for(&user, CredentialKind::ApiKey).identities.len(), 1, "{unused:?}");
    }
}

#[tokio::test]
async fn claims_whose_token_was_refused_count_no_longer_than_before() {
    let fixture = Fixture::new();
    for age in [INTERVAL, DAY / 2] {
        let open = fixture.sign_in("corp", Some("t-1")).await;
        fixture.clock.advance(age - INTERVAL);
        let leased = fixture.lease(&open, "corp").await;
        assert_eq!(fixture.users.refuse_refresh(&leased).await, Ok(RefreshCommit::Committed));
        fixture.users.forget_refresh(&fixture.user(&open).await, &leased.identity).await.unwrap();
        fixture.clock.advance(DAY - age);
        fixture.assert_overdue(&open).await;
    }
}

#[tokio::test]
async fn a_refresh_by_another_session_lifts_the_bound_of_a_refusal() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.sign_in("corp", Some("t-1")).await, fixture.sign_in("corp", Some("t-2")).await);
    let leased = fixture.lease(&one, "corp").await;
    assert_eq!(fixture.users.refuse_refresh(&leased).await, Ok(RefreshCommit::Committed));
    assert!(fixture.identity_of(&one, "corp").await.has_refresh_bound);
    let leased = fixture.lease(&other, "corp").await;
    let next = leased.token.renewed(None, fixture.clock.now());
    let committed = fixture.users.complete_refresh(&leased, &identity("corp", "refreshed"), &next).await;
    assert_eq!(committed, Ok(RefreshCommit::Committed));
    let known = fixture.identity_of(&one, "corp").await;
    assert!(known.is_refreshable && !known.has_refresh_bound);
}

#[tokio::test]
async fn disabling_and_enabling_a_user_restores_no_overdue_claims() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("corp", Some("t-1")).await;
    fixture.clock.advance(DAY);
    fixture.users.disable::<store::Error>(&open.user, |_| Ok(())).await.unwrap();
    fixture.users.enable::<store::Error>(&open.user, |_| Ok(())).await.unwrap();
    fixture.assert_overdue(&open).await;
}

#[tokio::test]
async fn an_id_token_that_no_refresh_renews_keeps_its_time_and_expires_alone() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("partner", Some("t-1")).await;
    let signed_in = fixture.identity_of(&open, "partner").await;
    for _ in 0..2 {
        let leased = fixture.lease(&open, "partner").await;
        let userinfo = Some(json::object(serde_json::json!({"role": "of userinfo"})));
        let kept = IdentityClaims {
            id_token: json::object(serde_json::json!({"role": "older than the record"})),
            id_token_at: leased.identity.id_token_at.or(leased.identity.verified_at),
            userinfo,
            ..identity("partner", "")
        };
        let next = leased.token.renewed(None, fixture.clock.now());
        assert_eq!(fixture.users.complete_refresh(&leased, &kept, &next).await, Ok(RefreshCommit::Committed));
    }
    let known = fixture.identity_of(&open, "partner").await;
    assert!(known.id_token == signed_in.id_token && known.id_token_at == signed_in.verified_at);
    assert!(known.verified_at > signed_in.verified_at && !fixture.users.is_refresh_due(&known));

    fixture.clock.advance(DAY - 2 * INTERVAL);
    let user = fixture.user(&open).await.value;
    for credential in [CredentialKind::Session, CredentialKind::ApiKey] {
        let claims = fixture.users.claims_for(&user, credential);
        let [current] = claims.identities.as_slice() else { panic!("one identity counts") };
        assert!(current.id_token.is_empty() && current.userinfo.is_some(), "{credential:?}");
        assert!(claims.before_id_tokens_expired().identities[0].id_token == signed_in.id_token);
    }
    fixture.sign_in("partner", None).await;
    assert_eq!(fixture.identity_of(&open, "partner").await.id_token_at, None, "a sign-in brings an id_token");
}
