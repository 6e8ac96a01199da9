//! The part of a user's record that the company's directory writes by SCIM, and the rule that links it to an identity.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{Identity, User, email};
use crate::{
    json::{self, Value},
    principal::{ClaimPath, Claims, IdentityClaims, ProfileClaims},
    secret::Digest,
};

/// The claim of source `scim` with the names of the user's groups.
pub const GROUPS_CLAIM: &str = "groups";

/// The attributes of a provisioned user that Vestibule does not interpret, as the directory sent them.
pub type OtherAttributes = Map<String, serde_json::Value>;

/// A user as the company's directory provisioned it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct ProvisionedUser {
    /// The id that the directory knows. It is that of the user's first record, and stays when the record moves to another user.
    pub id: String,
    /// The id of the provider whose directory it is.
    pub provider: String,
    /// The directory refuses an inactive user. An administrator's `disabled` is independent of it.
    pub active: bool,
    pub user_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The claim's value by which an identity of the provider is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<ClaimLink>,
    /// The subject of the identity that is linked. The link does not change any more, whatever happens to the attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// In the order of their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupMembership>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub other: OtherAttributes,
    pub created: Timestamp,
    pub modified: Timestamp,
    /// The user who receives this part, because they signed in before the link was known. The record is deleted then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
}

/// A group of a user. The name is a copy, so that a check reads no group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMembership {
    pub id: String,
    pub name: String,
}

/// The value of an issuer's claim that an identity must have to be linked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimLink {
    pub issuer: String,
    pub claim: String,
    pub value: String,
}

/// The directory that provisions users, and the rule that links them to identities of its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisioningSettings {
    /// The id of the provider.
    pub provider: String,
    pub issuer: String,
    pub attribute: LinkAttribute,
    pub claim: LinkClaim,
}

/// The attribute of a SCIM user that identifies an identity of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkAttribute {
    UserName,
    ExternalId,
}

/// The claim with the value of the [`LinkAttribute`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkClaim {
    Subject,
    /// The email address in its normal form, if the provider's settings trust it.
    VerifiedEmail,
    Other(ClaimPath),
}

const SUBJECT: &str = "sub";
const EMAIL: &str = "email";

/// The key of the verified email address in [`IdentityClaims::user_claims`]. A token issuer's `user_claim: email` has the address
/// that the token names, verified or not, so that the two must differ.
const VERIFIED_EMAIL: &str = "verified email";

/// The longest id of a user or group.
const MAX_ID: usize = 64;

/// True if a user or group of the directory can have this id.
pub fn is_resource_id(text: &str) -> bool {
    text.len() <= MAX_ID && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

impl LinkAttribute {
    pub const ALL: [Self; 2] = [Self::UserName, Self::ExternalId];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserName => "userName",
            Self::ExternalId => "externalId",
        }
    }
}

impl LinkClaim {
    /// Returns the claim of this name that has a meaning of its own.
    pub fn standard(name: &str) -> Option<Self> {
        match name {
            SUBJECT => Some(Self::Subject),
            EMAIL => Some(Self::VerifiedEmail),
            _ => None,
        }
    }

    /// The key of the value in [`IdentityClaims::user_claims`], except for the subject, which is not one of them.
    pub fn key(&self) -> String {
        match self {
            Self::Subject => SUBJECT.to_owned(),
            Self::VerifiedEmail => VERIFIED_EMAIL.to_owned(),
            Self::Other(path) => path.to_string(),
        }
    }

    /// Returns the form in which values are compared; `None` if the claim cannot have the value.
    fn normalize(&self, value: &str) -> Option<String> {
        match self {
            Self::VerifiedEmail => email::normal(value),
            Self::Subject | Self::Other(_) => Some(value.to_owned()),
        }
    }

    /// Returns the value in the claims that a provider sent.
    pub fn value_in(&self, identity: &IdentityClaims, profile: &ProfileClaims) -> Option<String> {
        let value = match self {
            Self::Subject => Some(Cow::Borrowed(identity.subject.as_str())),
            Self::VerifiedEmail => identity.email(profile).map(Cow::Borrowed),
            Self::Other(path) => identity.sources().find_map(|source| path.single_value(source)),
        };
        self.normalize(&value?)
    }
}

impl ProvisioningSettings {
    /// Returns the link of a user with these attributes; `None` without the attribute.
    pub fn link(&self, user_name: &str, external_id: Option<&str>) -> Option<ClaimLink> {
        let value = match self.attribute {
            LinkAttribute::UserName => Some(user_name),
            LinkAttribute::ExternalId => external_id,
        };
        let value = self.claim.normalize(value.filter(|value| !value.is_empty())?)?;
        Some(ClaimLink { issuer: self.issuer.clone(), claim: self.claim.key(), value })
    }

    /// True if subjects link users: then an index entry leads to everybody who has signed in.
    pub fn links_subjects(&self) -> bool {
        self.claim == LinkClaim::Subject
    }

    pub(super) fn is_of_provider(&self, identity: &IdentityClaims) -> bool {
        identity.provider == self.provider && identity.issuer == self.issuer
    }

    /// Returns the link that an identity fulfills; `None` if it has no such claim, or is of another provider.
    pub fn link_of(&self, identity: &IdentityClaims) -> Option<ClaimLink> {
        if !self.is_of_provider(identity) {
            return None;
        }
        let value = match self.claim {
            LinkClaim::Subject => Some(&identity.subject),
            LinkClaim::VerifiedEmail | LinkClaim::Other(_) => identity.user_claims.get(&self.claim.key()),
        };
        Some(ClaimLink { issuer: self.issuer.clone(), claim: self.claim.key(), value: value?.clone() })
    }
}

impl ClaimLink {
    /// The digest of the index entry that leads to the user.
    pub fn digest(&self) -> Digest {
        match self.claim.as_str() {
            SUBJECT => Identity::digest(&self.issuer, &self.value),
            claim => Identity::user_claim_digest(&self.issuer, claim, &self.value),
        }
    }

    pub fn is_subject(&self) -> bool {
        self.claim == SUBJECT
    }

    pub(super) fn is_fulfilled_by(&self, identity: &IdentityClaims) -> bool {
        let value = match self.claim.as_str() {
            SUBJECT => Some(&identity.subject),
            claim => identity.user_claims.get(claim),
        };
        identity.issuer == self.issuer && value == Some(&self.value)
    }
}

impl ProvisionedUser {
    /// True if this is the identity that the directory means.
    pub fn is_linked_to(&self, identity: &IdentityClaims) -> bool {
        if identity.provider != self.provider {
            return false;
        }
        match (&self.subject, &self.link) {
            (Some(subject), _) => identity.subject == *subject,
            (None, Some(link)) => link.is_fulfilled_by(identity),
            (None, None) => false,
        }
    }

    /// The claims of source `scim`.
    fn claims(&self) -> Claims {
        let names: Value = self.groups.iter().map(|group| group.name.as_str()).collect();
        json::Object::from([(GROUPS_CLAIM.to_owned(), names)])
    }

    /// The identity of a user who has not signed in yet. Only tokens can belong to them.
    fn identity_before_sign_in(&self, issuer: &str) -> IdentityClaims {
        let (subject, user_claims) = match &self.link {
            Some(link) if link.is_subject() => (link.value.clone(), Vec::new()),
            Some(link) => (String::new(), vec![(link.claim.clone(), link.value.clone())]),
            None => (String::new(), Vec::new()),
        };
        IdentityClaims {
            provider: self.provider.clone(),
            issuer: issuer.to_owned(),
            subject,
            scim: Some(self.claims()),
            user_claims: user_claims.into_iter().collect(),
            ..IdentityClaims::default()
        }
    }
}

impl User {
    /// The identities with the claims that the directory adds to them, for the evaluation of the role map. Claims of a directory
    /// that is no longer configured do not count.
    pub fn evaluated_identities(&self, settings: Option<&ProvisioningSettings>) -> Vec<IdentityClaims> {
        let mut identities = self.dated_identities();
        let Some((user, settings)) = self.provisioned_by(settings).zip(settings) else { return identities };
        if identities.is_empty() {
            return vec![user.identity_before_sign_in(&settings.issuer)];
        }
        for identity in identities.iter_mut().filter(|identity| user.is_linked_to(identity)) {
            identity.scim = Some(user.claims());
        }
        identities
    }

    /// The part of the record that the configured directory writes. That of a former directory does not count.
    pub fn provisioned_by(&self, settings: Option<&ProvisioningSettings>) -> Option<&ProvisionedUser> {
        self.provisioned.as_ref().filter(|user| settings.is_some_and(|settings| settings.provider == user.provider))
    }

    /// True if an administrator or the directory refuses the user.
    pub fn is_disabled(&self) -> bool {
        self.disabled || self.is_inactive()
    }

    /// True if the directory refuses the user, also if it is no longer configured.
    pub fn is_inactive(&self) -> bool {
        self.provisioned.as_ref().is_some_and(|user| !user.active)
    }

    /// Links the directory's user to the identity of a sign-in, if it is the one that the directory means. From then on the
    /// identity itself leads to the record.
    pub(super) fn link_provisioned(&mut self, identity: &IdentityClaims) {
        self.former_link = self.former_link.take().filter(|link| !link.is_fulfilled_by(identity));
        if let Some(user) = self.provisioned.as_mut().filter(|user| user.subject.is_none() && user.is_linked_to(identity)) {
            user.subject = Some(identity.subject.clone());
        }
    }

    /// The record of a user whom the directory deleted after an administrator had disabled them. Only what refuses another sign-in
    /// is kept: the identities without their claims, and the link of a user who has not signed in.
    pub(super) fn refusal(&self) -> Self {
        let identity = |identity: &IdentityClaims| {
            let IdentityClaims { provider, issuer, subject, user_claims, .. } = identity.clone();
            IdentityClaims {
                provider,
                issuer,
                subject,
                user_claims,
                verified_at: Some(Timestamp::UNIX_EPOCH),
                ..Default::default()
            }
        };
        Self {
            identities: self.identities.iter().map(identity).collect(),
            signed_in: self.signed_in,
            disabled: true,
            former_link: self.provisioned.as_ref().and_then(|user| user.link.clone()),
            ..Self::new(&self.id, self.created)
        }
    }
}

/// Prints no attribute: they are personal data.
impl fmt::Debug for ProvisionedUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisionedUser")
            .field("id", &self.id)
            .field("provider", &self.provider)
            .field("active", &self.active)
            .field("groups", &self.groups.len())
            .finish_non_exhaustive()
    }
}

/// Prints the claim only: the value is personal data.
impl fmt::Debug for ClaimLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimLink").field("claim", &self.claim).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
