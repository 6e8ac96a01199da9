//! Relates providers to the token issuers that accept tokens of their users.

use crate::bearer_tokens::{IssuerKind, IssuerSettings};
use crate::oidc::ProviderSettings;

/// Adds the claims by which token issuers find the users of each provider, and warns about issuers that name no provider.
pub fn relate(
    mut providers: Vec<ProviderSettings>,
    issuers: Option<&[IssuerSettings]>,
    warnings: &mut Vec<String>,
) -> Vec<ProviderSettings> {
    for (place, issuer) in issuers.unwrap_or_default().iter().enumerate() {
        match &issuer.provider {
            Some(id) => add_user_claim(&mut providers, id, issuer),
            None => warnings.extend(warn_of_unnamed_provider(&providers, place, issuer)),
        }
    }
    providers
}

fn add_user_claim(providers: &mut [ProviderSettings], id: &str, issuer: &IssuerSettings) {
    if let Some(provider) = providers.iter_mut().find(|provider| provider.id == id) {
        provider.user_claims.extend(issuer.user_claim.clone());
    }
}

/// Returns a warning about tokens of a provider's users that are treated like tokens of workloads.
fn warn_of_unnamed_provider(providers: &[ProviderSettings], place: usize, issuer: &IssuerSettings) -> Option<String> {
    let IssuerKind::OpenIdConnect(address) = &issuer.kind else { return None };
    let provider = providers.iter().find(|provider| provider.issuer() == address.issuer)?;
    Some(format!(
        "token_issuers[{place}].issuer: is the issuer of provider {}, whose users' tokens are accepted even if their subject \
         is unregistered; set `provider` instead of `issuer`",
        provider.id
    ))
}
