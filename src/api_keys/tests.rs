//! Tests of API keys on the memory store.

mod applications;
mod derived_keys;
mod management;
mod ranks;

use jiff::ToSpan;
use rstest::rstest;

use super::*;
use crate::{
    clock::manual::ManualClock,
    principal::{Role, Team},
    role_map::{ConfiguredNames, RoleMap, RoleMaps},
    secret::KeyRing,
    store::{self, MemoryStore, Record, RecordKind, StaleEntry, Store, Ttl},
    users::{self, Policy, User},
};

const DAY: u64 = 86_400;

struct Fixture {
    keys: Keys,
    records: Records,
    clock: ManualClock,
}

impl Fixture {
    async fn with(adjust: impl FnOnce(&mut KeySettings)) -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::clone(&shared)));
        let records = Records::new(store, Arc::new(KeyRing::ephemeral(Arc::clone(&shared))), "");
        let mut settings = KeySettings {
            max_per_user: 5,
            default_duration: Duration::from_secs(30 * DAY),
            max_duration: Duration::from_secs(100 * DAY),
            overlap_max: Duration::from_secs(DAY),
            claims_max_age: Duration::from_secs(30 * DAY),
            sign_in_within: Duration::from_secs(3600),
        };
        adjust(&mut settings);
        let metrics = Arc::default();
        let role_maps = RoleMaps::new(None, ConfiguredNames::default(), Arc::clone(&shared), Arc::clone(&metrics)).unwrap();
        let policy = Policy::new(Arc::new(role_maps), vec![Role::new("proxy_admin"), Role::new("org_admin")]);
        let keys = Keys::new(records.clone(), Arc::new(policy), settings, shared, metrics);
        let fixture = Self { keys, records, clock };
        for user in ["alice", "bob"] {
            fixture.put_user(user, |_| ()).await;
        }
        fixture
    }

    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn put_user(&self, id: &str, adjust: impl FnOnce(&mut User)) {
        let mut user = User::new(id, self.clock.now());
        adjust(&mut user);
        let place = User::key(id);
        self.records.change(place.shard).put(&place, &user, Ttl::Forever).commit().await.unwrap().unwrap();
    }

    async fn create(&self, parameters: &KeyParameters) -> KeyWithSecret {
        self.keys.create(&by_session(), parameters).await.unwrap()
    }

    /// Creates a key of Alice for an application. Also returns the ids of the keys that this revoked.
    async fn create_for_application(&self, manager: &Manager<'_>, parameters: &KeyParameters) -> (KeyWithSecret, Vec<KeyId>) {
        let before = self.ids("alice").await;
        let created = self.keys.create_for_application(manager, parameters).await.unwrap();
        let after = self.ids("alice").await;
        (created, before.into_iter().filter(|id| !after.contains(id)).collect())
    }

    /// Creates a key of Alice that manages keys, with these restrictions.
    async fn managing(&self, restrictions: Restrictions) -> KeyWithSecret {
        self.create(&KeyParameters { manage_keys: true, restrictions, ..KeyParameters::default() }).await
    }

    async fn exists<T: Record>(&self, place: &store::RecordKey) -> bool {
        self.records.get::<T>(place).await.unwrap().is_some()
    }

    /// True if the secret has a pointer and is valid.
    async fn counts(&self, id: KeyId, secret: &KeySecret) -> bool {
        let pointed = self.exists::<Pointer>(&Pointer::key(id.shard(), &secret.digest())).await;
        let key = self.records.get::<ApiKey>(&ApiKey::key(id)).await.unwrap();
        let listed = key.is_some_and(|key| key.value.secret_status(&secret.digest(), self.clock.now()) == SecretStatus::Live);
        assert!(pointed || !listed, "a valid secret has no pointer");
        pointed && listed
    }

    async fn ids(&self, user: &str) -> Vec<KeyId> {
        let page = self.keys.list(&Manager { user, ..by_session() }, None, None, 100).await.unwrap();
        page.keys.iter().map(|key| key.id).collect()
    }

    async fn index(&self, user: &str) -> Vec<String> {
        self.records.store().list(&record::index_of(user), None, 100).await.unwrap()
    }
}

fn role(name: &'static str) -> &'static Role {
    static ROLES: std::sync::OnceLock<std::sync::Mutex<Vec<&'static Role>>> = std::sync::OnceLock::new();
    let mut roles = ROLES.get_or_init(std::sync::Mutex::default).lock().unwrap();
    if let Some(role) = roles.iter().find(|role| role.as_str() == name) {
        return role;
    }
    let role = Box::leak(Box::new(Role::new(name)));
    roles.push(role);
    role
}

fn by_session() -> Manager<'static> {
    Manager { user: "alice", role: Some(role("internal_user")), by: ManagerCredential::Session }
}

fn administrator() -> Manager<'static> {
    Manager { user: "carol", role: Some(role("proxy_admin")), by: ManagerCredential::Session }
}

fn by(key: &ApiKey) -> Manager<'_> {
    Manager { user: &key.user, role: Some(role("internal_user")), by: ManagerCredential::ApiKey(key) }
}

fn duration(text: &str) -> Option<KeyDuration> {
    Some(KeyDuration::parse(text).unwrap())
}

fn with_grace_period(text: &str) -> KeyRotation {
    KeyRotation { grace_period: duration(text), ..KeyRotation::default() }
}

fn for_user(user: &str) -> KeyParameters {
    KeyParameters { user: Some(user.to_owned()), ..KeyParameters::default() }
}

#[tokio::test]
async fn a_key_is_found_by_its_secret_and_listed_without_it() {
    let fixture = Fixture::new().await;
    let created = fixture.create(&KeyParameters { alias: Some("laptop".into()), ..KeyParameters::default() }).await;
    assert!(fixture.counts(created.key.id, &created.secret).await);
    let presented = PresentedKey::parse(created.secret.expose()).unwrap();
    assert_eq!(presented.shard, users::shard_of("alice"));
    assert_eq!(created.key.id.shard(), users::shard_of("alice"));
    assert_eq!(KeyId::parse(&created.key.id.to_string()), Some(created.key.id));
    assert_eq!(fixture.ids("alice").await, [created.key.id]);
    assert_eq!(created.key.expires, fixture.clock.now() + Duration::from_secs(30 * DAY));
    let stored = serde_json::to_string(&created.key).unwrap();
    assert!(!stored.contains(&created.secret.expose()[3..]) && !format!("{created:?}").contains("laptop"), "{created:?}");
}

#[rstest]
#[case::upper_case("0190A0B0-0000-7000-8000-000000000001")]
#[case::braces("{0190a0b0-0000-7000-8000-000000000001}")]
#[case::no_hyphens("0190a0b0000070008000000000000001")]
#[case::a_shard_that_there_is_not("0190a0b0-0000-7000-8000-000000000040")]
#[case::garbage("x")]
fn only_one_form_of_an_id_is_parsed(#[case] text: &str) {
    assert_eq!(KeyId::parse(text), None);
}

#[rstest]
#[case("0s")]
#[case("101d")]
#[case("4mo")]
#[tokio::test]
async fn a_duration_out_of_range_is_refused(#[case] text: &str) {
    let fixture = Fixture::new().await;
    let parameters = KeyParameters { duration: duration(text), ..KeyParameters::default() };
    assert!(matches!(fixture.keys.create(&by_session(), &parameters).await, Err(KeysError::Duration)));
    assert!(fixture.ids("alice").await.is_empty());
}

#[tokio::test]
async fn an_expired_key_has_no_record_and_is_no_longer_counted() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 2).await;
    let short = fixture.create(&KeyParameters { duration: duration("1h"), ..KeyParameters::default() }).await;
    let long = fixture.create(&KeyParameters::default()).await;
    assert!(matches!(fixture.keys.create(&by_session(), &KeyParameters::default()).await, Err(KeysError::Full)));
    fixture.clock.advance(Duration::from_secs(3600));
    assert!(!fixture.exists::<ApiKey>(&ApiKey::key(short.key.id)).await);
    assert!(!fixture.counts(short.key.id, &short.secret).await);
    assert_eq!(fixture.index("alice").await.len(), 2, "the index still has the expired key");
    let third = fixture.create(&KeyParameters::default()).await;
    assert_eq!(fixture.index("alice").await, [long.key.id.to_string(), third.key.id.to_string()]);
}

#[tokio::test]
async fn concurrent_creations_never_exceed_the_maximum() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 3).await;
    let (manager, parameters) = (by_session(), KeyParameters::default());
    let created = futures::future::join_all((0..6).map(|_| fixture.keys.create(&manager, &parameters))).await;
    assert_eq!(created.iter().filter(|created| created.is_ok()).count(), 3);
    assert_eq!(fixture.ids("alice").await.len(), 3);
}

#[tokio::test]
async fn pages_are_in_the_order_of_creation_and_end() {
    let fixture = Fixture::with(|settings| settings.max_per_user = 1000).await;
    let mut created = Vec::new();
    for _ in 0..25 {
        created.push(fixture.create(&KeyParameters::default()).await.key.id);
        fixture.clock.advance(Duration::from_millis(2));
    }
    fixture.keys.revoke(&by_session(), created.remove(7)).await.unwrap();
    for size in [1, 6, 8, 24, 25, 100] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = fixture.keys.list(&by_session(), None, after, size).await.unwrap();
            assert!(page.keys.len() == size || page.next.is_none());
            seen.extend(page.keys.iter().map(|key| key.id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, created, "pages of {size}");
    }
}

#[tokio::test]
async fn a_revoked_key_leaves_no_record_and_its_invalidation_message_names_it() {
    let fixture = Fixture::new().await;
    let created = fixture.create(&KeyParameters::default()).await;
    let again = fixture.keys.rotate(&by_session(), created.key.id, &with_grace_period("1h")).await.unwrap();
    let mut messages = fixture.records.store().invalidation_messages();
    fixture.keys.revoke(&by_session(), created.key.id).await.unwrap();
    let stale = fixture.records.decrypt_invalidation_message(&messages.recv().await.unwrap()).unwrap();
    assert_eq!(stale, [StaleEntry::Key(created.key.id.to_string())]);
    for secret in [&created.secret, &again.secret] {
        assert!(!fixture.exists::<Pointer>(&Pointer::key(created.key.id.shard(), &secret.digest())).await);
    }
    assert!(!fixture.exists::<ApiKey>(&ApiKey::key(created.key.id)).await && fixture.index("alice").await.is_empty());
    let left = fixture.records.store().scan(RecordKind::KeySecret, store::Cursor::default()).await.unwrap();
    assert!(left.keys.is_empty(), "{left:?}");
    assert!(matches!(fixture.keys.revoke(&by_session(), created.key.id).await, Err(KeysError::NotFound)));
}

#[tokio::test]
async fn a_rotated_key_keeps_its_alias_and_the_old_secret_ends_after_the_grace_period() {
    let fixture = Fixture::new().await;
    let first = fixture.create(&KeyParameters::default()).await;
    let id = first.key.id;
    let second = fixture.keys.rotate(&by_session(), id, &KeyRotation::default()).await.unwrap();
    assert_eq!((second.key.id, second.key.expires), (id, first.key.expires));
    assert!(!fixture.counts(id, &first.secret).await && fixture.counts(id, &second.secret).await);

    let third = fixture.keys.rotate(&by_session(), id, &with_grace_period("1h")).await.unwrap();
    let fourth = fixture.keys.rotate(&by_session(), id, &with_grace_period("30m")).await.unwrap();
    let all = async || {
        [
            fixture.counts(id, &second.secret).await,
            fixture.counts(id, &third.secret).await,
            fixture.counts(id, &fourth.secret).await,
        ]
    };
    assert_eq!(all().await, [true, true, true]);
    fixture.clock.advance(Duration::from_secs(1800));
    assert_eq!(all().await, [true, false, true], "each until the end of its own grace period");
    fixture.clock.advance(Duration::from_secs(1800));
    assert_eq!(all().await, [false, false, true]);
    assert_eq!(fixture.ids("alice").await, [id]);
    assert!(matches!(fixture.keys.rotate(&by_session(), id, &with_grace_period("25h")).await, Err(KeysError::GracePeriod)));
}

#[tokio::test]
async fn the_number_of_valid_secrets_is_bounded() {
    let fixture = Fixture::new().await;
    let created = fixture.create(&KeyParameters::default()).await;
    let mut secrets = vec![created.secret];
    for _ in 0..8 {
        secrets.push(fixture.keys.rotate(&by_session(), created.key.id, &with_grace_period("1h")).await.unwrap().secret);
    }
    let mut counting = Vec::new();
    for secret in &secrets {
        counting.push(fixture.counts(created.key.id, secret).await);
    }
    assert_eq!(counting, [[false; 5].as_slice(), &[true; 4]].concat(), "the latest");
}

#[tokio::test]
async fn without_a_grace_period_all_previous_secrets_end() {
    let fixture = Fixture::new().await;
    let first = fixture.create(&KeyParameters::default()).await;
    let id = first.key.id;
    let second = fixture.keys.rotate(&by_session(), id, &with_grace_period("1h")).await.unwrap();
    let third = fixture.keys.rotate(&by_session(), id, &KeyRotation::default()).await.unwrap();
    for gone in [&first.secret, &second.secret] {
        assert!(!fixture.counts(id, gone).await);
    }
    assert!(fixture.counts(id, &third.secret).await);
}

#[tokio::test]
async fn a_previous_secret_ends_with_its_key() {
    let fixture = Fixture::new().await;
    let created = fixture.create(&KeyParameters { duration: duration("30m"), ..KeyParameters::default() }).await;
    fixture.keys.rotate(&by_session(), created.key.id, &with_grace_period("1h")).await.unwrap();
    fixture.clock.advance(Duration::from_secs(1800));
    assert!(!fixture.counts(created.key.id, &created.secret).await);
}

#[tokio::test]
async fn use_is_recorded_once_in_ten_minutes_and_never_for_a_revoked_key() {
    let fixture = Fixture::new().await;
    let id = fixture.create(&KeyParameters::default()).await.key.id;
    let used = fixture.keys.touch(id).await.unwrap().unwrap();
    assert_eq!(used, fixture.clock.now());
    fixture.clock.advance(TOUCH_AFTER - Duration::from_secs(1));
    assert_eq!(fixture.keys.touch(id).await.unwrap(), Some(used));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.keys.touch(id).await.unwrap(), Some(used + TOUCH_AFTER));
    fixture.keys.revoke(&by_session(), id).await.unwrap();
    assert_eq!(fixture.keys.touch(id).await.unwrap(), None);
    assert!(!fixture.exists::<ApiKey>(&ApiKey::key(id)).await);
}

#[tokio::test]
async fn a_month_is_a_calendar_month() {
    let fixture = Fixture::new().await;
    let created = fixture.create(&KeyParameters { duration: duration("1mo"), ..KeyParameters::default() }).await;
    let zoned = created.key.created.to_zoned(jiff::tz::TimeZone::UTC);
    assert_eq!(created.key.expires, zoned.checked_add(1.month()).unwrap().timestamp());
}

#[test]
fn a_sign_in_is_fresh_for_the_configured_time() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fixture = runtime.block_on(Fixture::new());
    let signed_in = fixture.clock.now();
    fixture.clock.advance(Duration::from_secs(3599));
    assert!(fixture.keys.is_fresh(Some(signed_in)));
    fixture.clock.advance(Duration::from_secs(1));
    assert!(!fixture.keys.is_fresh(Some(signed_in)));
    assert!(!fixture.keys.is_fresh(None), "an unknown time");
}

#[test]
fn a_record_without_newer_fields_is_parsed() {
    let id = KeyId::new(users::shard_of("alice"), Timestamp::UNIX_EPOCH);
    let text = format!(
        r#"{{"id": "{id}", "user": "alice", "created": "2026-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z", "secrets": [], "later": 1}}"#
    );
    let key: ApiKey = serde_json::from_str(&text).unwrap();
    assert!(key.restrictions.is_empty() && !key.manage_keys && key.ancestors.is_empty() && key.last_used.is_none());
}
