//! The `token_issuers` section: issuers of accepted bearer JWTs.

mod audiences;
mod kinds;
mod providers;

pub use providers::relate;

use std::{path::PathBuf, time::Duration};

use url::Url;

use self::audiences::RawAudiences;
use self::kinds::{API_SERVER_ISSUER, KIND, REVIEW_CACHE, UNREGISTERED, UnregisteredPolicy, claim_path};
use super::http_proxy::{self, ProxyFields};
use super::provider::kinds::{ALGORITHM, FIELD_PATH, ID, ISSUER};
use super::values;
use crate::bearer_tokens::{
    IssuerAddress, IssuerKind, IssuerSettings, KubernetesSettings, RequiredClaim, Review, UnregisteredSubjects,
};
use crate::jwt::Algorithm;
use crate::oidc::{OpenIdConnectSettings, ProtocolSettings, ProviderSettings};
use crate::origin::PublicUrl;
use crate::principal::ClaimPath;
use crate::yaml::decode::{Section, field};
use crate::yaml::shown;

pub const DOC: &str = "Issuers of JWTs that programs may present instead of an API key: an identity provider, a CI system, \
                       or Kubernetes (ServiceAccounts).";

/// The settings that a token issuer is validated with. A setting with mistakes is `None`.
pub struct ValidationContext<'a> {
    pub public_url: Option<&'a PublicUrl>,
    pub providers: Option<&'a [ProviderSettings]>,
    pub proxy: &'a ProxyFields,
}

/// The token issuers before the current one.
#[derive(Default)]
pub struct EarlierIssuers {
    ids: Vec<String>,
    issuers: Vec<String>,
    kubernetes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KindName {
    OpenIdConnect,
    Kubernetes,
}

/// Fields that must not be empty, since a template's empty value would admit more tokens.
const NOT_WITHOUT_VALUE: [&str; 4] = ["required_claims", "review", "audiences", "access_token_claim"];

/// The fields of both kinds as written. All are read before the kind decides which of them are allowed.
struct RawTokenIssuer {
    id: Option<String>,
    kind: Option<KindName>,
    issuer: Option<Option<String>>,
    provider: Option<Option<String>>,
    audiences: RawAudiences,
    algorithms: Option<Vec<Algorithm>>,
    required_claims: Option<Vec<RequiredClaim>>,
    jwks_uri: Option<Option<Url>>,
    ca_file: Option<Option<PathBuf>>,
    proxy: Option<ProxyFields>,
    user_claim: Option<Option<ClaimPath>>,
    unregistered: Option<Option<UnregisteredPolicy>>,
    workload: Option<bool>,
    keys_max_age: Option<Option<Duration>>,
    review: Option<bool>,
    review_cache: Option<Duration>,
    additional_issuers: Option<Vec<String>>,
}

const OPEN_ID_CONNECT_ONLY: [(&str, &str); 13] = [
    ("issuer", "is only for `kind: oidc`: the API server defines the issuer; remove it"),
    ("provider", "is only for `kind: oidc`: the API server is not an identity provider; remove it"),
    ("user_claim", "is only for `kind: oidc`: a ServiceAccount is never a user; remove it"),
    ("unregistered", "is only for `kind: oidc`: a ServiceAccount is always a workload; remove it"),
    ("jwks_uri", "is only for `kind: oidc`: the API server defines the keys; remove it"),
    ("ca_file", "is only for `kind: oidc`: the pod's ServiceAccount or the kubeconfig defines the CA certificates; remove it"),
    ("http_proxy", "is only for `kind: oidc`: the API server is contacted directly; remove it"),
    ("http_proxy_credentials", "is only for `kind: oidc`: the API server is contacted directly; remove it"),
    ("http_proxy_credentials_file", "is only for `kind: oidc`: the API server is contacted directly; remove it"),
    ("no_proxy", "is only for `kind: oidc`: the API server is contacted directly; remove it"),
    ("workload", "is only for `kind: oidc`: a ServiceAccount is always a workload; remove it"),
    ("audience_claim", "is only for `kind: oidc`: the tokens of ServiceAccounts have `aud`; remove it"),
    ("access_token_claim", "is only for `kind: oidc`: the API server issues no id_tokens; remove it"),
];

const KUBERNETES_ONLY: [(&str, &str); 3] = [
    ("additional_issuers", "is only for `kind: kubernetes`, whose API server may have several issuers; remove it"),
    ("review", "is only for `kind: kubernetes`, whose API server supports TokenReview; remove it"),
    ("review_cache", "is only for `kind: kubernetes`, whose API server supports TokenReview; remove it"),
];

/// Fields that `provider` defines.
const DEFINED_BY_PROVIDER: [(&str, &str); 7] = [
    ("issuer", "can't be combined with `provider`, which defines the issuer; remove one of them"),
    ("jwks_uri", "can't be combined with `provider`, which defines the keys; remove one of them"),
    ("ca_file", "can't be combined with `provider`, which defines the CA certificates; remove one of them"),
    ("http_proxy", "can't be combined with `provider`, which defines the proxy; set it there"),
    ("http_proxy_credentials", "can't be combined with `provider`, which defines the proxy; set it there"),
    ("http_proxy_credentials_file", "can't be combined with `provider`, which defines the proxy; set it there"),
    ("no_proxy", "can't be combined with `provider`, which defines the proxy; set it there"),
];

/// Fields about the users of a provider.
const PROVIDER_ONLY: [(&str, &str); 2] = [
    ("user_claim", "requires `provider`, whose sign-ins define the users; remove it, or name the provider"),
    ("unregistered", "requires `provider`: without one, every subject is unregistered; remove it, or name the provider"),
];

pub fn read(section: &mut Section<'_>, context: &ValidationContext<'_>, earlier: &mut EarlierIssuers) -> Option<IssuerSettings> {
    let values = NOT_WITHOUT_VALUE.map(|name| section.not_without_value(name));
    let raw = RawTokenIssuer::read(section);
    let id = raw.id.clone().and_then(|id| check_id(section, id, context, earlier));
    let issuer = match raw.kind? {
        KindName::OpenIdConnect => raw.open_id_connect(section, context, earlier),
        KindName::Kubernetes => raw.kubernetes(section, context, earlier),
    };
    values.into_iter().collect::<Option<()>>()?;
    let issuer = issuer?;
    let login_clients = context.providers.unwrap_or_default().iter().map(|provider| provider.client_id.clone()).collect();
    Some(IssuerSettings { id: id?, login_clients, ..issuer })
}

impl RawTokenIssuer {
    fn read(section: &mut Section<'_>) -> Self {
        let id = "Name of the issuer in logs, metrics and role maps, and prefix of the subjects of workloads: 1 to 32 of `a-z`, \
                  `0-9`, `-`. It must never change.";
        let kind = "`oidc` for an issuer with a discovery document or a `jwks_uri`; `kubernetes` for the ServiceAccounts of the \
                    cluster of this pod or of the kubeconfig.";
        let algorithms = "Accepted signature algorithms. RS384, RS512, ES384, PS384 and PS512 are also supported. With `provider` \
                          the default is the provider's list.";
        let required = "Claims (dot paths) with the exact value that a token must have.";
        let id = section.required(field("id", id), &ID);
        let kind = section.or_default(field("kind", kind), &KIND, "oidc");
        let issuer = section.optional(
            field("issuer", "Issuer, exactly as in the claim `iss`.").unset("required, unless `provider` is set"),
            &ISSUER,
        );
        let provider = section.optional(
            field("provider", "`id` of a configured provider, whose issuer and keys are used.").unset("none"),
            &values::NAME,
        );
        let audiences = audiences::read(section);
        let algorithms = section.list(field("algorithms", algorithms), &ALGORITHM, &["RS256", "ES256", "PS256", "EdDSA"]);
        let required_claims = section.pairs(field("required_claims", required).unset("none"), claim_path, &values::NAME);
        let jwks_uri = section.optional(field("jwks_uri", "URL of the issuer's keys.").unset("by discovery"), &values::ENDPOINT);
        let ca_file = section.optional(
            field("ca_file", "PEM file with the CA certificates that are trusted for the issuer.")
                .unset("the system's CA certificates"),
            &values::CA_FILE,
        );
        let proxy = http_proxy::read_section(section);
        let (user_claim, unregistered) = read_registration(section);
        let workload = "Treats unregistered subjects, which have never signed in, as workloads. Workloads never get the role \
                        map's `default_role`. With `provider` it requires `unregistered: allow`.";
        let workload = section.or_default(field("workload", workload), &values::BOOLEAN, "true");
        let max_age = "Maximum age of the issuer's signing keys, from 2h to 30d. If they could not be fetched for this long, its \
                       tokens get 503, since withdrawn keys would still be accepted.";
        let max_age = field("keys_max_age", max_age).unset("24h; with `provider`, the provider's value");
        let keys_max_age = section.optional(max_age, &values::KEYS_MAX_AGE);
        let (review, review_cache, additional_issuers) = read_api_server(section);
        let required_claims = required_claims.map(|pairs| pairs.into_iter().filter_map(required_claim).collect());
        Self {
            id,
            kind,
            issuer,
            provider,
            audiences,
            algorithms,
            required_claims,
            jwks_uri,
            ca_file,
            proxy,
            user_claim,
            unregistered,
            workload,
            keys_max_age,
            review,
            review_cache,
            additional_issuers,
        }
    }

    fn open_id_connect(
        self,
        section: &mut Section<'_>,
        context: &ValidationContext<'_>,
        earlier: &mut EarlierIssuers,
    ) -> Option<IssuerSettings> {
        let fits = reject(section, &KUBERNETES_ONLY);
        if section.is_given("audiences") {
            self.audiences.check(section, context);
        } else {
            section.complain(
                "audiences",
                "is required: the audiences of accepted tokens, such as `public_url` or the name of your API",
            );
        }
        let audience_claim = self.audiences.check_claim(section, self.required_claims.as_deref());
        let registration = self.unregistered_subjects(section);
        // With a mistake in these fields, the others are validated too.
        let unregistered_subjects = registration.unwrap_or(UnregisteredSubjects::Refused);
        let (address, provider, algorithms, keys_max_age) = match self.provider? {
            Some(id) => {
                let no_duplicates = reject(section, &DEFINED_BY_PROVIDER);
                let (protocol, address) = of_provider(section, &id, unregistered_subjects, context)?;
                no_duplicates?;
                let algorithms = if section.is_given("algorithms") { self.algorithms? } else { protocol.algorithms.clone() };
                (address, Some(id), algorithms, self.keys_max_age?.unwrap_or(protocol.keys_max_age))
            }
            None => {
                let Some(issuer) = self.issuer? else {
                    section.complain("issuer", "is required, unless `provider` names a configured provider");
                    return None;
                };
                let (ca_file, proxy) = (self.ca_file?, self.proxy?.proxy(context.proxy));
                let address = IssuerAddress { issuer, jwks_uri: self.jwks_uri?, ca_file, proxy, unregistered_subjects };
                (address, None, self.algorithms?, self.keys_max_age?.unwrap_or_else(values::default_keys_max_age))
            }
        };
        check_algorithms(section, &algorithms)?;
        check_issuer(section, &address.issuer, earlier)?;
        fits.and(audience_claim).and(registration)?;
        let kind = IssuerKind::OpenIdConnect(address);
        Some(IssuerSettings {
            id: String::new(),
            provider,
            kind,
            audiences: self.audiences.audiences?,
            audience_claim: self.audiences.audience_claim?,
            access_token_claim: self.audiences.access_token_claim?,
            algorithms,
            required_claims: self.required_claims?,
            user_claim: self.user_claim?,
            login_clients: Vec::new(),
            keys_max_age,
        })
    }

    /// Returns the treatment of subjects that have never signed in.
    fn unregistered_subjects(&self, section: &mut Section<'_>) -> Option<UnregisteredSubjects> {
        let has_provider = self.provider.as_ref()?.is_some();
        let fits = if has_provider { check_workload(section, self.unregistered?) } else { reject(section, &PROVIDER_ONLY) };
        fits?;
        Some(match self.workload? {
            _ if has_provider && self.unregistered? != Some(UnregisteredPolicy::Allow) => UnregisteredSubjects::Refused,
            true => UnregisteredSubjects::Workloads,
            false => UnregisteredSubjects::Users,
        })
    }

    fn kubernetes(
        mut self,
        section: &mut Section<'_>,
        context: &ValidationContext<'_>,
        earlier: &mut EarlierIssuers,
    ) -> Option<IssuerSettings> {
        let fits = reject(section, &OPEN_ID_CONNECT_ONLY);
        let review = self.review(section);
        if section.is_given("audiences") {
            self.audiences.check(section, context);
        } else {
            self.audiences.audiences.get_or_insert_default().extend(context.public_url.map(|url| url.origin().to_owned()));
        }
        let audiences = self.audiences.audiences?;
        let additional_issuers = check_additional_issuers(section, self.additional_issuers?, &audiences, earlier);
        if earlier.kubernetes {
            section.complain("kind", "is also the kind of an earlier entry: there is one API server; keep one of them");
            return None;
        }
        earlier.kubernetes = true;
        let algorithms = self.algorithms?;
        check_algorithms(section, &algorithms)?;
        fits?;
        let kind = IssuerKind::Kubernetes(KubernetesSettings { review: review?, additional_issuers: additional_issuers? });
        Some(IssuerSettings {
            id: String::new(),
            provider: None,
            kind,
            audiences,
            audience_claim: None,
            access_token_claim: None,
            algorithms,
            required_claims: self.required_claims?,
            user_claim: None,
            login_clients: Vec::new(),
            keys_max_age: self.keys_max_age?.unwrap_or_else(values::default_keys_max_age),
        })
    }

    fn review(&self, section: &mut Section<'_>) -> Option<Review> {
        match (self.review?, self.review_cache?) {
            (true, cache) => Some(Review::Every(cache)),
            (false, _) if section.is_given("review_cache") => {
                section.complain("review_cache", "has no effect without `review: true`; set `review` or remove this field");
                None
            }
            (false, _) => Some(Review::Never),
        }
    }
}

type ApiServer = (Option<bool>, Option<Duration>, Option<Vec<String>>);

fn read_api_server(section: &mut Section<'_>) -> ApiServer {
    let review = "With `kubernetes`: also verifies each token at the API server (TokenReview), so that tokens of deleted \
                  ServiceAccounts and pods are refused before they expire.";
    let cache = "With `review`: maximum age of a cached TokenReview result.";
    let additional = "With `kubernetes`: further values of `iss` that are accepted, for an API server with several \
                      `--service-account-issuer`. The first one is read from the API server.";
    (
        section.or_default(field("review", review), &values::BOOLEAN, "false"),
        section.or_default(field("review_cache", cache), &REVIEW_CACHE, "60s"),
        section.list(field("additional_issuers", additional), &API_SERVER_ISSUER, &[]),
    )
}

type RegistrationFields = (Option<Option<ClaimPath>>, Option<Option<UnregisteredPolicy>>);

fn read_registration(section: &mut Section<'_>) -> RegistrationFields {
    let user_claim = "With `provider`: claim (dot path) that identifies a user permanently in the provider's logins and in these \
                      tokens, such as Entra ID's `oid`. It finds the user of a token whose `sub` differs from that of the login. \
                      Only the provider may set it, and no two users may have the same value.";
    let unregistered = "With `provider`: `refuse` answers 403 to tokens of subjects that have never signed in; `allow` accepts \
                        them by the role map. Disabling a user does not end tokens that are accepted in this way.";
    (
        section.optional(field("user_claim", user_claim).unset("none: users are found by `sub`"), &FIELD_PATH),
        section.optional(field("unregistered", unregistered).unset("`refuse` with `provider`"), &UNREGISTERED),
    )
}

/// Rejects `workload` where no unregistered subject is accepted.
fn check_workload(section: &mut Section<'_>, unregistered: Option<UnregisteredPolicy>) -> Option<()> {
    if unregistered == Some(UnregisteredPolicy::Allow) || !section.is_given("workload") {
        return Some(());
    }
    section.complain("workload", "has no effect unless `unregistered` is `allow`; set `unregistered`, or remove this field");
    None
}

fn required_claim((path, value): (String, String)) -> Option<RequiredClaim> {
    // The keys were validated when the pairs were read.
    ClaimPath::parse(&path).ok().map(|claim| RequiredClaim { claim, value })
}

/// Rejects an id that would make role map rules ambiguous.
fn check_id(
    section: &mut Section<'_>,
    id: String,
    context: &ValidationContext<'_>,
    earlier: &mut EarlierIssuers,
) -> Option<String> {
    let of_provider = context.providers.unwrap_or_default().iter().any(|provider| provider.id == id);
    if earlier.ids.contains(&id) {
        section.complain("id", format!("{} is already the `id` of another token issuer", shown(&id)));
        return None;
    }
    if of_provider {
        let text = "is the `id` of a provider, so that rules that name it are ambiguous; choose another, or set `provider` \
                    if the issuer is this provider's";
        section.complain("id", format!("{} {text}", shown(&id)));
        return None;
    }
    earlier.ids.push(id.clone());
    Some(id)
}

/// Returns the settings and the address of the provider that is the token issuer.
fn of_provider<'a>(
    section: &mut Section<'_>,
    id: &str,
    unregistered_subjects: UnregisteredSubjects,
    context: &ValidationContext<'a>,
) -> Option<(&'a OpenIdConnectSettings, IssuerAddress)> {
    let Some(provider) = context.providers?.iter().find(|provider| provider.id == id) else {
        section.complain("provider", format!("{} is not the `id` of a provider", shown(id)));
        return None;
    };
    let ProtocolSettings::OpenIdConnect(protocol) = &provider.protocol else {
        section.complain("provider", "is a provider of `kind: oauth2`, which issues no verifiable tokens; remove it");
        return None;
    };
    let jwks_uri = protocol.endpoints.as_ref().map(|endpoints| endpoints.jwks.clone());
    let (issuer, ca_file, proxy) = (protocol.issuer.clone(), provider.ca_file.clone(), provider.proxy.clone());
    let address = IssuerAddress { issuer, jwks_uri, ca_file, proxy, unregistered_subjects };
    Some((protocol, address))
}

fn check_algorithms(section: &mut Section<'_>, algorithms: &[Algorithm]) -> Option<()> {
    if !algorithms.is_empty() {
        return Some(());
    }
    section.complain("algorithms", "must not be empty: no token would be accepted");
    None
}

/// Rejects issuers that are also those of other entries, or also accepted audiences.
fn check_additional_issuers(
    section: &mut Section<'_>,
    additional: Vec<String>,
    audiences: &[String],
    earlier: &mut EarlierIssuers,
) -> Option<Vec<String>> {
    for issuer in &additional {
        if audiences.contains(issuer) {
            let text = "is also one of `audiences`: it is an audience of the default token of every pod; remove it there";
            section.complain("additional_issuers", format!("{} {text}", shown(issuer)));
            return None;
        }
        if earlier.issuers.contains(issuer) {
            let text = "is already the issuer of another token issuer entry; remove it from one of them";
            section.complain("additional_issuers", format!("{} {text}", shown(issuer)));
            return None;
        }
        earlier.issuers.push(issuer.clone());
    }
    Some(additional)
}

fn check_issuer(section: &mut Section<'_>, issuer: &str, earlier: &mut EarlierIssuers) -> Option<()> {
    if earlier.issuers.iter().any(|known| known == issuer) {
        let name = if section.is_given("issuer") { "issuer" } else { "provider" };
        section.complain(name, "is already the issuer of another token issuer entry; merge the two entries");
        return None;
    }
    earlier.issuers.push(issuer.to_owned());
    Some(())
}

/// Reports every field that belongs to the other kind.
fn reject(section: &mut Section<'_>, foreign: &[(&'static str, &str)]) -> Option<()> {
    let given: Vec<_> = foreign.iter().filter(|(name, _)| section.is_given(name)).collect();
    for (name, reason) in &given {
        section.complain(name, *reason);
    }
    given.is_empty().then_some(())
}
