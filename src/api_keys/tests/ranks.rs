//! Tests that administrators cannot act on the keys of a user with a higher role, by any action and with any credential.

use super::*;
use crate::principal::{Claims, IdentityClaims, LOCAL, ROLE_CLAIM};

impl Fixture {
    /// Gives a user a role. The invitation of a local account has granted it.
    async fn put_user_with_role(&self, id: &str, role: &str) {
        let claims = Claims::from_iter([(ROLE_CLAIM.to_owned(), role.into())]);
        let identity = IdentityClaims {
            provider: LOCAL.to_owned(),
            issuer: LOCAL.to_owned(),
            subject: format!("{id}@example.com"),
            id_token: claims,
            ..IdentityClaims::default()
        };
        self.put_user(id, |user| user.identities = vec![identity]).await;
    }

    async fn key_of(&self, user: &str) -> ApiKey {
        let owner = Manager { user, ..by_session() };
        self.keys.create(&owner, &KeyParameters { manage_keys: true, ..KeyParameters::default() }).await.unwrap().key
    }

    /// Tries every action on a key of another user, and returns the errors.
    async fn try_all(&self, manager: &Manager<'_>, key: &ApiKey) -> Vec<Option<KeysError>> {
        let restrictions = Restrictions::ceiling(Some(role("team")));
        vec![
            self.keys.list(manager, Some(&key.user), None, 5).await.err(),
            self.keys.create(manager, &for_user(&key.user)).await.err(),
            self.keys.restrict(manager, key.id, &restrictions).await.err(),
            self.keys.rotate(manager, key.id, &KeyRotation::default()).await.err(),
            self.keys.revoke(manager, key.id).await.err(),
        ]
    }
}

fn org_admin() -> Manager<'static> {
    Manager { user: "dora", role: Some(role("org_admin")), by: ManagerCredential::Session }
}

fn is_denied(error: &Option<KeysError>) -> bool {
    matches!(error, Some(KeysError::Denied(_)))
}

#[rstest]
#[case::higher("proxy_admin", false)]
#[case::between("proxy_admin_viewer", false)]
#[case::equal("org_admin", true)]
#[case::lower("internal_user", true)]
#[tokio::test]
async fn an_administrator_acts_on_keys_of_users_up_to_the_own_role(#[case] of_owner: &str, #[case] allowed: bool) {
    let fixture = Fixture::new().await;
    fixture.put_user_with_role("erin", of_owner).await;
    let key = fixture.key_of("erin").await;
    for (number, error) in fixture.try_all(&org_admin(), &key).await.iter().enumerate() {
        assert!(if allowed { error.is_none() } else { is_denied(error) }, "{number}: {error:?}");
    }
    assert_eq!(fixture.exists::<ApiKey>(&ApiKey::key(key.id)).await, !allowed);
}

#[tokio::test]
async fn an_administrators_key_acts_with_its_own_role_also_on_keys_of_its_owner() {
    let fixture = Fixture::new().await;
    fixture.put_user_with_role("carol", "proxy_admin").await;
    fixture.put_user_with_role("erin", "proxy_admin").await;
    let (top, of_erin) = (fixture.key_of("carol").await, fixture.key_of("erin").await);
    let limited = KeyParameters {
        manage_keys: true,
        restrictions: Restrictions::ceiling(Some(role("org_admin"))),
        ..KeyParameters::default()
    };
    let limited = fixture.keys.create(&administrator(), &limited).await.unwrap().key;
    let by_limited = Manager { user: "carol", role: Some(role("org_admin")), by: ManagerCredential::ApiKey(&limited) };
    for error in fixture.try_all(&by_limited, &of_erin).await {
        assert!(is_denied(&error), "{error:?}");
    }
    assert!(matches!(fixture.keys.revoke(&by_limited, top.id).await, Err(KeysError::Denied(_))));
    let listed = fixture.keys.list(&by_limited, None, None, 5).await.unwrap().keys;
    assert_eq!(listed.iter().map(|key| key.id).collect::<Vec<_>>(), [limited.id], "itself and derived keys");
}

#[tokio::test]
async fn a_key_that_was_created_for_a_user_gives_no_power_over_them_after_a_promotion() {
    let fixture = Fixture::new().await;
    fixture.put_user_with_role("dora", "org_admin").await;
    fixture.put_user_with_role("erin", "internal_user").await;
    let own = fixture.key_of("dora").await;
    let by_key = Manager { by: ManagerCredential::ApiKey(&own), ..org_admin() };
    let managing = KeyParameters { manage_keys: true, ..for_user("erin") };
    let derived = fixture.keys.create(&by_key, &managing).await.unwrap().key;
    assert_eq!((derived.created_by.as_deref(), &derived.holder_roles[..]), (Some("dora"), &[Role::new("org_admin")][..]));

    fixture.put_user_with_role("erin", "proxy_admin").await;
    for manager in [org_admin(), by_key] {
        for error in fixture.try_all(&manager, &derived).await {
            assert!(is_denied(&error), "{error:?}");
        }
    }
    assert!(derived.is_held_below(&RoleMap::default(), role("proxy_admin")));
    assert!(!derived.is_held_below(&RoleMap::default(), role("org_admin")));
    // The check therefore grants the key no role.
    let holder = Manager { user: "erin", role: None, by: ManagerCredential::ApiKey(&derived) };
    for error in fixture.try_all(&holder, &derived).await {
        assert!(matches!(error, Some(KeysError::NoRole)), "{error:?}");
    }
}

#[tokio::test]
async fn a_user_who_rotates_another_users_key_is_recorded_as_a_holder() {
    let fixture = Fixture::new().await;
    let key = fixture.key_of("alice").await;
    assert_eq!((key.created_by.as_deref(), key.holder_roles.is_empty()), (Some("alice"), true));
    let mut again = key;
    for _ in 0..2 {
        again = fixture.keys.rotate(&org_admin(), again.id, &KeyRotation::default()).await.unwrap().key;
    }
    assert_eq!((again.created_by.as_deref(), &again.holder_roles[..]), (Some("alice"), &[Role::new("org_admin")][..]));
}

#[tokio::test]
async fn a_role_that_is_not_listed_outranks_every_holder() {
    let fixture = Fixture::new().await;
    fixture.put_user_with_role("erin", "team").await;
    let created = fixture.keys.create(&org_admin(), &for_user("erin")).await.unwrap().key;
    assert!(created.is_held_below(&RoleMap::default(), role("king")));
    let map = RoleMap::parse("version: 1\nroles: [team]\ndefault_role: team\n").unwrap();
    assert!(created.is_held_below(&map, role("team")), "the holder's role is no longer listed");
}

/// The owner is promoted between the comparison of the roles and the commit.
#[tokio::test]
async fn a_promotion_during_the_action_is_noticed() {
    let fixture = Fixture::new().await;
    fixture.put_user_with_role("erin", "internal_user").await;
    let key = fixture.key_of("erin").await;
    let managed = fixture.keys.find_managed(&org_admin(), key.id).await.unwrap();
    fixture.put_user_with_role("erin", "proxy_admin").await;
    let restrictions = Restrictions::ceiling(Some(role("team")));
    let tried = fixture.keys.try_restrict(&org_admin(), managed, &restrictions).await.unwrap();
    assert!(tried.is_err(), "the commit expects the owner's record as it was read");
    assert!(matches!(fixture.keys.restrict(&org_admin(), key.id, &restrictions).await, Err(KeysError::Denied(_))));
}
