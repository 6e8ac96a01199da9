//! Links users who signed in before the directory was configured, or on a pod that does not know it yet.
//!
//! The record of such a user lacks the claim that links users of the directory, and no index entry leads to it. The claims of the
//! latest sign-in have the value. A pass over all users therefore completes the records as the next sign-in would.

use std::{sync::Mutex, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{ProvisioningSettings, User, Users, record::index_of_users};
use crate::{
    clock::since,
    principal::IdentityClaims,
    secret::Digest,
    store::{self, Edit, Index, Shard, Ttl},
};

/// The number of users that are read at the same time.
const CONCURRENCY: usize = 32;

/// After a pass of any pod, pods that start make none for this time.
const PAUSE_OF_STARTS: Duration = Duration::from_secs(600);

/// After a pass of this pod, requests make none for this time.
const PAUSE_OF_REQUESTS: Duration = Duration::from_secs(60);

/// The passes for requests of one pod.
#[derive(Default)]
pub(super) struct LinkPasses {
    /// The beginning of the latest complete pass.
    complete: Mutex<Option<Timestamp>>,
}

impl LinkPasses {
    /// Makes a pass, unless another pod has made one recently. Returns the number of records that lacked the claim.
    pub async fn run_at_start(&self, users: &Users) -> Result<usize, store::Error> {
        let Some(index) = users.provisioning().map(index_of_passes) else { return Ok(0) };
        match users.records.store().list(&index, None, 1).await?.is_empty() {
            true => users.index_links().await,
            false => Ok(0),
        }
    }

    /// Makes a pass, unless this pod has made one for a request recently. A pass at the start does not count: users may have signed
    /// in on a pod of the former configuration since then.
    pub async fn run_for_request(&self, users: &Users) -> Result<(), store::Error> {
        let complete = *self.complete.lock().expect("no code that holds this lock panics");
        if complete.is_some_and(|at| since(at, users.clock.now()) < PAUSE_OF_REQUESTS) {
            return Ok(());
        }
        let began = users.clock.now();
        users.index_links().await?;
        *self.complete.lock().expect("no code that holds this lock panics") = Some(began);
        Ok(())
    }
}

const PASSES: &str = "scim_link_passes";

/// The latest pass of all pods. It has the claim in its name, since another one needs another pass.
fn index_of_passes(settings: &ProvisioningSettings) -> Index {
    let digest = Digest::of_parts(&[PASSES, &settings.provider, &settings.issuer, &settings.claim.key()]);
    Index::new(Shard::of(&digest), format!("{PASSES}:{}", digest.to_hex()))
}

impl Users {
    /// Completes the records of all users, and moves the users whom the directory has provisioned meanwhile into them. Returns the
    /// number of records that lacked the claim. Each step can be repeated.
    pub async fn index_links(&self) -> Result<usize, store::Error> {
        // The index entries of subjects exist since the first sign-in.
        let Some(settings) = self.provisioning().filter(|settings| !settings.links_subjects()) else { return Ok(0) };
        let mut indexed = 0;
        for shard in Shard::all() {
            let users = self.records.store().list(&index_of_users(shard), None, usize::MAX).await?;
            let passes = stream::iter(users).map(async |user| self.index_links_of(settings, &user).await);
            let counts = passes.buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await?;
            indexed += counts.into_iter().sum::<usize>();
        }
        let index = index_of_passes(settings);
        let change = self.records.unsequenced_change(index.shard).index_add(&index, "complete", Ttl::For(PAUSE_OF_STARTS));
        // Without the mark, the next pod that starts makes another pass.
        if let Err(error) = change.commit().await {
            tracing::debug!(%error, "pass over all users not recorded");
        }
        Ok(indexed)
    }

    async fn index_links_of(&self, settings: &ProvisioningSettings, user: &str) -> Result<usize, store::Error> {
        let Some(record) = self.get(user).await? else { return Ok(0) };
        let mut indexed = 0;
        for identity in &record.value.identities {
            let Some(completed) = self.with_link(settings, identity) else { continue };
            self.adopt_provisioned(user, &completed).await?;
            if self.assign_user_claims(user, &completed).await?.is_some() {
                tracing::warn!(user, suppressed = tracing::field::Empty, "scim link belongs to another user");
                continue;
            }
            self.store_link(user, &completed).await?;
            indexed += 1;
        }
        Ok(indexed)
    }

    /// Returns the identity with the claim that links it; `None` if it has the claim already, or no value of it.
    fn with_link(&self, settings: &ProvisioningSettings, identity: &IdentityClaims) -> Option<IdentityClaims> {
        let profile = self.profiles.of(&identity.provider);
        let value = settings.claim.value_in(identity, profile).filter(|_| settings.is_of_provider(identity))?;
        let key = settings.claim.key();
        if identity.user_claims.get(&key) == Some(&value) {
            return None;
        }
        let mut completed = identity.clone();
        completed.user_claims.insert(key, value);
        Some(completed)
    }

    /// Stores the claim, unless a sign-in has replaced the identity's claims meanwhile.
    async fn store_link(&self, user: &str, completed: &IdentityClaims) -> Result<(), store::Error> {
        let key = User::key(user);
        let stored = self.records.update(&key, async |mut record: User, change| {
            let is_same = |known: &&mut IdentityClaims| known.issuer == completed.issuer && known.subject == completed.subject;
            let Some(known) = record.identities.iter_mut().find(is_same) else { return Ok(Edit::Keep(())) };
            if known.verified_at != completed.verified_at {
                return Ok(Edit::Keep(()));
            }
            known.user_claims.clone_from(&completed.user_claims);
            record.link_provisioned(completed);
            Ok::<_, store::Error>(Edit::Commit(change.put(&key, &record, Ttl::Forever).drop_user(user), ()))
        });
        stored.await.map(|_| ())
    }
}
