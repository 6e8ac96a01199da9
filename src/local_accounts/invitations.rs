//! Creates, lists and revokes invitations.

use std::time::Duration;

use futures::future::join_all;
use zeroize::Zeroizing;

use super::{
    Accounts, LONGEST_INVITATION,
    invitation::{INDEX, Invitation, InvitationContent, InvitationId, InvitationStatus, Link, index_of, index_of_user},
};
use crate::{
    principal::{IdentityClaims, LOCAL, Role, Team},
    store::{self, Change, Edit, StoredRecord, Version},
    users::{Administrator, EmailOwners, PolicyDenial, User, normal_email},
};

/// The creator of an invitation: an administrator, or the operator of the process.
#[derive(Debug, Clone, Copy)]
pub enum Inviter<'a> {
    Administrator(Administrator<'a>),
    Operator,
}

/// The parameters of a new invitation.
#[derive(Debug, Clone)]
pub struct InvitationParameters {
    pub email: String,
    pub role: Role,
    pub teams: Vec<Team>,
    /// The duration of the link. `None` for the configured one.
    pub lifetime: Option<Duration>,
}

/// A new invitation with its link, which is shown once.
#[derive(Debug)]
pub struct InvitationWithLink {
    pub invitation: Invitation,
    pub link: Link,
}

/// Invitations in the order of their creation.
#[derive(Debug)]
pub struct InvitationListing {
    pub invitations: Vec<Invitation>,
    /// The id after which the next invitations follow; `None` at the end.
    pub next: Option<InvitationId>,
}

#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    #[error("not an email address")]
    Email,
    #[error("the role map does not list the role")]
    UnknownRole,
    #[error("the role, or the user's own role, is above the inviter's")]
    Above,
    #[error("the user is disabled; enable the user first, or invite another address")]
    Disabled,
    #[error("an invitation lasts from a minute to 30 days")]
    Duration,
    #[error("there is no such invitation")]
    NotFound,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl InvitationError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Email => "email_invalid",
            Self::UnknownRole => "unknown_role",
            Self::Above => "above_own_role",
            Self::Disabled => "user_disabled",
            Self::Duration => "duration_not_allowed",
            Self::NotFound => "invitation_not_found",
            Self::Store(error) => error.reason(),
        }
    }
}

impl Accounts {
    /// Creates an invitation. The user's previous password stays valid until the acceptance.
    pub async fn invite(
        &self,
        inviter: Inviter<'_>,
        wanted: &InvitationParameters,
    ) -> Result<InvitationWithLink, InvitationError> {
        let email = normal_email(&wanted.email).ok_or(InvitationError::Email)?;
        let lifetime = wanted.lifetime.unwrap_or(self.settings.invitation_duration);
        if lifetime < Duration::from_secs(60) || lifetime > LONGEST_INVITATION {
            return Err(InvitationError::Duration);
        }
        self.check_role(inviter, &wanted.role)?;
        let user = self.users.find_or_assign_id(LOCAL, &email).await?;
        let now = self.clock.now();
        let (by, by_role) = match inviter {
            Inviter::Administrator(by) => (Some(by.user.to_owned()), Some(by.role.clone())),
            Inviter::Operator => (None, None),
        };
        let (role, teams, expires) = (wanted.role.clone(), wanted.teams.clone(), now + lifetime);
        let content = InvitationContent { email, role, teams, expires, by, by_role };
        let (invitation, link) = Invitation::new(&user, content, now);
        self.check_invited_user(inviter, &invitation).await?;
        let (key, ttl) = (Invitation::key(invitation.id), invitation.ttl(now));
        let change = self.records.change(key.shard).expect_absent(&key).put(&key, &invitation, ttl);
        let lists = [index_of(key.shard), index_of_user(&user)];
        let change = lists.iter().fold(change, |change, list| change.index_add(list, &invitation.id.to_string(), ttl));
        change.commit().await?.map_err(|_| store::Error::Contended)?;
        tracing::info!(invitation = %invitation.id, user, by = invitation.by, role = %invitation.role, "invitation created");
        Ok(InvitationWithLink { invitation, link })
    }

    /// Returns invitations of all users after `after`, in the order of their creation.
    pub async fn invitations(&self, after: Option<InvitationId>, limit: usize) -> Result<InvitationListing, InvitationError> {
        let after = after.map(|id| id.to_string());
        let ids = self.records.list_everywhere(INDEX, after.as_deref(), limit + 1).await?;
        let next = ids.get(limit).and(ids.get(limit - 1)).and_then(|id| InvitationId::parse(id));
        let reads = ids.iter().take(limit).filter_map(|id| InvitationId::parse(id)).map(|id| self.read(id));
        let read = join_all(reads).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(InvitationListing { invitations: read.into_iter().flatten().map(|stored| stored.value).collect(), next })
    }

    /// Revokes an invitation, or removes an expired one from the list.
    pub async fn revoke(&self, id: InvitationId, by: Administrator<'_>) -> Result<Invitation, InvitationError> {
        let key = Invitation::key(id);
        let revoked = self.records.update(&key, async |invitation: Invitation, change| {
            self.policy.authorize_revocation(by, &invitation.role)?;
            let invited = self.users.get(&invitation.user).await?;
            invited.as_ref().map_or(Ok(()), |invited| self.policy.authorize_rank(by, &invited.value))?;
            let change = expect_user(change, &invitation.user, invited.map(|invited| invited.version));
            let change = Invitation::remove_from(&id.to_string(), &invitation.user, change).as_revocation();
            Ok::<_, InvitationError>(Edit::Commit(change, invitation))
        });
        let invitation = revoked.await?.ok_or(InvitationError::NotFound)?;
        tracing::info!(invitation = %id, user = invitation.user, by = by.user, "invitation revoked");
        Ok(invitation)
    }

    /// Returns the status of an invitation at this time.
    pub fn status(&self, invitation: &Invitation) -> InvitationStatus {
        invitation.status(self.clock.now())
    }

    pub(super) async fn read(&self, id: InvitationId) -> Result<Option<StoredRecord<Invitation>>, store::Error> {
        self.records.get_patiently::<Invitation>(&Invitation::key(id)).await
    }

    fn check_role(&self, inviter: Inviter<'_>, wanted: &Role) -> Result<(), InvitationError> {
        match inviter {
            // The operator may invite without access to the role map.
            Inviter::Operator if !self.users.has_role_map() => Ok(()),
            _ if !self.policy.is_listed(wanted) => Err(InvitationError::UnknownRole),
            Inviter::Administrator(by) => Ok(self.policy.authorize_role(by, wanted)?),
            Inviter::Operator => Ok(()),
        }
    }

    /// Checks an existing user, who may have a higher role by another identity.
    async fn check_invited_user(&self, inviter: Inviter<'_>, invitation: &Invitation) -> Result<(), InvitationError> {
        let invited = self.users.get(&invitation.user).await?.map(|stored| stored.value);
        if invited.as_ref().is_some_and(User::is_disabled) {
            return Err(InvitationError::Disabled);
        }
        match inviter {
            Inviter::Administrator(by) => Ok(self.authorize_account(by, invited.as_ref(), &invitation.claims()).await??),
            Inviter::Operator => Ok(()),
        }
    }

    /// Checks that an administrator may give an account to a user, who may exist already. Neither that user, nor the role that the
    /// role map grants for the account's claims, nor another user with the same email address may be above the administrator.
    pub(super) async fn authorize_account(
        &self,
        by: Administrator<'_>,
        invited: Option<&User>,
        account: &IdentityClaims,
    ) -> Result<Result<(), PolicyDenial>, store::Error> {
        let own = invited.map_or(Ok(()), |invited| self.policy.authorize_rank(by, invited));
        let own = own.and_then(|()| self.policy.authorize_claims(by, account));
        Ok(match self.users.find_by_email(&account.subject).await? {
            EmailOwners::Known(owners) => {
                owners.iter().fold(own, |so_far, owner| so_far.and(self.policy.authorize_rank(by, owner)))
            }
            EmailOwners::Unknown => own.and(self.policy.authorize_unknown_rank(by)),
        })
    }
}

/// Adds the precondition that the record of a user is as it was read.
pub(super) fn expect_user<'a>(change: Change<'a>, user: &str, read: Option<Version>) -> Change<'a> {
    let key = User::key(user);
    match read {
        Some(version) => change.expect_version(&key, version),
        None => change.expect_absent(&key),
    }
}

impl From<PolicyDenial> for InvitationError {
    fn from(_: PolicyDenial) -> Self {
        Self::Above
    }
}

impl InvitationWithLink {
    /// The URL for the invited user.
    pub fn address(&self, public_url: &crate::origin::PublicUrl) -> Zeroizing<String> {
        Zeroizing::new(public_url.join(&format!("/onboarding?invite_link={}", *self.link.expose())))
    }
}
