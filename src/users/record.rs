//! The records of users and of their identities.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClaimLink, Generation, ProvisionedUser};
use crate::{
    clock,
    principal::{IdentityClaims, LOCAL, PinnedGrant},
    secret::{Digest, random_bytes},
    store::{Index, Record, RecordKey, RecordKind, Shard},
};

/// A user with all linked identities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub created: Timestamp,
    pub identities: Vec<IdentityClaims>,
    /// The grant of the first login, if the role map keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<PinnedGrant>,
    /// The time of the latest login. At that time a provider still knew the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in: Option<Timestamp>,
    /// The redirect URIs of the applications that get keys without asking the user again; the latest last.
    #[serde(rename = "trusted_redirects", default, skip_serializing_if = "Vec::is_empty")]
    pub app_consents: Vec<String>,
    /// True if an administrator disabled the user. Sessions, keys and tokens of a disabled user are refused. See
    /// [`User::is_disabled`].
    #[serde(default)]
    pub disabled: bool,
    /// The user in the company's directory, if it provisions users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provisioned: Option<ProvisionedUser>,
    /// The link of a user whom the directory deleted while an administrator's refusal stays. It leads to this record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_link: Option<ClaimLink>,
    /// Sessions of any other generation have ended.
    #[serde(rename = "session_epoch", default)]
    pub session_generation: Generation,
    /// Keys of any other generation have ended.
    #[serde(rename = "key_epoch", default)]
    pub key_generation: Generation,
}

/// The index entry from an (issuer, subject), or from a claim that identifies a user, to the user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    pub user: String,
}

impl Record for User {
    const KIND: RecordKind = RecordKind::User;
}

impl Record for Identity {
    const KIND: RecordKind = RecordKind::Identity;
}

/// The shard of all records of a user.
pub fn shard_of(user: &str) -> Shard {
    Shard::of(&Digest::of(user.as_bytes()))
}

/// The users of one shard.
pub(super) fn index_of_users(shard: Shard) -> Index {
    Index::new(shard, INDEX)
}

pub(super) const INDEX: &str = "people";

/// A UUIDv7, so that ids sort by the time of the first login.
pub(super) fn new_user_id(now: Timestamp) -> String {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes()).into_uuid().to_string()
}

impl Identity {
    /// The digest that is the key of the record and of the caches.
    pub fn digest(issuer: &str, subject: &str) -> Digest {
        Digest::of_parts(&[issuer, subject])
    }

    /// The digest for a claim of an issuer that identifies a user. It has more parts than that of a subject, so that the two
    /// never collide.
    pub fn user_claim_digest(issuer: &str, claim: &str, value: &str) -> Digest {
        Digest::of_parts(&["user claim", issuer, claim, value])
    }

    /// The digest for an attribute of a user that the directory of a provider provisioned.
    pub fn provisioned_digest(provider: &str, attribute: &str, value: &str) -> Digest {
        Digest::of_parts(&["provisioned", provider, attribute, value])
    }

    pub fn user_claim_digests(identity: &IdentityClaims) -> impl Iterator<Item = Digest> {
        identity.user_claims.iter().map(|(claim, value)| Self::user_claim_digest(&identity.issuer, claim, value))
    }

    pub fn key(digest: &Digest) -> RecordKey {
        RecordKey::of_digest(RecordKind::Identity, digest)
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
            app_consents: Vec::new(),
            disabled: false,
            provisioned: None,
            former_link: None,
            session_generation: Generation::random(),
            key_generation: Generation::random(),
        }
    }

    pub fn key(id: &str) -> RecordKey {
        RecordKey::new(shard_of(id), RecordKind::User, id)
    }

    /// The time of the latest recorded verification of any identity.
    pub fn verified(&self) -> Timestamp {
        self.identities.iter().map(|identity| self.verified_at(identity)).max().unwrap_or(self.created)
    }

    /// The time at which the provider last verified an identity of this user, to the second. Released versions recorded only
    /// the user's last login, which then counts for each identity.
    pub fn verified_at(&self, identity: &IdentityClaims) -> Timestamp {
        to_second(identity.verified_at.or(self.signed_in).unwrap_or(self.created))
    }

    /// The identities, each with the time of its verification.
    pub fn dated_identities(&self) -> Vec<IdentityClaims> {
        let dated =
            |identity: &IdentityClaims| IdentityClaims { verified_at: Some(self.verified_at(identity)), ..identity.clone() };
        self.identities.iter().map(dated).collect()
    }

    /// The identity of the local account, if there is one.
    pub fn local_account(&self) -> Option<&IdentityClaims> {
        self.identities.iter().find(|identity| identity.provider == LOCAL)
    }

    /// Adds or replaces an identity with newly verified claims. The times of all other identities stay. A time within
    /// `precision` stays too, so that repeated logins do not write the record.
    pub(super) fn update_identity(&mut self, identity: &IdentityClaims, now: Timestamp, precision: Duration) {
        // Must precede the update of the login's time, which counts for identities without a time of their own.
        self.identities = self.dated_identities();
        let is_known = |known: &&mut IdentityClaims| known.issuer == identity.issuer && known.subject == identity.subject;
        let known = self.identities.iter_mut().find(is_known);
        let recent = known.as_ref().and_then(|known| known.verified_at).filter(|at| clock::since(*at, now) < precision);
        let verified_at = Some(recent.unwrap_or_else(|| to_second(now)));
        // A login without a refresh token leaves those of other logins.
        let is_refreshable = identity.is_refreshable || known.as_ref().is_some_and(|known| known.is_refreshable);
        let verified = IdentityClaims { verified_at, is_refreshable, ..identity.clone() };
        match known {
            Some(known) => *known = verified,
            None => self.identities.push(verified),
        }
        self.signed_in = self.signed_in.max(verified_at);
    }
}

impl User {
    /// Replaces the claims of an identity that its provider has verified again at this time, unless there are later ones. Without
    /// an id_token, those of the last one stay with their time. Returns false if the user has no such identity.
    pub(super) fn renew_identity(&mut self, identity: &IdentityClaims, at: Timestamp) -> bool {
        let verified_at = Some(to_second(at));
        self.edit_identity(identity, |known| {
            if known.verified_at <= verified_at {
                let mut renewed = IdentityClaims { verified_at, ..identity.clone() };
                if renewed.id_token_at.is_some() {
                    // A sign-in in the same second may have brought a later id_token than the one that the refresh kept.
                    renewed.id_token_at = known.id_token_at.or(known.verified_at);
                    renewed.id_token = std::mem::take(&mut known.id_token);
                }
                *known = renewed;
            }
            known.is_refreshable = true;
        })
    }

    /// Records that the provider no longer verifies the identity. It grants nothing until the next sign-in with it.
    pub(super) fn suspend_identity(&mut self, identity: &IdentityClaims) -> bool {
        self.edit_identity(identity, |known| {
            (known.verified_at, known.is_refreshable) = (Some(Timestamp::UNIX_EPOCH), false);
        })
    }

    /// Records that there is no longer a refresh token of the identity.
    pub(super) fn forget_refresh(&mut self, identity: &IdentityClaims) -> bool {
        self.edit_identity(identity, |known| known.is_refreshable = false)
    }

    /// Records that a refresh of the identity has failed or was refused. Returns false if that was recorded before.
    pub(super) fn keep_refresh_bound(&mut self, identity: &IdentityClaims) -> bool {
        let mut is_first = false;
        self.edit_identity(identity, |known| is_first = !std::mem::replace(&mut known.has_refresh_bound, true));
        is_first
    }

    fn edit_identity(&mut self, identity: &IdentityClaims, edit: impl FnOnce(&mut IdentityClaims)) -> bool {
        self.identities = self.dated_identities();
        let is_same = |known: &&mut IdentityClaims| known.issuer == identity.issuer && known.subject == identity.subject;
        self.identities.iter_mut().find(is_same).map(edit).is_some()
    }
}

fn to_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).expect("a second within the range of timestamps")
}
