//! The role map in force, and explanations of grants and decisions, as the JSON API and the page show them.

pub(super) mod json;
pub(super) mod page;

use super::Services;
use crate::{
    administration::{Found, Known, PeopleError},
    explain::{self, AccessExplanation},
    principal::{Claims, CredentialKind, Source},
    role_map::Explanation,
};

/// A user or claims, whose grant is explained, and a request, whose decision is explained.
#[derive(Debug, Default, Clone, Copy)]
struct ExplanationRequest<'a> {
    /// A user id, or the email that the check reports.
    pub person: Option<&'a str>,
    /// JSON.
    pub claims: Option<&'a str>,
    pub provider: Option<&'a str>,
    pub workload: bool,
    pub url: Option<&'a str>,
    pub method: Option<&'a str>,
    pub credential: Option<&'a str>,
}

/// The grant and the decision, with their reasons.
struct ExplanationResponse {
    pub person: Option<Known>,
    /// Another user may have the same email, since not all users were searched.
    pub is_cut: bool,
    pub grant: Explanation,
    pub access: Option<AccessExplanation>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ExplanationError {
    #[error("give either a person or claims")]
    OneOfTwo,
    #[error("there is no such person")]
    NoSuchPerson,
    #[error("nobody of those who were looked at has this email")]
    NobodyLookedAt,
    #[error("several people have this email")]
    SeveralPeople,
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
    People(PeopleError),
}

impl ExplanationError {
    /// The stable token for the `reason` field of log events.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::OneOfTwo => "user_or_claims_required",
            Self::NoSuchPerson | Self::NobodyLookedAt => "user_not_found",
            Self::SeveralPeople => "user_ambiguous",
            Self::Claims(_) => "claims_invalid",
            Self::Provider => "unknown_provider",
            Self::Address(_) => "address_invalid",
            Self::Credential => "credential_invalid",
            Self::NoRoleMapYet => "role_map_not_loaded",
            Self::People(error) => error.reason(),
        }
    }
}

/// Explains the grant of a user, or of claims, by the current role map.
async fn explain(question: &ExplanationRequest<'_>, services: &Services) -> Result<ExplanationResponse, ExplanationError> {
    let role_maps = &services.role_maps;
    if !role_maps.current().is_loaded() {
        return Err(ExplanationError::NoRoleMapYet);
    }
    let (person, is_cut, identities) = match (question.person, question.claims) {
        (Some(_), None) if question.workload => return Err(ExplanationError::OneOfTwo),
        (Some(person), None) => {
            let (known, is_cut) = find(person, services).await?;
            let identities = known.user.identities.clone();
            (Some(known), is_cut, identities)
        }
        (None, Some(claims)) => {
            let known = role_maps.providers();
            let provider = match question.provider {
                Some(id) => known.iter().find(|known| *known == id).cloned(),
                None if known.len() <= 1 => Some(known.first().cloned().unwrap_or_else(|| "any".to_owned())),
                None => None,
            };
            let claims: Claims = serde_json::from_str(claims).map_err(|error| ExplanationError::Claims(error.to_string()))?;
            let plain = if question.workload { Source::AccessToken } else { Source::IdToken };
            let provider = provider.ok_or(ExplanationError::Provider)?;
            (None, false, vec![explain::parse_identity(claims, provider, plain).map_err(ExplanationError::Claims)?])
        }
        _ => return Err(ExplanationError::OneOfTwo),
    };
    let current = role_maps.current();
    let map = &current.map;
    let explanation = if question.workload { map.explain_workload(&identities) } else { map.explain(&identities) };
    let grant = match &person {
        Some(known) => known.grant.clone(),
        None if question.workload => map.evaluate_workload(&identities),
        None => map.evaluate(&identities),
    };
    let credential = match question.credential {
        None => CredentialKind::Session,
        Some(name) => CredentialKind::parse(name).ok_or(ExplanationError::Credential)?,
    };
    let request = question.url.map(|url| explain::AccessRequest { url, method: question.method.unwrap_or("GET"), credential });
    let access =
        request.map(|request| explain::explain_access(map, &grant, &request)).transpose().map_err(ExplanationError::Address)?;
    Ok(ExplanationResponse { person, is_cut, grant: explanation, access })
}

/// The user, and whether the search has left out other users.
async fn find(person: &str, services: &Services) -> Result<(Known, bool), ExplanationError> {
    let has_this_email = |Known { user, grant }: &Known| {
        services.checker.identity(&user.id, &user.identities, grant).email.eq_ignore_ascii_case(person)
    };
    let Found { people: mut found, is_cut } =
        services.people.search(person, 2, has_this_email).await.map_err(ExplanationError::People)?;
    match (found.pop(), found.is_empty()) {
        (Some(known), true) => Ok((known, is_cut)),
        (Some(_), false) => Err(ExplanationError::SeveralPeople),
        (None, _) if is_cut => Err(ExplanationError::NobodyLookedAt),
        (None, _) => Err(ExplanationError::NoSuchPerson),
    }
}
