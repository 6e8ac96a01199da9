//! The check: may this request pass, and as whom?
//!
//! Plain decisions but for one look-up: who the credential stands for.

mod credential;
mod request;

pub use credential::{Ambiguous, Credential, cookies};
pub use request::{CheckRequest, Narrowing, NarrowingError};

use std::{collections::HashMap, sync::Arc};

use crate::{
    metrics::{CredentialLabel, Metrics},
    principal::{EmailTrust, Grant, Identity, Judged},
    principals::{CachedUser, Principals, SignedIn, Unanswered},
    roles::RoleMaps,
};

/// What a gateway is to be told.
#[derive(Debug)]
pub enum Decision {
    Allow(Arc<Judged>),
    /// Nobody is signed in by what was presented.
    Unauthenticated(Unauthenticated),
    /// Somebody is, and may not.
    Forbidden {
        user: String,
        why: Forbidden,
    },
    /// Nobody can say at the moment. Never to be taken for "not signed in".
    Unavailable(Unanswered),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    NoCredential,
    UnknownSession,
    UnknownCredential,
    Ambiguous,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// The role map names nobody with these claims.
    NoRole,
    /// The route is narrowed to other roles or teams.
    Narrowed,
}

/// Answers checks, and everybody's question who is signed in.
pub struct Checker {
    principals: Arc<Principals>,
    role_maps: Arc<RoleMaps>,
    email_trust: HashMap<String, EmailTrust>,
    metrics: Arc<Metrics>,
}

impl Checker {
    /// `email_trust` says of each configured provider whether its word about an address is taken.
    pub fn new(
        principals: Arc<Principals>,
        role_maps: Arc<RoleMaps>,
        email_trust: HashMap<String, EmailTrust>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { principals, role_maps, email_trust, metrics }
    }

    /// Decides by what was presented and what the route is narrowed to.
    pub async fn decide(&self, credential: Result<Credential<'_>, Ambiguous>, narrowing: &Narrowing) -> Decision {
        let cookie = match credential {
            Err(Ambiguous) => return Decision::Unauthenticated(Unauthenticated::Ambiguous),
            Ok(Credential::None) => return Decision::Unauthenticated(Unauthenticated::NoCredential),
            // Neither keys nor tokens are issued yet, so a credential in a header is nobody's. It never
            // falls through to the cookie.
            Ok(Credential::Header(_)) => return Decision::Unauthenticated(Unauthenticated::UnknownCredential),
            Ok(Credential::Session(cookie)) => cookie,
        };
        match self.principals.session(cookie).await {
            Err(unanswered) => Decision::Unavailable(unanswered),
            Ok(None) => Decision::Unauthenticated(Unauthenticated::UnknownSession),
            Ok(Some(signed_in)) => permit(self.judge(&signed_in.user), narrowing),
        }
    }

    /// Who a session cookie's value stands for.
    pub async fn who(&self, cookie: &str) -> Result<Option<(SignedIn, Arc<Judged>)>, Unanswered> {
        let signed_in = self.principals.session(cookie).await?;
        Ok(signed_in.map(|signed_in| {
            let judged = self.judge(&signed_in.user);
            (signed_in, judged)
        }))
    }

    /// What the role map in force says of a user; remembered until either changes.
    fn judge(&self, user: &CachedUser) -> Arc<Judged> {
        let in_force = self.role_maps.current();
        if let Some(judged) = user.judged.load_full().filter(|judged| judged.map_version == in_force.version) {
            return judged;
        }
        let grant = in_force.map.judge(&user.identities);
        self.metrics.dropped_claim_values.inc_by(u64::from(grant.dropped));
        let identity = self.identity(user, &grant);
        let judged = Arc::new(Judged { map_version: in_force.version, grant, identity });
        user.judged.store(Some(Arc::clone(&judged)));
        judged
    }

    fn identity(&self, user: &CachedUser, grant: &Grant) -> Identity {
        let trust = |provider: &str| self.email_trust.get(provider).copied().unwrap_or(EmailTrust::WhenVerified);
        let email = user.identities.iter().find_map(|identity| identity.email(trust(&identity.provider)));
        let name = user.identities.iter().find_map(|identity| identity.preferred_username());
        let teams: Vec<&str> = grant.teams.iter().map(|team| team.as_str()).collect();
        Identity {
            user: user.id.clone(),
            email: email.unwrap_or_default().to_owned(),
            preferred_username: name.unwrap_or_default().to_owned(),
            groups: teams.join(","),
            role: grant.role.as_ref().map(|role| role.as_str().to_owned()).unwrap_or_default(),
            key: String::new(),
        }
    }
}

impl Decision {
    /// A sentence that a program can be told.
    pub fn description(&self) -> &'static str {
        match self {
            Self::Allow(_) => "The request may pass.",
            Self::Unauthenticated(Unauthenticated::NoCredential) => "Sign in, or send a credential.",
            Self::Unauthenticated(Unauthenticated::UnknownSession) => "The session has ended. Sign in again.",
            Self::Unauthenticated(Unauthenticated::UnknownCredential) => "The credential is not known here.",
            Self::Unauthenticated(Unauthenticated::Ambiguous) => "Several different credentials were sent. Send one.",
            Self::Forbidden { why: Forbidden::NoRole, .. } => "No role is granted to this person.",
            Self::Forbidden { why: Forbidden::Narrowed, .. } => "This route is for other roles or teams.",
            Self::Unavailable(_) => "Sessions can't be looked up at the moment. Try again soon.",
        }
    }
}

fn permit(judged: Arc<Judged>, narrowing: &Narrowing) -> Decision {
    let forbidden = |why| Decision::Forbidden { user: judged.identity.user.clone(), why };
    if judged.grant.role.is_none() {
        return forbidden(Forbidden::NoRole);
    }
    if !narrowing.allows(&judged.grant) {
        return forbidden(Forbidden::Narrowed);
    }
    Decision::Allow(judged)
}

impl From<&Result<Credential<'_>, Ambiguous>> for CredentialLabel {
    fn from(credential: &Result<Credential<'_>, Ambiguous>) -> Self {
        match credential {
            Ok(Credential::None) => Self::None,
            Ok(Credential::Session(_)) => Self::Session,
            Ok(Credential::Header(_)) | Err(Ambiguous) => Self::Header,
        }
    }
}
