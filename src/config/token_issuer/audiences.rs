//! The fields about the audiences of a token issuer's tokens.

use super::ValidationContext;
use super::kinds::{ACCESS_TOKEN_CLAIM, AUDIENCE, AUDIENCE_CLAIM};
use crate::bearer_tokens::{AudienceClaim, RequiredClaim};
use crate::principal::ClaimPath;
use crate::yaml::decode::{Section, field};
use crate::yaml::shown;

/// The fields as written.
pub struct RawAudiences {
    pub audiences: Option<Vec<String>>,
    pub audience_claim: Option<Option<AudienceClaim>>,
    pub access_token_claim: Option<Option<ClaimPath>>,
}

/// Audiences that an API server gives to the default token of every pod.
const API_SERVER_AUDIENCES: [&str; 3] =
    ["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "https://kubernetes.default"];

pub fn read(section: &mut Section<'_>) -> RawAudiences {
    let audiences = "Accepted audiences. A token must have at least one of them. A provider's `client_id`, which is the audience of \
                     id_tokens, is accepted only with `access_token_claim`.";
    let audience_claim = "Claim that names the audience in access tokens without `aud` (Amazon Cognito: `client_id`). Its value must \
                          be one of `audiences`. If a token also has `aud`, that must contain one of `audiences` too. Requires \
                          `required_claims` that id_tokens do not fulfill.";
    let access_token_claim = "Claim (dot path) that every access token has and no id_token, such as Entra ID's `scp`. Tokens \
                              without it are refused, and `audiences` may contain the `client_id` of a provider.";
    RawAudiences {
        audiences: section.list(field("audiences", audiences).unset("required; with `kubernetes`, `public_url`"), &AUDIENCE, &[]),
        audience_claim: section
            .optional(field("audience_claim", audience_claim).unset("none: `aud` is required"), &AUDIENCE_CLAIM),
        access_token_claim: section.optional(field("access_token_claim", access_token_claim).unset("none"), &ACCESS_TOKEN_CLAIM),
    }
}

impl RawAudiences {
    /// Rejects audiences of tokens that were not issued for this service, such as id_tokens.
    pub fn check(&self, section: &mut Section<'_>, context: &ValidationContext<'_>) {
        let Some(audiences) = &self.audiences else { return };
        if audiences.is_empty() {
            section.complain("audiences", "must not be empty: tokens for every audience would be accepted");
        }
        if !section.is_given("access_token_claim") {
            reject_login_clients(section, audiences, context);
        }
        for audience in audiences.iter().filter(|audience| API_SERVER_AUDIENCES.contains(&audience.as_str())) {
            let text = format!(
                "{} is the API server's own audience, which every pod's default token has; project tokens with another audience",
                shown(audience)
            );
            section.complain("audiences", text);
        }
    }

    /// Rejects `audience_claim` where nothing distinguishes access tokens from the id_tokens of the same client.
    pub fn check_claim(&self, section: &mut Section<'_>, required: Option<&[RequiredClaim]>) -> Option<()> {
        if self.audience_claim?.is_none() || required.is_none_or(|required| !required.is_empty()) {
            return Some(());
        }
        let text = "requires `required_claims`, such as `{token_use: access}`: the claim is also in id_tokens and in tokens for other \
                    APIs";
        section.complain("audience_claim", text);
        None
    }
}

fn reject_login_clients(section: &mut Section<'_>, audiences: &[String], context: &ValidationContext<'_>) {
    let providers = context.providers.unwrap_or_default();
    for audience in audiences {
        if let Some(provider) = providers.iter().find(|provider| provider.client_id == *audience) {
            let text = format!(
                "{} is the `client_id` of provider {}: its id_tokens would be accepted; use another audience, or set \
                 `access_token_claim`",
                shown(audience),
                shown(&provider.id)
            );
            section.complain("audiences", text);
        }
    }
}
