//! Invitations: links with which a user sets a password, once. The store only has the hash of a link's secret.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{
    clock,
    json::Value,
    principal::{Claims, IdentityClaims, LOCAL, ROLE_CLAIM, Role, TEAMS_CLAIM, Team},
    secret::{Digest, random_bytes},
    store::{self, Change, Index, Record, RecordKey, RecordKind, Records, Shard, ShardedId, Ttl},
};

pub use crate::store::ShardedId as InvitationId;

const SECRET_LEN: usize = 32;

/// The maximum number of invitations of a user that are read.
const MAX_PER_USER: usize = 1000;

/// The time for which an invitation is listed after its expiry.
const LISTED_FOR: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// The record of an invitation, in the shard of the invited user.
#[derive(Clone, Serialize, Deserialize)]
pub struct Invitation {
    pub id: InvitationId,
    pub user: String,
    /// In its normal form.
    pub email: String,
    pub role: Role,
    pub teams: Vec<Team>,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// The administrator who created it; `None` if the operator did. At the acceptance, this user must still be an
    /// administrator who may manage the invited user and grant the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The role that the administrator acted with, which a key may have restricted. The invitation never grants more. `None` in
    /// records of released versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Timestamp>,
    secret: [u8; 32],
}

/// The value of `invite_link=`: the id and the secret.
pub struct Link {
    pub id: InvitationId,
    secret: Zeroizing<String>,
}

/// The status of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationStatus {
    Open,
    Accepted,
    Expired,
}

/// The content of a new invitation.
pub(super) struct InvitationContent {
    pub email: String,
    pub role: Role,
    pub teams: Vec<Team>,
    pub expires: Timestamp,
    pub by: Option<String>,
    pub by_role: Option<Role>,
}

impl Record for Invitation {
    const KIND: RecordKind = RecordKind::Invitation;
}

/// The invitations of one shard.
pub(super) fn index_of(shard: Shard) -> Index {
    Index::new(shard, INDEX)
}

pub(super) const INDEX: &str = "invitations";

/// The invitations of one user.
pub(super) fn index_of_user(user: &str) -> Index {
    Index::new(crate::users::shard_of(user), format!("invitations:{user}"))
}

/// The role and the teams of an account's last invitation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountGrant {
    pub role: Option<String>,
    /// Separated by commas.
    pub teams: String,
}

impl AccountGrant {
    pub fn of(account: &IdentityClaims) -> Self {
        let teams = account.id_token.get(TEAMS_CLAIM).and_then(Value::as_array).into_iter().flatten();
        Self {
            role: account.id_token.get(ROLE_CLAIM).and_then(Value::as_str).map(str::to_owned),
            teams: teams.filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}

impl Invitation {
    pub(super) fn new(user: &str, content: InvitationContent, now: Timestamp) -> (Self, Link) {
        let id = ShardedId::new(crate::users::shard_of(user), now);
        let link = Link { id, secret: Zeroizing::new(URL_SAFE_NO_PAD.encode(random_bytes::<SECRET_LEN>())) };
        let InvitationContent { email, role, teams, expires, by, by_role } = content;
        let secret = *link.digest().as_bytes();
        let (user, accepted) = (user.to_owned(), None);
        let invitation = Self { id, user, email, role, teams, created: now, expires, by, by_role, accepted, secret };
        (invitation, link)
    }

    pub fn key(id: InvitationId) -> RecordKey {
        RecordKey::new(id.shard(), RecordKind::Invitation, id.to_string())
    }

    pub fn status(&self, now: Timestamp) -> InvitationStatus {
        match self.accepted {
            Some(_) => InvitationStatus::Accepted,
            None if self.expires <= now => InvitationStatus::Expired,
            None => InvitationStatus::Open,
        }
    }

    /// Returns the ids of all invitations of a user.
    pub(super) async fn list_ids(records: &Records, user: &str) -> Result<Vec<String>, store::Error> {
        records.store().list(&index_of_user(user), None, MAX_PER_USER).await
    }

    /// Deletes an invitation and its index entries.
    pub(super) fn remove_from<'a>(id: &str, user: &str, change: Change<'a>) -> Change<'a> {
        let shard = crate::users::shard_of(user);
        let change = change.delete(&RecordKey::new(shard, RecordKind::Invitation, id));
        change.index_remove(&index_of(shard), id).index_remove(&index_of_user(user), id)
    }

    pub(super) fn is_opened_by(&self, link: &Link) -> bool {
        self.secret.ct_eq(link.digest().as_bytes()).into()
    }

    pub(super) fn ttl(&self, now: Timestamp) -> Ttl {
        Ttl::For(clock::since(now, self.expires + LISTED_FOR))
    }

    /// The claims that the invitation grants to the account.
    pub(super) fn claims(&self) -> IdentityClaims {
        let mut claims = Claims::new();
        claims.insert("email".into(), self.email.as_str().into());
        claims.insert(ROLE_CLAIM.into(), self.role.as_str().into());
        claims.insert(TEAMS_CLAIM.into(), self.teams.iter().map(Team::as_str).collect());
        IdentityClaims {
            provider: LOCAL.into(),
            issuer: LOCAL.into(),
            subject: self.email.clone(),
            id_token: claims,
            ..IdentityClaims::default()
        }
    }
}

impl Link {
    /// Parses the value of `invite_link=`, or the whole URL.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.rsplit_once("invite_link=").map_or(text, |(_, link)| link);
        let (id, secret) = text.split_once('.')?;
        let id = InvitationId::parse(id)?;
        (secret.len() <= 64).then(|| Self { id, secret: Zeroizing::new(secret.to_owned()) })
    }

    /// The id and the secret, for the link only.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}.{}", self.id, *self.secret))
    }

    fn digest(&self) -> Digest {
        Digest::of(self.secret.as_bytes())
    }
}

/// Shows the id and the user, but not the hash of the secret.
impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    fn invitation() -> (Invitation, Link) {
        let now = SystemClock.now();
        let content = InvitationContent {
            email: "ada@example.com".into(),
            role: Role::new("internal_user"),
            teams: vec![Team::new("research")],
            expires: now + Duration::from_secs(60),
            by: None,
            by_role: None,
        };
        Invitation::new("u-1", content, now)
    }

    #[test]
    fn only_its_own_link_opens_an_invitation() {
        let (invitation, link) = invitation();
        let read = Link::parse(&link.expose()).unwrap();
        assert_eq!(read.id, invitation.id);
        assert!(invitation.is_opened_by(&read));
        let address = format!("https://llm.example.com/onboarding?invite_link={}", *link.expose());
        assert!(invitation.is_opened_by(&Link::parse(&address).unwrap()));
        let (_, other_link) = self::invitation();
        assert!(!invitation.is_opened_by(&other_link));
        for text in ["", ".", &invitation.id.to_string(), &format!("{}.", invitation.id), &format!("{}.x", invitation.id)] {
            assert!(Link::parse(text).is_none_or(|link| !invitation.is_opened_by(&link)), "{text}");
        }
    }

    #[test]
    fn an_invitation_is_open_until_it_is_accepted_or_expires() {
        let (mut invitation, _) = invitation();
        assert_eq!(invitation.status(invitation.created), InvitationStatus::Open);
        assert_eq!(invitation.status(invitation.expires), InvitationStatus::Expired);
        invitation.accepted = Some(invitation.created);
        assert_eq!(invitation.status(invitation.expires), InvitationStatus::Accepted);
    }

    #[test]
    fn neither_the_record_nor_the_debug_output_has_the_secret() {
        let (invitation, link) = invitation();
        let secret = link.expose()[invitation.id.to_string().len() + 1..].to_owned();
        let shown = format!("{invitation:?} {link:?} {}", serde_json::to_string(&invitation).unwrap());
        assert!(!shown.contains(&secret), "{shown}");
    }
}
