//! Making, listing and withdrawing invitations, and who may.

use std::time::Duration;

use futures::future::join_all;
use zeroize::Zeroizing;

use super::{
    Accounts, LONGEST_INVITATION, email,
    invitation::{INDEX, Invitation, InvitationId, Link, Standing, Terms, index_of, index_of_person},
};
use crate::{
    principal::{LOCAL, Role, Team},
    sign_ins::{Above, Administrator},
    store::{self, Edit, StoredRecord},
};

/// Who invites: an administrator, or nobody but the process itself and its operator.
#[derive(Debug, Clone, Copy)]
pub enum Inviter<'a> {
    Administrator(Administrator<'a>),
    Operator,
}

/// Whom to invite, as what.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub email: String,
    pub role: Role,
    pub teams: Vec<Team>,
    /// How long the link can be taken up; as configured where nobody says.
    pub lasting: Option<Duration>,
}

/// An invitation and its link, which nobody sees again.
#[derive(Debug)]
pub struct Made {
    pub invitation: Invitation,
    pub link: Link,
}

/// Some invitations in the order in which they were made, and where the next ones begin.
#[derive(Debug)]
pub struct Page {
    pub invitations: Vec<Invitation>,
    /// `None` at the end.
    pub next: Option<InvitationId>,
}

#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    #[error("it is no email address")]
    Email,
    #[error("the role map doesn't list the role")]
    UnknownRole,
    #[error("the role, or the person's own, is above the inviter's")]
    Above,
    #[error("the person is disabled: an administrator has to enable them first; invite another address to have one")]
    Disabled,
    #[error("an invitation lasts from a minute to 30 days")]
    Duration,
    #[error("there is no such invitation")]
    NotFound,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl InviteError {
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
    /// Writes an invitation down. The person's old password, if they have one, counts until the invitation is taken up.
    pub async fn invite(&self, inviter: Inviter<'_>, wanted: &Wanted) -> Result<Made, InviteError> {
        let email = email::normal(&wanted.email).ok_or(InviteError::Email)?;
        let lasting = wanted.lasting.unwrap_or(self.settings.invitation_duration);
        if lasting < Duration::from_secs(60) || lasting > LONGEST_INVITATION {
            return Err(InviteError::Duration);
        }
        self.judge(inviter, &wanted.role)?;
        let user = self.users().find_or_name(LOCAL, &email).await?;
        self.judge_person(inviter, &user).await?;
        let now = self.clock.now();
        let by = match inviter {
            Inviter::Administrator(by) => Some(by.user.to_owned()),
            Inviter::Operator => None,
        };
        let terms = Terms { email, role: wanted.role.clone(), teams: wanted.teams.clone(), expires: now + lasting, by };
        let (invitation, link) = Invitation::new(&user, terms, now);
        let (place, ttl) = (Invitation::place(invitation.id), invitation.ttl(now));
        let change = self.records.change(place.shard).expect_absent(&place).put(&place, &invitation, ttl);
        let lists = [index_of(place.shard), index_of_person(&user)];
        let change = lists.iter().fold(change, |change, list| change.index_add(list, &invitation.id.to_string(), ttl));
        change.commit().await?.map_err(|_| store::Error::Contended)?;
        tracing::info!(invitation = %invitation.id, user, by = invitation.by, role = %invitation.role, "invitation created");
        Ok(Made { invitation, link })
    }

    /// Invitations after `after`, of everybody, in the order in which they were made.
    pub async fn invitations(&self, after: Option<InvitationId>, limit: usize) -> Result<Page, InviteError> {
        let after = after.map(|id| id.to_string());
        let ids = self.records.list_everywhere(INDEX, after.as_deref(), limit + 1).await?;
        let next = ids.get(limit).and(ids.get(limit - 1)).and_then(|id| InvitationId::parse(id));
        let reads = ids.iter().take(limit).filter_map(|id| InvitationId::parse(id)).map(|id| self.read(id));
        let read = join_all(reads).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Page { invitations: read.into_iter().flatten().map(|stored| stored.value).collect(), next })
    }

    /// Takes an invitation back, or one that is over out of the list.
    pub async fn withdraw(&self, id: InvitationId, by: Administrator<'_>) -> Result<Invitation, InviteError> {
        let place = Invitation::place(id);
        let withdrawn = self.records.update(&place, async |invitation: Invitation, change| {
            if self.sign_ins.is_above(&invitation.role, by.role) == Above::Yes {
                return Err(InviteError::Above);
            }
            let change = Invitation::remove_from(&id.to_string(), &invitation.user, change);
            Ok(Edit::Commit(change, invitation))
        });
        let invitation = withdrawn.await?.ok_or(InviteError::NotFound)?;
        tracing::info!(invitation = %id, user = invitation.user, by = by.user, "invitation revoked");
        Ok(invitation)
    }

    /// Where an invitation stands at this moment.
    pub fn standing(&self, invitation: &Invitation) -> Standing {
        invitation.standing(self.clock.now())
    }

    pub(super) async fn read(&self, id: InvitationId) -> Result<Option<StoredRecord<Invitation>>, store::Error> {
        self.records.get_patiently::<Invitation>(&Invitation::place(id)).await
    }

    fn judge(&self, inviter: Inviter<'_>, wanted: &Role) -> Result<(), InviteError> {
        let known = self.sign_ins.lists(wanted);
        match inviter {
            // The operator may do so where no role map can be read.
            Inviter::Operator if !self.sign_ins.may_begin() => Ok(()),
            _ if !known => Err(InviteError::UnknownRole),
            Inviter::Administrator(by) if self.sign_ins.is_above(wanted, by.role) != Above::No => Err(InviteError::Above),
            _ => Ok(()),
        }
    }

    /// Somebody who is known already may have more by another identity than they are invited as.
    async fn judge_person(&self, inviter: Inviter<'_>, user: &str) -> Result<(), InviteError> {
        let Some(StoredRecord { value: person, .. }) = self.users().get(user).await? else { return Ok(()) };
        if person.disabled {
            return Err(InviteError::Disabled);
        }
        match (inviter, self.sign_ins.grant(&person).role) {
            (Inviter::Administrator(by), Some(theirs)) if self.sign_ins.is_above(&theirs, by.role) != Above::No => {
                Err(InviteError::Above)
            }
            _ => Ok(()),
        }
    }
}

impl Made {
    /// The address to hand to who is invited.
    pub fn address(&self, public_url: &crate::origin::PublicUrl) -> Zeroizing<String> {
        Zeroizing::new(public_url.join(&format!("/onboarding?invite_link={}", *self.link.expose())))
    }
}
