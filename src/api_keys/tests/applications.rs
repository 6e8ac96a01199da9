//! Tests of the keys of applications, and of the keys that make room for a new one.

use super::*;

fn for_application(name: &str) -> KeyParameters {
    KeyParameters { application: Some(name.to_owned()), ..KeyParameters::default() }
}

#[tokio::test]
async fn twelve_quick_requests_end_no_key() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let own = fixture.managing(Restrictions::default()).await;
    for manager in [by_session(), by(&own.key)] {
        let (mut created, mut refused) = (Vec::new(), 0);
        for _ in 0..MAX_KEYS_PER_APPLICATION + 2 {
            fixture.clock.advance(Duration::from_secs(5));
            match fixture.keys.create_for_application(&manager, &for_application("app")).await {
                Ok(key) => created.push(key),
                Err(KeysError::Full) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(refused >= 2, "{refused}");
        for key in &created {
            assert!(fixture.counts(key.key.id, &key.secret).await);
        }
    }
    // The oldest keys are replaceable a minute after their creation.
    fixture.clock.advance(REPLACEABLE_AFTER);
    let (_, ended) = fixture.create_for_application(&by_session(), &for_application("app")).await;
    assert_eq!(ended.len(), 1);
}

#[tokio::test]
async fn young_keys_of_one_creator_for_several_applications_are_not_ended() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let own = fixture.managing(Restrictions::default()).await;
    for number in 0..MAX_KEYS_PER_APPLICATION {
        fixture.clock.advance(Duration::from_secs(5));
        fixture.keys.create_for_application(&by(&own.key), &for_application(&number.to_string())).await.unwrap();
    }
    let before = fixture.ids("alice").await;
    // The first key is 45 s old at the next request, and 60 s old at the last.
    let create = async || fixture.keys.create_for_application(&by(&own.key), &for_application("next")).await;
    assert!(matches!(create().await, Err(KeysError::Full)));
    assert_eq!(fixture.ids("alice").await, before);
    fixture.clock.advance(REPLACEABLE_AFTER - Duration::from_secs(45));
    create().await.unwrap();
    assert_eq!(fixture.ids("alice").await.len(), before.len());
}

#[tokio::test]
async fn the_record_of_creations_expires_with_the_longest_key_that_it_counts() {
    let fixture = Fixture::new().await;
    let place = record::KeyCreations::key("alice");
    let exists = async || fixture.exists::<record::KeyCreations>(&place).await;
    fixture.create(&KeyParameters { duration: duration("2h"), ..KeyParameters::default() }).await;
    fixture.create(&KeyParameters { duration: duration("1h"), ..KeyParameters::default() }).await;
    fixture.clock.advance(Duration::from_secs(7199));
    assert!(exists().await);
    fixture.clock.advance(Duration::from_secs(1));
    assert!(!exists().await);
}

#[tokio::test]
async fn a_record_of_creations_without_expiry_gets_one_that_covers_every_key() {
    let fixture = Fixture::new().await;
    let place = record::KeyCreations::key("alice");
    let old: record::KeyCreations = serde_json::from_str(r#"{"made": 3}"#).unwrap();
    fixture.records.change(place.shard).put(&place, &old, Ttl::Forever).commit().await.unwrap().unwrap();
    fixture.create(&KeyParameters { duration: duration("1h"), ..KeyParameters::default() }).await;
    fixture.clock.advance(Duration::from_secs(100 * DAY - 1));
    assert!(fixture.exists::<record::KeyCreations>(&place).await, "an older key may have the maximum lifetime");
    fixture.clock.advance(Duration::from_secs(1));
    assert!(!fixture.exists::<record::KeyCreations>(&place).await);
}

#[tokio::test]
async fn a_key_created_with_a_token_never_exceeds_it_and_a_token_manages_no_key() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let by_user = fixture.create(&KeyParameters { application: Some("app".into()), ..KeyParameters::default() }).await.key;
    let restrictions = Restrictions { role: Some(Role::new("team")), teams: Some(vec![Team::new("a")]), paths: Vec::new() };
    let expires = fixture.clock.now() + Duration::from_secs(600);
    let by_token = Manager { by: ManagerCredential::Jwt { expires, restrictions: restrictions.clone() }, ..by_session() };
    let parameters = KeyParameters { application: Some("app".into()), duration: duration("1d"), ..KeyParameters::default() };
    let (created, ended) = fixture.create_for_application(&by_token, &parameters).await;
    assert_eq!((created.key.expires, &created.key.restrictions[..], ended.len()), (expires, &[restrictions][..], 0));
    for _ in 0..MAX_KEYS_PER_APPLICATION - 2 {
        fixture.clock.advance(Duration::from_millis(2));
        fixture.keys.create_for_application(&by_token, &parameters).await.unwrap();
    }
    fixture.clock.advance(REPLACEABLE_AFTER);
    let (_, ended) = fixture.create_for_application(&by_token, &parameters).await;
    assert_eq!(ended, [created.key.id], "only keys that a token created are revoked");
    assert!(fixture.ids("alice").await.contains(&by_user.id));
    assert!(matches!(fixture.keys.create(&by_token, &parameters).await, Err(KeysError::NotManaging)));
    assert!(matches!(fixture.keys.list(&by_token, None, None, 5).await, Err(KeysError::NotManaging)));
    assert!(matches!(fixture.keys.revoke(&by_token, by_user.id).await, Err(KeysError::NotManaging)));
    assert!(matches!(fixture.keys.rotate(&by_token, by_user.id, &KeyRotation::default()).await, Err(KeysError::NotManaging)));
    let workload = Manager { user: "ci:batch", ..by_token.clone() };
    assert!(matches!(fixture.keys.create_for_application(&workload, &parameters).await, Err(KeysError::NoSuchUser)));
}

#[tokio::test]
async fn a_key_or_token_never_uses_up_the_owners_maximum_with_application_keys() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 30).await;
    let own = fixture.create(&KeyParameters::default()).await.key;
    let expires = fixture.clock.now() + Duration::from_secs(3600);
    let by_token = Manager { by: ManagerCredential::Jwt { expires, restrictions: Restrictions::default() }, ..by_session() };
    for manager in [by(&own), by_token] {
        for number in 0..MAX_KEYS_PER_APPLICATION + 3 {
            fixture.clock.advance(REPLACEABLE_AFTER);
            let parameters =
                KeyParameters { application: Some(format!("http://127.0.0.1/{number}")), ..KeyParameters::default() };
            let (created, ended) = fixture.create_for_application(&manager, &parameters).await;
            assert_eq!(ended.len(), usize::from(number >= MAX_KEYS_PER_APPLICATION));
            assert!(!ended.contains(&own.id) && fixture.ids("alice").await.contains(&created.key.id));
        }
    }
    assert_eq!(fixture.ids("alice").await.len(), 1 + 2 * MAX_KEYS_PER_APPLICATION);
}

#[tokio::test]
async fn a_key_that_creates_application_keys_revokes_only_keys_derived_from_it() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let parameters = KeyParameters { application: Some("app".to_owned()), ..KeyParameters::default() };
    let own = fixture.keys.create_for_application(&by_session(), &parameters).await.unwrap();
    let elsewhere = fixture.create(&KeyParameters::default()).await;
    for _ in 0..MAX_KEYS_PER_APPLICATION + 2 {
        fixture.clock.advance(REPLACEABLE_AFTER);
        let child = fixture.keys.create_for_application(&by(&own.key), &parameters).await.unwrap();
        assert!(fixture.ids("alice").await.contains(&child.key.id), "its ancestors still exist");
        assert!(fixture.counts(own.key.id, &own.secret).await);
    }
    let by_another = fixture.keys.create_for_application(&by(&elsewhere.key), &parameters).await;
    assert!(matches!(by_another, Err(KeysError::Full)), "no key derived from it could be revoked");
    assert_eq!(fixture.ids("alice").await.len(), MAX_KEYS_PER_APPLICATION + 1);
}
