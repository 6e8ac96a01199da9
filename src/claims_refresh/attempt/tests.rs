use super::*;
use crate::{
    clock::{SystemClock, manual::ManualClock},
    config,
    json::object,
    secret::SecretCell,
    store::{RecordKind, TestStore},
    users::{
        Browser, Limits, Logout, PriorAccess, ProviderSession, RefreshPolicy, TestParts, TokenLease, TokenOwner, TokenPlace,
        VerifiedLogin,
    },
};

const DAY: Duration = Duration::from_secs(86_400);
const INTERVAL: Duration = Duration::from_secs(900);

/// A user whose session keeps a refresh token of the provider `corp`.
struct Fixture {
    store: Arc<TestStore>,
    clock: ManualClock,
    refresher: Refresher,
    user: String,
    session: Digest,
}

impl Fixture {
    async fn start() -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = Arc::new(TestStore::new(Arc::clone(&shared)));
        let parts = TestParts::over(Arc::clone(&store) as Arc<_>, Arc::clone(&shared));
        let policy = RefreshPolicy { interval: INTERVAL, max_age: DAY, token: TokenOwner::Session };
        let users = parts.users(Limits { idle: DAY, absolute: DAY, max_per_user: 2 }, DAY);
        let users = Arc::new(users.with_refreshes([("corp".to_owned(), policy)].into()));
        let completed = users.complete_login(&login(&clock)).await.expect("every user has a role");
        let providers = Arc::new(Providers::new(vec![Arc::new(provider())]));
        let refresher = Refresher::new(providers, users, shared, parts.metrics);
        let (user, session) = (completed.user.id, completed.session_token.digest());
        Self { store, clock, refresher, user, session }
    }

    async fn lease(&self) -> LeasedToken {
        let lease: TokenLease = match self.refresher.users.lease_refresh(&self.user, TokenPlace::Session(self.session)).await {
            Ok(LeaseOutcome::Acquired(lease)) => lease,
            other => panic!("the token is not leased: {other:?}"),
        };
        self.refresher.users.leased_token(&lease, &identity("")).await.unwrap().expect("it is due")
    }

    /// Stores the claims of a response which has rotated the token.
    async fn store(&self, leased: &LeasedToken) -> Result<RefreshOutcome, store::Error> {
        let token = leased.token.renewed(Some("rotated".to_owned()), self.clock.now());
        let refreshed = RefreshedIdentity { identity: identity("refreshed"), token };
        self.refresher.store_refreshed(self.refresher.providers.get("corp").unwrap(), leased, refreshed).await
    }

    async fn role(&self) -> String {
        let user = self.refresher.users.get(&self.user).await.unwrap().expect("the user exists").value;
        user.identities[0].id_token["role"].as_str().unwrap().to_owned()
    }

    async fn token(&self) -> RefreshToken {
        let session = self.refresher.users.session(&self.user, &self.session).await.unwrap().expect("the session is live");
        session.refresh_token.expect("the session keeps a token")
    }
}

fn provider() -> Provider {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let section = "{id: corp, issuer: 'https://corp.example.com', client_id: vestibule, client_secret: s3cret}";
    let loaded = config::parse(&format!("public_url: https://llm.example.com\nproviders: [{section}]"), std::iter::empty());
    let settings = loaded.unwrap_or_else(|mistakes| panic!("{mistakes}")).config.providers.remove(0);
    let secret = Some(Arc::new(SecretCell::new("s3cret")));
    let redirect_uri = "https://llm.example.com/sso/callback".to_owned();
    Provider::new(settings, secret, redirect_uri, Arc::new(SystemClock), Arc::new(Metrics::new())).unwrap()
}

fn identity(role: &str) -> IdentityClaims {
    IdentityClaims {
        provider: "corp".to_owned(),
        issuer: "https://corp.example.com".to_owned(),
        subject: "ada".to_owned(),
        id_token: object(serde_json::json!({"role": role})),
        user_claims: [("oid".to_owned(), "7".to_owned())].into(),
        ..IdentityClaims::default()
    }
}

fn login(clock: &ManualClock) -> VerifiedLogin {
    let refresh_token = Some(RefreshToken::of_login("first".to_owned(), None, clock.now()));
    let session = ProviderSession { flow: "flow".to_owned(), sid: None, requested: clock.now(), refresh_token };
    VerifiedLogin {
        identity: identity("at sign-in"),
        provider_session: Some(session),
        logout: Logout::default(),
        authenticated_at: None,
        browser: Browser::default(),
        prior_access: PriorAccess::Keep,
    }
}

#[tokio::test]
async fn of_claims_that_cannot_be_indexed_only_the_rotated_token_is_stored() {
    let fixture = Fixture::start().await;
    fixture.clock.advance(INTERVAL);
    let leased = fixture.lease().await;
    fixture.store.fail_reads(Some(RecordKind::Identity));
    assert_eq!(fixture.store(&leased).await, Ok(RefreshOutcome::Unavailable));
    let kept = fixture.token().await;
    assert_eq!((fixture.role().await.as_str(), kept.expose(), kept.failures), ("at sign-in", "rotated", 1));
    let metrics = String::from_utf8(fixture.refresher.metrics.render()).unwrap();
    assert!(metrics.contains(r#"vestibule_claims_refreshes_total{provider="corp",result="failed"} 1"#), "{metrics}");

    fixture.store.fail_reads(None);
    fixture.clock.advance(Duration::from_secs(5));
    assert_eq!(fixture.store(&fixture.lease().await).await, Ok(RefreshOutcome::Settled));
    assert_eq!((fixture.role().await.as_str(), fixture.token().await.failures), ("refreshed", 0));
}
