//! Looks up a user's groups in the provider's directory, for providers whose tokens are too small for them.

mod application_token;
mod entra_id;
mod error;
mod github;
mod gitlab;
mod google;
mod link_header;
mod listing;
mod lookup;
mod record;
mod service_account;
mod settings;
mod throttle;

pub use service_account::ServiceAccountKey;
pub use settings::{DirectoryKind, DirectorySettings, EntraCredential, LookupCondition};

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use openidconnect::AccessToken;

use self::{
    application_token::ApplicationToken, error::DirectoryError, lookup::GroupLookup, record::KnownClaims,
    throttle::ThrottlePauses,
};
use super::{claims, http::HttpClient, settings::ProviderSettings};
use crate::{
    clock::{Clock, since},
    json::Value,
    metrics::{DirectoryOutcome, Metrics},
    principal::{Claims, IdentityClaims},
    secret::{Digest, SecretCell},
    store::{self, Records},
};

/// The time for all requests of a look-up, with the pauses between them. A login waits for it.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The directory of one provider.
pub(super) struct Directory {
    provider: String,
    settings: DirectorySettings,
    /// Bytes of JSON of all claims of an identity.
    max_claims: usize,
    http: HttpClient,
    /// `None` if the access token of the user's login is used.
    application: Option<ApplicationToken>,
    known: KnownClaims,
    pauses: ThrottlePauses,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// The services that a directory needs besides its settings.
pub struct DirectoryResources {
    /// The service account's key, else the client's secret.
    pub secret: Option<Arc<SecretCell>>,
    pub records: Records,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
}

impl Directory {
    pub fn new(
        provider: &ProviderSettings,
        settings: DirectorySettings,
        http: HttpClient,
        resources: DirectoryResources,
    ) -> Self {
        let DirectoryResources { secret, records, clock, metrics } = resources;
        let application = settings.kind.application_grant(&provider.client_id, &settings.api_url).map(|grant| {
            let secret = secret.expect("the configuration has the secret of an application");
            ApplicationToken::new(grant, secret, http.clone(), Arc::clone(&clock))
        });
        let known = KnownClaims::new(records, &provider.id, settings.kind.name(), settings.max_age);
        let (provider, max_claims) = (provider.id.clone(), provider.max_claims);
        Self { provider, settings, max_claims, http, application, known, pauses: ThrottlePauses::default(), clock, metrics }
    }

    /// Sets the claims of the source `directory`. `user_token` is the access token of the identity's login.
    ///
    /// Claims that are younger than the interval are not looked up again. If a look-up fails, those of the last one count until
    /// `max_age`; without them the source is absent. If the store cannot be read, the result is an error.
    pub async fn add_claims(&self, identity: &mut IdentityClaims, user_token: Option<&AccessToken>) -> Result<(), store::Error> {
        (identity.directory, identity.directory_at) = match self.settings.kind.claims_of_token(&identity.id_token) {
            Some(claims) => (Some(claims), None),
            None => self.find_claims(identity, user_token).await?,
        };
        Ok(())
    }

    /// Returns the claims with the time of their look-up.
    async fn find_claims(
        &self,
        identity: &IdentityClaims,
        user_token: Option<&AccessToken>,
    ) -> Result<(Option<Claims>, Option<Timestamp>), store::Error> {
        let (known, unread) = match self.known.get(identity).await {
            Ok(known) => (known.filter(|known| self.check_size(identity, &known.claims).is_ok()), None),
            Err(error) => (None, Some(error)),
        };
        let age = known.as_ref().map(|known| since(known.fetched, self.clock.now()));
        if let (Some(known), true) = (&known, age.is_some_and(|age| age < self.settings.interval)) {
            self.metrics.directory_lookup(&self.provider, DirectoryOutcome::Cached);
            return Ok((Some(known.claims.clone()), Some(known.fetched)));
        }
        let now = self.clock.now();
        match self.look_up(identity, user_token).await {
            Ok(claims) => {
                self.metrics.directory_lookup(&self.provider, DirectoryOutcome::Ok);
                self.known.put(identity, &claims, now).await;
                Ok((Some(claims), Some(now)))
            }
            Err(error) => {
                let last = known.filter(|_| age.is_some_and(|age| age < self.settings.max_age)).map(|known| known.claims);
                self.report(&error, last.is_some());
                unread.map_or(Ok((last, Some(now))), Err)
            }
        }
    }

    fn report(&self, error: &DirectoryError, keeps_last_claims: bool) {
        self.metrics.directory_lookup(&self.provider, error.outcome());
        let (provider, directory, reason) = (&self.provider, self.settings.kind.name(), error.reason());
        tracing::warn!(provider, directory, reason, %error, keeps_last_claims, "directory lookup failed");
    }

    async fn look_up(&self, identity: &IdentityClaims, user_token: Option<&AccessToken>) -> Result<Claims, DirectoryError> {
        let holder = self.holder(identity);
        if let Some(remaining) = self.pauses.remaining(&holder, self.clock.monotonic()) {
            return Err(DirectoryError::Held(remaining));
        }
        let ends = self.clock.monotonic() + TIME_LIMIT;
        let requested = tokio::time::timeout(TIME_LIMIT, self.request_claims(identity, user_token, ends)).await;
        let claims = requested.unwrap_or(Err(DirectoryError::Time(TIME_LIMIT)));
        if let Err(DirectoryError::Throttled(retry_after)) = claims {
            self.pauses.pause(holder, retry_after, self.clock.monotonic());
        }
        let claims = claims?;
        self.check_size(identity, &claims).map(|()| claims)
    }

    async fn request_claims(
        &self,
        identity: &IdentityClaims,
        user_token: Option<&AccessToken>,
        ends: Instant,
    ) -> Result<Claims, DirectoryError> {
        let Some(application) = &self.application else {
            return self.request_with(identity, user_token.ok_or(DirectoryError::NoAccessToken)?, ends).await;
        };
        let token = application.get().await?;
        match self.request_with(identity, &token, ends).await {
            // The token may have been revoked before its end.
            Err(error) if error.is_unauthorized() => {
                application.discard(&token);
                self.request_with(identity, &application.get().await?, ends).await
            }
            outcome => outcome,
        }
    }

    async fn request_with(
        &self,
        identity: &IdentityClaims,
        token: &AccessToken,
        ends: Instant,
    ) -> Result<Claims, DirectoryError> {
        let listings = self.settings.kind.listings(&self.settings.api_url, identity)?;
        let mut lookup = GroupLookup::new(&self.http, &self.settings.api_url, token, self.clock.as_ref(), ends);
        for listing in &listings {
            lookup.read_all(listing).await?;
        }
        Ok(lookup.finish())
    }

    /// Returns the digest of the token's owner: the application for all users, or this user. Throttling applies to one owner.
    fn holder(&self, identity: &IdentityClaims) -> Digest {
        match self.application {
            Some(_) => Digest::of_parts(&[]),
            None => Digest::of_parts(&[&identity.issuer, &identity.subject]),
        }
    }

    /// Larger claims would fail the login.
    fn check_size(&self, identity: &IdentityClaims, directory: &Claims) -> Result<(), DirectoryError> {
        let with_directory = IdentityClaims { directory: Some(directory.clone()), ..identity.clone() };
        let (size, limit) = (claims::size(&with_directory), self.max_claims);
        if size > limit { Err(DirectoryError::ClaimsTooLarge { size, limit }) } else { Ok(()) }
    }
}

/// Returns a claim with these values.
fn list(values: impl IntoIterator<Item = String>) -> Value {
    Value::Array(values.into_iter().map(Value::String).collect())
}

#[cfg(test)]
mod tests;
