//! Auth requests that are refused without a decision: reasons, metric labels and log events.

use crate::{
    check::CheckQueryError,
    check::gateway::{nginx::OriginalRequestError, secret::GatewaySecretError},
    metrics::RefusalLabel,
};

/// The reason for refusing an auth request. Either the gateway is not configured for this service, or a client tries to
/// appear as another request than the one that the gateway forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Original(#[from] OriginalRequestError),
    #[error(transparent)]
    Query(#[from] CheckQueryError),
    #[error("the request is for another host than the check's URL names")]
    OtherHost,
    #[error("the check's URL names no host, and the request's host is neither that of public_url nor of origins")]
    UnprotectedHost,
    #[error(transparent)]
    GatewaySecret(#[from] GatewaySecretError),
    #[error("no gateway family has its path; /auth/nginx is the one of nginx")]
    UnknownPath,
}

impl Refusal {
    pub(super) fn label(self) -> RefusalLabel {
        match self {
            Self::OtherHost | Self::UnprotectedHost => RefusalLabel::Host,
            Self::Query(CheckQueryError::HostRepeated | CheckQueryError::Host(_)) => RefusalLabel::Host,
            Self::GatewaySecret(_) => RefusalLabel::GatewaySecret,
            Self::Original(_) | Self::Query(_) | Self::UnknownPath => RefusalLabel::Malformed,
        }
    }

    /// The stable token for the `reason` field of log events.
    fn reason(self) -> &'static str {
        match self {
            Self::Original(error) => error.reason(),
            Self::Query(error) => error.reason(),
            Self::OtherHost => "host_not_named",
            Self::UnprotectedHost => "host_not_configured",
            Self::GatewaySecret(error) => error.reason(),
            Self::UnknownPath => "unknown_gateway_path",
        }
    }

    pub(super) fn log(self, request_id: Option<&str>) {
        let (reason, error) = (self.reason(), self);
        match self.label() {
            RefusalLabel::Malformed => tracing::warn!(
                request_id,
                reason,
                %error,
                suppressed = tracing::field::Empty,
                "malformed auth request; check the gateway's X-Original-* headers"
            ),
            RefusalLabel::Host => tracing::warn!(
                request_id,
                reason,
                %error,
                suppressed = tracing::field::Empty,
                "auth request for another host refused"
            ),
            RefusalLabel::GatewaySecret => tracing::warn!(
                request_id,
                reason,
                %error,
                suppressed = tracing::field::Empty,
                "auth request without the gateway secret refused"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::AuthorityError;

    #[test]
    fn refusals_are_counted_by_their_reason() {
        for (refusal, expected) in [
            (Refusal::OtherHost, RefusalLabel::Host),
            (Refusal::UnprotectedHost, RefusalLabel::Host),
            (Refusal::Query(CheckQueryError::HostRepeated), RefusalLabel::Host),
            (Refusal::Query(CheckQueryError::Host(AuthorityError::Host)), RefusalLabel::Host),
            (Refusal::Query(CheckQueryError::Plus), RefusalLabel::Malformed),
            (Refusal::Original(OriginalRequestError::Host), RefusalLabel::Malformed),
            (Refusal::UnknownPath, RefusalLabel::Malformed),
            (Refusal::GatewaySecret(GatewaySecretError::Missing), RefusalLabel::GatewaySecret),
        ] {
            assert_eq!(refusal.label(), expected, "{refusal}");
        }
    }
}
