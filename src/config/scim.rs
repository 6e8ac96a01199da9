//! The `scim` section: the company's directory, which provisions users and groups.

use std::sync::Arc;

use super::provider::kinds::FIELD_PATH;
use super::secrets::SecretFields;
use super::values;
use crate::oidc::ProviderSettings;
use crate::secret::{AcceptedSecrets, ConfiguredSecret};
use crate::users::{LinkAttribute, LinkClaim, ProvisioningSettings};
use crate::yaml::decode::{Field, Kind, Section, field};

/// The directory of a provider.
#[derive(Clone, Debug)]
pub struct ScimDirectory {
    pub provisioning: Arc<ProvisioningSettings>,
    pub token: ConfiguredSecret,
}

pub const DOC: &str = "SCIM 2.0 at `/vestibule/scim/v2`: the company's directory creates, disables and deletes users, and sends \
                       their groups. Off unless `provider` is set.";

const LINK: &str = "The rule that links a user of the directory to an identity of the provider.";

const PROVIDER: Field =
    field("provider", "Id of the provider whose directory sends users and groups.").unset("none, SCIM is off");

const TOKEN: SecretFields = SecretFields {
    inline: field("token", "Inline bearer token. Prefer `token_file`."),
    file: field(
        "token_file",
        "File with one bearer token per line, which the directory sends: 32 to 256 letters, digits and `-._~+/=`. Each line is \
         accepted. Read again when it changes. Required with `provider`.",
    ),
    check: |text| AcceptedSecrets::parse(text).map(drop).map_err(|error| error.to_string()),
};

const ATTRIBUTE: Kind<LinkAttribute> = Kind {
    name: "attribute",
    parse: |text| {
        let known = LinkAttribute::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| format!("must be externalId or userName, not {}", crate::yaml::shown(text)))
    },
};

const CLAIM: Kind<LinkClaim> = Kind {
    name: "dot path",
    parse: |text| match LinkClaim::standard(text) {
        Some(claim) => Ok(claim),
        None => (FIELD_PATH.parse)(text).map(LinkClaim::Other),
    },
};

/// Reads the directory; `None` in it if none is configured.
pub fn read(section: &mut Section<'_>, providers: Option<&[ProviderSettings]>) -> Option<Option<ScimDirectory>> {
    let provider = section.optional(PROVIDER, &values::NAME);
    let token = section.secret(&TOKEN);
    let link = section.section("link", LINK, read_link);
    let (provider, token, (attribute, claim)) = (provider?, token?, link?);
    let (id, token) = match (provider, token) {
        (None, None) => return Some(None),
        (Some(id), Some(token)) => (id, token),
        (Some(_), None) => {
            section.complain("token_file", "is required with `provider`; the directory authenticates with a bearer token");
            return None;
        }
        (None, Some(_)) => {
            section.complain("provider", "is required with a token; name the provider whose directory sends it");
            return None;
        }
    };
    let Some(provider) = providers?.iter().find(|provider| provider.id == id) else {
        section.complain("provider", "is not the id of a configured provider");
        return None;
    };
    let issuer = provider.issuer().to_owned();
    let provisioning = Arc::new(ProvisioningSettings { provider: id, issuer, attribute, claim });
    Some(Some(ScimDirectory { provisioning, token }))
}

fn read_link(section: &mut Section<'_>) -> Option<(LinkAttribute, LinkClaim)> {
    let attribute = section.or_default(
        field("attribute", "`externalId` or `userName`: the attribute of the directory that identifies a user at the provider."),
        &ATTRIBUTE,
        "externalId",
    );
    let claim = section.or_default(
        field(
            "claim",
            "Claim with the same value: `sub`, `email` (only a verified address counts, or one of a provider with `trust_email`), \
             or any other claim, such as `oid`.",
        ),
        &CLAIM,
        "sub",
    );
    Some((attribute?, claim?))
}

/// The ids of the providers whose users are provisioned, which role map rules of source `scim` may name.
pub fn provisioned_providers(directory: Option<&ScimDirectory>) -> Vec<String> {
    directory.iter().map(|directory| directory.provisioning.provider.clone()).collect()
}

/// Lets the directory's provider keep the claim at each sign-in.
pub fn relate(mut providers: Vec<ProviderSettings>, directory: Option<&ScimDirectory>) -> Vec<ProviderSettings> {
    let Some(directory) = directory else { return providers };
    let ProvisioningSettings { provider, claim, .. } = &*directory.provisioning;
    for settings in providers.iter_mut().filter(|settings| settings.id == *provider) {
        settings.link_claim = Some(claim.clone());
    }
    providers
}
