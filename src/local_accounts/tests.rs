//! Local accounts on the memory store: invitations, acceptance, logins with a password, and limits on guessing.

mod normal_form;

use rstest::rstest;
use zeroize::Zeroizing;

use super::*;
use crate::{
    api_keys::{self, KeyParameters},
    clock::manual::ManualClock,
    principal::{LOCAL, Role, Team},
    role_map::{ConfiguredNames, RoleMaps},
    secret::Digest,
    store::{self, MemoryStore, Store},
    users::{Administrator, Browser, DeletionExtent, Limits, LoginRefusal, Policy, User, Users},
};

const DAY: Duration = Duration::from_secs(86_400);
const PASSWORD: &str = "violin-otter-97-gravel";
const ANOTHER: &str = "marble-lantern-52-swift";
const ADA: &str = "ada@example.com";

struct Fixture {
    accounts: Accounts,
    clock: ManualClock,
    ring: Arc<KeyRing>,
}

fn text(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.to_owned())
}

fn wanted(email: &str, role: &str) -> InvitationParameters {
    InvitationParameters { email: email.into(), role: Role::new(role), teams: vec![Team::new("research")], lifetime: None }
}

fn unknown_browser() -> Origin<'static> {
    Origin { device: None, address: None }
}

fn cost(memory_kib: u32) -> Cost {
    Cost { memory_kib, iterations: 1, parallelism: 1 }
}

fn on_store(store: Arc<dyn Store>, clock: &ManualClock, ring: &Arc<KeyRing>, cost: Cost) -> Accounts {
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let metrics = Arc::new(Metrics::new());
    let records = Records::new(store, Arc::clone(ring), "");
    let limits = Limits { idle: 30 * DAY, absolute: 30 * DAY, max_per_user: 100 };
    let role_maps = RoleMaps::new(None, ConfiguredNames::default(), Arc::clone(&shared), Arc::clone(&metrics)).unwrap();
    let role_maps = Arc::new(role_maps);
    let users = Users::new(records.clone(), Arc::clone(&role_maps), limits, 30 * DAY, Arc::clone(&shared), Arc::clone(&metrics));
    let settings = api_keys::KeySettings {
        max_per_user: 5,
        default_duration: DAY,
        max_duration: 30 * DAY,
        overlap_max: DAY,
        claims_max_age: 30 * DAY,
        sign_in_within: DAY,
    };
    let policy = Arc::new(Policy::new(role_maps, vec![Role::new("proxy_admin"), Role::new("org_admin")]));
    let keys = Keys::new(records.clone(), Arc::clone(&policy), settings, Arc::clone(&shared), Arc::clone(&metrics));
    let settings = LocalAccountSettings {
        passwords: PasswordRules { min_length: 12 },
        cost,
        hashes_at_once: 4,
        invitation_duration: 7 * DAY,
    };
    let services = AccountServices { records, users: Arc::new(users), keys: Arc::new(keys), policy };
    Accounts::new(services, settings, "https://llm.example.com".into(), shared, metrics).unwrap()
}

impl Fixture {
    fn new() -> Self {
        Self::with(cost(64))
    }

    fn with(cost: Cost) -> Self {
        let clock = ManualClock::new();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let ring = Arc::new(KeyRing::ephemeral(Arc::clone(&shared)));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(shared));
        Self { accounts: on_store(store, &clock, &ring, cost), clock, ring }
    }

    async fn invite(&self, email: &str, role: &str) -> InvitationWithLink {
        self.accounts.invite(Inviter::Operator, &wanted(email, role)).await.unwrap()
    }

    async fn accept(&self, created: &InvitationWithLink, password: &str) -> Result<Acceptance, AcceptanceError> {
        let link = created.link.expose();
        let token = self.accounts.onboarding_token(&link).await?.token;
        self.accounts.accept(request(&token, &link, &created.invitation.user, password)).await
    }

    async fn open(&self, created: &InvitationWithLink) -> bool {
        self.accounts.onboarding_token(&created.link.expose()).await.is_ok()
    }

    async fn account(&self, email: &str, role: &str) -> String {
        let created = self.invite(email, role).await;
        self.accept(&created, PASSWORD).await.unwrap().login.user.id
    }

    async fn log_in(&self, email: &str, password: &str) -> Result<PasswordLogin, PasswordLoginError> {
        self.accounts
            .log_in(PasswordLoginRequest {
                email,
                password: text(password),
                origin: unknown_browser(),
                browser: Browser::default(),
            })
            .await
    }

    async fn delete(&self, user: &str, account_records: &LocalAccountRecords) {
        let deleted = self
            .accounts
            .users
            .delete(user, DeletionExtent::Complete, |_, change| Ok::<_, store::Error>(account_records.remove_from(change)));
        deleted.await.unwrap().unwrap();
    }

    async fn has_session(&self, user: &str, handle: &Digest) -> bool {
        self.accounts.users.has_session(user, handle).await.unwrap()
    }
}

fn allow(_: &User) -> Result<(), store::Error> {
    Ok(())
}

fn request<'a>(token: &'a str, link: &'a str, user: &'a str, password: &str) -> AcceptanceRequest<'a> {
    AcceptanceRequest { token, link, user, password: text(password), key: None, browser: Browser::default() }
}

#[tokio::test]
async fn an_invited_user_sets_a_password_and_has_the_grant_of_the_invitation() {
    let fixture = Fixture::new();
    let created = fixture.invite("Ada@Example.com", "internal_user").await;
    assert!(
        created
            .address(&crate::origin::PublicUrl::parse("https://llm.example.com").unwrap())
            .contains("/onboarding?invite_link=")
    );
    let accepted = fixture.accept(&created, PASSWORD).await.unwrap();
    assert_eq!((accepted.email.as_str(), accepted.key.is_none()), (ADA, true));
    let grant = &accepted.login.grant;
    assert_eq!(
        (grant.role.as_ref().unwrap().as_str(), grant.rule.as_ref().unwrap().as_str()),
        ("internal_user", "local.user_role")
    );
    assert_eq!(grant.teams, [Team::new("research")]);
    let signed_in = fixture.log_in(" ADA@example.com ", PASSWORD).await.unwrap();
    assert_eq!(signed_in.login.user.id, created.invitation.user);
    assert_ne!(signed_in.login.session_token.digest(), accepted.login.session_token.digest());
}

#[tokio::test]
async fn opening_a_link_changes_nothing_and_accepting_uses_it_up() {
    let fixture = Fixture::new();
    let created = fixture.invite(ADA, "internal_user").await;
    for _ in 0..3 {
        fixture.accounts.onboarding_token(&created.link.expose()).await.unwrap();
    }
    assert!(fixture.accounts.users.get(&created.invitation.user).await.unwrap().is_none(), "no user before acceptance");
    fixture.accept(&created, PASSWORD).await.unwrap();
    assert!(matches!(fixture.accept(&created, ANOTHER).await, Err(AcceptanceError::Invalid(_))));
    fixture.log_in(ADA, PASSWORD).await.unwrap();
    let listed = fixture.accounts.invitations(None, 10).await.unwrap().invitations;
    assert_eq!(fixture.accounts.status(&listed[0]), InvitationStatus::Accepted);
}

#[tokio::test]
async fn one_of_many_concurrent_acceptances_succeeds() {
    let fixture = Fixture::new();
    let created = fixture.invite(ADA, "internal_user").await;
    let link = created.link.expose();
    let token = fixture.accounts.onboarding_token(&link).await.unwrap().token;
    let claims = (0..60).map(|number| {
        let password = format!("{PASSWORD}-{number}");
        let fixture = &fixture;
        let (token, link, user) = (&token, &link, &created.invitation.user);
        async move { fixture.accounts.accept(request(token, link, user, &password)).await.ok().map(|_| password) }
    });
    let won: Vec<String> = futures::future::join_all(claims).await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1);
    fixture.log_in(ADA, &won[0]).await.unwrap();
}

#[tokio::test]
async fn every_invalid_acceptance_has_the_same_error() {
    let fixture = Fixture::new();
    let (ada, bob) = (fixture.invite(ADA, "internal_user").await, fixture.invite("bob@example.com", "team").await);
    let (link, other_link) = (ada.link.expose(), bob.link.expose());
    let token = fixture.accounts.onboarding_token(&link).await.unwrap().token;
    let other_token = fixture.accounts.onboarding_token(&other_link).await.unwrap().token;
    let (user, other_user) = (ada.invitation.user.as_str(), bob.invitation.user.as_str());
    let id_alone = ada.invitation.id.to_string();
    for (token, link, user) in [
        (other_token.as_str(), link.as_str(), user),
        (&token, &other_link, user),
        (&token, &link, other_user),
        (&other_token, &other_link, user),
        (&token, &id_alone, user),
        (&token, "", user),
        ("", &link, user),
        ("sk-1", &link, user),
    ] {
        let failed = fixture.accounts.accept(request(token, link, user, PASSWORD)).await;
        assert!(matches!(failed, Err(AcceptanceError::Invalid(_))), "{token} {link} {user}");
    }
    fixture.clock.advance(Duration::from_secs(901));
    let late = fixture.accounts.accept(request(&token, &link, user, PASSWORD)).await;
    assert!(matches!(late, Err(AcceptanceError::Invalid(_))), "the token has expired");
    let role = Role::new("proxy_admin");
    fixture.accounts.revoke(bob.invitation.id, Administrator { user: "u-1", role: &role }).await.unwrap();
    assert!(matches!(fixture.accept(&bob, PASSWORD).await, Err(AcceptanceError::Invalid(_))), "it was revoked");
    fixture.clock.advance(7 * DAY);
    assert!(matches!(fixture.accept(&ada, PASSWORD).await, Err(AcceptanceError::Invalid(_))), "the invitation has expired");
    let listed = fixture.accounts.invitations(None, 10).await.unwrap().invitations;
    assert_eq!(listed.iter().map(|one| fixture.accounts.status(one)).collect::<Vec<_>>(), [InvitationStatus::Expired]);
}

#[tokio::test]
async fn a_weak_password_does_not_use_up_the_invitation() {
    let fixture = Fixture::new();
    let created = fixture.invite(ADA, "internal_user").await;
    for weak in ["short", "password1234", ADA] {
        assert!(matches!(fixture.accept(&created, weak).await, Err(AcceptanceError::Password(_))), "{weak}");
    }
    fixture.accept(&created, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_key_is_created_only_on_request_and_with_the_acceptance() {
    let fixture = Fixture::new();
    let created = fixture.invite(ADA, "internal_user").await;
    let link = created.link.expose();
    let token = fixture.accounts.onboarding_token(&link).await.unwrap().token;
    let wish = KeyParameters { alias: Some("first".into()), ..KeyParameters::default() };
    let user = &created.invitation.user;
    let accepted =
        fixture.accounts.accept(AcceptanceRequest { key: Some(wish), ..request(&token, &link, user, PASSWORD) }).await.unwrap();
    let key = accepted.key.unwrap().key;
    assert_eq!((key.user.as_str(), key.generation), (user.as_str(), accepted.login.user.key_generation));
    let role = accepted.login.grant.role.unwrap();
    let manager = api_keys::Manager { user, role: Some(&role), by: api_keys::ManagerCredential::Session };
    let listed = fixture.accounts.keys.list(&manager, None, None, 10).await.unwrap().keys;
    assert_eq!(listed.iter().map(|key| key.id).collect::<Vec<_>>(), [key.id]);
}

#[tokio::test]
async fn a_new_invitation_resets_the_password_the_role_and_every_session() {
    let fixture = Fixture::new();
    let user = fixture.account(ADA, "proxy_admin").await;
    let before = fixture.log_in(ADA, PASSWORD).await.unwrap().login.session_token.digest();
    let created = fixture.invite(ADA, "team").await;
    assert_eq!(created.invitation.user, user);
    assert!(fixture.has_session(&user, &before).await, "sessions stay until the invitation is accepted");
    fixture.log_in(ADA, PASSWORD).await.unwrap();
    let accepted = fixture.accept(&created, ANOTHER).await.unwrap();
    assert_eq!(accepted.login.grant.role.unwrap().as_str(), "team");
    assert!(!fixture.has_session(&user, &before).await);
    assert!(fixture.has_session(&user, &accepted.login.session_token.digest()).await);
    assert!(matches!(fixture.log_in(ADA, PASSWORD).await, Err(PasswordLoginError::Wrong { .. })));
    fixture.log_in(ADA, ANOTHER).await.unwrap();
}

#[rstest]
#[case("proxy_admin", "proxy_admin", true)]
#[case("org_admin", "org_admin", true)]
#[case("org_admin", "customer", true)]
#[case("org_admin", "proxy_admin", false)]
#[case("org_admin", "proxy_admin_viewer", false)]
#[tokio::test]
async fn no_administrator_invites_above_the_own_role(#[case] own: &str, #[case] role: &str, #[case] allowed: bool) {
    let fixture = Fixture::new();
    let own = Role::new(own);
    let inviter = Inviter::Administrator(Administrator { user: "u-1", role: &own });
    let created = fixture.accounts.invite(inviter, &wanted(ADA, role)).await;
    assert_eq!(created.is_ok(), allowed);
    assert!(allowed || matches!(created, Err(InvitationError::Above)));
}

#[tokio::test]
async fn no_administrator_resets_a_user_of_a_higher_role_even_by_an_older_invitation() {
    let fixture = Fixture::new();
    let boss = fixture.account("boss@example.com", "org_admin").await;
    let own = Role::new("org_admin");
    let inviter = Inviter::Administrator(Administrator { user: &boss, role: &own });
    let early = fixture.accounts.invite(inviter, &wanted(ADA, "team")).await.unwrap();
    let later = fixture.accounts.invite(Inviter::Operator, &wanted(ADA, "proxy_admin")).await.unwrap();
    let by_then = fixture.open(&early).await;
    fixture.accept(&later, PASSWORD).await.unwrap();
    assert!(matches!(fixture.accounts.invite(inviter, &wanted(ADA, "team")).await, Err(InvitationError::Above)));
    assert!(by_then && !fixture.open(&early).await, "one invitation is enough");
    fixture.log_in(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_invitation_grants_no_more_than_its_creator_may() {
    let fixture = Fixture::new();
    let own = Role::new("org_admin");
    for (name, after) in [("demoted", Some("team")), ("disabled", None)] {
        let boss = fixture.account(&format!("{name}@example.com"), "org_admin").await;
        let inviter = Inviter::Administrator(Administrator { user: &boss, role: &own });
        let created = fixture.accounts.invite(inviter, &wanted(&format!("by-{name}@example.com"), "org_admin")).await.unwrap();
        match after {
            Some(role) => _ = fixture.account(&format!("{name}@example.com"), role).await,
            None => _ = fixture.accounts.users.disable(&boss, allow).await.unwrap(),
        }
        assert!(matches!(fixture.accept(&created, PASSWORD).await, Err(AcceptanceError::Invalid(_))), "{name}");
        if after.is_none() {
            fixture.accounts.users.enable(&boss, allow).await.unwrap();
            fixture.accept(&created, PASSWORD).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_administrator_cannot_revoke_an_invitation_to_a_higher_role() {
    let fixture = Fixture::new();
    let created = fixture.invite(ADA, "proxy_admin").await;
    let role = Role::new("org_admin");
    let revoked = fixture.accounts.revoke(created.invitation.id, Administrator { user: "u-1", role: &role }).await;
    assert!(matches!(revoked, Err(InvitationError::Above)));
    fixture.accept(&created, PASSWORD).await.unwrap();
}

/// The role of the invitation is low, but the invited user has a high role already.
#[tokio::test]
async fn an_administrator_cannot_revoke_an_invitation_of_a_user_with_a_higher_role() {
    let fixture = Fixture::new();
    fixture.account(ADA, "proxy_admin").await;
    let created = fixture.invite(ADA, "team").await;
    for (own, expected) in [("org_admin", false), ("proxy_admin", true)] {
        let own = Role::new(own);
        let revoked = fixture.accounts.revoke(created.invitation.id, Administrator { user: "u-1", role: &own }).await;
        assert!(revoked.is_ok() == expected && (expected || matches!(revoked, Err(InvitationError::Above))), "{own}");
    }
}

#[tokio::test]
async fn a_user_who_was_deleted_while_invited_gets_the_address_back_by_accepting() {
    let fixture = Fixture::new();
    let user = fixture.account(ADA, "team").await;
    let account_records = LocalAccountRecords::of(&fixture.accounts.records, &user).await.unwrap();
    let late = fixture.invite(ADA, "team").await;
    fixture.delete(&user, &account_records).await;
    fixture.accept(&late, ANOTHER).await.unwrap();
    fixture.log_in(ADA, ANOTHER).await.unwrap();
}

#[tokio::test]
async fn an_invitation_has_a_role_of_the_map_an_address_and_a_bounded_life() {
    let fixture = Fixture::new();
    let invite = async |wanted: InvitationParameters| fixture.accounts.invite(Inviter::Operator, &wanted).await.map(drop);
    assert!(matches!(invite(wanted("nobody", "team")).await, Err(InvitationError::Email)));
    assert!(matches!(invite(wanted(ADA, "king")).await, Err(InvitationError::UnknownRole)));
    for lifetime in [Duration::from_secs(59), LONGEST_INVITATION + Duration::from_secs(1)] {
        let wanted = InvitationParameters { lifetime: Some(lifetime), ..wanted(ADA, "team") };
        assert!(matches!(invite(wanted).await, Err(InvitationError::Duration)));
    }
}

#[tokio::test]
async fn invitations_are_listed_in_their_order_page_by_page() {
    let fixture = Fixture::new();
    let mut created = Vec::new();
    for number in 0..7 {
        fixture.clock.advance(Duration::from_millis(2));
        created.push(fixture.invite(&format!("p{number}@example.com"), "team").await.invitation.id);
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.accounts.invitations(after, 3).await.unwrap();
        listed.extend(page.invitations.iter().map(|one| one.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, created);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_have_the_same_error() {
    let fixture = Fixture::new();
    fixture.account(ADA, "team").await;
    for (email, password) in [(ADA, ANOTHER), (ADA, ""), ("nobody@example.com", PASSWORD), ("no address", PASSWORD), ("", "")] {
        assert!(matches!(fixture.log_in(email, password).await, Err(PasswordLoginError::Wrong { .. })), "{email}");
    }
}

#[tokio::test]
async fn a_wrong_password_has_its_own_outcome_in_the_metrics() {
    let fixture = Fixture::new();
    fixture.account(ADA, "team").await;
    assert!(fixture.log_in(ADA, ANOTHER).await.is_err());
    let metrics = String::from_utf8(fixture.accounts.metrics.render()).unwrap();
    assert!(metrics.contains(r#"vestibule_logins_total{outcome="wrong_password",provider="local"} 1"#), "{metrics}");
}

#[tokio::test]
async fn guessing_is_limited_and_does_not_lock_out_known_browsers() {
    let fixture = Fixture::new();
    fixture.account(ADA, "team").await;
    let device = fixture.log_in(ADA, PASSWORD).await.unwrap().device;
    let retry = loop {
        match fixture.log_in(ADA, ANOTHER).await {
            Err(PasswordLoginError::Wrong { .. }) => {}
            Err(PasswordLoginError::TooMany { retry_after }) => break retry_after,
            _ => panic!("attempts with wrong passwords are limited"),
        }
    };
    assert!(retry <= Duration::from_secs(3600));
    assert!(matches!(fixture.log_in(ADA, PASSWORD).await, Err(PasswordLoginError::TooMany { .. })), "an unknown browser");
    let origin = Origin { device: Some(&device), address: None };
    let known = PasswordLoginRequest { email: ADA, password: text(PASSWORD), origin, browser: Browser::default() };
    fixture.accounts.log_in(known).await.unwrap();
    fixture.clock.advance(retry);
    fixture.log_in(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_changed_password_ends_all_other_sessions() {
    let fixture = Fixture::new();
    let user = fixture.account(ADA, "team").await;
    let own = fixture.log_in(ADA, PASSWORD).await.unwrap().login.session_token.digest();
    let other = fixture.log_in(ADA, PASSWORD).await.unwrap().login.session_token.digest();
    let change = async |current: &str, new: &str| {
        fixture.accounts.change_password(&user, text(current), text(new), Some(&own), &unknown_browser()).await
    };
    assert!(matches!(change(ANOTHER, ANOTHER).await, Err(PasswordChangeError::Wrong)));
    assert!(matches!(
        change(PASSWORD, "short").await,
        Err(PasswordChangeError::Password(PasswordRejection::TooShort { min: 12 }))
    ));
    assert!(fixture.has_session(&user, &other).await);
    change(PASSWORD, ANOTHER).await.unwrap();
    assert!(fixture.has_session(&user, &own).await && !fixture.has_session(&user, &other).await);
    assert!(matches!(fixture.log_in(ADA, PASSWORD).await, Err(PasswordLoginError::Wrong { .. })));
    fixture.log_in(ADA, ANOTHER).await.unwrap();
    let nobody = fixture.accounts.change_password("nobody", text(PASSWORD), text(ANOTHER), None, &unknown_browser()).await;
    assert!(matches!(nobody, Err(PasswordChangeError::NoPassword)));
}

#[tokio::test]
async fn a_hash_of_another_cost_is_renewed_at_the_next_sign_in() {
    let fixture = Fixture::with(cost(64));
    let user = fixture.account(ADA, "team").await;
    let records = fixture.accounts.records.clone();
    let dearer = on_store(Arc::clone(records.store()), &fixture.clock, &fixture.ring, cost(128));
    let hash = async || records.get::<Password>(&Password::key(&user)).await.unwrap().unwrap().version;
    let before = hash().await;
    let attempt =
        || PasswordLoginRequest { email: ADA, password: text(PASSWORD), origin: unknown_browser(), browser: Browser::default() };
    dearer.log_in(attempt()).await.unwrap();
    let renewed = hash().await;
    assert_ne!(renewed, before);
    dearer.log_in(attempt()).await.unwrap();
    assert_eq!(hash().await, renewed);
}

#[tokio::test]
async fn a_disabled_user_neither_signs_in_nor_accepts_an_invitation() {
    let fixture = Fixture::new();
    let user = fixture.account(ADA, "team").await;
    let open = fixture.invite(ADA, "team").await;
    fixture.accounts.users.disable(&user, allow).await.unwrap();
    assert!(matches!(fixture.log_in(ADA, PASSWORD).await, Err(PasswordLoginError::Refused(LoginRefusal::Disabled))));
    assert!(
        matches!(fixture.log_in(ADA, ANOTHER).await, Err(PasswordLoginError::Wrong { .. })),
        "only the correct password reveals the state of the account"
    );
    assert!(matches!(fixture.accept(&open, ANOTHER).await, Err(AcceptanceError::Invalid(_))));
    let late = fixture.accounts.invite(Inviter::Operator, &wanted(ADA, "team")).await;
    assert!(matches!(late, Err(InvitationError::Disabled)));
    fixture.accounts.users.enable(&user, allow).await.unwrap();
    fixture.log_in(ADA, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_deleted_user_comes_back_as_a_new_user() {
    let fixture = Fixture::new();
    let user = fixture.account(ADA, "team").await;
    let session = fixture.log_in(ADA, PASSWORD).await.unwrap().login.session_token.digest();
    let open = fixture.invite(ADA, "proxy_admin").await;
    let account_records = LocalAccountRecords::of(&fixture.accounts.records, &user).await.unwrap();
    fixture.delete(&user, &account_records).await;
    assert!(matches!(fixture.accept(&open, ANOTHER).await, Err(AcceptanceError::Invalid(_))), "deletion revokes the invitation");
    assert!(matches!(fixture.log_in(ADA, PASSWORD).await, Err(PasswordLoginError::Wrong { .. })));
    assert!(!fixture.has_session(&user, &session).await);
    assert_eq!(fixture.accounts.users.find(LOCAL, ADA).await.unwrap(), None);
    assert!(fixture.accounts.users.is_empty().await.unwrap());
    let again = fixture.account(ADA, "team").await;
    assert_ne!(again, user);
}
