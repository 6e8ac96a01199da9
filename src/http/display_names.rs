//! Names of providers, identities, users and teams, as users and administrators read and write them.

use crate::{
    administration::UserSummary,
    check::Checker,
    login::Login,
    pages::LinkedIdentity,
    principal::{EmailTrust, IdentityClaims, LOCAL, Team},
};

/// Teams in one list.
pub(super) const MOST_TEAMS: usize = 100;
const LONGEST_TEAM: usize = 256;

pub(super) fn parse_team(text: &str) -> Result<Team, &'static str> {
    let fits = !text.is_empty() && text.len() <= LONGEST_TEAM && !text.contains(|c: char| c == ',' || c.is_control());
    if fits { Ok(Team::new(text)) } else { Err("must be names of teams, without commas and control characters") }
}

/// The name of a provider; `None` for a password. A provider that is no longer configured has its id only.
pub(super) fn provider_name(login: &Login, id: &str) -> Option<String> {
    let name = || login.providers().get(id).map_or_else(|| id.to_owned(), |known| known.name().to_owned());
    (id != LOCAL).then(name)
}

/// An identity, as the pages list it.
pub(super) fn linked_identity(identity: &IdentityClaims, login: &Login, may_be_unlinked: bool) -> LinkedIdentity {
    let account = identity.email(EmailTrust::Always).or(identity.preferred_username()).unwrap_or(&identity.subject);
    LinkedIdentity {
        issuer: identity.issuer.clone(),
        subject: identity.subject.clone(),
        provider: provider_name(login, &identity.provider),
        account: account.to_owned(),
        verified: None,
        may_be_unlinked,
    }
}

/// A user matches a search by name, email, role or subject.
pub(super) fn mentions(UserSummary { user, grant }: &UserSummary, checker: &Checker, text: &str) -> bool {
    let identity = checker.identity(&user.id, &user.identities, grant);
    let subjects: Vec<&str> = user.identities.iter().map(|identity| identity.subject.as_str()).collect();
    let words = format!("{} {} {} {}", identity.preferred_username, identity.email, identity.role, subjects.join(" "));
    words.to_lowercase().contains(&text.to_lowercase())
}
