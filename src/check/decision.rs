//! The answers to auth requests, with their reasons and sentences.

use std::{sync::Arc, time::Duration};

use super::CredentialError;
use crate::{
    access::{CredentialSources, MatchError, Requirement},
    bearer_tokens,
    principal::{CredentialKind, Evaluation, HeaderEncoding, RuleName},
    principal_cache::LookupError,
    upstream::UpstreamHeaders,
};

/// The sentence for clients whose credential could not be looked up.
pub const CREDENTIAL_UNAVAILABLE: &str = "The credential cannot be looked up at the moment. Try again later.";
/// The sentence for clients of a pod that has no role map yet.
pub const ROLE_MAP_NOT_LOADED: &str = "The role map has not been loaded yet. Try again later.";

/// A provider is asked again after about this time.
const OVERDUE_RETRY: Duration = Duration::from_secs(10);

/// The reason for a refusal because identities were verified too long ago.
const EXPIRED_CLAIMS: &str = "claims_expired";

/// The answer to one auth request.
#[derive(Debug)]
pub enum Decision {
    Allow {
        evaluation: Arc<Evaluation>,
        /// The sources that were read. Credentials in other headers are for the upstream.
        read: CredentialSources,
        identity_encoding: HeaderEncoding,
        upstream_headers: UpstreamHeaders,
    },
    /// Anyone is allowed. No credential was read.
    AllowAnyone { upstream_headers: UpstreamHeaders },
    /// The request has no valid credential.
    Unauthenticated(AuthenticationFailure),
    /// The principal is authenticated but not authorized.
    Forbidden { user: String, credential: CredentialKind, reason: DenialReason },
    /// The access rules deny the request to everyone.
    DeniedForAll(RuleDenial),
    /// The credential could not be looked up. Must not be answered as "not signed in".
    Unavailable(UnavailableCause),
    /// No role map has been loaded since the start. Must not be answered as a denial.
    RoleMapNotLoaded,
}

impl Decision {
    /// A sentence for the `error_description` of the answer.
    pub fn description(&self) -> &'static str {
        match self {
            Self::Allow { .. } | Self::AllowAnyone { .. } => "The request is allowed.",
            Self::Unauthenticated(failure) => failure.description(),
            Self::Forbidden { reason: DenialReason::NoRole, .. } => "No role is granted to this user.",
            Self::Forbidden { reason: DenialReason::ExpiredClaims, .. } => {
                "No role is granted, because the claims of this user have expired. Sign in again."
            }
            Self::Forbidden { reason: DenialReason::UnregisteredSubject, .. } => {
                "No user with this token's subject has signed in. Sign in with a browser once."
            }
            Self::Forbidden { reason: DenialReason::MissingSource, .. } => {
                "No role is granted, because claims of this user are missing."
            }
            Self::Forbidden { reason: DenialReason::UnmetRequirement { requirement, .. }, .. } => match requirement {
                Requirement::Nobody => "This path is closed.",
                Requirement::Role => "Your role does not allow this path.",
                Requirement::Team => "This path is restricted to other teams.",
                Requirement::Credential => "This path requires another kind of credential.",
            },
            Self::DeniedForAll(RuleDenial::NoMatch(MatchError::Path(_))) => {
                "The path is malformed or ambiguous. Send it without unusual encodings."
            }
            Self::DeniedForAll(_) => "This path is closed.",
            Self::Forbidden { reason: DenialReason::RouteRestriction, .. } => "This route is restricted to other roles or teams.",
            Self::Forbidden { reason: DenialReason::KeyRestriction, .. } => "This key is restricted to other paths.",
            Self::RoleMapNotLoaded => ROLE_MAP_NOT_LOADED,
            Self::Unavailable(cause) => cause.description(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationFailure {
    NoCredential,
    /// The credential is malformed.
    Unusable(CredentialError),
    UnknownSession,
    /// A session whose identity was verified longer ago than its provider allows (`max_claims_age`).
    ExpiredClaims,
    UnknownCredential,
    /// An API key that is suspended until its owner signs in.
    Suspended,
    /// A token that is suspended until its user signs in.
    SuspendedToken,
    /// A token that does not verify. The reason is only logged.
    Token(bearer_tokens::TokenRefusal),
}

impl AuthenticationFailure {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::Unusable(error) => error.reason(),
            Self::UnknownSession => "unknown_session",
            Self::ExpiredClaims => EXPIRED_CLAIMS,
            Self::UnknownCredential => "unknown_credential",
            Self::Suspended => "key_suspended",
            Self::SuspendedToken => "token_suspended",
            Self::Token(refused) => refused.reason(),
        }
    }

    /// Returns the details of a token's refusal.
    pub fn token_refusal(self) -> Option<bearer_tokens::TokenRefusal> {
        match self {
            Self::Token(refused) => Some(refused),
            _ => None,
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Self::NoCredential => "Sign in, or send a credential.",
            Self::Unusable(CredentialError::Ambiguous) => "Several different credentials were sent. Send one.",
            Self::UnknownSession | Self::Unusable(CredentialError::MalformedSession) => "The session has ended. Sign in again.",
            Self::ExpiredClaims => "The claims of this session have expired. Open the page again to renew them.",
            Self::UnknownCredential | Self::Unusable(_) => "The credential is unknown.",
            Self::Suspended => "The key is suspended until its owner signs in.",
            Self::SuspendedToken => "The token is suspended until its user signs in.",
            Self::Token(_) => "The token is not accepted, or has expired.",
        }
    }
}

/// A credential could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum UnavailableCause {
    #[error(transparent)]
    Store(#[from] LookupError),
    #[error(transparent)]
    Token(#[from] bearer_tokens::VerificationOutage),
    #[error("no role map has been loaded yet")]
    RoleMapNotLoaded,
    #[error("the look-up timed out")]
    Timeout,
    #[error("the claims have reached the max_age of their refresh, and the provider does not confirm them")]
    ClaimsOverdue,
}

impl UnavailableCause {
    pub fn description(&self) -> &'static str {
        match self {
            Self::ClaimsOverdue => "The identity provider cannot confirm the claims of this user at the moment. Try again later.",
            _ => CREDENTIAL_UNAVAILABLE,
        }
    }

    /// The time after which another attempt is worthwhile, if it is known.
    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::ClaimsOverdue).then_some(OVERDUE_RETRY)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DenialReason {
    #[error("no role is granted")]
    NoRole,
    #[error("no role is granted without the identities that were verified too long ago")]
    ExpiredClaims,
    #[error("no user has signed in with the token's subject")]
    UnregisteredSubject,
    #[error("the role map requires claims that are missing")]
    MissingSource,
    #[error("{rule} requires another {}", .requirement.as_str())]
    UnmetRequirement { rule: RuleName, requirement: Requirement },
    #[error("the route is restricted to other roles or teams")]
    RouteRestriction,
    #[error("the key is restricted to other paths")]
    KeyRestriction,
}

impl DenialReason {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoRole => "no_role",
            Self::ExpiredClaims => EXPIRED_CLAIMS,
            Self::UnregisteredSubject => "subject_unregistered",
            Self::MissingSource => "claims_missing",
            Self::UnmetRequirement { .. } => "requirement_not_met",
            Self::RouteRestriction => "route_restriction",
            Self::KeyRestriction => "key_restriction",
        }
    }

    /// The access rule with the unmet requirement.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::UnmetRequirement { rule, .. } => Some(rule.as_str()),
            _ => None,
        }
    }
}

/// The access rules deny a request with any credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleDenial {
    #[error("{rule} allows nobody")]
    Nobody { rule: RuleName },
    #[error(transparent)]
    NoMatch(#[from] MatchError),
    #[error("the check's URL names a route that is not in the role map's `routes`")]
    UnknownRoute,
}

impl RuleDenial {
    /// The stable token for the `reason` field of log events.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Nobody { .. } => "rule_allows_nobody",
            Self::NoMatch(MatchError::Path(_)) => "path_invalid",
            Self::NoMatch(MatchError::NoRule) => "no_rule",
            Self::UnknownRoute => "route_unknown",
        }
    }
}
