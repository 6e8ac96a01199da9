//! Names of providers, identities and teams on pages and in JSON, and the search for users by name.

use serde_json::{Value, json};

use crate::{
    administration::UserSummary,
    check::Checker,
    login::Login,
    pages::LinkedIdentity,
    principal::{EmailTrust, IdentityClaims, IdentityHeaders, LOCAL, ProfileClaims, Team},
};

/// The maximum number of teams in one list.
pub(super) const MOST_TEAMS: usize = 100;
const LONGEST_TEAM: usize = 256;

pub(super) fn parse_team(text: &str) -> Result<Team, &'static str> {
    let fits = !text.is_empty() && text.len() <= LONGEST_TEAM && !text.contains(|c: char| c == ',' || c.is_control());
    if fits { Ok(Team::new(text)) } else { Err("must be names of teams, without commas and control characters") }
}

/// Returns the name of a provider, or its id if it is no longer configured. `None` for a password.
pub(super) fn provider_name(login: &Login, id: &str) -> Option<String> {
    let name = || login.providers().get(id).map_or_else(|| id.to_owned(), |known| known.name().to_owned());
    (id != LOCAL).then(name)
}

/// Returns an identity, as pages list it that do not unlink identities.
pub(super) fn linked_identity(identity: &IdentityClaims, login: &Login) -> LinkedIdentity {
    // Administrators and the user see the email address even if it is not verified.
    let profile = ProfileClaims { email_trust: EmailTrust::Always, ..profile_of(login, &identity.provider) };
    let account = identity.email(&profile).or(identity.preferred_username(&profile)).unwrap_or(&identity.subject);
    LinkedIdentity {
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        provider: provider_name(login, &identity.provider),
        account: account.to_owned(),
        verified: identity.verified_at,
        may_be_unlinked: false,
    }
}

/// Returns the claims in which a source of identities sends email address and user name.
pub(super) fn profile_of(login: &Login, provider: &str) -> ProfileClaims {
    let standard = || ProfileClaims::standard(EmailTrust::WhenVerified);
    login.providers().get(provider).map_or_else(standard, |provider| provider.profile().clone())
}

/// Returns an identity, as the JSON API lists it.
pub(super) fn identity_json(identity: &IdentityClaims) -> Value {
    let IdentityClaims { provider, issuer, subject, verified_at, .. } = identity;
    json!({"provider": provider, "issuer": issuer, "subject": subject, "verified_at": verified_at})
}

/// Returns the identity of a user. A user who has not signed in yet has the name that the company's directory knows.
pub(super) fn identity_of(UserSummary { user, grant, .. }: &UserSummary, checker: &Checker) -> IdentityHeaders {
    let identity = checker.identity(&user.id, &user.identities, grant);
    match &user.provisioned {
        Some(provisioned) if user.identities.is_empty() => {
            IdentityHeaders { preferred_username: provisioned.user_name.clone(), ..identity }
        }
        _ => identity,
    }
}

/// True if the user's name, email, role or subject contains the text.
pub(super) fn is_match(known: &UserSummary, checker: &Checker, text: &str) -> bool {
    let identity = identity_of(known, checker);
    let subjects: Vec<&str> = known.user.identities.iter().map(|identity| identity.subject.as_str()).collect();
    let words = format!("{} {} {} {}", identity.preferred_username, identity.email, identity.role, subjects.join(" "));
    words.to_lowercase().contains(&text.to_lowercase())
}
