//! The `check` section: the secret that gateways share with the check.

use super::UpstreamCredentialSettings;
use super::secrets::SecretFields;
use super::values;
use crate::secret::{AcceptedSecrets, ConfiguredSecret};
use crate::yaml::decode::{Section, field};

/// The clients that may send auth requests.
#[derive(Clone, Debug)]
pub enum CheckAccess {
    /// Gateways that present one of the secrets.
    GatewaySecret(ConfiguredSecret),
    /// All clients that reach the check listener. The network admits only the gateway.
    Network,
    /// All clients that reach the check listener. The answers contain no secret.
    Open,
}

pub const DOC: &str = "Gateway secret: proves that an auth request comes from a gateway. Every other auth request is \
                       refused with 403.";

const SECRET: SecretFields = SecretFields {
    inline: field("secret", "Inline gateway secret. Prefer `secret_file`."),
    file: field(
        "secret_file",
        "File with one secret per line, which gateways send in `X-Vestibule-Gateway-Secret`: 32 to 256 letters, digits and \
         `-._~+/=`. Each line is accepted. Read again when it changes. Required with `upstream_credential.static` and \
         `upstream_credential.assertion`, unless `trust_network` is set.",
    ),
    check: |text| AcceptedSecrets::parse(text).map(drop).map_err(|error| error.to_string()),
};

pub fn read(section: &mut Section<'_>) -> Option<CheckAccess> {
    let secret = section.secret(&SECRET);
    let trust_network = section.or_default(
        field(
            "trust_network",
            "Returns upstream credentials without a gateway secret, to everybody who reaches the check listener. Only if the \
             network admits nobody but the gateway.",
        ),
        &values::BOOLEAN,
        "false",
    );
    match (secret?, trust_network?) {
        (Some(_), true) => {
            section.complain("trust_network", "has no effect with a gateway secret; remove one of them");
            None
        }
        (Some(secret), false) => Some(CheckAccess::GatewaySecret(secret)),
        (None, true) => Some(CheckAccess::Network),
        (None, false) => Some(CheckAccess::Open),
    }
}

/// Requires a gateway secret if answers contain upstream credentials or assertions, because every program that reaches the check
/// would receive them.
pub fn require_secret(
    root: &mut Section<'_>,
    access: Option<&CheckAccess>,
    upstream_credential: Option<&UpstreamCredentialSettings>,
) -> Option<()> {
    let (access, upstream_credential) = (access?, upstream_credential?);
    let returned = match (upstream_credential.static_credentials.is_empty(), &upstream_credential.assertion) {
        (false, _) => "static credentials",
        (true, Some(_)) => "identity assertions",
        (true, None) => return Some(()),
    };
    if !matches!(access, CheckAccess::Open) {
        return Some(());
    }
    let text = format!(
        "has {returned}, which everybody who reaches the check would receive; set `check.secret_file`, or \
         `check.trust_network: true` if the network admits only the gateway"
    );
    root.complain("upstream_credential", text);
    None
}
