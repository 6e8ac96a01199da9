//! The settings of a directory. `config` fills them.

use std::time::Duration;

use url::Url;

use super::{application_token::TokenGrant, entra_id, error::DirectoryError, github, gitlab, google, listing::GroupListing};
use crate::{
    principal::{Claims, IdentityClaims},
    secret::ConfiguredSecret,
};

#[derive(Clone, Debug)]
pub struct DirectorySettings {
    pub kind: DirectoryKind,
    /// The base URL of the API. No request leaves its origin.
    pub api_url: Url,
    /// The age at which claims are looked up again.
    pub interval: Duration,
    /// The age at which claims that could not be looked up again no longer count.
    pub max_age: Duration,
}

#[derive(Clone, Debug)]
pub enum DirectoryKind {
    EntraId {
        when: LookupCondition,
        credential: EntraCredential,
    },
    /// With the key of a service account (RFC 7523). `subject` is the administrator on whose behalf it acts, if any.
    Google {
        key: ConfiguredSecret,
        subject: Option<String>,
    },
    GitHub,
    GitLab,
}

/// The logins whose groups are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupCondition {
    /// Those whose id_token says that the groups do not fit into it.
    Overage,
    Always,
}

/// The access token for Microsoft Graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntraCredential {
    /// That of the user's login.
    User,
    /// One for the provider's client (RFC 6749, section 4.4).
    Client { token_endpoint: Url },
}

impl DirectoryKind {
    /// The name in the configuration and in log events.
    pub fn name(&self) -> &'static str {
        match self {
            Self::EntraId { .. } => "entra_id",
            Self::Google { .. } => "google",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
        }
    }

    /// True if look-ups do not need the user's token.
    pub(in crate::oidc) fn has_own_token(&self) -> bool {
        match self {
            Self::EntraId { credential: EntraCredential::Client { .. }, .. } | Self::Google { .. } => true,
            Self::EntraId { credential: EntraCredential::User, .. } | Self::GitHub | Self::GitLab => false,
        }
    }

    /// Returns the grant of a token for the application; `None` if the user's token is used.
    pub(super) fn application_grant(&self, client_id: &str, api: &Url) -> Option<TokenGrant> {
        match self {
            Self::EntraId { credential: EntraCredential::Client { token_endpoint }, .. } => Some(TokenGrant::Client {
                token_endpoint: token_endpoint.clone(),
                client_id: client_id.to_owned(),
                scope: format!("{}/.default", api.origin().ascii_serialization()),
            }),
            Self::Google { subject, .. } => Some(TokenGrant::ServiceAccount { subject: subject.clone() }),
            Self::EntraId { credential: EntraCredential::User, .. } | Self::GitHub | Self::GitLab => None,
        }
    }

    /// Returns the claims of the directory if the id_token has all of them.
    pub fn claims_of_token(&self, id_token: &Claims) -> Option<Claims> {
        match self {
            Self::EntraId { when: LookupCondition::Overage, .. } => entra_id::claims_of_token(id_token),
            _ => None,
        }
    }

    /// Returns the lists to read for a user.
    pub(super) fn listings(&self, api: &Url, identity: &IdentityClaims) -> Result<Vec<GroupListing>, DirectoryError> {
        match self {
            Self::EntraId { credential: EntraCredential::User, .. } => Ok(vec![entra_id::own_groups(api)]),
            Self::EntraId { credential: EntraCredential::Client { .. }, .. } => Ok(vec![entra_id::groups_of(api, identity)?]),
            Self::Google { .. } => Ok(vec![google::groups(api, &identity.subject)]),
            Self::GitHub => Ok(github::organizations_and_teams(api)),
            Self::GitLab => Ok(vec![gitlab::groups(api)]),
        }
    }
}
