//! Tests of derived keys: their rights, and their end with their ancestors.

use super::*;

#[tokio::test]
async fn a_derived_key_never_exceeds_its_parent() {
    let fixture = Fixture::new().await;
    let of_manager =
        Restrictions { role: Some(Role::new("team")), teams: Some(vec![Team::new("a")]), paths: vec!["/v1/**".into()] };
    let parameters = KeyParameters {
        manage_keys: true,
        restrictions: of_manager.clone(),
        duration: duration("2d"),
        ..KeyParameters::default()
    };
    let manager = fixture.create(&parameters).await.key;
    let wider =
        Restrictions { role: Some(Role::new("proxy_admin")), teams: Some(vec![Team::new("b")]), paths: vec!["/**".into()] };
    let parameters = KeyParameters { restrictions: wider.clone(), duration: duration("10d"), ..KeyParameters::default() };
    let child = fixture.keys.create(&by(&manager), &parameters).await.unwrap().key;
    assert_eq!(child.restrictions, [wider, of_manager], "all of them restrict it");
    assert_eq!((child.expires, child.parent()), (manager.expires, Some(manager.id)));
}

#[tokio::test]
async fn the_number_of_ancestors_is_bounded() {
    let fixture = Fixture::new().await;
    let mut last = fixture.managing(Restrictions::default()).await.key;
    let parameters = KeyParameters { manage_keys: true, ..KeyParameters::default() };
    for _ in 0..MAX_ANCESTORS {
        last = fixture.keys.create(&by(&last), &parameters).await.unwrap().key;
    }
    assert!(matches!(fixture.keys.create(&by(&last), &parameters).await, Err(KeysError::TooDeep)));
}

#[tokio::test]
async fn derived_keys_end_with_their_parent() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 3).await;
    let manager = fixture.managing(Restrictions::default()).await.key;
    let parameters = KeyParameters { manage_keys: true, ..KeyParameters::default() };
    let child = fixture.keys.create(&by(&manager), &parameters).await.unwrap();
    let grandchild = fixture.keys.create(&by(&child.key), &KeyParameters::default()).await.unwrap();
    fixture.keys.revoke(&by_session(), manager.id).await.unwrap();
    assert!(fixture.ids("alice").await.is_empty());
    assert!(fixture.index("alice").await.is_empty(), "a read removes dead entries");
    for dead in [&child, &grandchild] {
        assert!(!fixture.counts(dead.key.id, &dead.secret).await);
    }
    assert!(matches!(fixture.keys.create(&by(&manager), &KeyParameters::default()).await, Err(KeysError::Ended)));
}

#[tokio::test]
async fn dead_keys_are_not_counted() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 2).await;
    let manager = fixture.managing(Restrictions::default()).await.key;
    let child = fixture.keys.create(&by(&manager), &KeyParameters::default()).await.unwrap();
    fixture.keys.revoke(&by_session(), manager.id).await.unwrap();
    fixture.create(&KeyParameters::default()).await;
    fixture.create(&KeyParameters::default()).await;
    assert!(!fixture.exists::<ApiKey>(&ApiKey::key(child.key.id)).await);
    assert!(matches!(fixture.keys.create(&by_session(), &KeyParameters::default()).await, Err(KeysError::Full)));
}

/// A key of Alice, a key derived from it, and one derived from that; and a key of Bob that it created.
struct Family {
    top: KeyWithSecret,
    child: KeyWithSecret,
    grandchild: KeyWithSecret,
    of_bob: KeyWithSecret,
}

impl Fixture {
    async fn family(&self) -> Family {
        let managing = KeyParameters { manage_keys: true, ..KeyParameters::default() };
        let top = self.keys.create(&org_admin(), &managing).await.unwrap();
        let child = self.keys.create(&by_admin_key(&top.key), &managing).await.unwrap();
        let grandchild = self.keys.create(&by_admin_key(&child.key), &KeyParameters::default()).await.unwrap();
        let of_bob = self.keys.create(&by_admin_key(&child.key), &for_user("bob")).await.unwrap();
        Family { top, child, grandchild, of_bob }
    }

    /// True if none of the key's ancestors has ended it.
    async fn has_live_ancestors(&self, key: &ApiKey) -> bool {
        for derived_from in key.ancestors() {
            let ancestor = self.records.get::<ApiKey>(&ApiKey::key(derived_from.id)).await.unwrap();
            if ancestor.is_none_or(|ancestor| derived_from.has_ended_derived_key(&ancestor.value)) {
                return false;
            }
        }
        true
    }
}

fn org_admin() -> Manager<'static> {
    Manager { role: Some(role("org_admin")), ..by_session() }
}

fn by_admin_key(key: &ApiKey) -> Manager<'_> {
    Manager { by: ManagerCredential::ApiKey(key), ..org_admin() }
}

#[tokio::test]
async fn a_rotation_without_a_grace_period_ends_derived_keys_at_any_depth_and_of_any_owner() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let Family { top, child, grandchild, of_bob } = fixture.family().await;
    let again = fixture.keys.rotate(&org_admin(), top.key.id, &KeyRotation::default()).await.unwrap();
    for key in [&child.key, &grandchild.key, &of_bob.key] {
        assert!(!fixture.has_live_ancestors(key).await);
    }
    assert_eq!(fixture.ids("alice").await, [top.key.id]);
    assert!(fixture.keys.list(&administrator(), Some("bob"), None, 5).await.unwrap().keys.is_empty());
    assert!(!fixture.exists::<ApiKey>(&ApiKey::key(child.key.id)).await, "older pods find no record");
    // A new derived key is of the new generation.
    let child = fixture.keys.create(&by_admin_key(&again.key), &KeyParameters::default()).await.unwrap();
    assert!(fixture.has_live_ancestors(&child.key).await);
}

#[rstest]
#[case::kept(KeyRotation { derived_keys: DerivedKeys::Keep, ..KeyRotation::default() })]
#[case::grace_period(with_grace_period("1h"))]
#[case::kept_with_a_grace_period(KeyRotation { derived_keys: DerivedKeys::Keep, ..with_grace_period("1h") })]
#[tokio::test]
async fn derived_keys_stay_with_a_grace_period_or_if_they_are_kept(#[case] rotation: KeyRotation) {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let Family { top, child, grandchild, of_bob } = fixture.family().await;
    fixture.keys.rotate(&org_admin(), top.key.id, &rotation).await.unwrap();
    for key in [&child.key, &grandchild.key, &of_bob.key] {
        assert!(fixture.has_live_ancestors(key).await);
    }
    assert_eq!(fixture.ids("alice").await.len(), 3);
}

#[tokio::test]
async fn a_grace_period_of_no_length_is_none() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let Family { top, child, .. } = fixture.family().await;
    fixture.keys.rotate(&org_admin(), top.key.id, &with_grace_period("0s")).await.unwrap();
    assert!(!fixture.has_live_ancestors(&child.key).await);
}

#[tokio::test]
async fn an_ended_secret_derives_no_key_that_outlives_the_rotation() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let Family { top, child, .. } = fixture.family().await;
    fixture.keys.rotate(&org_admin(), top.key.id, &KeyRotation::default()).await.unwrap();
    // Another pod still caches the previous keys.
    for stale in [&top.key, &child.key] {
        let parameters = [KeyParameters::default(), for_user("bob")];
        for parameters in parameters {
            assert!(matches!(fixture.keys.create(&by_admin_key(stale), &parameters).await, Err(KeysError::Ended)));
        }
    }
}

#[tokio::test]
async fn a_key_that_an_older_pod_derives_is_valid_until_the_next_rotation() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let Family { top, mut child, .. } = fixture.family().await;
    child.key.ancestor_derivations.clear();
    assert!(fixture.has_live_ancestors(&child.key).await);
    fixture.keys.rotate(&org_admin(), top.key.id, &KeyRotation::default()).await.unwrap();
    assert!(!fixture.has_live_ancestors(&child.key).await);
}

fn only_paths(path: &str) -> Restrictions {
    Restrictions { paths: vec![path.to_owned()], ..Restrictions::default() }
}

#[tokio::test]
async fn a_restriction_writes_one_record_and_applies_to_derived_keys_of_any_owner() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let Family { top, child, grandchild, of_bob } = fixture.family().await;
    let stored = async |key: &ApiKey| fixture.records.get::<ApiKey>(&ApiKey::key(key.id)).await.unwrap().unwrap();
    let before = [stored(&child.key).await, stored(&grandchild.key).await, stored(&of_bob.key).await];
    let v1 = only_paths("/v1/**");
    fixture.keys.restrict(&org_admin(), top.key.id, &v1).await.unwrap();
    for record in before {
        let after = stored(&record.value).await;
        assert_eq!((after.version, after.value.restrictions), (record.version, record.value.restrictions));
    }
    let alices = fixture.keys.list(&org_admin(), None, None, 10).await.unwrap().keys;
    let bobs = fixture.keys.list(&administrator(), Some("bob"), None, 10).await.unwrap().keys;
    for key in alices.iter().chain(&bobs) {
        assert_eq!(key.restrictions.iter().filter(|restrictions| **restrictions == v1).count(), 1, "{key:?}");
    }
    assert_eq!((alices.len(), bobs.len()), (3, 1));
    // A key that is derived now has a copy of every ancestor's restrictions, for pods of earlier versions.
    let copy = fixture.keys.create(&by_admin_key(&child.key), &KeyParameters::default()).await.unwrap().key;
    for copy in [stored(&copy).await.value, copy] {
        assert_eq!(copy.restrictions, std::slice::from_ref(&v1));
    }
}

#[tokio::test]
async fn copies_of_an_ancestors_restrictions_do_not_count() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let top = fixture.managing(Restrictions::default()).await.key;
    for number in 0..MAX_RESTRICTIONS {
        fixture.keys.restrict(&by_session(), top.id, &only_paths(&format!("/{number}/**"))).await.unwrap();
    }
    let one_more = only_paths("/more/**");
    assert!(matches!(fixture.keys.restrict(&by_session(), top.id, &one_more).await, Err(KeysError::TooOften)));
    let child = fixture.keys.create(&by(&top), &KeyParameters::default()).await.unwrap().key;
    assert_eq!(child.restrictions.len(), MAX_RESTRICTIONS);
    fixture.keys.restrict(&by_session(), child.id, &one_more).await.unwrap();
}

#[tokio::test]
async fn the_budget_of_patterns_includes_later_restrictions_of_ancestors() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let with_paths = |name: &str, number: usize| Restrictions {
        paths: (0..number).map(|index| format!("/{name}/{index}")).collect(),
        ..Restrictions::default()
    };
    let top = fixture.managing(Restrictions::default()).await.key;
    let managing = KeyParameters { manage_keys: true, ..KeyParameters::default() };
    let child = fixture.keys.create(&by(&top), &managing).await.unwrap().key;
    fixture.keys.restrict(&by_session(), top.id, &with_paths("top", 60)).await.unwrap();
    let refused = fixture.keys.restrict(&by_session(), child.id, &with_paths("child", 5)).await;
    assert!(matches!(refused, Err(KeysError::TooManyPatterns)));
    let parameters = KeyParameters { restrictions: with_paths("new", 5), ..KeyParameters::default() };
    assert!(matches!(fixture.keys.create(&by(&child), &parameters).await, Err(KeysError::TooManyPatterns)));
    fixture.keys.restrict(&by_session(), child.id, &with_paths("child", 4)).await.unwrap();
    // A restriction of an ancestor is never refused because of its derived keys.
    fixture.keys.restrict(&by_session(), top.id, &with_paths("more", 4)).await.unwrap();
}

#[tokio::test]
async fn a_derived_key_loses_the_right_to_manage_users_with_its_ancestors() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 100).await;
    let managing = KeyParameters { manage_keys: true, manage_users: true, ..KeyParameters::default() };
    let top = fixture.keys.create(&org_admin(), &managing).await.unwrap().key;
    let child = fixture.keys.create(&by_admin_key(&top), &managing).await.unwrap().key;
    assert!(child.can_manage_users());
    fixture.keys.restrict(&org_admin(), top.id, &only_paths("/v1/**")).await.unwrap();
    let listed = fixture.keys.list(&org_admin(), None, None, 10).await.unwrap().keys;
    assert!(listed.iter().all(|key| !key.can_manage_users()));
}
