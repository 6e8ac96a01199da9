//! What the store keeps of a person, and of which person an (issuer, subject) is.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Generation;
use crate::{
    clock,
    principal::{IdentityClaims, LOCAL, PinnedGrant},
    secret::{Digest, random_bytes},
    store::{Index, Key, Kind, Record, Shard},
};

/// A sign-in that brings nothing else new is written down when the last one that was is so long ago.
const SIGNED_IN_TO: Duration = Duration::from_secs(3600);

/// A person, with every identity that was linked to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub created: Timestamp,
    pub identities: Vec<IdentityClaims>,
    /// What was granted at the first sign-in, where the role map says that it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<PinnedGrant>,
    /// When the claims were last verified, to the hour: by then the person was still known to a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in: Option<Timestamp>,
    /// Where keys went with the person's consent and may go again without being asked; the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_redirects: Vec<String>,
    /// Whoever is disabled is nobody's principal: neither sessions nor keys nor tokens of theirs count.
    #[serde(default)]
    pub disabled: bool,
    /// Sessions of any other generation have ended.
    #[serde(rename = "session_epoch", default)]
    pub session_generation: Generation,
    /// Keys of any other generation have ended.
    #[serde(rename = "key_epoch", default)]
    pub key_generation: Generation,
}

/// Which user an (issuer, subject) is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    pub user: String,
}

impl Record for User {
    const KIND: Kind = Kind::User;
}

impl Record for Identity {
    const KIND: Kind = Kind::Identity;
}

/// The shard in which everything of a user lives.
pub fn shard_of(user: &str) -> Shard {
    Shard::of(&Digest::of(user.as_bytes()))
}

/// The people of one shard.
pub(super) fn index_of_users(shard: Shard) -> Index {
    Index::new(shard, INDEX)
}

pub(super) const INDEX: &str = "people";

/// A UUIDv7, so that ids sort by the time of the first sign-in.
pub(super) fn new_user_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes()).into_uuid().to_string()
}

impl Identity {
    /// What the record is found by, and what the caches know it by.
    pub fn digest(issuer: &str, subject: &str) -> Digest {
        Digest::of_parts(&[issuer, subject])
    }

    pub fn key(digest: &Digest) -> Key {
        Key::of_digest(Kind::Identity, digest)
    }
}

impl User {
    pub(crate) fn new(id: &str, now: Timestamp) -> Self {
        Self {
            id: id.to_owned(),
            created: now,
            identities: Vec::new(),
            pinned: None,
            signed_in: None,
            trusted_redirects: Vec::new(),
            disabled: false,
            session_generation: Generation::random(),
            key_generation: Generation::random(),
        }
    }

    pub fn key(id: &str) -> Key {
        Key::new(shard_of(id), Kind::User, id)
    }

    /// When the claims were last verified, as far as anybody wrote it down.
    pub fn verified(&self) -> Timestamp {
        self.signed_in.unwrap_or(self.created)
    }

    /// The account that has a password here, if there is one.
    pub fn local_account(&self) -> Option<&IdentityClaims> {
        self.identities.iter().find(|identity| identity.provider == LOCAL)
    }

    /// Takes in what was just verified.
    pub(super) fn update_identity(&mut self, identity: &IdentityClaims, now: Timestamp) {
        let written_lately = |at: &Timestamp| clock::since(*at, now) < SIGNED_IN_TO;
        self.signed_in = self.signed_in.filter(written_lately).or(Some(now));
        match self.identities.iter_mut().find(|known| known.issuer == identity.issuer && known.subject == identity.subject) {
            Some(known) => *known = identity.clone(),
            None => self.identities.push(identity.clone()),
        }
    }
}
