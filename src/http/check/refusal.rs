//! Auth requests that are refused without a decision: reasons, metric labels and log events.

use std::borrow::Cow;

use crate::{
    check::CheckQueryError,
    check::gateway::{AuthRequestError, Dialect, connection::ConnectionError, secret::GatewaySecretError},
    metrics::RefusalLabel,
};

/// The reason for refusing an auth request. Either the gateway is not configured for this service, or a client tries to
/// appear as another request than the one that the gateway forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    AuthRequest(#[from] AuthRequestError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("the request is for another host than the check's URL names")]
    OtherHost,
    #[error("the check's URL names no host, and the request's host is neither that of public_url nor of origins")]
    UnprotectedHost,
    #[error(transparent)]
    GatewaySecret(#[from] GatewaySecretError),
    #[error("no gateway family has its path, such as /auth/nginx, /auth/traefik or /auth/envoy/llm.example.com")]
    UnknownPath,
}

impl Refusal {
    pub(super) fn label(self) -> RefusalLabel {
        match self {
            Self::OtherHost | Self::UnprotectedHost => RefusalLabel::Host,
            Self::AuthRequest(AuthRequestError::Query(CheckQueryError::HostRepeated | CheckQueryError::Host(_))) => {
                RefusalLabel::Host
            }
            Self::GatewaySecret(_) => RefusalLabel::GatewaySecret,
            Self::AuthRequest(_) | Self::Connection(_) | Self::UnknownPath => RefusalLabel::Malformed,
        }
    }

    /// The stable token for the `reason` field of log events.
    fn reason(self) -> Cow<'static, str> {
        match self {
            Self::AuthRequest(AuthRequestError::Original(error)) => return error.reason().into(),
            Self::AuthRequest(AuthRequestError::Query(error)) => error.reason(),
            Self::Connection(error) => error.reason(),
            Self::OtherHost => "host_not_named",
            Self::UnprotectedHost => "host_not_configured",
            Self::GatewaySecret(error) => error.reason(),
            Self::UnknownPath => "unknown_gateway_path",
        }
        .into()
    }

    /// `dialect` is `None` if the path names none.
    pub(super) fn log(self, dialect: Option<Dialect>, request_id: Option<&str>) {
        let (reason, error, gateway) = (&*self.reason(), self, dialect.map(Dialect::as_str));
        match self.label() {
            RefusalLabel::Malformed if matches!(dialect, None | Some(Dialect::Nginx)) => tracing::warn!(
                request_id,
                gateway,
                reason,
                %error,
                suppressed = tracing::field::Empty,
                "malformed auth request; check the gateway's X-Original-* headers"
            ),
            RefusalLabel::Malformed => tracing::warn!(
                request_id,
                gateway,
                reason,
                %error,
                suppressed = tracing::field::Empty,
                "malformed auth request; check the gateway's configuration"
            ),
            RefusalLabel::Host => tracing::warn!(
                request_id,
                gateway,
                reason,
                %error,
                suppressed = tracing::field::Empty,
                "auth request for another host refused"
            ),
            RefusalLabel::GatewaySecret => tracing::warn!(
                request_id,
                gateway,
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
    use crate::{
        check::gateway::{Fault, OriginalRequestError, RequestPart},
        origin::AuthorityError,
    };

    #[test]
    fn refusals_are_counted_by_their_reason() {
        let query = |error: CheckQueryError| Refusal::AuthRequest(error.into());
        let original = OriginalRequestError { part: RequestPart::Target, fault: Fault::Host };
        for (refusal, expected) in [
            (Refusal::OtherHost, RefusalLabel::Host),
            (Refusal::UnprotectedHost, RefusalLabel::Host),
            (query(CheckQueryError::HostRepeated), RefusalLabel::Host),
            (query(CheckQueryError::Host(AuthorityError::Host)), RefusalLabel::Host),
            (query(CheckQueryError::Plus), RefusalLabel::Malformed),
            (Refusal::AuthRequest(original.into()), RefusalLabel::Malformed),
            (Refusal::Connection(ConnectionError), RefusalLabel::Malformed),
            (Refusal::UnknownPath, RefusalLabel::Malformed),
            (Refusal::GatewaySecret(GatewaySecretError::Missing), RefusalLabel::GatewaySecret),
        ] {
            assert_eq!(refusal.label(), expected, "{refusal}");
        }
    }
}
