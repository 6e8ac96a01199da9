//! Reads and changes the records of a running fleet in its store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vestibule::api_keys::{ApiKey, KeyId};
use vestibule::clock::{Clock, SystemClock};
use vestibule::metrics::Metrics;
use vestibule::secret::{Digest, KeyRing, RingKeys};
use vestibule::store::{
    self, Connection, Edit, RecordKey, RecordKind, Records, RedisSettings, RedisStore, RedisUrl, Shard, Store, Ttl,
};
use vestibule::users::User;

use super::fleet::Fleet;
use super::install_crypto;

/// The default prefix.
pub const PREFIX: &str = "vestibule:";

impl Fleet {
    /// The records in the store, decrypted with the fleet's key ring.
    pub async fn records(&self) -> Records {
        records(&self.store_url(), self.key_prefix(), &self.key_ring_file).await
    }

    /// Changes a user's record directly in the store.
    pub async fn change_user(&self, id: &str, change: impl Fn(&mut User)) {
        let records = self.records().await;
        let place = User::key(id);
        // A pod may write the record at the same time.
        let changed = records.update(&place, async |mut user: User, commit| {
            change(&mut user);
            Ok::<_, store::Error>(Edit::Commit(commit.put(&place, &user, Ttl::Forever).drop_user(id), ()))
        });
        changed.await.expect("the store is there").expect("the user exists");
    }
}

impl Fleet {
    /// Changes the record of an API key directly in the store.
    pub async fn change_key(&self, id: &str, change: impl Fn(&mut ApiKey)) {
        let records = self.records().await;
        let place = ApiKey::key(KeyId::parse(id).expect("an id"));
        let mut stored = records.get::<ApiKey>(&place).await.expect("it can be read").expect("it is there");
        change(&mut stored.value);
        let lifetime = Ttl::For(Duration::from_secs(3_600));
        let changed = records.change(place.shard).expect_version(&place, stored.version).put(&place, &stored.value, lifetime);
        changed.revoke_key(id).commit().await.expect("the store is there").expect("no other writer");
    }
}

/// Moves the verification of an identity of this provider into the past.
pub fn age_identity(user: &mut User, provider: &str, age: Duration) {
    let known = user.identities.iter_mut().find(|identity| identity.provider == provider).expect("it is linked");
    known.verified_at = Some(SystemClock.now() - age);
}

/// Moves the last sign-in of a user, with every identity, into the past.
pub fn age_user(user: &mut User, age: Duration) {
    let then = SystemClock.now() - age;
    user.signed_in = Some(then);
    user.identities.iter_mut().for_each(|identity| identity.verified_at = Some(then));
}

/// Opens the records in the store at this URL.
pub async fn records(url: &str, prefix: &str, key_ring: &Path) -> Records {
    let mut connection = connection(url);
    connection.settings.key_prefix = prefix.to_owned();
    let store = start(&connection);
    store.ready().await;
    Records::new(store, Arc::new(read_key_ring(key_ring)), prefix)
}

pub fn read_key_ring(file: &Path) -> KeyRing {
    let text = std::fs::read_to_string(file).expect("the key ring is there");
    KeyRing::new(RingKeys::parse(&text).expect("a key ring"), Arc::new(SystemClock))
}

pub fn start(connection: &Connection) -> Arc<dyn Store> {
    redis_store(connection)
}

pub fn redis_store(connection: &Connection) -> Arc<RedisStore> {
    install_crypto();
    let store = RedisStore::start(connection, Arc::new(SystemClock), Arc::new(Metrics::new()));
    Arc::new(store.expect("the connection is well-formed"))
}

/// A connection with long timeouts: no command fails because the machine is busy.
pub fn connection(url: &str) -> Connection {
    let settings = RedisSettings {
        url: RedisUrl::parse(url).expect("a URL of the peers"),
        username: None,
        password: None,
        sentinel_username: None,
        sentinel_password: None,
        key_prefix: PREFIX.to_owned(),
        tls: None,
        command_timeout: Duration::from_secs(3),
    };
    Connection { settings, tls: None, password: None, sentinel_password: None }
}

/// The key of a session's record in a store with the default prefix.
pub fn session_key(cookie: &str) -> String {
    use base64::Engine;
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cookie).expect("a session token is base64url");
    let shard = Shard::new(token[0]).expect("a session token begins with its shard");
    format!("{PREFIX}{}", RecordKey::new(shard, RecordKind::Session, Digest::of(cookie.as_bytes()).to_hex()).name())
}
