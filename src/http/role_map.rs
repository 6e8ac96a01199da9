//! The active role map, and explanations of grants and decisions, as the JSON API and the page show them.

pub(super) mod json;
pub(super) mod page;

use super::{Services, display_names::profile_of};
use crate::{
    administration::{AdministrationError, SearchResult, UserSummary},
    explain::{self, AccessExplanation},
    json::parse_object,
    principal::{CredentialKind, Grant, IdentityClaims, Source},
    role_map::{Explanation, RoleMap},
    users::CurrentClaims,
};

/// A user or claims, whose grant is explained, and a request, whose decision is explained.
#[derive(Debug, Default)]
struct ExplanationRequest {
    /// A user id, or the email that the check reports.
    pub user: Option<String>,
    /// JSON.
    pub claims: Option<String>,
    pub provider: Option<String>,
    pub workload: bool,
    pub url: Option<String>,
    pub method: Option<String>,
    pub credential: Option<String>,
}

/// The grant and the decision, with their reasons.
struct ExplanationResponse {
    pub user: Option<UserSummary>,
    /// True if not all users were searched. Another user may have the same email.
    pub is_cut: bool,
    /// The identities of the user; none for claims.
    pub identities: Vec<ExplainedIdentity>,
    pub grant: Explanation,
    /// The claims that count as absent, because they do not fit their use.
    pub ignored_claims: Vec<String>,
    pub access: Option<AccessExplanation>,
}

/// An identity of the user.
struct ExplainedIdentity {
    pub identity: IdentityClaims,
    /// True if it was verified too long ago to grant anything to this kind of credential.
    pub has_expired: bool,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ExplanationError {
    #[error("give either a user or claims")]
    UserAndClaims,
    #[error("there is no such user")]
    UserNotFound,
    #[error("none of the searched users has this email")]
    NotFoundInSearch,
    #[error("several users have this email")]
    AmbiguousEmail,
    #[error("claims: {0}")]
    Claims(String),
    #[error("provider must be one that is configured")]
    Provider,
    #[error("url or method: {0}")]
    Address(String),
    #[error("credential must be session, key or token")]
    Credential,
    #[error("no role map has been read yet")]
    NoRoleMapYet,
    #[error(transparent)]
    Administration(AdministrationError),
}

impl ExplanationError {
    /// The stable token for the `reason` field of log events.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::UserAndClaims => "user_or_claims_required",
            Self::UserNotFound | Self::NotFoundInSearch => "user_not_found",
            Self::AmbiguousEmail => "user_ambiguous",
            Self::Claims(_) => "claims_invalid",
            Self::Provider => "unknown_provider",
            Self::Address(_) => "address_invalid",
            Self::Credential => "credential_invalid",
            Self::NoRoleMapYet => "role_map_not_loaded",
            Self::Administration(error) => error.reason(),
        }
    }
}

/// The claims whose grant is explained.
struct Subject {
    /// `None` for claims.
    user: Option<UserSummary>,
    is_cut: bool,
    claims: CurrentClaims,
}

/// Explains the grant of a user, or of claims, by the active role map.
async fn explain(question: &ExplanationRequest, services: &Services) -> Result<ExplanationResponse, ExplanationError> {
    let active = services.role_maps.active();
    if !active.is_loaded() {
        return Err(ExplanationError::NoRoleMapYet);
    }
    let Subject { user, is_cut, claims } = question.subject(services).await?;
    let map = &active.map;
    let grant = if question.workload { map.evaluate_workload(&claims.identities) } else { claims.grant(map) };
    let explanation = match question.workload || claims.identities.is_empty() {
        // The default role applies neither to workloads nor to users whose identities have all expired.
        true => map.explain_workload(&claims.identities),
        false => map.explain(&claims.identities),
    };
    let access = question.explain_access(map, &grant)?;
    let identities = user.as_ref().map(|known| explain_identities(known, &claims, services)).unwrap_or_default();
    let ignored_claims = ignored_claims(&claims.identities, services);
    Ok(ExplanationResponse { user, is_cut, identities, grant: explanation, ignored_claims, access })
}

fn ignored_claims(identities: &[IdentityClaims], services: &Services) -> Vec<String> {
    let unfit = identities.iter().flat_map(|identity| identity.unfit_claims(&profile_of(&services.login, &identity.provider)));
    unfit.map(|unfit| unfit.to_string()).collect()
}

fn explain_identities(
    UserSummary { user, .. }: &UserSummary,
    claims: &CurrentClaims,
    services: &Services,
) -> Vec<ExplainedIdentity> {
    let counts = |identity: &IdentityClaims| claims.identities.contains(identity);
    let explained = |identity| ExplainedIdentity { has_expired: !counts(&identity), identity };
    user.evaluated_identities(services.users.provisioning()).into_iter().map(explained).collect()
}

impl ExplanationRequest {
    async fn subject(&self, services: &Services) -> Result<Subject, ExplanationError> {
        match (&self.user, &self.claims) {
            (Some(_), None) if self.workload => Err(ExplanationError::UserAndClaims),
            (Some(wanted), None) => {
                let credential = self.credential()?;
                let (known, is_cut) = find(wanted, services).await?;
                let claims = services.users.claims_for(&known.user, credential);
                Ok(Subject { claims, user: Some(known), is_cut })
            }
            (None, Some(claims)) => {
                let identity = self.parse_claims(claims, services.role_maps.providers())?;
                Ok(Subject { user: None, is_cut: false, claims: CurrentClaims::of_unstored(identity) })
            }
            _ => Err(ExplanationError::UserAndClaims),
        }
    }

    /// The provider may be omitted if there is only one.
    fn parse_claims(&self, claims: &str, providers: &[String]) -> Result<IdentityClaims, ExplanationError> {
        let provider = match &self.provider {
            Some(id) => providers.iter().find(|provider| *provider == id).cloned(),
            None if providers.len() <= 1 => Some(providers.first().cloned().unwrap_or_else(|| "any".to_owned())),
            None => None,
        };
        let claims = parse_object(claims.as_bytes()).map_err(|error| ExplanationError::Claims(error.to_string()))?;
        let plain = if self.workload { Source::AccessToken } else { Source::IdToken };
        explain::parse_identity(claims, provider.ok_or(ExplanationError::Provider)?, plain).map_err(ExplanationError::Claims)
    }

    fn credential(&self) -> Result<CredentialKind, ExplanationError> {
        match &self.credential {
            None => Ok(CredentialKind::Session),
            Some(name) => CredentialKind::parse(name).ok_or(ExplanationError::Credential),
        }
    }

    fn explain_access(&self, map: &RoleMap, grant: &Grant) -> Result<Option<AccessExplanation>, ExplanationError> {
        let credential = self.credential()?;
        let Some(url) = &self.url else { return Ok(None) };
        let request = explain::AccessRequest { url, method: self.method.as_deref().unwrap_or("GET"), credential, route: None };
        explain::explain_access(map, grant, &request).map(Some).map_err(ExplanationError::Address)
    }
}

/// Returns the user, and true if not all users were searched.
async fn find(wanted: &str, services: &Services) -> Result<(UserSummary, bool), ExplanationError> {
    let has_this_email = |UserSummary { user, grant, .. }: &UserSummary| {
        services.checker.identity(&user.id, &user.identities, grant).email.eq_ignore_ascii_case(wanted)
    };
    let SearchResult { users: mut found, is_cut } =
        services.administration.search(wanted, 2, has_this_email).await.map_err(ExplanationError::Administration)?;
    match (found.pop(), found.is_empty()) {
        (Some(known), true) => Ok((known, is_cut)),
        (Some(_), false) => Err(ExplanationError::AmbiguousEmail),
        (None, _) if is_cut => Err(ExplanationError::NotFoundInSearch),
        (None, _) => Err(ExplanationError::UserNotFound),
    }
}
