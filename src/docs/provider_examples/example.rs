//! Checks a worked example: its configuration, its role map, and their effect on the samples.

use std::{fmt::Debug, fs, path::Path, sync::LazyLock};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeyPair, KeySize},
};
use serde_json::json;
use tempfile::TempDir;

use super::samples::{self, BearerToken, ExpectedGrant, ExpectedToken, Samples, SignIn};
use crate::{
    bearer_tokens::{IssuerKind, IssuerSettings, UnregisteredSubjects, test_token},
    config::{self, Config},
    explain,
    oidc::{ProviderSettings, test_login},
    principal::{Claims, IdentityClaims, Source},
    role_map::{Explanation, RoleMap},
};

/// A key that no service account has.
static SERVICE_ACCOUNT: LazyLock<String> = LazyLock::new(|| {
    let key = AsDer::<Pkcs8V1Der>::as_der(&KeyPair::generate(KeySize::Rsa2048).unwrap()).unwrap();
    let key = pem::encode(&pem::Pem::new("PRIVATE KEY", key.as_ref()));
    let (email, token_uri) = ("reader@acme.iam.gserviceaccount.com", "https://oauth2.googleapis.com/token");
    json!({"type": "service_account", "client_email": email, "private_key": key, "token_uri": token_uri}).to_string()
});

const CONFIGURATION: &str = "```yaml configuration\n";
const ROLE_MAP: &str = "```yaml role-map\n";

/// A page with its samples.
pub struct Example {
    pub blocks: Blocks,
    samples: Samples,
    /// Holds the files that the configuration names.
    folder: TempDir,
}

/// The blocks of a page, word for word.
pub struct Blocks {
    pub configuration: String,
    pub role_map: String,
}

/// The valid settings of the blocks.
struct Settings {
    provider: ProviderSettings,
    token_issuers: Vec<IssuerSettings>,
    role_map: RoleMap,
}

impl Example {
    pub fn parse(page: &str, samples: &str) -> Result<Self, String> {
        let blocks = Blocks { configuration: block(page, CONFIGURATION)?, role_map: block(page, ROLE_MAP)? };
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("secret"), "s3cret-of-a-test").unwrap();
        fs::write(folder.path().join("service-account"), SERVICE_ACCOUNT.as_str()).unwrap();
        Ok(Self { blocks, samples: Samples::parse(samples)?, folder })
    }

    pub fn check(&self) -> Result<(), String> {
        self.check_blocks(&self.blocks)
    }

    /// Checks other blocks with the samples of this example.
    pub fn check_blocks(&self, blocks: &Blocks) -> Result<(), String> {
        let settings = Settings::read(blocks, self.folder.path())?;
        let identities =
            self.samples.sign_ins.iter().map(|sample| {
                settings.check_sign_in(sample).map_err(|error| format!("sign-in of {}: {error}", sample.description))
            });
        let identities: Vec<_> = identities.collect::<Result<_, _>>()?;
        self.samples.tokens.iter().try_for_each(|sample| {
            settings.check_token(sample, &identities).map_err(|error| format!("token of {}: {error}", sample.description))
        })
    }
}

/// Returns the only block that begins with this line.
fn block(page: &str, begin: &str) -> Result<String, String> {
    let mut blocks = page.split(begin).skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    match (blocks.next(), blocks.next()) {
        (Some(only), None) => Ok(only.to_owned()),
        _ => Err(format!("the page must have one block {}", begin.trim())),
    }
}

impl Settings {
    /// Reads the blocks as `check-config` does. The files of the configuration are replaced by those in the folder.
    fn read(blocks: &Blocks, folder: &Path) -> Result<Self, String> {
        let (secret, role_map) = (folder.join("secret"), folder.join("roles.yaml"));
        fs::write(&role_map, &blocks.role_map).unwrap();
        let files = [
            ("VESTIBULE__PROVIDERS__0__CLIENT_SECRET_FILE", secret.to_str().unwrap()),
            ("VESTIBULE__ROLE_MAP__FILE", role_map.to_str().unwrap()),
            ("VESTIBULE__PUBLIC_URL", "https://llm.example.com"),
        ];
        let service_account = folder.join("service-account");
        let needed = blocks
            .configuration
            .contains("service_account_file")
            .then(|| ("VESTIBULE__PROVIDERS__0__DIRECTORY__SERVICE_ACCOUNT_FILE", service_account.to_str().unwrap()));
        let files = files.into_iter().chain(needed);
        let loaded = config::parse(&blocks.configuration, files.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .map_err(|mistakes| mistakes.to_string())?;
        let Config { providers, token_issuers, .. } = loaded.config;
        let [provider] = <[_; 1]>::try_from(providers).map_err(|providers| format!("{} providers", providers.len()))?;
        let role_map = RoleMap::parse(&blocks.role_map).map_err(|mistakes| mistakes.to_string())?;
        Ok(Self { provider, token_issuers, role_map })
    }

    fn check_sign_in(&self, sample: &SignIn) -> Result<IdentityClaims, String> {
        let SignIn { expect, .. } = sample;
        let claims = test_login::claims_by_source(&self.provider, sample.response(), &samples::keys(), samples::now())?;
        let identity = explain::parse_identity(claims, self.provider.id.clone(), Source::IdToken)?;
        let explanation = self.role_map.explain(std::slice::from_ref(&identity));
        compare(
            "refused for missing",
            explanation.refused_for_missing.map(Source::as_str),
            expect.refused_for_missing.as_deref(),
        )?;
        check_grant(&explanation, expect.role.as_deref(), &expect.teams)?;
        compare("email", identity.email(&self.provider.profile), expect.email.as_deref())?;
        compare("user name", identity.preferred_username(&self.provider.profile), expect.user_name.as_deref())?;
        Ok(identity)
    }

    fn check_token(&self, sample: &BearerToken, users: &[IdentityClaims]) -> Result<(), String> {
        let issuer = self.token_issuers.iter().find(|issuer| issuer.id == sample.issuer).ok_or("the token issuer is missing")?;
        let IssuerKind::OpenIdConnect(address) = &issuer.kind else {
            return Err("the token issuer is of another kind".to_owned());
        };
        let verified = test_token::verify(issuer, &address.issuer, sample.token(), &samples::keys(), samples::now());
        match (&sample.expect, verified) {
            (ExpectedToken::Refused, Err(_)) => Ok(()),
            (ExpectedToken::Refused, Ok(_)) => Err("it is accepted".to_owned()),
            (_, Err(refusal)) => Err(refusal.to_string()),
            (ExpectedToken::User { expect }, Ok(claims)) => {
                check_is_of_user(issuer, &claims, users)?;
                check_token_grant(&self.role_map.explain(&[token_identity(issuer, claims)?]), expect)
            }
            (ExpectedToken::Workload { expect }, Ok(claims)) => {
                compare("unregistered subjects", address.unregistered_subjects, UnregisteredSubjects::Workloads)?;
                check_token_grant(&self.role_map.explain_workload(&[token_identity(issuer, claims)?]), expect)
            }
        }
    }
}

fn token_identity(issuer: &IssuerSettings, claims: Claims) -> Result<IdentityClaims, String> {
    explain::parse_identity(claims, issuer.claim_source().to_owned(), Source::AccessToken)
}

/// Checks that the issuer's `user_claim` finds one of the users.
fn check_is_of_user(issuer: &IssuerSettings, token: &Claims, users: &[IdentityClaims]) -> Result<(), String> {
    let claim = issuer.user_claim.as_ref().ok_or("its issuer has no `user_claim`")?;
    let value = claim.single_value(token).ok_or("it has no value of `user_claim`")?;
    let is_of = |user: &IdentityClaims| user.sources().any(|claims| claim.single_value(claims).as_ref() == Some(&value));
    if users.iter().any(is_of) { Ok(()) } else { Err(format!("no sign-in has {value:?} in {claim}")) }
}

fn check_token_grant(explanation: &Explanation, expect: &ExpectedGrant) -> Result<(), String> {
    check_grant(explanation, expect.role.as_deref(), &expect.teams)
}

fn check_grant(explanation: &Explanation, role: Option<&str>, teams: &[String]) -> Result<(), String> {
    compare("role", explanation.role.as_ref().map(|role| role.as_str()), role)?;
    let mut granted: Vec<_> = explanation.teams.iter().map(|team| team.name.clone()).collect();
    granted.dedup();
    compare("teams", granted.as_slice(), teams)?;
    compare("warnings", explanation.warnings.len(), 0)
}

fn compare<T: PartialEq + Debug>(field: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{field}: {found:?} instead of {expected:?}")) }
}
