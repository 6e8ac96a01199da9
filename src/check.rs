//! Authenticates and authorizes requests. `gateway` parses them.
//!
//! Only the authentication needs look-ups. Everything else is computed from the role map and the request.

pub mod gateway;

mod api_key;
mod credential;
mod decision;
mod evaluation;
mod overdue_claims;
mod own_credentials;
mod query;
mod upstream_request;

pub use crate::access::CheckRequest;
pub use credential::{Credential, CredentialError, CredentialParser, CredentialText, ParsedCredential, cookies, cookies_without};
pub use decision::{
    AuthenticationFailure, CREDENTIAL_UNAVAILABLE, Decision, DenialReason, ROLE_MAP_NOT_LOADED, RuleDenial, UnavailableCause,
};
pub use evaluation::Evaluator;
pub use own_credentials::{OwnCredentials, has_own_name};
pub use query::{CheckQuery, CheckQueryError, Echo, RouteRestrictions};
pub use upstream_request::UpstreamRequest;

use std::sync::Arc;

use crate::{
    access::{
        AccessRules, CredentialSources, MatchError, MatchedRules, PathError, PathInterpretations, RouteRule, UnmetRequirement,
    },
    bearer_tokens::{BearerError, BearerPrincipal, BearerTokens, Jwt, UnregisteredSubjects},
    claims_refresh::ClaimsRefresher,
    principal::{CredentialKind, Evaluation, Grant, IdentityClaims, IdentityHeaders, ProviderSubject, Role},
    principal_cache::{LookupError, Principals, RestrictedGrant, UserSession},
    role_map::{ActiveRoleMap, RoleMap, RoleMaps},
    upstream::UpstreamCredentialPolicy,
    users::SessionToken,
};
use overdue_claims::{Authentication, OverdueClaims};

/// An authenticated user or workload, with its grant under the active role map.
pub struct AuthenticatedPrincipal {
    pub evaluation: Arc<Evaluation>,
    pub credential: AuthenticatedCredential,
}

/// The credential that a principal was authenticated by, with its records.
pub enum AuthenticatedCredential {
    Session(UserSession),
    ApiKey(Arc<RestrictedGrant>),
    Jwt(BearerPrincipal),
}

/// A request was not authenticated.
#[derive(Debug)]
pub enum AuthenticationError {
    Unauthenticated(AuthenticationFailure),
    /// The credential could not be looked up. Must not be answered as "not signed in".
    Unavailable(UnavailableCause),
}

/// The principals that [`authorize`] allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Anyone,
    ThisPrincipal,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    #[error(transparent)]
    ForAll(#[from] RuleDenial),
    #[error(transparent)]
    Forbidden(#[from] DenialReason),
}

/// Answers auth requests, and authenticates the callers of the API and of pages.
pub struct Checker {
    principals: Arc<Principals>,
    tokens: Arc<BearerTokens>,
    role_maps: Arc<RoleMaps>,
    upstream: Arc<UpstreamCredentialPolicy>,
    evaluator: Evaluator,
    credentials: CredentialParser,
    refresher: Arc<ClaimsRefresher>,
}

impl Checker {
    pub fn new(
        principals: Arc<Principals>,
        tokens: Arc<BearerTokens>,
        role_maps: Arc<RoleMaps>,
        upstream: Arc<UpstreamCredentialPolicy>,
        evaluator: Evaluator,
        credentials: CredentialParser,
        refresher: Arc<ClaimsRefresher>,
    ) -> Self {
        Self { principals, tokens, role_maps, upstream, evaluator, credentials, refresher }
    }

    /// Parses the credentials that this checker authenticates.
    pub fn credentials(&self) -> &CredentialParser {
        &self.credentials
    }

    /// Decides about a request. `parse_credential` parses the credential in the given sources.
    pub async fn decide<'a>(
        &self,
        request: &CheckRequest<'_>,
        restrictions: &RouteRestrictions,
        parse_credential: impl FnOnce(CredentialSources) -> ParsedCredential<'a>,
    ) -> Decision {
        let role_map = self.role_maps.active();
        if !role_map.is_loaded() {
            return Decision::RoleMapNotLoaded;
        }
        let paths = PathInterpretations::of(request.path);
        let route = match Route::find(&role_map.map, restrictions) {
            Ok(route) => route,
            Err(denial) => return Decision::DeniedForAll(denial),
        };
        let rules = match match_rules(role_map.map.access(), request, &paths, &route) {
            Ok(RuleOutcome::AnyoneAllowed(rules)) => {
                return Decision::AllowAnyone { upstream_headers: self.upstream.choose_headers(Some(&rules), None) };
            }
            Ok(RuleOutcome::AuthenticationRequired(rules)) => rules,
            Err(denial) => return Decision::DeniedForAll(denial),
        };
        let read = rules.as_ref().map_or(CredentialSources::ALL, MatchedRules::credential_sources);
        let principal = match self.authenticate_with(&role_map, parse_credential(read)).await {
            Ok(principal) => principal,
            Err(AuthenticationError::Unauthenticated(failure)) => return Decision::Unauthenticated(failure),
            Err(AuthenticationError::Unavailable(cause)) => return Decision::Unavailable(cause),
        };
        let AuthenticatedPrincipal { evaluation, credential } = principal;
        let authorized = authorize_grant(&evaluation.grant, credential.kind(), rules.as_ref(), &route)
            .and_then(|()| credential.authorize_path(&paths));
        match authorized {
            Ok(()) => {
                let upstream_headers = self.upstream.choose_headers(rules.as_ref(), Some(&evaluation));
                let identity_encoding = role_map.map.identity_encoding(rules.as_ref());
                Decision::Allow { evaluation, read, identity_encoding, upstream_headers }
            }
            Err(reason) => Decision::Forbidden {
                user: evaluation.identity.user.clone(),
                credential: credential.kind(),
                reason: explain_denial(reason, &evaluation, &credential),
            },
        }
    }

    /// Authenticates a credential. If one in a header is invalid, the cookie is not tried.
    pub async fn authenticate(&self, credential: ParsedCredential<'_>) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        let role_map = self.role_maps.active();
        // Without a role map no principal would have a role.
        if !role_map.is_loaded() {
            return Err(AuthenticationError::Unavailable(UnavailableCause::RoleMapNotLoaded));
        }
        self.authenticate_with(&role_map, credential).await
    }

    /// The role of this name. `None` if the active role map does not list it.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.role_maps.active().map.role(name)
    }

    /// The roles of the active role map, from `highest` downwards.
    pub fn roles_from(&self, highest: Option<&Role>) -> Vec<Role> {
        self.role_maps.active().map.roles_from(highest).to_vec()
    }

    /// The lower of two roles. `None` if the active role map does not list both.
    pub fn lower_role(&self, one: &Role, other: &Role) -> Option<Role> {
        self.role_maps.active().map.lower_role(one, other)
    }

    async fn authenticate_with(
        &self,
        role_map: &ActiveRoleMap,
        credential: ParsedCredential<'_>,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        let credential = match credential {
            Ok(Some(credential)) => credential,
            Ok(None) => return Err(AuthenticationFailure::NoCredential.into()),
            Err(error) => return Err(AuthenticationFailure::Unusable(error).into()),
        };
        match self.try_authenticate(role_map, credential).await? {
            Authentication::Done(principal) => Ok(principal),
            Authentication::Overdue(claims) => Box::pin(self.wait_for_refresh(role_map, credential, claims)).await,
        }
    }

    async fn try_authenticate(
        &self,
        role_map: &ActiveRoleMap,
        credential: Credential<'_>,
    ) -> Result<Authentication, AuthenticationError> {
        match credential {
            Credential::Session(token) => self.authenticate_session(role_map, &token).await,
            Credential::ApiKey(key) => self.authenticate_key(role_map, key).await,
            Credential::Jwt(jwt) => self.authenticate_jwt(role_map, jwt).await,
        }
    }

    async fn authenticate_session(
        &self,
        role_map: &ActiveRoleMap,
        token: &SessionToken<'_>,
    ) -> Result<Authentication, AuthenticationError> {
        let (signed_in, evaluation) = self.find_session(role_map, token).await?.ok_or(AuthenticationFailure::UnknownSession)?;
        if self.needs_verification(&signed_in, &evaluation) {
            return Err(AuthenticationFailure::ExpiredClaims.into());
        }
        if self.needs_refresh(&signed_in, &evaluation) {
            return Ok(OverdueClaims { user: signed_in.user, session: Some((signed_in.session, token.digest())) }.into());
        }
        self.refresher.request_for_session(&signed_in, token.digest());
        Ok(AuthenticatedPrincipal { evaluation, credential: AuthenticatedCredential::Session(signed_in) }.into())
    }

    /// Loads a session with its user. The user may have no role, or claims that have expired.
    pub async fn load_session(&self, token: &SessionToken<'_>) -> Result<Option<(UserSession, Arc<Evaluation>)>, LookupError> {
        self.find_session(&self.role_maps.active(), token).await
    }

    /// Authenticates a session whose claims may have expired, so that its user can revoke access while the provider is down.
    /// Claims that have expired grant nothing.
    pub async fn authenticate_for_revocation(
        &self,
        token: &SessionToken<'_>,
    ) -> Result<AuthenticatedPrincipal, AuthenticationError> {
        let (signed_in, evaluation) = self.load_session(token).await?.ok_or(AuthenticationFailure::UnknownSession)?;
        Ok(AuthenticatedPrincipal { evaluation, credential: AuthenticatedCredential::Session(signed_in) })
    }

    /// True if the session authenticates nobody until its provider has verified the identity again.
    pub fn needs_verification(&self, signed_in: &UserSession, evaluation: &Evaluation) -> bool {
        self.evaluator.needs_verification(evaluation, &signed_in.session)
    }

    /// True if the session cannot be authenticated until a refresh has verified its identity.
    pub fn needs_refresh(&self, signed_in: &UserSession, evaluation: &Evaluation) -> bool {
        let is_own = |expired: &ProviderSubject| signed_in.session.is_of(&expired.provider, &expired.subject);
        evaluation.expired_identities.iter().any(|expired| expired.is_refreshable && is_own(expired))
    }

    async fn find_session(
        &self,
        role_map: &ActiveRoleMap,
        token: &SessionToken<'_>,
    ) -> Result<Option<(UserSession, Arc<Evaluation>)>, LookupError> {
        let Some(signed_in) = self.principals.session(token).await? else { return Ok(None) };
        let evaluation = self.evaluator.evaluate_session(role_map, &signed_in.user);
        let has_ended = self.evaluator.has_ended(&evaluation, signed_in.session.created);
        Ok((!has_ended).then_some((signed_in, evaluation)))
    }

    async fn authenticate_jwt(&self, role_map: &ActiveRoleMap, jwt: Jwt<'_>) -> Result<Authentication, AuthenticationError> {
        let bearer = match self.tokens.authenticate(jwt).await {
            Ok(bearer) => bearer,
            Err(BearerError::Refused(reason)) => return Err(AuthenticationFailure::Token(reason).into()),
            Err(BearerError::Unavailable(cause)) => return Err(AuthenticationError::Unavailable(cause.into())),
        };
        let Some(evaluation) = self.evaluator.evaluate_token(role_map, &bearer) else {
            return match bearer.registered_user() {
                Some(user) if self.evaluator.is_token_refreshable(&bearer) => {
                    Ok(OverdueClaims { user: Arc::clone(user), session: None }.into())
                }
                _ => Err(AuthenticationFailure::SuspendedToken.into()),
            };
        };
        if let Some(user) = bearer.registered_user() {
            self.refresher.request(user);
        }
        Ok(AuthenticatedPrincipal { evaluation, credential: AuthenticatedCredential::Jwt(bearer) }.into())
    }

    /// Builds the identity that administrators see.
    pub fn identity(&self, user: &str, identities: &[IdentityClaims], grant: &Grant) -> IdentityHeaders {
        self.evaluator.identity(user, identities, grant)
    }
}

impl AuthenticatedCredential {
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Session(_) => CredentialKind::Session,
            Self::ApiKey(_) => CredentialKind::ApiKey,
            Self::Jwt(_) => CredentialKind::Jwt,
        }
    }

    /// True for the token of an unregistered subject whose issuer refuses these.
    fn has_refused_subject(&self) -> bool {
        matches!(self, Self::Jwt(bearer) if bearer.unregistered_subject() == Some(UnregisteredSubjects::Refused))
    }

    fn authorize_path(&self, paths: &PathResult<'_>) -> Result<(), DenialReason> {
        match self {
            Self::ApiKey(key) if !key.restrictions.can_access_path(paths) => Err(DenialReason::KeyRestriction),
            _ => Ok(()),
        }
    }
}

impl From<AuthenticationFailure> for AuthenticationError {
    fn from(failure: AuthenticationFailure) -> Self {
        Self::Unauthenticated(failure)
    }
}

impl From<LookupError> for AuthenticationError {
    fn from(cause: LookupError) -> Self {
        Self::Unavailable(cause.into())
    }
}

/// Authorizes a request for a principal with this grant who was authenticated by this kind of credential. For explanations,
/// which need no look-up.
pub fn authorize(
    map: &RoleMap,
    request: &CheckRequest<'_>,
    restrictions: &RouteRestrictions,
    grant: &Grant,
    credential: CredentialKind,
) -> Result<Permission, Denial> {
    let route = Route::find(map, restrictions)?;
    match match_rules(map.access(), request, &PathInterpretations::of(request.path), &route)? {
        RuleOutcome::AnyoneAllowed(_) => Ok(Permission::Anyone),
        RuleOutcome::AuthenticationRequired(rules) => {
            authorize_grant(grant, credential, rules.as_ref(), &route)?;
            Ok(Permission::ThisPrincipal)
        }
    }
}

/// The interpretations of a request's path. They are computed once for the access rules and the key's restrictions.
type PathResult<'a> = Result<PathInterpretations<'a>, PathError>;

/// The restrictions of a request's route: those in the check's URL, and those in the role map that it names.
struct Route<'a> {
    restrictions: &'a RouteRestrictions,
    rule: Option<&'a RouteRule>,
}

impl<'a> Route<'a> {
    /// An unknown name is an error, since the restrictions may have been renamed.
    fn find(map: &'a RoleMap, restrictions: &'a RouteRestrictions) -> Result<Self, RuleDenial> {
        let find = |name: &String| map.route(name).ok_or(RuleDenial::UnknownRoute);
        let rule = restrictions.route.as_ref().map(find).transpose()?;
        Ok(Self { restrictions, rule })
    }

    fn is_restricted(&self) -> bool {
        *self.restrictions != RouteRestrictions::default()
    }

    fn allows(&self, grant: &Grant) -> bool {
        self.restrictions.allows(grant) && self.rule.is_none_or(|rule| rule.allows(grant))
    }
}

/// The result of matching the access rules, before authentication.
enum RuleOutcome<'a> {
    AnyoneAllowed(MatchedRules<'a>),
    /// Without rules, every signed-in principal with a role is allowed.
    AuthenticationRequired(Option<MatchedRules<'a>>),
}

fn match_rules<'a>(
    access: Option<&'a AccessRules>,
    request: &CheckRequest<'_>,
    paths: &PathResult<'_>,
    route: &Route<'_>,
) -> Result<RuleOutcome<'a>, RuleDenial> {
    let Some(access) = access else { return Ok(RuleOutcome::AuthenticationRequired(None)) };
    let paths = paths.as_ref().map_err(|error| MatchError::Path(*error))?;
    let rules = access.match_interpretations(request, paths)?;
    if let Some(rule) = rules.rule_for_nobody() {
        return Err(RuleDenial::Nobody { rule: rule.clone() });
    }
    // The restrictions of a route cannot be evaluated for an anonymous caller.
    let is_open = rules.is_open_to_anyone() && !route.is_restricted();
    Ok(if is_open { RuleOutcome::AnyoneAllowed(rules) } else { RuleOutcome::AuthenticationRequired(Some(rules)) })
}

fn authorize_grant(
    grant: &Grant,
    credential: CredentialKind,
    rules: Option<&MatchedRules<'_>>,
    route: &Route<'_>,
) -> Result<(), DenialReason> {
    if grant.role.is_none() {
        return Err(if grant.missing_source.is_some() { DenialReason::MissingSource } else { DenialReason::NoRole });
    }
    if let Some(Err(UnmetRequirement { rule, requirement })) = rules.map(|rules| rules.authorize(grant, credential)) {
        return Err(DenialReason::UnmetRequirement { rule: rule.clone(), requirement });
    }
    if route.allows(grant) { Ok(()) } else { Err(DenialReason::RouteRestriction) }
}

/// Returns the reason for the missing role.
fn explain_denial(reason: DenialReason, evaluation: &Evaluation, credential: &AuthenticatedCredential) -> DenialReason {
    match reason {
        DenialReason::NoRole if !evaluation.expired_identities.is_empty() => DenialReason::ExpiredClaims,
        DenialReason::NoRole if credential.has_refused_subject() => DenialReason::UnregisteredSubject,
        reason => reason,
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Anyone => "every matching rule allows anyone",
            Self::ThisPrincipal => "every matching rule allows it",
        })
    }
}
