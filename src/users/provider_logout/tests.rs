use super::*;
use crate::{
    clock::{Clock, manual::ManualClock},
    principal::{IdentityClaims, LOCAL},
    secret::OpaqueToken,
    store::Records,
    users::{Browser, Limits, LoginRefusal, Logout, PriorAccess, TestParts},
};

const ISSUER: &str = "https://idp.example.com";
const CORP: SessionProvider<'_> = SessionProvider { id: "corp", issuer: ISSUER };
const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    records: Records,
    users: Users,
    clock: ManualClock,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::new();
        let parts = TestParts::new(clock.clone());
        let users = parts.users(Limits { idle: DAY, absolute: DAY, max_per_user: 500 }, DAY);
        Self { records: parts.records, users, clock }
    }

    fn login(&self, provider: &str, subject: &str, sid: Option<&str>) -> VerifiedLogin {
        let sid = sid.map(str::to_owned);
        VerifiedLogin {
            identity: identity(provider, subject),
            provider_session: (provider != LOCAL).then(|| ProviderSession {
                refresh_token: None,
                flow: "flow".to_owned(),
                sid,
                requested: self.clock.now(),
            }),
            logout: Logout::default(),
            authenticated_at: None,
            browser: Browser::default(),
            prior_access: PriorAccess::Keep,
        }
    }

    async fn sign_in(&self, provider: &str, subject: &str, sid: Option<&str>) -> OpenSession {
        let completed = self.users.complete_login(&self.login(provider, subject, sid)).await.expect("every user has a role");
        OpenSession { user: completed.user.id, token: completed.session_token }
    }

    async fn end(&self, target: &LogoutTarget) -> usize {
        self.clock.advance(Duration::from_secs(1));
        self.users.end_provider_sessions(CORP, target).await.expect("the store answers")
    }

    async fn is_live(&self, session: &OpenSession) -> bool {
        self.users.has_session(&session.user, &session.token.digest()).await.expect("the store answers")
    }

    /// Changes the record of a session to what an earlier version wrote.
    async fn forget(&self, open: &OpenSession, forget: impl Fn(&mut Session)) {
        let key = Session::key(shard_of(&open.user), &open.token.digest());
        let mut session = self.records.get::<Session>(&key).await.unwrap().expect("it is open").value;
        forget(&mut session);
        let written = self.records.change(key.shard).put(&key, &session, Ttl::For(DAY)).commit().await.unwrap();
        assert!(written.is_ok());
    }
}

struct OpenSession {
    user: String,
    token: OpaqueToken,
}

fn identity(provider: &str, subject: &str) -> IdentityClaims {
    IdentityClaims {
        provider: provider.to_owned(),
        issuer: if provider == "corp" { ISSUER.to_owned() } else { format!("https://{provider}.example.com") },
        subject: subject.to_owned(),
        ..IdentityClaims::default()
    }
}

fn subject(subject: &str) -> LogoutTarget {
    LogoutTarget::Subject(subject.to_owned())
}

fn session(sid: &str, subject: Option<&str>) -> LogoutTarget {
    LogoutTarget::Session { sid: sid.to_owned(), subject: subject.map(str::to_owned) }
}

#[tokio::test]
async fn a_logout_ends_the_sessions_that_it_names_and_no_other() {
    for (target, expected) in [
        (session("s1", None), [false, true, true]),
        (session("s1", Some("ada")), [false, true, true]),
        (session("s1", Some("bea")), [true, true, true]),
        (session("s3", Some("ada")), [true, true, true]),
        (subject("ada"), [false, false, true]),
        (subject("eve"), [true, true, true]),
    ] {
        let fixture = Fixture::new();
        let sessions = [
            fixture.sign_in("corp", "ada", Some("s1")).await,
            fixture.sign_in("corp", "ada", Some("s2")).await,
            fixture.sign_in("corp", "bea", Some("s3")).await,
        ];
        let ended = fixture.end(&target).await;
        assert_eq!(ended, expected.iter().filter(|live| !**live).count(), "{target:?}");
        for (open, expected) in sessions.iter().zip(expected) {
            assert_eq!(fixture.is_live(open).await, expected, "{target:?}");
        }
        assert_eq!(fixture.end(&target).await, 0, "a repeated logout ends nothing: {target:?}");
    }
}

#[tokio::test]
async fn sessions_of_another_provider_or_a_password_stay() {
    let fixture = Fixture::new();
    let corp = fixture.sign_in("corp", "ada", Some("s1")).await;
    let linked = fixture.users.link(&corp.user, &identity("partner", "ada"), None).await.expect("the store answers");
    assert!(matches!(linked, crate::users::LinkOutcome::Linked));
    let partner = fixture.sign_in("partner", "ada", Some("s1")).await;
    let password = fixture.sign_in(LOCAL, "ada", None).await;
    assert_eq!(partner.user, corp.user);
    assert_eq!(fixture.end(&session("s1", None)).await, 1);
    assert!(fixture.is_live(&partner).await && fixture.is_live(&password).await && !fixture.is_live(&corp).await);
    assert_eq!(fixture.end(&subject("ada")).await, 0);
    assert!(fixture.is_live(&partner).await);
}

#[tokio::test]
async fn a_session_without_its_sid_or_subject_ends_with_its_user() {
    let fixture = Fixture::new();
    // Some providers state `sid` only in logout tokens.
    let without_sid = fixture.sign_in("corp", "ada", None).await;
    assert_eq!(fixture.end(&session("s1", Some("ada"))).await, 1);
    assert!(!fixture.is_live(&without_sid).await);

    let of_earlier_version = fixture.sign_in("corp", "ada", Some("s2")).await;
    fixture.forget(&of_earlier_version, |session| session.subject = None).await;
    assert_eq!(fixture.end(&session("s3", Some("ada"))).await, 0);
    assert_eq!(fixture.end(&session("s2", Some("ada"))).await, 1);
    assert!(!fixture.is_live(&of_earlier_version).await);
}

#[tokio::test]
async fn more_sessions_than_one_batch_end() {
    let fixture = Fixture::new();
    let mut open = Vec::new();
    for _ in 0..=2 * BATCH {
        open.push(fixture.sign_in("corp", "ada", Some("s1")).await);
    }
    assert_eq!(fixture.end(&session("s1", None)).await, 2 * BATCH + 1);
    assert!(!fixture.is_live(&open[0]).await && !fixture.is_live(&open[2 * BATCH]).await);
    let index = index_of_provider_session("corp", "s1");
    assert_eq!(fixture.records.store().list(&index, None, 10).await.unwrap(), [open[0].user.as_str()], "one entry for each user");
}

#[tokio::test]
async fn the_index_expires_with_the_last_session_that_it_can_lead_to() {
    let fixture = Fixture::new();
    let open = fixture.sign_in("corp", "ada", Some("s1")).await;
    fixture.clock.advance(DAY / 2);
    fixture.sign_in("corp", "ada", Some("s1")).await;
    let index = index_of_provider_session("corp", "s1");
    let listed = async || fixture.records.store().list(&index, None, 10).await.unwrap();
    fixture.clock.advance(DAY / 2);
    assert_eq!(listed().await, [open.user.as_str()]);
    fixture.clock.advance(DAY / 2);
    assert!(listed().await.is_empty());
}

#[tokio::test]
async fn a_login_whose_tokens_were_requested_before_the_logout_opens_no_session() {
    for (sid, target) in [
        (Some("s1"), session("s1", None)),
        (Some("s1"), session("s1", Some("ada"))),
        (None, subject("ada")),
        (Some("s1"), subject("ada")),
    ] {
        let fixture = Fixture::new();
        let in_progress = fixture.login("corp", "ada", sid);
        let (other_session, other_user) = (fixture.login("corp", "ada", Some("s2")), fixture.login("corp", "bea", Some("s3")));
        assert_eq!(fixture.end(&target).await, 0);
        let refused = fixture.users.complete_login(&in_progress).await.err();
        assert!(matches!(refused, Some(LoginRefusal::EndedAtProvider)), "{target:?}: {refused:?}");
        let user = fixture.users.find(ISSUER, "ada").await.unwrap().expect("the claims were written");
        assert!(fixture.users.sessions(&user).await.unwrap().is_empty(), "{target:?}");
        assert!(fixture.users.complete_login(&other_user).await.is_ok());
        assert_eq!(fixture.users.complete_login(&other_session).await.is_ok(), target.sid().is_some(), "{target:?}");
        fixture.clock.advance(Duration::from_millis(1));
        let next = fixture.sign_in("corp", "ada", sid).await;
        assert!(fixture.is_live(&next).await, "a sign-in after the logout counts: {target:?}");
    }
}

#[tokio::test]
async fn a_logout_token_is_recorded_once_for_its_issuer_until_it_has_expired() {
    let fixture = Fixture::new();
    let minute = Duration::from_secs(60);
    let record = async |issuer: &str, jti: &str| fixture.users.record_logout_token(issuer, jti, minute).await.unwrap();
    assert!(!fixture.users.is_recorded_logout_token(ISSUER, "j").await.unwrap());
    let concurrent = futures::future::join_all((0..20).map(|_| record(ISSUER, "j"))).await;
    assert_eq!(concurrent.into_iter().filter(|recorded| *recorded).count(), 1);
    assert!(fixture.users.is_recorded_logout_token(ISSUER, "j").await.unwrap());
    assert!(record("https://other.example.com", "j").await, "another issuer's token");
    assert!(record(ISSUER, "k").await);
    fixture.clock.advance(minute);
    assert!(!fixture.users.is_recorded_logout_token(ISSUER, "j").await.unwrap(), "its record does not stay");
}
