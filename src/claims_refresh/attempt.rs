//! Refreshes the claims of one user: finds the tokens that are due, uses them, and commits the outcomes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    clock::Clock,
    metrics::{Metrics, RefreshResult},
    oidc::{Provider, Providers, RefreshError, RefreshedIdentity},
    principal::IdentityClaims,
    secret::Digest,
    store::{self, StoredRecord},
    users::{LeaseOutcome, LeasedToken, RefreshCommit, RefreshToken, START_TIMEOUT, User, Users},
};

/// The maximum number of concurrent refreshes of one provider on this pod, so that it is not overloaded after an outage.
const CONCURRENT: usize = 32;

/// The maximum number of refused tokens of an identity in one refresh. The next use continues.
const MAX_REFUSED: usize = 5;

/// The pause between attempts to commit an outcome.
const COMMIT_PAUSE: Duration = Duration::from_millis(500);

/// The time in which the claims of a refresh are indexed, before the commit.
const INDEX_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of a user's claims after a refresh. The worst of all identities counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RefreshOutcome {
    /// Nothing is left to do. The claims are current, or no refresh can renew them.
    Settled,
    /// Another pod refreshes the claims.
    Held,
    /// The provider or the store did not answer, or the last attempt failed.
    Unavailable,
}

/// The parts that a refresh needs.
pub(super) struct Refresher {
    providers: Arc<Providers>,
    users: Arc<Users>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    /// By the ids of the providers.
    slots: HashMap<String, Semaphore>,
}

impl Refresher {
    pub(super) fn new(providers: Arc<Providers>, users: Arc<Users>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let slots = providers.iter().map(|provider| (provider.id().to_owned(), Semaphore::new(CONCURRENT))).collect();
        Self { providers, users, clock, metrics, slots }
    }

    pub(super) async fn refresh_user(&self, user: &str, presented: Option<&Digest>) -> RefreshOutcome {
        let outcome = async {
            let Some(stored) = self.users.get(user).await? else { return Ok(RefreshOutcome::Settled) };
            let mut outcome = RefreshOutcome::Settled;
            for identity in self.due_identities(&stored.value, presented).await? {
                outcome = outcome.max(self.refresh_identity(&stored, &identity, presented).await?);
            }
            for identity in self.users.due_directories(&stored.value) {
                self.look_up_groups(user, identity).await?;
            }
            Ok::<_, store::Error>(outcome)
        };
        outcome.await.unwrap_or_else(|error| {
            tracing::debug!(user, %error, "claims refresh failed");
            RefreshOutcome::Unavailable
        })
    }

    /// The identities whose claims, or whose token in the presented session, are older than the interval.
    async fn due_identities(&self, user: &User, presented: Option<&Digest>) -> Result<Vec<IdentityClaims>, store::Error> {
        if user.is_disabled() {
            return Ok(Vec::new());
        }
        let session = match presented {
            Some(digest) => self.users.session(&user.id, digest).await?,
            None => None,
        };
        let is_token_due = |identity: &IdentityClaims| {
            let own = session.as_ref().filter(|session| session.is_of(&identity.provider, &identity.subject));
            let token = own.and_then(|session| session.refresh_token.as_ref());
            token.is_some_and(|token| self.users.is_token_due(&identity.provider, token))
        };
        let mut due = user.dated_identities();
        due.retain(|identity| self.users.is_refresh_due(identity) || is_token_due(identity));
        Ok(due)
    }

    /// Looks up the groups of an identity. A look-up that fails is not repeated before the interval has passed. After a refresh the
    /// directory has just been asked.
    async fn look_up_groups(&self, user: &str, mut identity: IdentityClaims) -> Result<(), store::Error> {
        let Some(provider) = self.provider_of(&identity) else { return Ok(()) };
        let slot = self.slots.get(provider.id()).map(Semaphore::try_acquire);
        let Some(Ok(_slot)) = slot else { return Ok(()) };
        provider.look_up_groups(&mut identity).await?;
        self.users.update_directory(user, &identity).await
    }

    async fn refresh_identity(
        &self,
        user: &StoredRecord<User>,
        identity: &IdentityClaims,
        presented: Option<&Digest>,
    ) -> Result<RefreshOutcome, store::Error> {
        let Some(provider) = self.provider_of(identity) else {
            self.users.forget_refresh(user, identity).await?;
            return Ok(RefreshOutcome::Settled);
        };
        let slot = self.slots.get(provider.id()).map(Semaphore::try_acquire);
        let Some(Ok(_slot)) = slot else { return Ok(RefreshOutcome::Unavailable) };
        let id = &user.value.id;
        for _ in 0..MAX_REFUSED {
            let Some(place) = self.users.find_refresh_token(&user.value, identity, presented).await? else {
                self.users.forget_refresh(user, identity).await?;
                return Ok(RefreshOutcome::Settled);
            };
            let lease = match self.users.lease_refresh(id, place).await? {
                LeaseOutcome::Acquired(lease) => lease,
                LeaseOutcome::Held => return Ok(RefreshOutcome::Held),
                LeaseOutcome::Paused => return Ok(RefreshOutcome::Unavailable),
            };
            let read = tokio::time::timeout(START_TIMEOUT, self.users.leased_token(&lease, identity)).await;
            let Ok(read) = read else { return Ok(RefreshOutcome::Unavailable) };
            let Some(leased) = read? else {
                self.users.release_refresh(&lease).await?;
                return Ok(RefreshOutcome::Settled);
            };
            if let Some(outcome) = self.use_token(provider, &leased).await? {
                return Ok(outcome);
            }
        }
        Ok(RefreshOutcome::Unavailable)
    }

    /// Sends the token to the provider and commits the outcome. `None` if the provider has refused the token: the identity may
    /// have others.
    async fn use_token(&self, provider: &Provider, leased: &LeasedToken) -> Result<Option<RefreshOutcome>, store::Error> {
        let refreshed = provider.refresh(&leased.token, &leased.identity, self.clock.as_ref()).await;
        match refreshed {
            Ok(refreshed) => self.store_refreshed(provider, leased, refreshed).await.map(Some),
            Err(error) => self.handle_failure(provider, leased, error).await,
        }
    }

    /// Stores what the provider has answered. The index is on other shards: if they do not answer, only the token is stored.
    async fn store_refreshed(
        &self,
        provider: &Provider,
        leased: &LeasedToken,
        RefreshedIdentity { identity, token }: RefreshedIdentity,
    ) -> Result<RefreshOutcome, store::Error> {
        let indexed = tokio::time::timeout(INDEX_TIMEOUT, self.users.index_refresh(leased, &identity)).await;
        let reason = match indexed {
            Ok(Ok(None)) => {
                let committed = self.commit(provider, leased, || self.users.complete_refresh(leased, &identity, &token)).await?;
                self.metrics.claims_refreshed(provider.id(), RefreshResult::of(&committed));
                if committed == RefreshCommit::Committed {
                    tracing::debug!(provider = provider.id(), user = leased.lease.user, "claims refreshed");
                }
                return Ok(RefreshOutcome::Settled);
            }
            Ok(Ok(Some(owner))) => format!("user {owner} has the same value of a claim that identifies users (user_claim)"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the store did not answer in time".to_owned(),
        };
        self.metrics.claims_refreshed(provider.id(), RefreshResult::Failed);
        tracing::warn!(provider = provider.id(), user = leased.lease.user, error = reason, "refreshed claims not stored");
        self.pause(provider, leased, &token.failed(None)).await?;
        Ok(RefreshOutcome::Unavailable)
    }

    async fn handle_failure(
        &self,
        provider: &Provider,
        leased: &LeasedToken,
        error: RefreshError,
    ) -> Result<Option<RefreshOutcome>, store::Error> {
        let reason = error.reason();
        match error {
            RefreshError::InteractionNeeded(error) if !self.is_overdue(leased) => {
                self.report_failure(provider, leased, reason, &error);
                self.pause(provider, leased, &leased.token.failed(None)).await?;
                Ok(Some(RefreshOutcome::Unavailable))
            }
            RefreshError::Refused(error) | RefreshError::InteractionNeeded(error) => {
                self.metrics.claims_refreshed(provider.id(), RefreshResult::Refused);
                self.commit(provider, leased, || self.users.refuse_refresh(leased)).await?;
                let token_owner = leased.token_owner();
                tracing::info!(provider = provider.id(), user = leased.lease.user, token_owner, %error, "refresh token refused");
                Ok(None)
            }
            RefreshError::Failed { error, token } => {
                self.report_failure(provider, leased, reason, &error);
                self.pause(provider, leased, &token).await?;
                Ok(Some(RefreshOutcome::Unavailable))
            }
        }
    }

    /// The provider of an identity, if it is still at the issuer that the identity came from: no other issuer may receive its
    /// refresh token or its subject.
    fn provider_of(&self, identity: &IdentityClaims) -> Option<&Provider> {
        let provider = self.providers.get(&identity.provider).map(Arc::as_ref);
        provider.filter(|provider| provider.config().issuer() == identity.issuer)
    }

    /// True if the claims have reached their maximum age, so that a provider that wants to ask the user has refused the refresh.
    fn is_overdue(&self, leased: &LeasedToken) -> bool {
        self.users.max_age().is_overdue(&leased.identity, self.clock.now())
    }

    fn report_failure(&self, provider: &Provider, leased: &LeasedToken, reason: &str, error: &dyn std::fmt::Display) {
        self.metrics.claims_refreshed(provider.id(), RefreshResult::Failed);
        tracing::warn!(
            provider = provider.id(),
            user = leased.lease.user,
            reason,
            %error,
            suppressed = tracing::field::Empty,
            "claims not refreshed"
        );
    }

    async fn pause(&self, provider: &Provider, leased: &LeasedToken, token: &RefreshToken) -> Result<(), store::Error> {
        self.commit(provider, leased, || self.users.pause_refresh(leased, token)).await
    }

    /// Commits an outcome. Repeats it until the end of the lease while the store does not answer: the provider may have
    /// invalidated the former token.
    async fn commit<T, F>(&self, provider: &Provider, leased: &LeasedToken, commit: impl Fn() -> F) -> Result<T, store::Error>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        let remaining = || leased.lease.ends.saturating_duration_since(self.clock.monotonic());
        loop {
            let Ok(committed) = tokio::time::timeout(remaining(), commit()).await else {
                return Err(self.report_unstored(provider, leased, store::Error::Unknown("the lease has ended".to_owned())));
            };
            let error = match committed {
                Ok(committed) => return Ok(committed),
                Err(error) => error,
            };
            let may_pass = matches!(error, store::Error::Unavailable(_) | store::Error::Unknown(_) | store::Error::Contended);
            if !may_pass || remaining() <= COMMIT_PAUSE {
                return Err(self.report_unstored(provider, leased, error));
            }
            tokio::time::sleep(COMMIT_PAUSE).await;
        }
    }

    fn report_unstored(&self, provider: &Provider, leased: &LeasedToken, error: store::Error) -> store::Error {
        self.metrics.claims_refreshed(provider.id(), RefreshResult::StoreFailed);
        tracing::error!(provider = provider.id(), user = leased.lease.user, %error, "outcome of claims refresh not stored");
        error
    }
}

impl RefreshResult {
    fn of(commit: &RefreshCommit) -> Self {
        match commit {
            RefreshCommit::Committed => Self::Refreshed,
            RefreshCommit::Superseded => Self::Superseded,
        }
    }
}

#[cfg(test)]
mod tests;
