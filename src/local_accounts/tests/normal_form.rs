//! Passwords in different forms of the same text.

use super::*;

/// Records of earlier versions contain the hash of the text as it was typed.
#[tokio::test]
async fn a_hash_of_the_typed_text_signs_in_and_is_then_the_hash_of_the_normal_form() {
    let (composed, decomposed) = ("viol\u{ed}n-otter-97-gravel", "violi\u{301}n-otter-97-gravel");
    let fixture = Fixture::new();
    let user = fixture.account(ADA, "team").await;
    let (records, key) = (&fixture.accounts.records, Password::key(&user));
    let place = fixture.accounts.hasher.reserve_place(hasher::QueueKind::KnownBrowser).unwrap();
    let old = place.hash(text(decomposed), fixture.clock.now()).await.unwrap();
    records.change(key.shard).put(&key, &old, store::Ttl::Forever).commit().await.unwrap().unwrap();
    assert!(matches!(fixture.log_in(ADA, composed).await, Err(PasswordLoginError::Wrong { .. })));
    fixture.log_in(ADA, decomposed).await.unwrap();
    let renewed = records.get::<Password>(&key).await.unwrap().unwrap();
    for typed in [composed, decomposed] {
        fixture.log_in(ADA, typed).await.unwrap();
    }
    assert_eq!(records.get::<Password>(&key).await.unwrap().unwrap().version, renewed.version, "it is renewed once");
}

#[tokio::test]
async fn a_password_is_the_same_however_its_characters_are_composed() {
    let fixture = Fixture::new();
    let created = fixture.invite(ADA, "internal_user").await;
    let user = fixture.accept(&created, "vi\u{f3}lin\u{a0}otter 97 gravel").await.unwrap().login.user.id;
    fixture.log_in(ADA, "vio\u{301}lin otter\u{3000}97 gravel").await.unwrap();
    let change = async |current: &str, new: &str| {
        fixture.accounts.change_password(&user, text(current), text(new), None, &unknown_browser()).await
    };
    let rejected = change("vio\u{301}lin otter 97 gravel", "marble\u{0}lantern-52-swift").await;
    assert!(matches!(rejected, Err(PasswordChangeError::Password(PasswordRejection::Character))), "{rejected:?}");
    change("vio\u{301}lin otter 97 gravel", "ma\u{308}rble-lantern-52-swift").await.unwrap();
    fixture.log_in(ADA, "m\u{e4}rble-lantern-52-swift").await.unwrap();
}
