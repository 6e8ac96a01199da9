//! Users: their records, identities and sessions, the completion of logins, and the policy for administrators.

mod app_consents;
mod claims_refresh;
mod current_claims;
mod directory_claims;
mod email;
mod email_index;
mod generation;
mod identities;
mod identity_index;
mod link_index;
mod login;
mod management;
mod policy;
mod provider_logout;
mod provisioned_links;
mod provisioned_users;
mod provisioning;
mod record;
mod refresh_outcome;
mod refresh_policy;
mod refresh_token;
mod session;
mod session_limit;
mod sessions;
#[cfg(test)]
mod test_parts;

pub use claims_refresh::{LeaseOutcome, LeasedToken, START_TIMEOUT, TokenLease, TokenPlace};
pub use current_claims::{ClaimsMaxAge, CurrentClaims, is_pinned_by};
pub use email::normal as normal_email;
pub use email_index::EmailOwners;
pub use generation::Generation;
pub use identities::{LinkOutcome, UnlinkOutcome};
pub use login::{Browser, CompletedLogin, LoginRefusal, PriorAccess, ProviderSession, VerifiedLogin};
pub use management::{Deletion, DeletionExtent, UserListing};
pub use policy::{Administrator, Policy, PolicyDenial, require_not_above};
pub use provider_logout::{LogoutTarget, SessionProvider};
pub use provisioned_users::{
    AccessChange, MAX_GROUPS, Membership, ProvisionedAttributes, ProvisionedUsers, ProvisioningChange, ProvisioningError,
    index_of_members,
};
pub use provisioning::{
    ClaimLink, GROUPS_CLAIM, GroupMembership, LinkAttribute, LinkClaim, OtherAttributes, ProvisionedUser, ProvisioningSettings,
    is_resource_id,
};
pub use record::{Identity, User, shard_of};
pub use refresh_outcome::RefreshCommit;
pub use refresh_policy::{RefreshPolicy, TokenOwner};
pub use refresh_token::RefreshToken;
pub use session::{Limits, Logout, Session, SessionState, SessionToken};
pub use sessions::SessionEntry;
#[cfg(test)]
pub use test_parts::TestParts;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use crate::{
    clock::Clock,
    metrics::Metrics,
    principal::{CredentialKind, Grant, IdentityClaims, Profiles},
    role_map::RoleMaps,
    store::{self, Records, StoredRecord},
};

pub struct Users {
    records: Records,
    role_maps: Arc<RoleMaps>,
    limits: Limits,
    max_age: ClaimsMaxAge,
    profiles: Profiles,
    /// The directory that provisions users; `None` if there is none.
    provisioning: Option<Arc<ProvisioningSettings>>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Users {
    /// `keys_max_age` is the maximum age of claims for keys and tokens. For sessions it is their maximum lifetime, unless the
    /// provider has a bound of its own.
    pub fn new(
        records: Records,
        role_maps: Arc<RoleMaps>,
        limits: Limits,
        keys_max_age: Duration,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let max_age = ClaimsMaxAge { sessions: limits.absolute, keys: keys_max_age, ..ClaimsMaxAge::default() };
        Self { records, role_maps, limits, max_age, profiles: Profiles::new(HashMap::new()), provisioning: None, clock, metrics }
    }

    /// Sets the claims in which the sources of identities send email addresses.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Profiles) -> Self {
        self.profiles = profiles;
        self
    }

    /// Bounds the age of claims for sessions by their provider.
    #[must_use]
    pub fn with_max_claims_ages(mut self, providers: BTreeMap<String, Duration>) -> Self {
        self.max_age.providers = providers;
        self
    }

    /// Enables the refresh of claims by their provider.
    #[must_use]
    pub fn with_refreshes(mut self, providers: BTreeMap<String, RefreshPolicy>) -> Self {
        self.max_age.refreshes = providers;
        self
    }

    /// Sets the intervals in which the directories of providers are asked again, by the ids of the providers.
    #[must_use]
    pub fn with_directories(mut self, intervals: BTreeMap<String, Duration>) -> Self {
        self.max_age.directories = intervals;
        self
    }

    #[must_use]
    pub fn with_provisioning(self, provisioning: Option<Arc<ProvisioningSettings>>) -> Self {
        Self { provisioning, ..self }
    }

    /// The directory that provisions users.
    pub fn provisioning(&self) -> Option<&ProvisioningSettings> {
        self.provisioning.as_deref()
    }

    /// True if a role map has been loaded. Until then no login can be completed.
    pub fn has_role_map(&self) -> bool {
        self.role_maps.active().is_loaded()
    }

    /// Evaluates the active role map for the claims that still count for a session or a key of the user.
    pub fn grant(&self, user: &User) -> Grant {
        self.current_claims(user, |identity| self.max_age.longest(identity)).grant(&self.role_maps.active().map)
    }

    /// The claims that count for this kind of credential of the user.
    pub fn claims_for(&self, user: &User, credential: CredentialKind) -> CurrentClaims {
        self.current_claims(user, |identity| self.max_age.of(credential, identity))
    }

    /// The maximum ages of claims.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn max_age(&self) -> &ClaimsMaxAge {
        &self.max_age
    }

    fn current_claims(&self, user: &User, max_age: impl Fn(&IdentityClaims) -> Duration) -> CurrentClaims {
        CurrentClaims::select(user.evaluated_identities(self.provisioning()), user.pinned.as_ref(), max_age, self.clock.now())
    }

    /// Reads a user's record.
    pub async fn get(&self, user: &str) -> Result<Option<StoredRecord<User>>, store::Error> {
        self.records.get_patiently::<User>(&User::key(user)).await
    }
}
