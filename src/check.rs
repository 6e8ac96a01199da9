//! The check: may this request pass, and as whom?
//!
//! Plain decisions but for one look-up: who the credential stands for.

mod bearer;
mod credential;
mod query;

pub use crate::access::CheckRequest;
pub use credential::{Credential, CredentialError, CredentialParser, CredentialText, ParsedCredential, cookies, cookies_without};
pub use query::{CheckQuery, CheckQueryError, Echo, Narrowing};

use std::{collections::HashMap, sync::Arc};

use crate::{
    access::{AccessRules, Places, Refused, Requirement, Selected, Unmet},
    keys::PresentedKey,
    principal::{CredentialKind, EmailTrust, Grant, Identity, IdentityClaims, Judged, Role, RuleName},
    principals::{CachedUser, KeyLookup, LookupError, Narrowed, Principals, UserKey, UserSession},
    roles::{InForce, RoleMaps},
    session::SessionToken,
    tokens::{self, Bearer, Tokens},
    upstream::{Sent, Upstream},
};

/// What a gateway is to be told.
#[derive(Debug)]
pub enum Decision {
    Allow {
        judged: Arc<Judged>,
        /// Where a credential was looked for; what stands elsewhere is the upstream's to judge.
        read: Places,
        sent: Sent,
    },
    /// Whoever it is: nothing was read and nobody looked up.
    AllowAnyone { sent: Sent },
    /// Nobody is signed in by what was presented.
    Unauthenticated(Unauthenticated),
    /// Somebody is, and may not.
    Forbidden { user: String, credential: CredentialKind, why: Forbidden },
    /// Nobody may, whoever it is.
    Closed(Closed),
    /// Nobody can say at the moment. Never to be taken for "not signed in".
    Unavailable(UnavailableCause),
    /// Nobody can say yet: no role map has been read since the start. Not to be taken for a refusal.
    NotYet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    NoCredential,
    /// A credential that is refused by its form alone.
    Unusable(CredentialError),
    UnknownSession,
    UnknownCredential,
    /// A key whose owner hasn't signed in for too long.
    Suspended,
    /// A token that does not verify; why is for the log alone.
    Token(tokens::Refused),
}

/// An authenticated user or workload, with its grant under the current role map.
pub struct AuthenticatedPrincipal {
    pub judged: Arc<Judged>,
    pub credential: AuthenticatedCredential,
}

/// The credential that a principal was authenticated by, with its records.
pub enum AuthenticatedCredential {
    Session(UserSession),
    ApiKey(UserKey),
    Jwt(Bearer),
}

/// Why a request was not authenticated.
#[derive(Debug)]
pub enum AuthenticationError {
    Unauthenticated(Unauthenticated),
    /// The credential could not be looked up. Never to be taken for "not signed in".
    Unavailable(UnavailableCause),
}

/// Why a credential could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum UnavailableCause {
    #[error(transparent)]
    Store(#[from] LookupError),
    #[error(transparent)]
    Token(#[from] tokens::Unavailable),
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error("whoever has to be asked takes too long")]
    TooSlow,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The role map names nobody with these claims.
    #[error("no role is granted")]
    NoRole,
    #[error("the role map relies on claims that are missing")]
    MissingSource,
    #[error("{rule} asks for another {}", .wanted.as_str())]
    Unmet { rule: RuleName, wanted: Requirement },
    /// The route is narrowed to other roles or teams.
    #[error("the route is narrowed to other roles or teams")]
    Narrowed,
    #[error("the key is for other paths")]
    KeyPaths,
}

/// Why a request is refused before anybody is looked up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error("{rule} lets nobody pass")]
    Nobody { rule: RuleName },
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Who may pass, as an explanation says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permitted {
    Anyone,
    ThisPerson,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    #[error(transparent)]
    Closed(#[from] Closed),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

/// Answers checks, and everybody's question who is signed in.
pub struct Checker {
    principals: Arc<Principals>,
    tokens: Arc<Tokens>,
    role_maps: Arc<RoleMaps>,
    upstream: Arc<Upstream>,
    email_trust: HashMap<String, EmailTrust>,
    credentials: CredentialParser,
}

impl Checker {
    /// `email_trust` says of each configured provider whether its word about an address is taken.
    pub fn new(
        principals: Arc<Principals>,
        tokens: Arc<Tokens>,
        role_maps: Arc<RoleMaps>,
        upstream: Arc<Upstream>,
        email_trust: HashMap<String, EmailTrust>,
        credentials: CredentialParser,
    ) -> Self {
        Self { principals, tokens, role_maps, upstream, email_trust, credentials }
    }

    /// Parses the credentials that this checker authenticates.
    pub fn credentials(&self) -> &CredentialParser {
        &self.credentials
    }

    /// Decides about a request. `credential` parses the credential in the places that are to be read.
    pub async fn decide<'a>(
        &self,
        request: &CheckRequest<'_>,
        narrowing: &Narrowing,
        credential: impl FnOnce(Places) -> ParsedCredential<'a>,
    ) -> Decision {
        let in_force = self.role_maps.current();
        if !in_force.is_known() {
            return Decision::NotYet;
        }
        let rules = match gate(in_force.map.access(), request, narrowing) {
            Ok(Gate::Open(rules)) => return Decision::AllowAnyone { sent: self.upstream.sends(Some(&rules), None) },
            Ok(Gate::For(rules)) => rules,
            Err(closed) => return Decision::Closed(closed),
        };
        let read = rules.as_ref().map_or(Places::ALL, Selected::reads);
        let AuthenticatedPrincipal { judged, credential: by } = match self.authenticate_by(&in_force, credential(read)).await {
            Ok(principal) => principal,
            Err(AuthenticationError::Unauthenticated(why)) => return Decision::Unauthenticated(why),
            Err(AuthenticationError::Unavailable(cause)) => return Decision::Unavailable(cause),
        };
        let permitted = permit(&judged.grant, by.kind(), rules.as_ref(), narrowing).and_then(|()| by.permits(request.path));
        match permitted {
            Ok(()) => Decision::Allow { sent: self.upstream.sends(rules.as_ref(), Some(&judged)), judged, read },
            Err(why) => Decision::Forbidden { user: judged.identity.user.clone(), credential: by.kind(), why },
        }
    }

    /// Authenticates a credential. One in a header never falls through to the cookie.
    pub async fn authenticate(&self, credential: ParsedCredential<'_>) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        let in_force = self.role_maps.current();
        // Before the first map everybody would seem to be without a role.
        if !in_force.is_known() {
            return Err(AuthenticationError::Unavailable(UnavailableCause::NoRoleMapYet));
        }
        self.authenticate_by(&in_force, credential).await
    }

    /// The role of this name, if the role map in force lists it.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.role_maps.current().map.role(name)
    }

    /// The roles of the role map in force, from this one downwards.
    pub fn roles_from(&self, highest: Option<&Role>) -> Vec<Role> {
        self.role_maps.current().map.roles_from(highest).to_vec()
    }

    /// The lower of two roles, if the role map in force lists both.
    pub fn lower_of(&self, one: &Role, other: &Role) -> Option<Role> {
        self.role_maps.current().map.lower_of(one, other)
    }

    async fn authenticate_by(
        &self,
        in_force: &InForce,
        credential: ParsedCredential<'_>,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        match credential {
            Ok(None) => Err(Unauthenticated::NoCredential.into()),
            Ok(Some(Credential::Session(token))) => self.by_session(in_force, &token).await,
            Ok(Some(Credential::ApiKey(key))) => self.by_key(in_force, key).await,
            Ok(Some(Credential::Jwt(jwt))) => self.by_jwt(in_force, jwt).await,
            Err(error) => Err(Unauthenticated::Unusable(error).into()),
        }
    }

    async fn by_session(
        &self,
        in_force: &InForce,
        token: &SessionToken<'_>,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        let signed_in = self.principals.session(token).await?.ok_or(Unauthenticated::UnknownSession)?;
        Ok(AuthenticatedPrincipal {
            judged: self.judge(in_force, &signed_in.user),
            credential: AuthenticatedCredential::Session(signed_in),
        })
    }

    async fn by_key(&self, in_force: &InForce, key: PresentedKey) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        match self.principals.key(key).await? {
            KeyLookup::Active(user_key) => Ok(AuthenticatedPrincipal {
                judged: self.judge_key(in_force, &user_key),
                credential: AuthenticatedCredential::ApiKey(user_key),
            }),
            KeyLookup::Suspended => Err(Unauthenticated::Suspended.into()),
            KeyLookup::Unknown => Err(Unauthenticated::UnknownCredential.into()),
        }
    }

    /// Loads a session with its user, who may have no role.
    pub async fn load_session(&self, token: &SessionToken<'_>) -> Result<Option<(UserSession, Arc<Judged>)>, LookupError> {
        let signed_in = self.principals.session(token).await?;
        Ok(signed_in.map(|signed_in| {
            let judged = self.judge(&self.role_maps.current(), &signed_in.user);
            (signed_in, judged)
        }))
    }

    /// What the role map in force says of a user; remembered until either changes.
    fn judge(&self, in_force: &InForce, user: &CachedUser) -> Arc<Judged> {
        if let Some(judged) = user.judged.load_full().filter(|judged| judged.map_version == in_force.version) {
            return judged;
        }
        let identities = user.identities();
        let grant = in_force.map.grant(&identities, user.pinned.as_ref());
        let identity = self.identity(&user.id, &identities, &grant);
        let judged = Arc::new(Judged::new(in_force.version, grant, identity));
        user.judged.store(Some(Arc::clone(&judged)));
        judged
    }

    /// What a key leaves of what the role map says of its owner; remembered until that says otherwise.
    fn judge_key(&self, in_force: &InForce, UserKey { key, user }: &UserKey) -> Arc<Judged> {
        let of = self.judge(in_force, user);
        if let Some(known) = key.judged.load().as_ref().filter(|known| Arc::ptr_eq(&known.of, &of)) {
            return Arc::clone(&known.to);
        }
        let grant = key.narrow.grant(&in_force.map, &of.grant);
        let identity = Identity { key: key.key.id.to_string(), ..self.identity(&user.id, &user.identities(), &grant) };
        let to = Arc::new(Judged::new(in_force.version, grant, identity));
        key.judged.store(Some(Arc::new(Narrowed { of, to: Arc::clone(&to) })));
        to
    }

    /// What the upstream, and an administrator, is told of somebody.
    pub fn identity(&self, user: &str, identities: &[IdentityClaims], grant: &Grant) -> Identity {
        let trust = |provider: &str| self.email_trust.get(provider).copied().unwrap_or(EmailTrust::WhenVerified);
        let email = identities.iter().find_map(|identity| identity.email(trust(&identity.provider)));
        let name = identities.iter().find_map(|identity| identity.preferred_username());
        let teams: Vec<&str> = grant.teams.iter().map(|team| team.as_str()).collect();
        Identity {
            user: user.to_owned(),
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
            Self::Allow { .. } | Self::AllowAnyone { .. } => "The request may pass.",
            Self::Unauthenticated(why) => why.description(),
            Self::Forbidden { why: Forbidden::NoRole, .. } => "No role is granted to this person.",
            Self::Forbidden { why: Forbidden::MissingSource, .. } => "Too little is known of this person to grant a role.",
            Self::Forbidden { why: Forbidden::Unmet { wanted, .. }, .. } => match wanted {
                Requirement::Nobody => "Nobody may use this path.",
                Requirement::Role => "This path is for other roles.",
                Requirement::Team => "This path is for other teams.",
                Requirement::Credential => "This path wants another kind of credential.",
            },
            Self::Closed(Closed::Refused(Refused::Unreadable(_))) => "The path is ambiguous. Write it plainly.",
            Self::Closed(_) => "Nobody may use this path.",
            Self::Forbidden { why: Forbidden::Narrowed, .. } => "This route is for other roles or teams.",
            Self::Forbidden { why: Forbidden::KeyPaths, .. } => "This key is for other paths.",
            Self::NotYet => "The role map has not been read yet. Try again soon.",
            Self::Unavailable(_) => "Who this is can't be looked up at the moment. Try again soon.",
        }
    }
}

impl Unauthenticated {
    pub fn description(self) -> &'static str {
        match self {
            Self::NoCredential => "Sign in, or send a credential.",
            Self::Unusable(CredentialError::Ambiguous) => "Several different credentials were sent. Send one.",
            Self::UnknownSession | Self::Unusable(CredentialError::MalformedSession) => "The session has ended. Sign in again.",
            Self::UnknownCredential | Self::Unusable(_) => "The credential is not known here.",
            Self::Suspended => "The key waits until its owner has signed in again.",
            Self::Token(_) => "The token is not accepted here, or not any more.",
        }
    }
}

impl AuthenticatedCredential {
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Session(_) => CredentialKind::Session,
            Self::ApiKey(_) => CredentialKind::Key,
            Self::Jwt(_) => CredentialKind::Token,
        }
    }

    fn permits(&self, path: &str) -> Result<(), Forbidden> {
        match self {
            Self::ApiKey(UserKey { key, .. }) if !key.narrow.permits(path) => Err(Forbidden::KeyPaths),
            _ => Ok(()),
        }
    }
}

impl From<Unauthenticated> for AuthenticationError {
    fn from(why: Unauthenticated) -> Self {
        Self::Unauthenticated(why)
    }
}

impl From<LookupError> for AuthenticationError {
    fn from(cause: LookupError) -> Self {
        Self::Unavailable(cause.into())
    }
}

/// What a check says of somebody with this grant who authenticated in this way: the decision without its
/// look-ups, for explanations.
pub fn judge(
    access: Option<&AccessRules>,
    request: &CheckRequest<'_>,
    grant: &Grant,
    by: CredentialKind,
) -> Result<Permitted, NotPermitted> {
    let narrowing = Narrowing::default();
    match gate(access, request, &narrowing)? {
        Gate::Open(_) => Ok(Permitted::Anyone),
        Gate::For(rules) => Ok(permit(grant, by, rules.as_ref(), &narrowing).map(|()| Permitted::ThisPerson)?),
    }
}

/// What the access rules say before anybody is looked up.
enum Gate<'a> {
    Open(Selected<'a>),
    /// For whom these rules permit; without any, for everybody who is signed in.
    For(Option<Selected<'a>>),
}

fn gate<'a>(access: Option<&'a AccessRules>, request: &CheckRequest<'_>, narrowing: &Narrowing) -> Result<Gate<'a>, Closed> {
    let Some(rules) = access.map(|access| access.select(request)).transpose()? else { return Ok(Gate::For(None)) };
    if let Some(rule) = rules.closed_to_all() {
        return Err(Closed::Nobody { rule: rule.clone() });
    }
    // Who narrows a route to roles or teams wants to know who comes.
    let open = rules.is_open_to_anyone() && *narrowing == Narrowing::default();
    Ok(if open { Gate::Open(rules) } else { Gate::For(Some(rules)) })
}

fn permit(grant: &Grant, by: CredentialKind, rules: Option<&Selected<'_>>, narrowing: &Narrowing) -> Result<(), Forbidden> {
    if grant.role.is_none() {
        return Err(if grant.missing_source.is_some() { Forbidden::MissingSource } else { Forbidden::NoRole });
    }
    if let Some(Err(Unmet { rule, what: wanted })) = rules.map(|rules| rules.permits(grant, by)) {
        return Err(Forbidden::Unmet { rule: rule.clone(), wanted });
    }
    if narrowing.allows(grant) { Ok(()) } else { Err(Forbidden::Narrowed) }
}

impl std::fmt::Display for Permitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anyone => "whoever it is",
            Self::ThisPerson => "since every rule that a reading selects permits it",
        })
    }
}
