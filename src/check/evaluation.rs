//! Evaluates the role map for the users of sessions, keys and tokens. The results are cached with them.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    bearer_tokens::{BearerPrincipal, UnregisteredSubjects},
    clock::Clock,
    principal::{CredentialKind, Evaluation, Grant, IdentityClaims, IdentityHeaders, Profiles, ProviderSubject},
    principal_cache::{CachedSession, CachedUser},
    role_map::ActiveRoleMap,
    users::{ClaimsMaxAge, CurrentClaims, Identity, is_pinned_by},
};

pub struct Evaluator {
    profiles: Profiles,
    max_age: ClaimsMaxAge,
    clock: Arc<dyn Clock>,
}

/// The claims that are evaluated for a token.
struct BearerClaims {
    claims: CurrentClaims,
    /// Until the pinned grant of its user expires too.
    valid_until: Timestamp,
}

impl Evaluator {
    pub fn new(profiles: Profiles, max_age: ClaimsMaxAge, clock: Arc<dyn Clock>) -> Self {
        Self { profiles, max_age, clock }
    }

    /// Evaluates a user for sessions. The result is cached until the role map or the user changes, or an identity expires.
    pub(super) fn evaluate_session(&self, role_map: &ActiveRoleMap, user: &CachedUser) -> Arc<Evaluation> {
        self.evaluate_user(role_map, user, CredentialKind::Session)
    }

    /// Evaluates the owner of a key, as [`Self::evaluate_session`] does for sessions.
    pub(super) fn evaluate_owner(&self, role_map: &ActiveRoleMap, user: &CachedUser) -> Arc<Evaluation> {
        self.evaluate_user(role_map, user, CredentialKind::ApiKey)
    }

    /// Evaluates the role map for the claims of the token, and those of the directory about the same identity. The other stored
    /// claims of its user only apply to their sessions and API keys. The result is cached with the token until the role map or the
    /// user changes, or its claims expire. `None` if the token is suspended, since both the token and its identity's verification
    /// are too old.
    pub(super) fn evaluate_token(&self, role_map: &ActiveRoleMap, bearer: &BearerPrincipal) -> Option<Arc<Evaluation>> {
        let now = self.clock.now();
        let evaluation = bearer.evaluation(role_map.version, now).unwrap_or_else(|| {
            let BearerClaims { claims, valid_until } = self.token_claims(bearer, now);
            let grant = match bearer.unregistered_subject() {
                Some(UnregisteredSubjects::Refused) => Grant::default(),
                Some(UnregisteredSubjects::Workloads) => role_map.map.evaluate_workload(&claims.identities),
                Some(UnregisteredSubjects::Users) | None => claims.grant(&role_map.map),
            };
            let identity = self.identity(bearer.user(), &claims.identities, &grant);
            let expired_identities = self.subjects(&claims.expired).into();
            let evaluation = Evaluation::new(role_map.version, grant, identity);
            let evaluation = Arc::new(Evaluation { valid_until, expired_identities, ..evaluation });
            bearer.cache_evaluation(&evaluation);
            evaluation
        });
        (!evaluation.is_suspended()).then_some(evaluation)
    }

    /// True if a refresh may renew the verification of the token's identity.
    pub(super) fn is_token_refreshable(&self, bearer: &BearerPrincipal) -> bool {
        let linked = bearer.registered_user().map(|user| user.identities()).unwrap_or_default();
        linked_identity(&linked, bearer).is_some_and(|identity| self.max_age.refresh_of(identity).is_some())
    }

    /// The names of identities that have expired. A refresh renews them only while their provider is configured for it.
    fn subjects(&self, identities: &[IdentityClaims]) -> Vec<ProviderSubject> {
        let subject = |identity: &IdentityClaims| ProviderSubject {
            is_refreshable: self.max_age.refresh_of(identity).is_some(),
            ..ProviderSubject::from(identity)
        };
        identities.iter().map(subject).collect()
    }

    /// The identities that only a sign-in can complete: their id_token has expired, and the grant or the headers of its claims are
    /// missing. An id_token that makes no difference needs no sign-in.
    fn incomplete_identities(
        &self,
        role_map: &ActiveRoleMap,
        claims: &CurrentClaims,
        grant: &Grant,
        identity: &IdentityHeaders,
    ) -> Vec<ProviderSubject> {
        if claims.with_expired_id_token.is_empty() {
            return Vec::new();
        }
        let complete = claims.before_id_tokens_expired();
        let former = complete.grant(&role_map.map);
        let is_same = (&former.role, &former.teams) == (&grant.role, &grant.teams)
            && self.identity(&identity.user, &complete.identities, &former) == *identity;
        let subject = |identity: &IdentityClaims| ProviderSubject { is_refreshable: false, ..ProviderSubject::from(identity) };
        if is_same { Vec::new() } else { claims.with_expired_id_token.iter().map(subject).collect() }
    }

    fn evaluate_user(&self, role_map: &ActiveRoleMap, user: &CachedUser, credential: CredentialKind) -> Arc<Evaluation> {
        let cache = match credential {
            CredentialKind::Session => &user.session_evaluation,
            CredentialKind::ApiKey | CredentialKind::Jwt => &user.key_evaluation,
        };
        let now = self.clock.now();
        if let Some(evaluation) = cache.load_full().filter(|evaluation| evaluation.is_current(role_map.version, now)) {
            return evaluation;
        }
        let max_age = |identity: &IdentityClaims| self.max_age.of(credential, identity);
        let claims = CurrentClaims::select(user.identities(), user.pinned.as_ref(), max_age, now);
        let grant = claims.grant(&role_map.map);
        let identity = self.identity(&user.id, &claims.identities, &grant);
        let incomplete = self.incomplete_identities(role_map, &claims, &grant, &identity);
        let expired_identities = self.subjects(&claims.expired).into_iter().chain(incomplete).collect();
        let valid_until = claims.valid_until;
        let evaluation = Evaluation::new(role_map.version, grant, identity);
        let evaluation = Arc::new(Evaluation { valid_until, expired_identities, ..evaluation });
        cache.store(Some(Arc::clone(&evaluation)));
        evaluation
    }

    /// The claims of a token. They count as verified when the token was issued, and whenever its user signs in with the same
    /// identity. Those of an unregistered subject are as valid as the token.
    fn token_claims(&self, bearer: &BearerPrincipal, now: Timestamp) -> BearerClaims {
        let Some(user) = bearer.registered_user() else {
            return BearerClaims { claims: CurrentClaims::of_unstored(bearer.identity().clone()), valid_until: Timestamp::MAX };
        };
        let linked = user.identities();
        let max_age = |identity: &IdentityClaims| self.max_age.of(CredentialKind::Jwt, identity);
        let stored = linked_identity(&linked, bearer);
        let verified_at = bearer.issued().max(stored.and_then(|stored| stored.verified_at));
        let scim = stored.and_then(|stored| stored.scim.clone());
        let own = IdentityClaims { verified_at, scim, ..bearer.identity().clone() };
        let claims = CurrentClaims::select(vec![own], None, max_age, now);
        let linked = CurrentClaims::select(linked, user.pinned.as_ref(), max_age, now);
        let of_token = user.pinned.as_ref().filter(|pinned| is_pinned_by(pinned, bearer.identity()));
        let valid_until = claims.valid_until.min(linked.valid_until);
        let pinned = linked.pinned.or_else(|| of_token.cloned());
        BearerClaims { claims: CurrentClaims { pinned, ..claims }, valid_until }
    }

    /// True if a session is within the last moments of its lifetime and its claims, whose time of verification can be a little
    /// earlier, have expired. It ends with them, because its user has to sign in again and not to ask for a role.
    pub(super) fn has_ended(&self, evaluation: &Evaluation, created: Timestamp) -> bool {
        evaluation.is_suspended() && self.max_age.since_verification(created, self.clock.now()) >= self.max_age.sessions
    }

    /// True if only a sign-in at the provider of the session can verify its identity, or its id_token, again.
    pub(super) fn needs_verification(&self, evaluation: &Evaluation, session: &CachedSession) -> bool {
        // A refresh verifies an identity with a refresh token.
        let is_own = |expired: &ProviderSubject| !expired.is_refreshable && session.is_of(&expired.provider, &expired.subject);
        evaluation.expired_identities.iter().any(is_own)
            && self.max_age.needs_verification(&session.provider, session.created, self.clock.now())
    }

    /// Builds the identity that upstreams receive and that administrators see.
    pub fn identity(&self, user: &str, identities: &[IdentityClaims], grant: &Grant) -> IdentityHeaders {
        let email = identities.iter().find_map(|identity| identity.email(self.profiles.of(&identity.provider)));
        let name = identities.iter().find_map(|identity| identity.preferred_username(self.profiles.of(&identity.provider)));
        let known = IdentityHeaders {
            user: user.to_owned(),
            email: email.unwrap_or_default().to_owned(),
            preferred_username: name.unwrap_or_default().to_owned(),
            ..IdentityHeaders::default()
        };
        known.with_grant(grant)
    }
}

/// The stored identity of a token, with the time of its last verification. Another account of the user at the same issuer does
/// not count.
fn linked_identity<'a>(linked: &'a [IdentityClaims], bearer: &BearerPrincipal) -> Option<&'a IdentityClaims> {
    let (subject, user_claim) = (bearer.identity(), bearer.user_claim_digest());
    let is_subject = |known: &&IdentityClaims| known.issuer == subject.issuer && known.subject == subject.subject;
    let has_claim = |known: &&IdentityClaims| Identity::user_claim_digests(known).any(|digest| Some(digest) == user_claim);
    linked.iter().find(is_subject).or_else(|| linked.iter().find(has_claim))
}
