//! Completes a login: evaluates the role map, updates the user's claims and opens a session, in one commit.

use jiff::Timestamp;

use super::{
    Generation, Logout, RefreshToken, TokenOwner, Users, claims_refresh::OfflineToken, identity_index::IndexEntry, record::User,
    record::index_of_users, shard_of,
};
use crate::{
    principal::{CredentialKind, Grant, IdentityClaims, LOCAL, Role, RuleName, Source},
    role_map::RoleMap,
    secret::OpaqueToken,
    store::{self, Change, Conflict, StoredRecord, Ttl},
};

/// A login whose credential is verified, with the facts that the session keeps.
pub struct VerifiedLogin {
    pub identity: IdentityClaims,
    /// `None` for a login with a password.
    pub provider_session: Option<ProviderSession>,
    pub logout: Logout,
    /// The time at which the user authenticated; `None` if the provider does not state it.
    pub authenticated_at: Option<Timestamp>,
    pub browser: Browser,
    pub prior_access: PriorAccess,
}

/// The user's session at the identity provider, and the login flow that led to it.
pub struct ProviderSession {
    /// The digest of the flow's `state`.
    pub flow: String,
    /// The provider's own session id.
    pub sid: Option<String>,
    /// The time at which Vestibule began to request the tokens. A logout at the provider since then also ends the login.
    pub requested: Timestamp,
    /// `None` if the provider issued none.
    pub refresh_token: Option<RefreshToken>,
}

/// The browser of a login.
#[derive(Debug, Default)]
pub struct Browser {
    /// The token of the browser's previous session, of this or another user. The login ends that session.
    pub replaces: Option<OpaqueToken>,
    /// The `User-Agent` (RFC 9110, section 10.1.5), of limited length.
    pub agent: Option<String>,
}

/// The user's other sessions and pinned grant at a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriorAccess {
    Keep,
    /// Ends the other sessions, which another person may have opened, and replaces the pinned grant.
    Revoke,
}

/// A login that opened a session.
pub struct CompletedLogin {
    pub user: User,
    pub grant: Grant,
    pub session_token: OpaqueToken,
}

/// The reason for which a verified login opens no session.
#[derive(Debug, thiserror::Error)]
pub enum LoginRefusal {
    #[error("the user is disabled")]
    Disabled,
    #[error("the role map grants no role")]
    NoRole,
    #[error("user {owner} has the same value of a claim that identifies users (user_claim)")]
    UserClaimTaken { owner: String },
    #[error("there are no claims from the {0}, which the role map requires")]
    MissingSource(Source),
    #[error("the provider ended its session during the login")]
    EndedAtProvider,
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl LoginRefusal {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Disabled => "user_disabled",
            Self::NoRole => "no_role",
            Self::UserClaimTaken { .. } => "user_claim_of_other_user",
            Self::MissingSource(_) => "claims_missing",
            Self::EndedAtProvider => "session_ended_at_provider",
            Self::Store(error) => error.reason(),
        }
    }
}

impl Users {
    /// Updates the user's claims and opens a session if the role map grants a role.
    ///
    /// The claims are also written if the login is refused, since the new ones may grant less.
    pub async fn complete_login(&self, login: &VerifiedLogin) -> Result<CompletedLogin, LoginRefusal> {
        // One role map for the whole login. Later edits apply from the next check on.
        let role_map = self.role_maps.active();
        self.report_missing_sources(&role_map.map, login);
        store::retry(async || {
            let id = self.user_of_sign_in(&login.identity).await?;
            if let Some(owner) = self.assign_user_claims(&id, &login.identity).await? {
                return Err(LoginRefusal::UserClaimTaken { owner });
            }
            self.index_email(&id, &login.identity).await?;
            let stored = self.get(&id).await?;
            // Another login has created the record since its id was found, with an outdated index entry.
            if stored.as_ref().is_some_and(|stored| !stored.value.owns(&login.identity)) {
                return Ok(Err(Conflict));
            }
            self.try_login(&role_map.map, &id, stored, login, |change, _| change).await
        })
        .await
    }

    /// Attempts once to complete the login of a known user. The additions of `with` are in the same commit.
    pub async fn try_complete_login<'a>(
        &'a self,
        id: &str,
        login: &VerifiedLogin,
        with: impl FnOnce(Change<'a>, &User) -> Change<'a>,
    ) -> Result<Result<CompletedLogin, Conflict>, LoginRefusal> {
        let (role_map, stored) = (self.role_maps.active(), self.get(id).await?);
        self.try_login(&role_map.map, id, stored, login, with).await
    }

    async fn try_login<'a>(
        &'a self,
        role_map: &RoleMap,
        id: &str,
        stored: Option<StoredRecord<User>>,
        login: &VerifiedLogin,
        with: impl FnOnce(Change<'a>, &User) -> Change<'a>,
    ) -> Result<Result<CompletedLogin, Conflict>, LoginRefusal> {
        let former = stored.as_ref().map_or_else(Vec::new, |stored| IndexEntry::of_user(&stored.value));
        let mut user = self.apply_login(id, stored.as_ref(), login);
        let admission = self.admit(role_map, &mut user);
        let change = with(self.put_login(self.records.change(shard_of(id)), stored, &user, login), &user);
        let grant = match admission {
            Ok(grant) => grant,
            // A refused login revokes nothing.
            Err(refusal) if login.prior_access == PriorAccess::Revoke => return Err(refusal),
            Err(refusal) => return change.commit().await?.map_or_else(|conflict| Ok(Err(conflict)), |_| Err(refusal)),
        };
        let excess = self.find_excess_sessions(&user, login.browser.replaces.as_ref()).await?;
        self.index_provider_session(&user.id, login).await?;
        let (session_token, change) = self.open_session(change, &user, login);
        let change = excess.end(change, &user);
        if let Err(conflict) = change.commit().await? {
            return Ok(Err(conflict));
        }
        if self.has_ended_at_provider(login).await? {
            self.end_session(&user.id, &session_token.digest()).await?;
            return Err(LoginRefusal::EndedAtProvider);
        }
        self.end_in_another_shard(login.browser.replaces.as_ref(), shard_of(id)).await;
        self.remove_outdated_entries(&user, former).await;
        self.report(&login.identity.provider, &user, &grant);
        Ok(Ok(CompletedLogin { user, grant, session_token }))
    }

    /// Returns the user with the verified claims.
    fn apply_login(&self, id: &str, stored: Option<&StoredRecord<User>>, login: &VerifiedLogin) -> User {
        let now = self.clock.now();
        let mut user = stored.map_or_else(|| User::new(id, now), |stored| stored.value.clone());
        let is_refreshable = !user.is_disabled() && self.refresh_token_of(login).is_some();
        let identity = IdentityClaims { is_refreshable, ..login.identity.clone() };
        user.update_identity(&identity, now, self.max_age.precision());
        user.link_provisioned(&identity);
        if login.prior_access == PriorAccess::Revoke {
            (user.session_generation, user.pinned) = (Generation::random(), None);
        }
        user
    }

    /// Returns the grant of a user who may have a session, and pins it if the role map keeps first grants.
    fn admit(&self, role_map: &RoleMap, user: &mut User) -> Result<Grant, LoginRefusal> {
        if user.is_disabled() {
            return Err(LoginRefusal::Disabled);
        }
        let claims = self.claims_for(user, CredentialKind::Session);
        let grant = claims.grant(role_map);
        if grant.role.is_none() {
            return Err(grant.missing_source.map_or(LoginRefusal::NoRole, LoginRefusal::MissingSource));
        }
        user.pinned = user.pinned.take().or_else(|| claims.pin(role_map, &grant));
        Ok(grant)
    }

    /// The refresh token of a login, if its provider refreshes claims.
    fn refresh_token_of<'a>(&self, login: &'a VerifiedLogin) -> Option<&'a RefreshToken> {
        self.token_for(TokenOwner::Session, login).or_else(|| self.token_for(TokenOwner::Identity, login))
    }

    /// The refresh token of a login, if it belongs to this owner.
    pub(super) fn token_for<'a>(&self, owner: TokenOwner, login: &'a VerifiedLogin) -> Option<&'a RefreshToken> {
        let policy = self.max_age.refreshes.get(&login.identity.provider)?;
        login.provider_session.as_ref()?.refresh_token.as_ref().filter(|_| policy.token == owner)
    }

    /// Puts the records of a login into its commit, except those of its session.
    fn put_login<'a>(
        &self,
        change: Change<'a>,
        stored: Option<StoredRecord<User>>,
        user: &User,
        login: &VerifiedLogin,
    ) -> Change<'a> {
        let IdentityClaims { provider, issuer, subject, .. } = &login.identity;
        if self.max_age.refreshes.contains_key(provider) && self.refresh_token_of(login).is_none() {
            tracing::warn!(provider, suppressed = tracing::field::Empty, "login without refresh token");
        }
        // That of a disabled user has ended.
        let change = match self.token_for(TokenOwner::Identity, login).filter(|_| !user.is_disabled()) {
            Some(token) => OfflineToken::put(change, &user.id, (issuer, subject), token),
            None => change,
        };
        match stored {
            // A concurrent refresh that found no token must get a conflict.
            Some(stored) if stored.value == *user && self.refresh_token_of(login).is_some() => put_user(change, &stored, user),
            stored => put_if_changed(change, stored, user),
        }
    }

    /// Removes the index entries of claims whose values have changed. An entry that cannot be removed has no effect.
    pub(super) async fn remove_outdated_entries(&self, user: &User, mut former: Vec<IndexEntry>) {
        let current = IndexEntry::of_user(user);
        former.retain(|entry| !current.contains(entry));
        if let Err(error) = self.remove_entries(&user.id, former).await {
            tracing::warn!(%error, user = user.id, "outdated index entry not removed");
        }
    }

    fn report(&self, provider: &str, user: &User, grant: &Grant) {
        let (role, rule) = (grant.role.as_ref().map(Role::as_str), grant.rule.as_ref().map(RuleName::as_str));
        self.metrics.login_with_role(provider, role.unwrap_or_default());
        // Counted per login, since the number of evaluations depends on the cache.
        self.metrics.dropped_claim_values.inc_by(u64::from(grant.dropped));
        tracing::info!(provider, user = user.id, role, rule, "login succeeded");
    }

    /// Counts the sources without claims, and logs those that the role map names, since they can explain a missing role.
    fn report_missing_sources(&self, role_map: &RoleMap, VerifiedLogin { identity, .. }: &VerifiedLogin) {
        let provider = identity.provider.as_str();
        if provider == LOCAL {
            return;
        }
        let absent = Source::OF_EVERY_PROVIDER.into_iter().filter(|source| identity.source(*source).is_none());
        absent.for_each(|source| self.metrics.source_absent(provider, source));
        for source in role_map.missing_sources(identity).filter(|source| *source != Source::Scim) {
            let source = source.as_str();
            tracing::warn!(provider, source, "login without claims from a source that the role map uses");
        }
    }
}

/// Puts the user's record if it is new or changed.
pub(super) fn put_if_changed<'a>(change: Change<'a>, stored: Option<StoredRecord<User>>, user: &User) -> Change<'a> {
    let key = User::key(&user.id);
    match stored {
        None => {
            let change = change.expect_absent(&key).put(&key, user, Ttl::Forever);
            change.index_add(&index_of_users(key.shard), &user.id, Ttl::Forever)
        }
        Some(stored) if stored.value == *user => change.expect_version(&key, stored.version),
        Some(stored) => put_user(change, &stored, user),
    }
}

fn put_user<'a>(change: Change<'a>, stored: &StoredRecord<User>, user: &User) -> Change<'a> {
    let key = User::key(&user.id);
    let ends_sessions = stored.value.session_generation != user.session_generation;
    let change = change.expect_version(&key, stored.version).put(&key, user, Ttl::Forever);
    // Records of older versions may be missing in the index.
    let change = change.index_add(&index_of_users(key.shard), &user.id, Ttl::Forever);
    let change = change.drop_user(&user.id);
    // Not a revocation, since the commit opens a session.
    if ends_sessions { change.replicated() } else { change }
}
