use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    clock::{Clock, SystemClock},
    principal::{Role, Team},
    users::User,
};

const HOUR: Duration = Duration::from_secs(3600);
const ROLE_MAP: &str = "version: 1\nroles: [admin, member, viewer]\ndefault_role: viewer\nrules:\n  \
                        - {claim: role, match: admin, role: admin}\n  - {claim: role, match: member, role: member}\n\
                        teams:\n  - {claim: team, match: \"*\"}\n";

fn map() -> RoleMap {
    RoleMap::parse(ROLE_MAP).unwrap()
}

/// A map that keeps the grant of the first login.
fn pinning_map() -> RoleMap {
    RoleMap::parse(&format!("{ROLE_MAP}litellm_jwtauth: {{sync_user_role_and_teams: false}}\n")).unwrap()
}

fn identity(provider: &str, role: &str) -> IdentityClaims {
    IdentityClaims {
        provider: provider.into(),
        issuer: format!("https://{provider}.example.com"),
        subject: "ada".into(),
        id_token: crate::json::object(json!({"role": role, "team": format!("{provider}-team")})),
        ..IdentityClaims::default()
    }
}

fn at(identity: IdentityClaims, verified_at: Timestamp) -> IdentityClaims {
    IdentityClaims { verified_at: Some(verified_at), ..identity }
}

fn role(grant: &Grant) -> Option<&str> {
    grant.role.as_ref().map(Role::as_str)
}

fn teams(grant: &Grant) -> Vec<&str> {
    grant.teams.iter().map(Team::as_str).collect()
}

/// A user whose corporate account, which grants `admin`, was last verified this long before now; a private account that
/// grants no role was verified now.
fn admin_with_private_identity(age: Duration, now: Timestamp) -> Vec<IdentityClaims> {
    vec![at(identity("corp", "admin"), now - age), at(identity("private", ""), now)]
}

#[rstest]
#[case::new(Duration::ZERO, Some("admin"))]
#[case::before_the_bound(Duration::from_secs(3599), Some("admin"))]
#[case::at_the_bound(HOUR, Some("viewer"))]
#[case::long_ago(HOUR * 1000, Some("viewer"))]
fn a_role_lasts_as_long_as_the_identity_that_grants_it(#[case] age: Duration, #[case] expected: Option<&str>) {
    let now = SystemClock.now();
    let claims = CurrentClaims::select(admin_with_private_identity(age, now), None, |_| HOUR, now);
    let grant = claims.grant(&map());
    assert_eq!(role(&grant), expected);
    assert_eq!(!claims.expired.is_empty(), age >= HOUR);
    assert_eq!(teams(&grant).contains(&"corp-team"), age < HOUR, "teams too");
}

/// The provider `corp` bounds the age of its claims for sessions.
fn bounded(corp: Duration) -> ClaimsMaxAge {
    ClaimsMaxAge {
        sessions: HOUR * 24,
        keys: HOUR * 720,
        providers: [("corp".to_owned(), corp)].into(),
        ..ClaimsMaxAge::default()
    }
}

#[rstest]
#[case::session_of_the_provider(CredentialKind::Session, HOUR, Some("viewer"))]
#[case::session_before_the_bound(CredentialKind::Session, HOUR - Duration::from_secs(1), Some("admin"))]
#[case::key(CredentialKind::ApiKey, HOUR * 719, Some("admin"))]
#[case::token(CredentialKind::Jwt, HOUR * 719, Some("admin"))]
fn a_provider_bounds_the_age_of_its_claims_for_sessions_only(
    #[case] credential: CredentialKind,
    #[case] age: Duration,
    #[case] expected: Option<&str>,
) {
    let (now, max_age) = (SystemClock.now(), bounded(HOUR));
    let of = |identity: &IdentityClaims| max_age.of(credential, identity);
    let claims = CurrentClaims::select(admin_with_private_identity(age, now), None, of, now);
    assert_eq!(role(&claims.grant(&map())), expected);
    let longer = bounded(HOUR * 1000);
    assert_eq!(longer.of(CredentialKind::Session, &identity("corp", "")), HOUR * 24, "it never prolongs");
    assert_eq!(max_age.longest(&identity("corp", "")), HOUR * 720);
}

#[test]
fn an_identity_with_a_refresh_token_goes_by_the_maximum_age_of_refreshes() {
    let refresh = RefreshPolicy { interval: HOUR / 4, max_age: HOUR * 2, token: TokenOwner::Session };
    let max_age = ClaimsMaxAge { refreshes: [("corp".to_owned(), refresh)].into(), ..bounded(HOUR) };
    let now = SystemClock.now();
    let plain = at(identity("corp", "admin"), now);
    let refreshable = IdentityClaims { is_refreshable: true, ..plain.clone() };
    for (credential, without) in [(CredentialKind::Session, HOUR), (CredentialKind::ApiKey, HOUR * 720)] {
        assert_eq!(max_age.of(credential, &plain), without, "{credential:?}");
        assert_eq!(max_age.of(credential, &refreshable), HOUR * 2, "{credential:?}");
    }
    assert_eq!((max_age.refresh_due(&plain), max_age.refresh_due(&refreshable)), (None, Some(now + HOUR / 4)));
    let other = IdentityClaims { is_refreshable: true, ..at(identity("private", "admin"), now) };
    assert_eq!(max_age.refresh_due(&other), None, "the provider no longer refreshes claims");
}

#[test]
fn a_session_needs_no_other_verification_before_the_bound_of_its_provider() {
    let (now, minute) = (SystemClock.now(), Duration::from_secs(60));
    let max_age = bounded(minute);
    assert_eq!(max_age.precision(), minute / 10);
    for (provider, age, expected) in
        [("corp", 0, false), ("corp", 52, false), ("corp", 53, true), ("corp", 3600, true), ("private", 3600, false)]
    {
        let created = now - Duration::from_secs(age);
        assert_eq!(max_age.needs_verification(provider, created, now), expected, "{provider} {age}");
    }
    assert!(!max_age.needs_verification("corp", now + HOUR, now), "a pod whose clock is ahead");
    let refresh = RefreshPolicy { interval: minute, max_age: HOUR, token: TokenOwner::Session };
    let max_age = ClaimsMaxAge { refreshes: [("private".to_owned(), refresh)].into(), ..max_age };
    assert!(!max_age.needs_verification("private", now - HOUR / 2, now));
    assert!(max_age.needs_verification("private", now - HOUR, now), "claims that no refresh can renew");
}

#[test]
fn without_a_current_identity_not_even_the_default_role_is_granted() {
    let now = SystemClock.now();
    let expired = CurrentClaims::select(vec![at(identity("corp", ""), now - HOUR)], None, |_| HOUR, now);
    assert_eq!((expired.grant(&map()), expired.valid_until), (Grant::default(), Timestamp::MAX));
    let undated = CurrentClaims::select(vec![identity("corp", "admin")], None, |_| HOUR, now);
    assert_eq!(undated.grant(&map()), Grant::default());
}

#[test]
fn claims_are_valid_until_the_first_identity_expires() {
    let now = SystemClock.now();
    let claims = CurrentClaims::select(admin_with_private_identity(HOUR / 2, now), None, |_| HOUR, now);
    assert_eq!(claims.valid_until, now + HOUR / 2);
    let longest = CurrentClaims::select(vec![at(identity("corp", ""), Timestamp::MAX)], None, |_| HOUR, now);
    assert_eq!(longest.valid_until, Timestamp::MAX);
}

#[test]
fn a_pinned_grant_ends_with_the_identity_that_it_came_from() {
    let (map, now) = (pinning_map(), SystemClock.now());
    let select = |age, pinned: &PinnedGrant| {
        CurrentClaims::select(admin_with_private_identity(age, now), Some(pinned), |_| HOUR, now).grant(&map)
    };
    let first = CurrentClaims::select(admin_with_private_identity(Duration::ZERO, now), None, |_| HOUR, now);
    let pinned = first.pin(&map, &first.grant(&map)).unwrap();
    assert_eq!(teams(&select(Duration::ZERO, &pinned)), ["corp-team"], "those of the identity that grants the role");
    assert_eq!(role(&select(Duration::ZERO, &pinned)), Some("admin"));
    assert_eq!(role(&select(HOUR, &pinned)), Some("viewer"));
    let unlinked = vec![at(identity("private", ""), now)];
    assert_eq!(role(&CurrentClaims::select(unlinked, Some(&pinned), |_| HOUR, now).grant(&map)), Some("viewer"));
    let of_a_released_version = PinnedGrant { identity: None, ..pinned };
    assert_eq!(role(&select(Duration::ZERO, &of_a_released_version)), Some("admin"));
    assert_eq!(role(&select(HOUR, &of_a_released_version)), Some("viewer"));
}

#[test]
fn an_expired_id_token_grants_nothing_while_the_rest_of_its_identity_counts() {
    let now = SystemClock.now();
    let userinfo = Some(crate::json::object(json!({"role": "member"})));
    let with_age = |age: Duration| IdentityClaims {
        id_token_at: Some(now - age),
        userinfo: userinfo.clone(),
        ..at(identity("corp", "admin"), now - Duration::from_secs(60))
    };
    for (age, expected) in [(HOUR / 2, "admin"), (HOUR, "member"), (HOUR * 100, "member")] {
        let claims = CurrentClaims::select(vec![with_age(age)], None, |_| HOUR, now);
        let has_expired = age >= HOUR;
        assert_eq!(role(&claims.grant(&map())), Some(expected), "{age:?}");
        assert_eq!(teams(&claims.grant(&map())).is_empty(), has_expired);
        assert_eq!((claims.with_expired_id_token.len(), claims.expired.len()), (usize::from(has_expired), 0));
        assert_eq!(role(&claims.before_id_tokens_expired().grant(&map())), Some("admin"), "for the comparison");
        let oldest = if has_expired { Duration::from_secs(60) } else { age };
        assert_eq!(claims.valid_until, now - oldest + HOUR, "{age:?}");
    }
}

#[test]
fn a_login_renews_only_its_own_identity() {
    let start = Timestamp::from_second(SystemClock.now().as_second()).unwrap();
    let mut user = User::new("u-1", start);
    user.update_identity(&identity("corp", "admin"), start, Duration::ZERO);
    user.update_identity(&identity("private", ""), start + HOUR, Duration::ZERO);
    let times = |user: &User| user.dated_identities().iter().map(|known| known.verified_at.unwrap()).collect::<Vec<_>>();
    assert_eq!(times(&user), [start, start + HOUR]);
    assert_eq!((user.verified(), user.signed_in), (start + HOUR, Some(start + HOUR)));
    user.update_identity(&identity("corp", "admin"), start + 2 * HOUR, Duration::ZERO);
    assert_eq!(times(&user), [start + 2 * HOUR, start + HOUR]);
}

#[test]
fn logins_within_the_precision_do_not_change_the_record() {
    let now = SystemClock.now();
    let mut user = User::new("u-1", now);
    user.update_identity(&identity("corp", ""), now, HOUR);
    let before = user.clone();
    user.update_identity(&identity("corp", ""), now + HOUR / 2, HOUR);
    assert_eq!(user, before);
    user.update_identity(&identity("private", ""), now + HOUR / 2, HOUR);
    assert_eq!(user.identities[0], before.identities[0]);
    assert_eq!(user.signed_in.unwrap().as_second(), (now + HOUR / 2).as_second(), "another identity is new");
}

#[test]
fn identities_of_a_released_version_count_from_the_last_login_before_the_first_new_one() {
    let now = SystemClock.now();
    let (signed_in, created) = (now - 2 * HOUR, now - 100 * HOUR);
    let mut user = User { signed_in: Some(signed_in), ..User::new("u-1", created) };
    user.identities = vec![identity("corp", "admin"), identity("private", "")];
    let second = Timestamp::from_second(signed_in.as_second()).unwrap();
    assert_eq!(user.verified(), second);
    user.update_identity(&identity("private", ""), now, HOUR);
    assert_eq!(user.identities[0].verified_at, Some(second), "a login with another identity does not renew it");
    let never = User { signed_in: None, ..user };
    assert_eq!(never.verified_at(&identity("corp", "")).as_second(), created.as_second());
}

proptest! {
    /// Whichever identities expire, the grant is within the grant of the remaining ones alone.
    #[test]
    fn an_expired_identity_changes_no_grant(ages in prop::collection::vec((0_u64..7200, 0_usize..3), 1..6)) {
        let now = SystemClock.now();
        let all: Vec<_> = ages
            .iter()
            .enumerate()
            .map(|(number, (age, role))| {
                let known = identity(&format!("p{number}"), ["admin", "member", ""][*role]);
                at(known, now - Duration::from_secs(*age))
            })
            .collect();
        let current: Vec<_> = all.iter().filter(|known| known.verified_at.unwrap() + HOUR > now).cloned().collect();
        let claims = CurrentClaims::select(all, None, |_| HOUR, now);
        let expected = if current.is_empty() { Grant::default() } else { map().evaluate(&current) };
        prop_assert_eq!(claims.grant(&map()), expected);
        prop_assert!(current.is_empty() || claims.valid_until > now);
        let later = CurrentClaims::select(current, None, |_| HOUR, claims.valid_until);
        prop_assert!(claims.identities.is_empty() || later.identities.len() < claims.identities.len());
    }
}
