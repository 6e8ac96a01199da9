//! Pages, and their parts, with hostile text.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::*;

pub const HOSTILE: &str = r#"<script>alert(1)</script>" onfocus="x" '><img src=x> & </title>"#;

pub fn hostile() -> String {
    HOSTILE.to_owned()
}

pub fn maybe() -> Option<String> {
    Some(hostile())
}

pub fn lifetimes() -> Vec<LifetimeOption> {
    vec![LifetimeOption { value: hostile(), duration: Duration::from_secs(86_400), selected: true }]
}

pub fn choices() -> Vec<Choice> {
    [true, false].map(|selected| Choice { name: hostile(), selected }).into()
}

/// The frame of an administrator.
pub fn frame() -> Frame {
    let brand = Brand { name: hostile(), ..Brand::default() };
    Frame::of(&Arc::new(brand)).with_nav(Nav { name: hostile(), administrator: true, invites: true, current: None })
}

pub fn account() -> AccountSummary {
    AccountSummary { name: hostile(), role: maybe() }
}

pub fn provider() -> ProviderLink {
    ProviderLink { name: "Corp SSO".to_owned(), href: "/sso/login?provider=corp&rd=%2F".to_owned() }
}

pub fn password_form(problem: Option<Problem>) -> PasswordForm {
    PasswordForm { csrf: hostile(), rd: maybe(), authenticate: Some("recent"), email: hostile(), problem, contact: hostile() }
}

pub fn home() -> AccountPage {
    AccountPage {
        frame: frame(),
        account: account(),
        email: maybe(),
        rule: None,
        teams: vec![hostile()],
        provider: maybe(),
        session_ends: Timestamp::UNIX_EPOCH,
        idle_limit: None,
    }
}

pub fn app_key(consent: ConsentState) -> AppKeyPage {
    AppKeyPage {
        frame: frame(),
        application: maybe(),
        account: account(),
        life: Duration::from_secs(86_400),
        consent,
        fields: vec![("state", hostile())],
        csrf: hostile(),
        action: "/sso/key/generate",
    }
}

pub fn keys_page() -> KeysPage {
    KeysPage {
        frame: frame(),
        keys: vec![key(KeyRestrictions::default())],
        created: None,
        problem: None,
        next_href: maybe(),
        sign_in_href: None,
        app_consents: vec![hostile()],
        grace_periods: lifetimes(),
        form: KeyForm {
            name: hostile(),
            lifetimes: lifetimes(),
            roles: choices(),
            teams: choices(),
            paths: hostile(),
            manages_keys: true,
            manages_users: Some(true),
        },
        csrf: hostile(),
        action: "/vestibule/keys",
    }
}

pub fn key(restrictions: KeyRestrictions) -> KeyRow {
    KeyRow {
        id: hostile(),
        name: maybe(),
        created: Timestamp::UNIX_EPOCH,
        ends: Timestamp::UNIX_EPOCH,
        last_used: Some(Timestamp::UNIX_EPOCH),
        restrictions,
        manages_keys: true,
        manages_users: true,
        created_by: maybe(),
    }
}

pub fn identity(provider: Option<String>, verified: Option<Timestamp>) -> LinkedIdentity {
    LinkedIdentity { issuer: hostile(), subject: hostile(), provider, account: hostile(), verified, may_be_unlinked: true }
}

pub fn identities() -> Vec<LinkedIdentity> {
    vec![identity(maybe(), Some(Timestamp::UNIX_EPOCH)), identity(None, None)]
}

pub fn users() -> Vec<UserRow> {
    let user = UserRow {
        id: hostile(),
        name: hostile(),
        email: maybe(),
        role: maybe(),
        rule: Some(GrantRule::Named(hostile())),
        line: Some(7),
        teams: vec![hostile()],
        last_sign_in: Some(Timestamp::UNIX_EPOCH),
        methods: vec![hostile(), hostile()],
        disabled: true,
        is_you: true,
    };
    vec![UserRow { role: None, last_sign_in: None, ..user.clone() }, user]
}

pub fn user() -> UserPage {
    UserPage {
        frame: frame(),
        id: hostile(),
        name: hostile(),
        email: maybe(),
        role: maybe(),
        rule: Some(GrantRule::Named(hostile())),
        line: Some(3),
        teams: vec![hostile()],
        first_seen: Timestamp::UNIX_EPOCH,
        last_sign_in: None,
        identities: identities(),
        pinned: true,
        disabled: false,
        sessions: 0,
        keys: 2,
        power: EditPermission::May,
        invite_href: maybe(),
        csrf: hostile(),
    }
}

pub fn invitation() -> InvitationRow {
    InvitationRow {
        id: hostile(),
        email: hostile(),
        role: hostile(),
        teams: vec![hostile()],
        created: Timestamp::UNIX_EPOCH,
        created_by: maybe(),
        expires: Timestamp::UNIX_EPOCH,
        state: InvitationState::Open,
    }
}

pub fn invitations_page() -> InvitationsPage {
    InvitationsPage {
        frame: frame(),
        form: InvitationForm { email: hostile(), roles: choices(), teams: hostile(), again: true, lifetimes: lifetimes() },
        created: None,
        problem: None,
        sign_in_href: None,
        invitations: vec![invitation(), InvitationRow { created_by: None, ..invitation() }],
        next_href: maybe(),
        csrf: hostile(),
    }
}

pub fn methods() -> SignInMethodsPage {
    SignInMethodsPage {
        frame: frame(),
        identities: identities(),
        linkable: vec![LinkableProvider { id: hostile(), name: hostile() }],
        password: Some(PasswordChangeForm { email: hostile(), minimum: 12, problem: None }),
        notice: None,
        sign_in_href: None,
        csrf: hostile(),
    }
}

pub fn role_map() -> RoleMapPage {
    let active = RoleMapSummary {
        version: 7,
        source: hostile(),
        since: Timestamp::UNIX_EPOCH,
        rules: 3,
        roles: vec![hostile()],
        default_role: maybe(),
    };
    let form = ExplainForm {
        user: hostile(),
        claims: hostile(),
        providers: choices(),
        url: hostile(),
        method: hostile(),
        credentials: choices(),
    };
    RoleMapPage {
        frame: frame(),
        active: Some(active),
        refused: Some(RejectedEdit { at: Timestamp::UNIX_EPOCH, mistakes: vec![hostile()] }),
        form,
        problem: None,
        explained: None,
        csrf: hostile(),
    }
}

pub fn explained(rule: Option<GrantRule>, line: Option<u64>) -> GrantExplanation {
    let team = || vec![TeamGrant { team: hostile(), rule: GrantRule::Named(hostile()), line }];
    let miss = |role| NearMissRow { rule: hostile(), line: 1, role, reason: hostile() };
    let interpretation = |rule| InterpretationRow { derivation: hostile(), path: hostile(), rule };
    GrantExplanation {
        is_cut: false,
        identities: [true, false].map(|has_expired| IdentityRow { identity: identity(maybe(), None), has_expired }).into(),
        user: maybe(),
        role: maybe(),
        rule,
        line,
        refused_for_missing: None,
        teams: team(),
        dropped_teams: team(),
        outranked: vec![OutrankedRole { role: hostile(), rule: GrantRule::Invitation, line: None }],
        near_misses: vec![miss(maybe()), miss(None)],
        warnings: vec![ListWarningRow { rule: hostile(), line: 3, reason: hostile() }],
        missing_sources: vec![hostile(), hostile()],
        ignored_claims: vec![hostile(), hostile()],
        first_login_only: true,
        access: Some(RequestExplanation {
            allowed: line.is_some(),
            reason: hostile(),
            interpretations: vec![interpretation(maybe()), interpretation(None)],
        }),
    }
}

/// A problem whose message, placeholder and advice contain hostile text.
pub fn problem() -> Problem {
    let advice = text::Text::of("methods-unlinked").with("provider", hostile());
    Problem::of("explain-problem-claims").with("why", hostile()).advice(vec![advice])
}
