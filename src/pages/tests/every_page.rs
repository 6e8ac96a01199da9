//! Every page in every state.

use jiff::Timestamp;

use super::super::*;
use super::samples::*;

/// A page and the state that it is in.
pub struct Sample {
    pub name: String,
    pub html: String,
}

pub fn every_page() -> Vec<Sample> {
    let pages = [before_a_session(), accounts(), keys(), administration(), explanations()];
    pages.into_iter().flatten().map(|(name, html)| Sample { name: name.to_owned(), html }).collect()
}

type Pages = Vec<(&'static str, String)>;

fn before_a_session() -> Pages {
    let hostile_provider = || ProviderLink { name: hostile(), href: hostile() };
    let problems = [None, Some(problem())];
    let mut pages = Pages::new();
    for providers in [vec![hostile_provider()], vec![hostile_provider(), hostile_provider()], Vec::new()] {
        for problem in problems.clone() {
            let (providers, password) = (providers.clone(), Some(password_form(problem)));
            pages.push(("sign-in with a password", render(&SignInPage { frame: frame(), providers, password, notice: maybe() })));
        }
        pages.push(("sign-in", render(&SignInPage { frame: frame(), providers, password: None, notice: maybe() })));
    }
    let not_configured = SetupPage { frame: frame(), facts: vec![hostile()], redirect_uri: hostile() };
    pages.push(("not-configured", render(&not_configured)));
    for at_provider in [ProviderLogout::Ends { provider: hostile() }, ProviderLogout::Stays, ProviderLogout::NoProvider] {
        let (csrf, account, action, stay_href) = (hostile(), account(), hostile(), hostile());
        pages.push(("sign-out", render(&SignOutPage { frame: frame(), csrf, account, at_provider, action, stay_href })));
    }
    pages.push(("signed-out", render(&SignedOutPage { frame: frame(), sign_in_href: hostile(), provider_note: maybe() })));
    let action = || Action { label: hostile(), href: hostile() };
    let error = ErrorPage {
        frame: frame(),
        status: 400,
        title: hostile(),
        explanation: hostile(),
        next_step: hostile(),
        quote: Some(Quote { speaker: hostile(), text: hostile() }),
        actions: vec![action(), action()],
        request_id: hostile(),
    };
    pages.push(("error", render(&error)));
    let problems = [None, Some(problem()), Some(problem().field("new_password"))];
    for (problem, role) in problems.into_iter().zip([maybe(), None].into_iter().cycle()) {
        let (email, expires) = (hostile(), Timestamp::UNIX_EPOCH);
        let (invite_link, csrf) = (hostile(), hostile());
        let page = OnboardingPage { frame: frame(), email, role, expires, minimum: 12, problem, invite_link, csrf };
        pages.push(("onboarding", render(&page)));
    }
    pages
}

fn accounts() -> Pages {
    let mut pages = Pages::new();
    for rule in [None, Some(GrantRule::Default), Some(GrantRule::Invitation), Some(GrantRule::Named(hostile()))] {
        let idle_limit = Some(Duration::from_secs(60));
        pages.push(("home", render(&AccountPage { rule, idle_limit, ..home() })));
    }
    let nobody = AccountSummary { name: hostile(), role: None };
    pages.push(("home", render(&AccountPage { account: nobody, provider: None, teams: Vec::new(), ..home() })));
    let session = |is_this_browser, provider| SessionRow {
        id: hostile(),
        browser: maybe(),
        provider,
        begun: Timestamp::UNIX_EPOCH,
        last_used: Timestamp::UNIX_EPOCH,
        is_this_browser,
    };
    let unknown = SessionRow { browser: None, ..session(false, None) };
    let sessions = vec![session(true, maybe()), session(false, maybe()), unknown];
    pages.push(("sessions", render(&SessionsPage { frame: frame(), sessions, csrf: hostile() })));
    let sessions = vec![session(true, maybe())];
    pages.push(("sessions", render(&SessionsPage { frame: frame(), sessions, csrf: hostile() })));
    pages.push(("methods", render(&methods())));
    pages.push(("methods", render(&SignInMethodsPage { sign_in_href: maybe(), password: None, ..methods() })));
    let notice = Some(text::Text::of("methods-unlinked").with("provider", hostile()));
    pages.push(("methods", render(&SignInMethodsPage { notice, ..methods() })));
    for problem in [problem(), problem().field("current_password"), problem().field("new_password")] {
        let password = Some(PasswordChangeForm { email: hostile(), minimum: 1, problem: Some(problem) });
        pages.push(("methods", render(&SignInMethodsPage { password, ..methods() })));
    }
    let (provider, href, cancel_href) = (hostile(), hostile(), hostile());
    pages.push(("link-away", render(&LinkConfirmationPage { frame: frame(), provider, href, cancel_href })));
    pages
}

fn keys() -> Pages {
    let mut pages = Pages::new();
    pages.push(("keys", render(&keys_page())));
    pages.push(("keys", render(&KeysPage { keys: Vec::new(), sign_in_href: maybe(), ..keys_page() })));
    let created = Some(NewKey { name: hostile(), secret: hostile() });
    pages.push(("keys", render(&KeysPage { created, form: KeyForm::default(), ..keys_page() })));
    let restricted_to = |teams| KeyRestrictions { role: maybe(), teams, paths: vec![hostile()] };
    let unused = KeyRow { last_used: None, name: None, ..key(restricted_to(Some(Vec::new()))) };
    let keys = vec![key(restricted_to(Some(vec![hostile()]))), key(restricted_to(None)), unused];
    pages.push(("keys", render(&KeysPage { keys, ..keys_page() })));
    pages.push(("keys", render(&KeysPage { problem: Some(problem()), ..keys_page() })));
    for warning in [None, Some("app-key-warning-own-machine"), Some("app-key-warning-shown-here")] {
        let warning = warning.map(text::Text::of);
        pages.push(("app-key", render(&app_key(ConsentState::Asked { warning }))));
    }
    pages.push(("app-key-given-before", render(&app_key(ConsentState::GivenBefore))));
    pages
}

fn administration() -> Pages {
    let mut pages = Pages::new();
    let page = |users, query| UsersPage { frame: frame(), users, query, is_cut: true, next_href: maybe() };
    pages.push(("users", render(&page(users(), hostile()))));
    pages.push(("users", render(&page(Vec::new(), hostile()))));
    pages.push(("users", render(&page(Vec::new(), String::new()))));
    for power in [EditPermission::May, EditPermission::Yourself, EditPermission::Above] {
        pages.push(("user", render(&UserPage { power, ..user() })));
    }
    let enabled = UserPage { disabled: true, last_sign_in: Some(Timestamp::UNIX_EPOCH), line: None, ..user() };
    pages.push(("user", render(&enabled)));
    for rule in [None, Some(GrantRule::Default), Some(GrantRule::Invitation)] {
        pages.push(("user", render(&UserPage { rule, email: None, identities: Vec::new(), invite_href: None, ..user() })));
    }
    pages.push(("user", render(&UserPage { role: None, rule: None, teams: Vec::new(), ..user() })));
    pages.push(("invitations", render(&invitations_page())));
    pages
        .push(("invitations", render(&InvitationsPage { sign_in_href: maybe(), invitations: Vec::new(), ..invitations_page() })));
    let created = Some(NewInvitation { email: hostile(), link: hostile(), expires: Timestamp::UNIX_EPOCH });
    pages.push(("invitations", render(&InvitationsPage { created, ..invitations_page() })));
    for state in [InvitationState::Accepted, InvitationState::Expired] {
        let invitations = vec![InvitationRow { state, ..invitation() }];
        pages.push(("invitations", render(&InvitationsPage { invitations, ..invitations_page() })));
    }
    pages.push(("invitations", render(&InvitationsPage { problem: Some(problem()), ..invitations_page() })));
    pages
}

fn explanations() -> Pages {
    let mut pages = Pages::new();
    pages.push(("role-map", render(&role_map())));
    pages.push(("role-map", render(&RoleMapPage { active: None, refused: None, form: ExplainForm::default(), ..role_map() })));
    pages.push(("role-map", render(&RoleMapPage { problem: Some(problem()), ..role_map() })));
    let rules = [GrantRule::Default, GrantRule::Invitation, GrantRule::Named(hostile())].map(Some);
    let explanations = rules.into_iter().map(|rule| explained(rule, Some(4))).chain([
        explained(Some(GrantRule::Named(hostile())), None),
        GrantExplanation { role: None, ..explained(None, None) },
        GrantExplanation { refused_for_missing: maybe(), is_cut: true, ..GrantExplanation::default() },
        GrantExplanation::default(),
    ]);
    for explained in explanations {
        pages.push(("role-map", render(&RoleMapPage { explained: Some(explained), ..role_map() })));
    }
    pages
}
