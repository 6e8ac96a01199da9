//! What people and administrators call things.

use crate::{
    login::Login,
    pages::LinkedIdentity,
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
