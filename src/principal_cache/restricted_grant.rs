//! The grant of a key: its owner's grant within the restrictions of the key and of all keys that it was derived from.

use std::{iter, sync::Arc};

use jiff::Timestamp;

use super::{ActiveKey, CachedKey, CachedUser};
use crate::{
    api_keys::{ApiKey, CombinedRestrictions},
    principal::{Evaluation, Grant},
    role_map::RoleMap,
};

/// The grant of a key, with everything that it was computed from.
pub struct RestrictedGrant {
    /// The record, with the restrictions that the ancestors have now in addition to its own.
    pub key: ApiKey,
    pub restrictions: CombinedRestrictions,
    pub evaluation: Arc<Evaluation>,
    sources: GrantSources,
}

/// The entries of the cache that a grant is computed from. A grant is valid only for exactly these entries, so that a change of
/// one of them (a restriction of any ancestor, claims, the role map) invalidates it on every pod.
pub struct GrantSources {
    owner: Arc<Evaluation>,
    /// The oldest first, each with the evaluation of its owner.
    ancestors: Vec<(Arc<CachedKey>, Arc<Evaluation>)>,
}

impl GrantSources {
    /// `evaluate` returns the present evaluation of a user.
    pub fn of(key: &ActiveKey, evaluate: impl Fn(&CachedUser) -> Arc<Evaluation>) -> Self {
        let ancestors = key.ancestors.iter().map(|ancestor| (Arc::clone(&ancestor.key), evaluate(&ancestor.user)));
        Self { owner: evaluate(&key.own.user), ancestors: ancestors.collect() }
    }

    pub fn owner(&self) -> &Evaluation {
        &self.owner
    }

    /// An owner in the chain who has no role without identities that have expired. The key is suspended until they are verified.
    pub fn suspended_owner<'a>(&self, key: &'a ActiveKey) -> Option<&'a Arc<CachedUser>> {
        let ancestors = key.ancestors.iter().zip(&self.ancestors).map(|(ancestor, (_, owner))| (&ancestor.user, owner));
        let mut owners = iter::once((&key.own.user, &self.owner)).chain(ancestors);
        owners.find_map(|(user, evaluation)| evaluation.is_suspended().then_some(user))
    }

    /// The moment at which the first of the evaluations is outdated.
    pub fn valid_until(&self) -> Timestamp {
        let ancestors = self.ancestors.iter().map(|(_, owner)| owner.valid_until);
        ancestors.fold(self.owner.valid_until, Timestamp::min)
    }

    fn are_same(&self, other: &Self) -> bool {
        let ancestors = self.ancestors.iter().zip(&other.ancestors);
        let mut pairs = ancestors.map(|(one, other)| Arc::ptr_eq(&one.0, &other.0) && Arc::ptr_eq(&one.1, &other.1));
        Arc::ptr_eq(&self.owner, &other.owner) && self.ancestors.len() == other.ancestors.len() && pairs.all(|is_same| is_same)
    }

    /// True if a secret in the chain was shown to a user whose role is below that of the key's owner.
    fn are_held_below(&self, map: &RoleMap, key: &ApiKey) -> bool {
        let ancestors = self.ancestors.iter().map(|(ancestor, owner)| (&ancestor.key, owner));
        let mut chain = ancestors.chain([(key, &self.owner)]);
        chain.any(|(key, owner)| owner.grant.role.as_ref().is_some_and(|role| key.is_held_below(map, role)))
    }

    /// Limits a grant to the present roles of the ancestors' owners, who can be other users.
    fn limit(&self, map: &RoleMap, mut grant: Grant) -> Grant {
        for (_, owner) in &self.ancestors {
            let Some(role) = &grant.role else { return grant };
            grant.role = owner.grant.role.as_ref().and_then(|limit| map.lower_role(role, limit));
            if grant.role.is_none() {
                return Grant::default();
            }
        }
        grant
    }
}

impl RestrictedGrant {
    /// `evaluate` returns the evaluation of a grant of this key.
    pub fn new(key: &ActiveKey, sources: GrantSources, map: &RoleMap, evaluate: impl FnOnce(Grant) -> Evaluation) -> Self {
        let mut record = key.own.key.key.clone();
        record.inherit(sources.ancestors.iter().map(|(ancestor, _)| &ancestor.key));
        let restrictions = CombinedRestrictions::of(&record.restrictions);
        if restrictions.are_too_large() {
            tracing::warn!(token_id = %record.id, "key refused for every path; too many path patterns");
        }
        let grant = match sources.are_held_below(map, &record) {
            true => Grant::default(),
            false => sources.limit(map, restrictions.grant(map, &sources.owner.grant)),
        };
        Self { key: record, restrictions, evaluation: Arc::new(evaluate(grant)), sources }
    }

    /// True if the grant was computed from these entries.
    pub fn is_of(&self, sources: &GrantSources) -> bool {
        self.sources.are_same(sources)
    }
}

#[cfg(test)]
mod tests;
