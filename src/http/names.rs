//! What people and administrators call things.

use crate::{
    check::Checker,
    login::Login,
    pages::LinkedIdentity,
    people::Known,
    principal::{EmailTrust, IdentityClaims, LOCAL},
};

/// What people call a provider; none for a password. One that is not configured any more has its id alone.
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

/// What an administrator may search a person by.
pub(super) fn mentions(Known { user, grant }: &Known, checker: &Checker, text: &str) -> bool {
    let identity = checker.identity(&user.id, &user.identities, grant);
    let subjects: Vec<&str> = user.identities.iter().map(|identity| identity.subject.as_str()).collect();
    let words = format!("{} {} {} {}", identity.preferred_username, identity.email, identity.role, subjects.join(" "));
    words.to_lowercase().contains(&text.to_lowercase())
}
