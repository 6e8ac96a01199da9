//! Tests of the permissions to manage keys.

use super::*;

#[tokio::test]
async fn other_users_may_not_see_change_or_create_a_users_keys() {
    let fixture = Fixture::new().await;
    let key = fixture.create(&KeyParameters::default()).await.key;
    let bob = Manager { user: "bob", ..by_session() };
    assert!(matches!(fixture.keys.revoke(&bob, key.id).await, Err(KeysError::NotFound)));
    assert!(matches!(fixture.keys.rotate(&bob, key.id, &KeyRotation::default()).await, Err(KeysError::NotFound)));
    assert!(matches!(fixture.keys.list(&bob, Some("alice"), None, 5).await, Err(KeysError::NotAdministrator)));
    assert!(matches!(fixture.keys.create(&bob, &for_user("alice")).await, Err(KeysError::NotAdministrator)));
    assert!(fixture.keys.list(&bob, Some("bob"), None, 5).await.unwrap().keys.is_empty());
    assert_eq!(fixture.ids("alice").await, [key.id]);
}

#[tokio::test]
async fn an_administrator_manages_all_keys_and_gets_no_higher_role_by_them() {
    let fixture = Fixture::new().await;
    let org_admin = Manager { role: Some(role("org_admin")), ..administrator() };
    let created = fixture.keys.create(&org_admin, &for_user("alice")).await.unwrap();
    assert_eq!(
        (created.key.user.as_str(), &created.key.restrictions[..]),
        ("alice", &[Restrictions::ceiling(Some(role("org_admin")))][..])
    );
    assert_eq!(fixture.keys.list(&org_admin, Some("alice"), None, 5).await.unwrap().keys.len(), 1);

    let own = fixture.create(&KeyParameters::default()).await.key;
    assert!(own.restrictions.is_empty());
    for _ in 0..2 {
        let again = fixture.keys.rotate(&org_admin, own.id, &KeyRotation::default()).await.unwrap();
        assert_eq!(again.key.restrictions, [Restrictions::ceiling(Some(role("org_admin")))], "once");
    }
    fixture.keys.revoke(&org_admin, own.id).await.unwrap();
    assert!(matches!(fixture.keys.create(&org_admin, &for_user("nobody")).await, Err(KeysError::NoSuchUser)));
}

#[tokio::test]
async fn disabled_owners_and_creators_without_a_role_get_no_key() {
    let fixture = Fixture::new().await;
    fixture.put_user("bob", |user| user.disabled = true).await;
    assert!(matches!(fixture.keys.create(&administrator(), &for_user("bob")).await, Err(KeysError::Disabled)));
    let nobody = Manager { role: None, ..by_session() };
    assert!(matches!(fixture.keys.create(&nobody, &KeyParameters::default()).await, Err(KeysError::NoRole)));
}

#[tokio::test]
async fn only_a_managing_key_manages_keys_and_only_itself_and_those_derived_from_it() {
    let fixture = Fixture::new().await;
    let plain = fixture.create(&KeyParameters::default()).await.key;
    assert!(matches!(fixture.keys.create(&by(&plain), &KeyParameters::default()).await, Err(KeysError::NotManaging)));
    assert!(matches!(fixture.keys.list(&by(&plain), None, None, 5).await, Err(KeysError::NotManaging)));
    assert!(matches!(fixture.keys.revoke(&by(&plain), plain.id).await, Err(KeysError::NotManaging)));

    let manager = fixture.managing(Restrictions::default()).await.key;
    let child = fixture.keys.create(&by(&manager), &KeyParameters::default()).await.unwrap().key;
    for other in [plain.id] {
        assert!(matches!(fixture.keys.revoke(&by(&manager), other).await, Err(KeysError::NotFound)));
        assert!(matches!(fixture.keys.rotate(&by(&manager), other, &KeyRotation::default()).await, Err(KeysError::NotFound)));
    }
    let listed = fixture.keys.list(&by(&manager), None, None, 5).await.unwrap();
    // Ids of the same millisecond are in random order.
    let ids: std::collections::BTreeSet<_> = listed.keys.iter().map(|key| key.id).collect();
    assert_eq!(ids, [manager.id, child.id].into());
    fixture.keys.revoke(&by(&manager), child.id).await.unwrap();
    fixture.keys.rotate(&by(&manager), manager.id, &KeyRotation::default()).await.unwrap();
}

#[tokio::test]
async fn an_administrators_key_does_not_obtain_secrets_of_other_users_keys() {
    let fixture = Fixture::new().await;
    let own = fixture.create(&KeyParameters::default()).await.key;
    fixture.put_user("carol", |_| ()).await;
    let key = fixture
        .keys
        .create(&administrator(), &KeyParameters { manage_keys: true, ..KeyParameters::default() })
        .await
        .unwrap()
        .key;
    let by_key = Manager { by: ManagerCredential::ApiKey(&key), ..administrator() };
    assert!(matches!(fixture.keys.rotate(&by_key, own.id, &KeyRotation::default()).await, Err(KeysError::NotFound)));
    let created = fixture.keys.create(&by_key, &for_user("alice")).await.unwrap();
    assert_eq!(created.key.ancestors, [key.id], "it ends with the administrator's key, in any shard");
    let demoted = Manager { role: Some(role("customer")), ..by_key.clone() };
    assert!(matches!(fixture.keys.rotate(&demoted, created.key.id, &KeyRotation::default()).await, Err(KeysError::NotFound)));
    fixture.keys.rotate(&by_key, created.key.id, &KeyRotation::default()).await.unwrap();
    fixture.keys.revoke(&by_key, own.id).await.unwrap();
}

#[tokio::test]
async fn path_patterns_are_limited_over_a_key_and_its_ancestors() {
    let fixture = Fixture::new().await;
    let with_paths = |name: &str, number: usize| Restrictions {
        paths: (0..number).map(|index| format!("/{name}/{index}")).collect(),
        ..Restrictions::default()
    };
    let parameters = |restrictions| KeyParameters { manage_keys: true, restrictions, ..KeyParameters::default() };
    let refused = |result: Result<(), KeysError>| assert!(matches!(result, Err(KeysError::TooManyPatterns)), "{result:?}");
    refused(fixture.keys.create(&by_session(), &parameters(with_paths("a", MAX_PATTERNS + 1))).await.map(drop));
    let key = fixture.managing(with_paths("a", 30)).await.key;
    refused(fixture.keys.create(&by(&key), &parameters(with_paths("b", MAX_PATTERNS - 29))).await.map(drop));
    let child = fixture.keys.create(&by(&key), &parameters(with_paths("b", 30))).await.unwrap().key;
    refused(fixture.keys.restrict(&by_session(), child.id, &with_paths("c", 5)).await.map(drop));
    let child = fixture.keys.restrict(&by_session(), child.id, &with_paths("c", 4)).await.unwrap();
    fixture.keys.restrict(&by_session(), child.id, &with_paths("a", 30)).await.unwrap();
    let long = Restrictions { paths: vec![format!("/{}", "a".repeat(MAX_PATTERN_BYTES))], ..Restrictions::default() };
    refused(fixture.keys.restrict(&by_session(), key.id, &long).await.map(drop));
    // A key of an earlier version with more patterns cannot create another key, with or without patterns of its own.
    let large = ApiKey { restrictions: vec![with_paths("d", MAX_PATTERNS + 1)], ..key };
    let place = ApiKey::key(large.id);
    fixture.records.change(place.shard).put(&place, &large, Ttl::Forever).commit().await.unwrap().unwrap();
    let application = KeyParameters { application: Some("app".to_owned()), ..KeyParameters::default() };
    refused(fixture.keys.create_for_application(&by(&large), &application).await.map(drop));
}
