mod bounds;

use std::sync::Arc;

use super::*;
use crate::{
    clock::{Clock, manual::ManualClock},
    json,
    principal::CredentialKind,
    secret::OpaqueToken,
    store::{Records, TestStore},
    users::{
        Browser, DeletionExtent, Limits, LoginRefusal, Logout, PriorAccess, ProviderSession, RefreshCommit, TestParts,
        UnlinkOutcome, VerifiedLogin,
    },
};

const DAY: Duration = Duration::from_secs(86_400);
const INTERVAL: Duration = Duration::from_secs(900);

struct Fixture {
    store: Arc<TestStore>,
    records: Records,
    users: Users,
    clock: ManualClock,
}

/// A session of a sign-in.
struct TestSession {
    user: String,
    token: OpaqueToken,
}

impl Fixture {
    /// `corp` keeps tokens with sessions, `partner` with identities, and `plain` keeps none.
    fn new() -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store = Arc::new(TestStore::new(Arc::clone(&shared)));
        let parts = TestParts::over(Arc::clone(&store) as Arc<_>, shared);
        let policy = |token| RefreshPolicy { interval: INTERVAL, max_age: DAY, token };
        let policies = [("corp", TokenOwner::Session), ("partner", TokenOwner::Identity)];
        let users = parts
            .users(Limits { idle: DAY, absolute: DAY * 7, max_per_user: 2 }, DAY * 30)
            .with_refreshes(policies.map(|(provider, owner)| (provider.to_owned(), policy(owner))).into());
        Self { store, records: parts.records, users, clock }
    }

    fn token(&self, text: &str) -> RefreshToken {
        RefreshToken::of_login(text.to_owned(), Some("n".to_owned()), self.clock.now())
    }

    async fn sign_in(&self, provider: &str, token: Option<&str>) -> TestSession {
        let completed = self.users.complete_login(&self.login(provider, token)).await.expect("every user has a role");
        TestSession { user: completed.user.id, token: completed.session_token }
    }

    fn login(&self, provider: &str, token: Option<&str>) -> VerifiedLogin {
        let session = ProviderSession {
            flow: "flow".to_owned(),
            sid: None,
            requested: self.clock.now(),
            refresh_token: token.map(|token| self.token(token)),
        };
        VerifiedLogin {
            identity: identity(provider, "at sign-in"),
            provider_session: Some(session),
            logout: Logout::default(),
            authenticated_at: None,
            browser: Browser::default(),
            prior_access: PriorAccess::Keep,
        }
    }

    async fn user(&self, open: &TestSession) -> StoredRecord<User> {
        self.users.get(&open.user).await.unwrap().expect("the user exists")
    }

    async fn identity_of(&self, open: &TestSession, provider: &str) -> IdentityClaims {
        let user = self.user(open).await.value;
        user.dated_identities().into_iter().find(|identity| identity.provider == provider).expect("it is linked")
    }

    async fn find(&self, open: &TestSession, provider: &str, presented: Option<&Digest>) -> Option<TokenPlace> {
        let (user, identity) = (self.user(open).await.value, self.identity_of(open, provider).await);
        self.users.find_refresh_token(&user, &identity, presented).await.unwrap()
    }

    /// Leases the token that a refresh would use, after the interval.
    async fn lease(&self, open: &TestSession, provider: &str) -> LeasedToken {
        self.clock.advance(INTERVAL);
        let place = self.find(open, provider, Some(&open.token.digest())).await.expect("there is a token");
        let lease = self.acquire(open, place).await;
        let identity = self.identity_of(open, provider).await;
        self.users.leased_token(&lease, &identity).await.unwrap().expect("it is due")
    }

    async fn acquire(&self, open: &TestSession, place: TokenPlace) -> TokenLease {
        match self.users.lease_refresh(&open.user, place).await {
            Ok(LeaseOutcome::Acquired(lease)) => lease,
            other => panic!("the token is not leased: {other:?}"),
        }
    }

    async fn is_live(&self, open: &TestSession) -> bool {
        self.users.has_session(&open.user, &open.token.digest()).await.unwrap()
    }

    async fn stored_token(&self, open: &TestSession, place: TokenPlace) -> Option<String> {
        let record = self.users.read_token(&open.user, place).await.unwrap();
        record.and_then(|record| record.token().map(|token| token.expose().to_owned()))
    }

    /// Ends the session with the last token, which the next use of the claims detects.
    async fn end_and_forget(&self, open: &TestSession, provider: &str) {
        self.users.end_session(&open.user, &open.token.digest()).await.unwrap();
        assert_eq!(self.find(open, provider, None).await, None);
        let known = self.identity_of(open, provider).await;
        self.users.forget_refresh(&self.user(open).await, &known).await.unwrap();
    }

    /// The claims of the user grant nothing to any credential.
    async fn assert_overdue(&self, open: &TestSession) {
        let user = self.user(open).await.value;
        for credential in [CredentialKind::Session, CredentialKind::ApiKey] {
            assert!(self.users.claims_for(&user, credential).identities.is_empty(), "{credential:?}");
        }
    }

    async fn has_lease(&self, leased: &LeasedToken) -> bool {
        self.records.get::<RefreshLease>(&leased.lease.key()).await.unwrap().is_some()
    }
}

fn identity(provider: &str, role: &str) -> IdentityClaims {
    IdentityClaims {
        provider: provider.to_owned(),
        issuer: format!("https://{provider}.example.com"),
        subject: "ada".to_owned(),
        id_token: json::object(serde_json::json!({"role": role})),
        ..IdentityClaims::default()
    }
}

fn of_session(open: &TestSession) -> TokenPlace {
    TokenPlace::Session(open.token.digest())
}

fn of_identity(provider: &str) -> TokenPlace {
    TokenPlace::Identity(Identity::digest(&format!("https://{provider}.example.com"), "ada"))
}

#[tokio::test]
async fn the_presented_session_comes_first_and_any_other_serves() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.sign_in("corp", Some("t-1")).await, fixture.sign_in("corp", Some("t-2")).await);
    assert_eq!(fixture.find(&one, "corp", Some(&one.token.digest())).await, Some(of_session(&one)));
    assert_eq!(fixture.find(&one, "corp", Some(&other.token.digest())).await, Some(of_session(&other)));
    fixture.users.end_session(&one.user, &one.token.digest()).await.unwrap();
    assert_eq!(fixture.find(&one, "corp", Some(&one.token.digest())).await, Some(of_session(&other)));
    assert_eq!(fixture.find(&one, "corp", None).await, Some(of_session(&other)));
    fixture.users.end_session(&one.user, &other.token.digest()).await.unwrap();
    assert_eq!(fixture.find(&one, "corp", None).await, None);
    let known = fixture.identity_of(&one, "corp").await;
    fixture.users.forget_refresh(&fixture.user(&one).await, &known).await.unwrap();
    let known = fixture.identity_of(&one, "corp").await;
    assert!(!known.is_refreshable && !fixture.users.is_refresh_due(&known));
    assert_eq!(fixture.users.max_age().of(CredentialKind::ApiKey, &known), DAY * 30, "the maximum age of keys applies again");
}

#[tokio::test]
async fn the_refused_sign_in_of_a_disabled_user_keeps_no_token() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("partner", Some("t-1")).await;
    fixture.users.disable::<store::Error>(&open.user, |_| Ok(())).await.unwrap();
    let refused = fixture.users.complete_login(&fixture.login("partner", Some("t-2"))).await;
    assert!(matches!(refused, Err(LoginRefusal::Disabled)));
    assert_eq!(fixture.stored_token(&open, of_identity("partner")).await, None);
    assert!(!fixture.identity_of(&open, "partner").await.is_refreshable);
}

#[tokio::test]
async fn claims_with_the_user_claim_of_another_user_are_not_indexed() {
    let fixture = Fixture::new();
    let user_claims = |subject: &str| IdentityClaims {
        subject: subject.to_owned(),
        user_claims: [("oid".to_owned(), "7".to_owned())].into(),
        ..identity("corp", "refreshed")
    };
    let bob = VerifiedLogin { identity: user_claims("bob"), ..fixture.login("corp", None) };
    let owner = fixture.users.complete_login(&bob).await.unwrap().user.id;
    let open = fixture.sign_in("corp", Some("old")).await;
    let leased = fixture.lease(&open, "corp").await;
    assert_eq!(fixture.users.index_refresh(&leased, &user_claims("ada")).await, Ok(Some(owner)));
    assert_eq!(fixture.users.index_refresh(&leased, &identity("corp", "refreshed")).await, Ok(None));
}

#[tokio::test]
async fn a_late_outcome_leaves_the_lease_of_another_pod() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("partner", Some("t-1")).await;
    for outcome in ["failed", "refreshed"] {
        let leased = fixture.lease(&open, "partner").await;
        fixture.clock.advance(LEASE);
        fixture.acquire(&open, leased.lease.place).await;
        fixture.users.release_refresh(&leased.lease).await.unwrap();
        let rotated = Some(outcome.to_owned());
        match outcome {
            "failed" => fixture.users.pause_refresh(&leased, &leased.token.failed(rotated)).await.unwrap(),
            _ => {
                let next = leased.token.renewed(rotated, fixture.clock.now());
                let committed = fixture.users.complete_refresh(&leased, &identity("partner", "late"), &next).await;
                assert_eq!(committed, Ok(RefreshCommit::Committed));
            }
        }
        assert_eq!(fixture.stored_token(&open, leased.lease.place).await.as_deref(), Some(outcome), "the rotated token is kept");
        assert_eq!(fixture.users.lease_refresh(&open.user, leased.lease.place).await, Ok(LeaseOutcome::Held), "{outcome}");
        fixture.clock.advance(LEASE);
    }
}

#[tokio::test]
async fn a_late_answer_replaces_no_later_claims() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("corp", Some("old")).await;
    let leased = fixture.lease(&open, "corp").await;
    fixture.clock.advance(Duration::from_secs(1));
    fixture.sign_in("corp", None).await;
    let signed_in = fixture.identity_of(&open, "corp").await;
    fixture.clock.advance(Duration::from_secs(9));
    let next = leased.token.renewed(Some("new".to_owned()), fixture.clock.now());
    let committed = fixture.users.complete_refresh(&leased, &identity("corp", "before the sign-in"), &next).await;
    assert_eq!(committed, Ok(RefreshCommit::Committed));
    assert!(fixture.identity_of(&open, "corp").await == signed_in);
    assert_eq!(fixture.stored_token(&open, leased.lease.place).await.as_deref(), Some("new"));
}

#[tokio::test]
async fn refreshed_claims_are_as_old_as_the_request_for_them() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("corp", Some("old")).await;
    let leased = fixture.lease(&open, "corp").await;
    fixture.clock.advance(Duration::from_secs(30));
    let next = leased.token.renewed(None, fixture.clock.now());
    let committed = fixture.users.complete_refresh(&leased, &identity("corp", "refreshed"), &next).await;
    assert_eq!(committed, Ok(RefreshCommit::Committed));
    let verified_at = fixture.identity_of(&open, "corp").await.verified_at.unwrap();
    assert_eq!(verified_at.as_second(), leased.began.as_second());
}

#[tokio::test]
async fn a_token_ends_with_the_session_in_every_way() {
    let fixture = Fixture::new();
    let oldest = fixture.sign_in("corp", Some("t-1")).await;
    fixture.clock.advance(Duration::from_secs(1));
    let _ = (fixture.sign_in("corp", Some("t-2")).await, fixture.sign_in("corp", Some("t-3")).await);
    assert_eq!(fixture.stored_token(&oldest, of_session(&oldest)).await, None, "the limit of sessions");
    let disabled = fixture.sign_in("corp", Some("t-4")).await;
    fixture.users.disable::<store::Error>(&disabled.user, |_| Ok(())).await.unwrap();
    assert_eq!(fixture.stored_token(&disabled, of_session(&disabled)).await, None);
}

#[tokio::test]
async fn a_provider_without_refreshes_keeps_no_token() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("plain", Some("t-1")).await;
    assert_eq!(fixture.stored_token(&open, of_session(&open)).await, None);
    assert!(!fixture.identity_of(&open, "plain").await.is_refreshable);
    let open = fixture.sign_in("corp", None).await;
    assert!(!fixture.identity_of(&open, "corp").await.is_refreshable, "the provider issued none");
}

#[tokio::test]
async fn one_lease_at_a_time_ends_with_its_pod() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("partner", Some("t-1")).await;
    let leased = fixture.lease(&open, "partner").await;
    assert_eq!(fixture.users.lease_refresh(&open.user, leased.lease.place).await, Ok(LeaseOutcome::Held));
    fixture.clock.advance(LEASE);
    let other = fixture.acquire(&open, leased.lease.place).await;
    fixture.users.release_refresh(&leased.lease).await.unwrap();
    assert_eq!(
        fixture.users.lease_refresh(&open.user, leased.lease.place).await,
        Ok(LeaseOutcome::Held),
        "it belongs to another pod"
    );
    fixture.users.release_refresh(&other).await.unwrap();
    fixture.acquire(&open, leased.lease.place).await;
}

#[tokio::test]
async fn the_rotated_token_and_the_claims_are_stored_together() {
    let fixture = Fixture::new();
    for (provider, place) in [("corp", None), ("partner", Some(of_identity("partner")))] {
        let open = fixture.sign_in(provider, Some("old")).await;
        let place = place.unwrap_or_else(|| of_session(&open));
        let leased = fixture.lease(&open, provider).await;
        assert_eq!((leased.lease.place, leased.token.expose(), leased.token.nonce.as_deref()), (place, "old", Some("n")));
        let next = leased.token.renewed(Some("new".to_owned()), fixture.clock.now());
        let committed = fixture.users.complete_refresh(&leased, &identity(provider, "refreshed"), &next).await;
        assert_eq!(committed, Ok(RefreshCommit::Committed));
        let known = fixture.identity_of(&open, provider).await;
        assert_eq!(known.id_token["role"], "refreshed".into());
        assert!(known.is_refreshable && !fixture.users.is_refresh_due(&known));
        assert_eq!(fixture.stored_token(&open, place).await.as_deref(), Some("new"));
        assert!(!fixture.has_lease(&leased).await);
        // A pod that looked for the token before the commit finds that there is nothing to do.
        let lease = fixture.acquire(&open, place).await;
        assert!(fixture.users.leased_token(&lease, &known).await.unwrap().is_none());
    }
}

/// A failover must neither end a lease nor bring back a token that the provider has rotated.
#[tokio::test]
async fn the_lease_and_each_stored_token_wait_for_a_replica() {
    let fixture = Fixture::new();
    for (provider, keeps_token) in [("corp", RecordKind::Session), ("partner", RecordKind::RefreshToken)] {
        let open = fixture.sign_in(provider, Some("old")).await;
        fixture.store.take_replicated();
        let leased = fixture.lease(&open, provider).await;
        assert_eq!(fixture.store.take_replicated(), [RecordKind::RefreshLease], "{provider}");
        fixture.users.pause_refresh(&leased, &leased.token.failed(Some("rotated".to_owned()))).await.unwrap();
        assert_eq!(fixture.store.take_replicated(), [RecordKind::User, keeps_token, RecordKind::RefreshLease], "{provider}");
        let leased = fixture.lease(&open, provider).await;
        fixture.store.take_replicated();
        let next = leased.token.renewed(Some("new".to_owned()), fixture.clock.now());
        fixture.users.complete_refresh(&leased, &identity(provider, "refreshed"), &next).await.unwrap();
        assert_eq!(fixture.store.take_replicated(), [RecordKind::User, keeps_token], "{provider}");
    }
}

#[tokio::test]
async fn the_outcome_of_a_token_that_was_replaced_is_discarded() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("partner", Some("old")).await;
    let leased = fixture.lease(&open, "partner").await;
    let again = fixture.sign_in("partner", Some("newer")).await;
    let next = leased.token.renewed(Some("rotated".to_owned()), fixture.clock.now());
    let committed = fixture.users.complete_refresh(&leased, &identity("partner", "late"), &next).await;
    assert_eq!(committed, Ok(RefreshCommit::Superseded));
    assert!(!fixture.has_lease(&leased).await, "the newer token can be used");
    assert_eq!(fixture.users.refuse_refresh(&leased).await, Ok(RefreshCommit::Superseded));
    assert_eq!(fixture.stored_token(&again, leased.lease.place).await.as_deref(), Some("newer"));
    assert_eq!(fixture.identity_of(&open, "partner").await.id_token["role"], "at sign-in".into());
    assert!(fixture.is_live(&again).await);

    let open = fixture.sign_in("corp", Some("old")).await;
    let leased = fixture.lease(&open, "corp").await;
    fixture.users.end_session(&open.user, &open.token.digest()).await.unwrap();
    let committed = fixture.users.complete_refresh(&leased, &identity("corp", "late"), &next).await;
    assert_eq!(committed, Ok(RefreshCommit::Superseded));
    assert!(!fixture.is_live(&open).await, "a refresh restores no session");
}

#[tokio::test]
async fn a_refused_token_ends_its_session_and_no_other() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.sign_in("corp", Some("t-1")).await, fixture.sign_in("corp", Some("t-2")).await);
    let leased = fixture.lease(&one, "corp").await;
    assert_eq!(fixture.users.refuse_refresh(&leased).await, Ok(RefreshCommit::Committed));
    assert_eq!((fixture.is_live(&one).await, fixture.is_live(&other).await), (false, true));
    assert!(fixture.identity_of(&one, "corp").await.is_refreshable && !fixture.has_lease(&leased).await);
}

#[tokio::test]
async fn a_refused_offline_token_suspends_the_identity_until_the_next_sign_in() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.sign_in("partner", Some("t-1")).await, fixture.sign_in("partner", Some("t-2")).await);
    let leased = fixture.lease(&one, "partner").await;
    assert_eq!(fixture.users.refuse_refresh(&leased).await, Ok(RefreshCommit::Committed));
    assert_eq!((fixture.is_live(&one).await, fixture.is_live(&other).await), (false, false));
    assert_eq!(fixture.stored_token(&one, leased.lease.place).await, None);
    let suspended = fixture.user(&one).await.value;
    assert!(fixture.users.claims_for(&suspended, CredentialKind::ApiKey).identities.is_empty());
    let again = fixture.sign_in("partner", None).await;
    let known = fixture.user(&again).await.value;
    assert_eq!(fixture.users.claims_for(&known, CredentialKind::ApiKey).identities.len(), 1);
}

#[tokio::test]
async fn after_a_failure_every_pod_waits_and_the_rotated_token_is_kept() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("corp", Some("t-1")).await;
    let mut leased = fixture.lease(&open, "corp").await;
    for (attempt, pause) in (1..).zip([5, 10, 15, 30, 30]) {
        let next = leased.token.failed((attempt == 2).then(|| "rotated".to_owned()));
        fixture.users.pause_refresh(&leased, &next).await.unwrap();
        fixture.clock.advance(Duration::from_secs(pause) - Duration::from_millis(1));
        assert_eq!(fixture.users.lease_refresh(&open.user, leased.lease.place).await, Ok(LeaseOutcome::Paused), "{pause} s");
        fixture.clock.advance(Duration::from_millis(1));
        let lease = fixture.acquire(&open, leased.lease.place).await;
        leased = fixture.users.leased_token(&lease, &leased.identity).await.unwrap().expect("it is due");
        assert_eq!((leased.token.failures, leased.token.expose() == "rotated"), (attempt, attempt >= 2));
    }
    assert!(fixture.is_live(&open).await);
}

#[tokio::test]
async fn an_offline_token_ends_with_its_identity() {
    let fixture = Fixture::new();
    for removal in ["unlink", "disable", "delete"] {
        let open = fixture.sign_in("corp", Some("t")).await;
        let linked = identity("partner", "linked");
        let token = fixture.token("offline");
        fixture.users.link(&open.user, &linked, Some(&token)).await.unwrap();
        let place = of_identity("partner");
        assert_eq!(fixture.stored_token(&open, place).await.as_deref(), Some("offline"), "{removal}");
        match removal {
            "unlink" => {
                let pair = (linked.issuer.as_str(), linked.subject.as_str());
                let unlinked = fixture.users.unlink(&open.user, pair, None, |change| change).await.unwrap();
                assert_eq!(unlinked, UnlinkOutcome::Unlinked);
            }
            "disable" => {
                fixture.users.disable::<store::Error>(&open.user, |_| Ok(())).await.unwrap();
                fixture.users.enable::<store::Error>(&open.user, |_| Ok(())).await.unwrap();
            }
            _ => drop(
                fixture.users.delete::<store::Error>(&open.user, DeletionExtent::Complete, |_, change| Ok(change)).await.unwrap(),
            ),
        }
        assert_eq!(fixture.stored_token(&open, place).await, None, "{removal}");
    }
}
