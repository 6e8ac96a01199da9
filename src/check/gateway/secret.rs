//! Verifies the secret that gateways send with every auth request.

use std::sync::Arc;

use crate::secret::AcceptedSecretsCell;

/// The request does not prove that it comes from a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewaySecretError {
    #[error("X-Vestibule-Gateway-Secret is missing")]
    Missing,
    #[error("X-Vestibule-Gateway-Secret is repeated")]
    Repeated,
    #[error("X-Vestibule-Gateway-Secret is not one of the secrets in check.secret_file")]
    Wrong,
}

impl GatewaySecretError {
    /// The stable token for the `reason` field of log events.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Missing => "gateway_secret_missing",
            Self::Repeated => "gateway_secret_repeated",
            Self::Wrong => "gateway_secret_wrong",
        }
    }
}

/// The secrets that a gateway must present, if any are configured.
#[derive(Clone, Debug, Default)]
pub struct GatewayAuthentication(Option<Arc<AcceptedSecretsCell>>);

impl GatewayAuthentication {
    pub fn new(secrets: Option<Arc<AcceptedSecretsCell>>) -> Self {
        Self(secrets)
    }

    /// Verifies all values of `X-Vestibule-Gateway-Secret`. A second one may be a client's, which a gateway passed on.
    pub fn verify<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> Result<(), GatewaySecretError> {
        let Some(secrets) = &self.0 else { return Ok(()) };
        let presented = values.next().ok_or(GatewaySecretError::Missing)?;
        if values.next().is_some() {
            return Err(GatewaySecretError::Repeated);
        }
        if secrets.accept(presented) { Ok(()) } else { Err(GatewaySecretError::Wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::AcceptedSecrets;
    use rstest::rstest;

    const SECRET: &str = "0123456789abcdefghijklmnopqrstuv";

    #[rstest]
    #[case(&[SECRET], Ok(()))]
    #[case(&[], Err(GatewaySecretError::Missing))]
    #[case(&[SECRET, SECRET], Err(GatewaySecretError::Repeated))]
    #[case(&[SECRET, "x"], Err(GatewaySecretError::Repeated))]
    #[case(&[""], Err(GatewaySecretError::Wrong))]
    #[case(&["0123456789abcdefghijklmnopqrstuV"], Err(GatewaySecretError::Wrong))]
    #[case(&["0123456789abcdefghijklmnopqrstuv, 0123456789abcdefghijklmnopqrstuv"], Err(GatewaySecretError::Wrong))]
    fn exactly_one_accepted_secret_is_required(#[case] values: &[&str], #[case] expected: Result<(), GatewaySecretError>) {
        let secrets = AcceptedSecrets::parse(SECRET).unwrap();
        let configured = GatewayAuthentication::new(Some(Arc::new(AcceptedSecretsCell::new(secrets))));
        assert_eq!(configured.verify(values.iter().map(|value| value.as_bytes())), expected);
        assert_eq!(GatewayAuthentication::default().verify(values.iter().map(|value| value.as_bytes())), Ok(()));
    }
}
