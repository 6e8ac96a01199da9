//! Passwords in different forms of the same text.

use super::*;

/// Records of earlier versions contain the hash of the text as it was typed.
#[tokio::test]
async fn a_hash_of_the_typed_text_signs_in_and_is_then_the_hash_of_the_normal_form() {
    let (composed, decomposed) = ("viol\u{ed}n-otter-97-gravel", "violi\u{301}n-otter-97-gravel");
    let site = Site::new();
    let user = site.account(ADA, "team").await;
    let (records, key) = (&site.accounts.records, Password::key(&user));
    let place = site.accounts.hasher.reserve_place(hasher::QueueKind::KnownBrowser).unwrap();
    let old = place.hash(text(decomposed), site.clock.now()).await.unwrap();
    records.change(key.shard).put(&key, &old, store::Ttl::Forever).commit().await.unwrap().unwrap();
    assert!(matches!(site.log_in(ADA, composed).await, Err(PasswordLoginError::Wrong { .. })));
    site.log_in(ADA, decomposed).await.unwrap();
    let renewed = records.get::<Password>(&key).await.unwrap().unwrap();
    for typed in [composed, decomposed] {
        site.log_in(ADA, typed).await.unwrap();
    }
    assert_eq!(records.get::<Password>(&key).await.unwrap().unwrap().version, renewed.version, "it is renewed once");
}

#[tokio::test]
async fn a_password_is_the_same_however_its_characters_are_composed() {
    let site = Site::new();
    let made = site.invite(ADA, "internal_user").await;
    let user = site.accept(&made, "vi\u{f3}lin\u{a0}otter 97 gravel").await.unwrap().login.user.id;
    site.log_in(ADA, "vio\u{301}lin otter\u{3000}97 gravel").await.unwrap();
    let change = async |current: &str, new: &str| {
        site.accounts.change_password(&user, text(current), text(new), None, &unknown_browser()).await
    };
    let rejected = change("vio\u{301}lin otter 97 gravel", "marble\u{0}lantern-52-swift").await;
    assert!(matches!(rejected, Err(PasswordChangeError::Password(PasswordRejection::Character))), "{rejected:?}");
    change("vio\u{301}lin otter 97 gravel", "ma\u{308}rble-lantern-52-swift").await.unwrap();
    site.log_in(ADA, "m\u{e4}rble-lantern-52-swift").await.unwrap();
}
