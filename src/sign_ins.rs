//! The last step of every sign-in, whatever has proved who it is: what the role map says, the person's record, a session.

use std::sync::Arc;

use crate::{
    metrics::Metrics,
    principal::{Grant, LOCAL, Role, RuleName, Source},
    role_map::{RoleMap, RoleMaps},
    secret::OpaqueToken,
    store::{self, Change, Conflict},
    users::{Admission, SignIn, SignedIn, User, Users},
};

pub struct SignIns {
    users: Arc<Users>,
    role_maps: Arc<RoleMaps>,
    metrics: Arc<Metrics>,
}

/// Whoever has a session now, and what the role map grants them.
pub struct Entered {
    pub user: User,
    pub grant: Grant,
    pub handle: OpaqueToken,
}

/// Who manages people.
#[derive(Debug, Clone, Copy)]
pub struct Administrator<'a> {
    pub user: &'a str,
    pub role: &'a Role,
}

/// Which of two roles has more privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Above {
    Yes,
    No,
    /// The role map doesn't list both.
    Unknown,
}

/// Why somebody who has proved who they are has no session.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("the person is disabled")]
    Disabled,
    #[error("the role map grants no role")]
    NoRole,
    #[error("there are no claims from the {0}, which the role map relies on")]
    MissingSource(Source),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Refused {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Disabled => "user_disabled",
            Self::NoRole => "no_role",
            Self::MissingSource(_) => "claims_missing",
            Self::Store(error) => error.reason(),
        }
    }
}

impl SignIns {
    pub fn new(users: Arc<Users>, role_maps: Arc<RoleMaps>, metrics: Arc<Metrics>) -> Self {
        Self { users, role_maps, metrics }
    }

    /// Whether anything has been read yet by which somebody could be let in.
    pub fn may_begin(&self) -> bool {
        self.role_maps.current().is_loaded()
    }

    pub fn users(&self) -> &Users {
        &self.users
    }

    /// What the role map in force grants a person.
    pub fn grant(&self, user: &User) -> Grant {
        self.role_maps.current().map.grant(&user.identities, user.pinned.as_ref())
    }

    /// Whether the role map in force lists a role.
    pub fn lists(&self, role: &Role) -> bool {
        self.role_maps.current().map.role(role.as_str()).is_some()
    }

    /// Whether a role has more privilege than another one.
    pub fn is_above(&self, role: &Role, other: &Role) -> Above {
        match self.role_maps.current().map.lower_role(role, other) {
            None => Above::Unknown,
            Some(lower) if lower == *role => Above::No,
            Some(_) => Above::Yes,
        }
    }

    pub async fn enter(&self, sign_in: &SignIn) -> Result<Entered, Refused> {
        // One map for the whole sign-in: an edit that comes in between counts at the next check.
        let in_force = self.role_maps.current();
        let map = &in_force.map;
        self.tell_absent_sources(map, sign_in);
        let signed_in = self.users.sign_in(sign_in, |user| admit(map, user)).await?;
        self.entered(map, sign_in, signed_in)
    }

    /// One try for a person who is known, with more in its commit: all of it is done, or nothing.
    pub async fn try_enter<'a>(
        &'a self,
        user: &str,
        sign_in: &SignIn,
        with: impl FnOnce(Change<'a>, &User) -> Change<'a>,
    ) -> Result<Result<Entered, Conflict>, Refused> {
        let in_force = self.role_maps.current();
        let map = &in_force.map;
        match self.users.try_sign_in(user, sign_in, |user| admit(map, user), with).await? {
            Ok(signed_in) => self.entered(map, sign_in, signed_in).map(Ok),
            Err(conflict) => Ok(Err(conflict)),
        }
    }

    fn entered(&self, map: &RoleMap, sign_in: &SignIn, signed_in: SignedIn) -> Result<Entered, Refused> {
        match signed_in {
            SignedIn::Refused { user } if user.disabled => Err(Refused::Disabled),
            SignedIn::Refused { user } => Err(grant(map, &user).missing_source.map_or(Refused::NoRole, Refused::MissingSource)),
            SignedIn::Admitted { user, handle } => {
                let grant = grant(map, &user);
                self.tell(&sign_in.identity.provider, &user, &grant);
                Ok(Entered { user, grant, handle })
            }
        }
    }

    fn tell(&self, provider: &str, user: &User, grant: &Grant) {
        let (role, rule) = (grant.role.as_ref().map(Role::as_str), grant.rule.as_ref().map(RuleName::as_str));
        self.metrics.login_with_role(provider, role.unwrap_or_default());
        // Here and not where a check judges: how often that happens is the cache's affair.
        self.metrics.dropped_claim_values.inc_by(u64::from(grant.dropped));
        tracing::info!(provider, user = user.id, role, rule, "login succeeded");
    }

    /// Nothing stands in for a source that is absent, so whoever wonders about a role is told.
    fn tell_absent_sources(&self, map: &RoleMap, SignIn { identity, .. }: &SignIn) {
        let provider = identity.provider.as_str();
        if provider == LOCAL {
            return;
        }
        let absent = Source::ALL.into_iter().filter(|source| identity.source(*source).is_none());
        absent.for_each(|source| self.metrics.source_absent(provider, source));
        for source in map.missing_sources(identity) {
            let source = source.as_str();
            tracing::warn!(provider, source, "login without claims from a source that the role map uses");
        }
    }
}

fn grant(map: &RoleMap, user: &User) -> Grant {
    map.grant(&user.identities, user.pinned.as_ref())
}

fn admit(map: &RoleMap, user: &User) -> Admission {
    match grant(map, user) {
        _ if user.disabled => Admission::Refused,
        grant if grant.role.is_some() => Admission::Admitted { pin: map.pin(&grant) },
        _ => Admission::Refused,
    }
}
