//! The `token_issuers` section: whose tokens programs may present.

mod kinds;

use std::{path::PathBuf, time::Duration};

use url::Url;

use self::kinds::{AUDIENCE, KIND, REVIEW_CACHE, claim_path};
use super::provider::kinds::{ALGORITHM, ID, ISSUER};
use super::{Protocol, Provider, SigningAlgorithm, values};
use crate::origin::PublicUrl;
use crate::principal::{ClaimPath, Claims};
use crate::yaml::decode::{Section, field};
use crate::yaml::shown;

#[derive(Clone, Debug)]
pub struct TokenIssuer {
    pub id: String,
    /// The configured provider that it stands for: rules that name it mean these tokens too.
    pub provider: Option<String>,
    pub kind: TokenIssuerKind,
    pub audiences: Vec<String>,
    pub algorithms: Vec<SigningAlgorithm>,
    pub required_claims: Vec<RequiredClaim>,
    /// The `client_id`s of all providers: a token that is for one of them is an id_token.
    pub login_clients: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum TokenIssuerKind {
    OpenIdConnect(IssuerAddress),
    Kubernetes(Review),
}

/// An issuer with its keys on the web.
#[derive(Clone, Debug)]
pub struct IssuerAddress {
    /// Exactly as written: issuers are compared letter by letter.
    pub issuer: String,
    pub jwks_uri: Option<Url>,
    pub ca_file: Option<PathBuf>,
    pub strangers: Strangers,
}

/// What a subject is that has never signed in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// The role map's default role is not for them.
    Workloads,
    People,
}

/// Whether the API server is asked about each token, and how long its answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    Never,
    Every(Duration),
}

/// A claim that must have this value, and no other beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredClaim {
    pub claim: ClaimPath,
    pub value: String,
}

impl TokenIssuer {
    /// What rules of the role map call its claims' provider.
    pub fn claims_of(&self) -> &str {
        self.provider.as_deref().unwrap_or(&self.id)
    }
}

impl RequiredClaim {
    pub fn holds(&self, claims: &Claims) -> bool {
        matches!(self.claim.values(claims).as_slice(), [only] if *only == self.value)
    }
}

pub const DOC: &str = "Whose tokens programs may present in place of a key: JWTs of an identity provider, of a CI \
                       system, or of Kubernetes' ServiceAccounts.";

/// What an issuer is judged by. `None` where that has mistakes of its own.
pub struct Surroundings<'a> {
    pub public_url: Option<&'a PublicUrl>,
    pub providers: Option<&'a [Provider]>,
}

/// The issuers before it.
#[derive(Default)]
pub struct Before {
    ids: Vec<String>,
    issuers: Vec<String>,
    kubernetes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KindName {
    OpenIdConnect,
    Kubernetes,
}

/// Left out by a template's empty value, they would let more tokens in.
const NOT_WITHOUT_VALUE: [&str; 3] = ["required_claims", "review", "audiences"];

/// Every field of both kinds as it is written: all are read before it is asked which of them the kind has.
struct Written {
    id: Option<String>,
    kind: Option<KindName>,
    issuer: Option<Option<String>>,
    provider: Option<Option<String>>,
    audiences: Option<Vec<String>>,
    algorithms: Option<Vec<SigningAlgorithm>>,
    required_claims: Option<Vec<RequiredClaim>>,
    jwks_uri: Option<Option<Url>>,
    ca_file: Option<Option<PathBuf>>,
    workload: Option<bool>,
    review: Option<bool>,
    review_cache: Option<Duration>,
}

const OPEN_ID_CONNECT_ONLY: [(&str, &str); 5] = [
    ("issuer", "is for `kind: oidc`: the API server says who it is; take it out"),
    ("provider", "is for `kind: oidc`: no identity provider stands for the API server; take it out"),
    ("jwks_uri", "is for `kind: oidc`: the API server has its keys; take it out"),
    ("ca_file", "is for `kind: oidc`: the API server is reached as the pod's ServiceAccount or the kubeconfig says; take it out"),
    ("workload", "is for `kind: oidc`: a ServiceAccount is always a workload; take it out"),
];

const KUBERNETES_ONLY: [(&str, &str); 2] = [
    ("review", "is for `kind: kubernetes`, whose API server answers TokenReviews; take it out"),
    ("review_cache", "is for `kind: kubernetes`, whose API server answers TokenReviews; take it out"),
];

/// What the provider that an issuer stands for has said already.
const SAID_BY_PROVIDER: [(&str, &str); 3] = [
    ("issuer", "stands beside `provider`, whose issuer it is; take one of them out"),
    ("jwks_uri", "stands beside `provider`, whose keys are taken; take one of them out"),
    ("ca_file", "stands beside `provider`, whose `ca_file` is taken; take one of them out"),
];

/// An API server takes its own name for the audience of the tokens that every pod has for it.
const OF_API_SERVERS: [&str; 3] =
    ["https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local", "https://kubernetes.default"];

pub fn read(section: &mut Section<'_>, around: &Surroundings<'_>, before: &mut Before) -> Option<TokenIssuer> {
    let meant = NOT_WITHOUT_VALUE.map(|name| section.not_without_value(name));
    let written = Written::read(section);
    let id = written.id.clone().and_then(|id| check_id(section, id, around, before));
    let issuer = match written.kind? {
        KindName::OpenIdConnect => written.open_id_connect(section, around, before),
        KindName::Kubernetes => written.kubernetes(section, around, before),
    };
    meant.into_iter().collect::<Option<()>>()?;
    let issuer = issuer?;
    let login_clients = around.providers.unwrap_or_default().iter().map(|provider| provider.client_id.clone()).collect();
    Some(TokenIssuer { id: id?, login_clients, ..issuer })
}

impl Written {
    fn read(section: &mut Section<'_>) -> Self {
        let id = "Names the issuer in logs, metrics, role maps, and before the subjects of workloads: 1 to 32 of `a-z`, \
                  `0-9`, `-`. Never change it.";
        let kind = "Whose tokens: those of an issuer with a discovery document or a `jwks_uri`, or those of the ServiceAccounts \
                    of the cluster that this pod, or the kubeconfig, is of.";
        let audiences = "Who a token must be for, at least one of these. Never a provider's `client_id`: id_tokens are for that.";
        let algorithms = "The signatures that are accepted; also RS384, RS512, ES384, PS384 and PS512. With `provider`, its own \
                          unless this is set.";
        let required = "Claims, as dot paths, that must have exactly this value.";
        let id = section.required(field("id", id), &ID);
        let kind = section.or_default(field("kind", kind), &KIND, "oidc");
        let issuer = section.optional(
            field("issuer", "The issuer, letter by letter as its tokens say it.").unset("required, unless `provider` is set"),
            &ISSUER,
        );
        let provider = section.optional(
            field("provider", "The `id` of a configured provider, whose issuer and keys are meant.").unset("none"),
            &values::NAME,
        );
        let audiences =
            section.list(field("audiences", audiences).unset("required; with `kubernetes`, `public_url`"), &AUDIENCE, &[]);
        let algorithms = section.list(field("algorithms", algorithms), &ALGORITHM, &["RS256", "ES256", "PS256", "EdDSA"]);
        let required_claims = section.pairs(field("required_claims", required).unset("none"), claim_path, &values::NAME);
        let jwks_uri = section.optional(field("jwks_uri", "Where its keys are.").unset("by discovery"), &values::ENDPOINT);
        let ca_file = section.optional(
            field("ca_file", "PEM certificates of the authorities that may vouch for the issuer.").unset("the system's"),
            &values::CA_FILE,
        );
        let workload = "Whether a subject that never signed in here is a workload, to which the role map's `default_role` \
                        never applies.";
        let workload = section.or_default(field("workload", workload), &values::BOOLEAN, "true");
        let review = "With `kubernetes`: whether the API server is asked about each token too (TokenReview), so that one of a \
                      deleted ServiceAccount or pod is refused before it expires.";
        let review = section.or_default(field("review", review), &values::BOOLEAN, "false");
        let cache = "With `review`: how long its answer holds.";
        let review_cache = section.or_default(field("review_cache", cache), &REVIEW_CACHE, "60s");
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
            workload,
            review,
            review_cache,
        }
    }

    fn open_id_connect(self, section: &mut Section<'_>, around: &Surroundings<'_>, before: &mut Before) -> Option<TokenIssuer> {
        let fits = refuse(section, &KUBERNETES_ONLY);
        if section.is_given("audiences") {
            check_audiences(section, self.audiences.as_deref(), around);
        } else {
            section.complain("audiences", "is required: who the tokens are for, such as `public_url` or the name of your API");
        }
        let strangers = if self.workload? { Strangers::Workloads } else { Strangers::People };
        let (address, provider, algorithms) = match self.provider? {
            Some(id) => {
                let said = refuse(section, &SAID_BY_PROVIDER);
                let (address, own) = of_provider(section, &id, strangers, around)?;
                said?;
                let algorithms = if section.is_given("algorithms") { self.algorithms? } else { own };
                (address, Some(id), algorithms)
            }
            None => {
                let Some(issuer) = self.issuer? else {
                    section.complain("issuer", "is required, unless `provider` names a configured provider");
                    return None;
                };
                let address = IssuerAddress { issuer, jwks_uri: self.jwks_uri?, ca_file: self.ca_file?, strangers };
                (address, None, self.algorithms?)
            }
        };
        check_algorithms(section, &algorithms)?;
        check_issuer(section, &address.issuer, before)?;
        fits?;
        let kind = TokenIssuerKind::OpenIdConnect(address);
        Some(TokenIssuer {
            id: String::new(),
            provider,
            kind,
            audiences: self.audiences?,
            algorithms,
            required_claims: self.required_claims?,
            login_clients: Vec::new(),
        })
    }

    fn kubernetes(self, section: &mut Section<'_>, around: &Surroundings<'_>, before: &mut Before) -> Option<TokenIssuer> {
        let fits = refuse(section, &OPEN_ID_CONNECT_ONLY);
        let mut audiences = self.audiences?;
        if section.is_given("audiences") {
            check_audiences(section, Some(&audiences), around);
        } else {
            audiences.extend(around.public_url.map(|url| url.origin().to_owned()));
        }
        if before.kubernetes {
            section.complain("kind", "is that of an issuer before it too: there is one API server; keep one of them");
            return None;
        }
        before.kubernetes = true;
        let algorithms = self.algorithms?;
        check_algorithms(section, &algorithms)?;
        let review = match (self.review?, self.review_cache?) {
            (true, cache) => Review::Every(cache),
            (false, _) if section.is_given("review_cache") => {
                section.complain("review_cache", "has no effect without `review: true`; take it out, or set that");
                return None;
            }
            (false, _) => Review::Never,
        };
        fits?;
        let kind = TokenIssuerKind::Kubernetes(review);
        Some(TokenIssuer {
            id: String::new(),
            provider: None,
            kind,
            audiences,
            algorithms,
            required_claims: self.required_claims?,
            login_clients: Vec::new(),
        })
    }
}

fn required_claim((path, value): (String, String)) -> Option<RequiredClaim> {
    // Keys have been judged when the pairs were read.
    ClaimPath::parse(&path).ok().map(|claim| RequiredClaim { claim, value })
}

/// A rule that names it must not mean another issuer's claims.
fn check_id(section: &mut Section<'_>, id: String, around: &Surroundings<'_>, before: &mut Before) -> Option<String> {
    let of_provider = around.providers.unwrap_or_default().iter().any(|provider| provider.id == id);
    if before.ids.contains(&id) {
        section.complain("id", format!("{} is another token issuer's too; each needs its own", shown(&id)));
        return None;
    }
    if of_provider {
        let text = "is a provider's, and rules that name it could mean either; write another, and `provider` where the issuer \
                    is that provider's";
        section.complain("id", format!("{} {text}", shown(&id)));
        return None;
    }
    before.ids.push(id.clone());
    Some(id)
}

/// The address and the algorithms of the provider that an issuer stands for.
fn of_provider(
    section: &mut Section<'_>,
    id: &str,
    strangers: Strangers,
    around: &Surroundings<'_>,
) -> Option<(IssuerAddress, Vec<SigningAlgorithm>)> {
    let Some(provider) = around.providers?.iter().find(|provider| provider.id == id) else {
        section.complain("provider", format!("{} is no provider's `id`", shown(id)));
        return None;
    };
    let Protocol::OpenIdConnect(protocol) = &provider.protocol else {
        section.complain("provider", "is of `kind: oauth2`, which has no tokens that could be verified; take it out");
        return None;
    };
    let jwks_uri = protocol.endpoints.as_ref().map(|endpoints| endpoints.jwks.clone());
    let address = IssuerAddress { issuer: protocol.issuer.clone(), jwks_uri, ca_file: provider.ca_file.clone(), strangers };
    Some((address, protocol.algorithms.clone()))
}

/// An id_token is for the client that asked for it, and says who signed in there: no leave to come here.
fn check_audiences(section: &mut Section<'_>, audiences: Option<&[String]>, around: &Surroundings<'_>) {
    let Some(audiences) = audiences else { return };
    if audiences.is_empty() {
        section.complain("audiences", "must not be empty: a token for anybody at all would be accepted");
    }
    let providers = around.providers.unwrap_or_default();
    for audience in audiences {
        if let Some(provider) = providers.iter().find(|provider| provider.client_id == *audience) {
            let text = format!(
                "{} is the `client_id` of provider {}: its id_tokens would pass; have the tokens made for another audience",
                shown(audience),
                shown(&provider.id)
            );
            section.complain("audiences", text);
        }
        if OF_API_SERVERS.contains(&audience.as_str()) {
            let text = format!(
                "{} is the API server's own: every pod's ordinary token is for it; have tokens projected for another audience",
                shown(audience)
            );
            section.complain("audiences", text);
        }
    }
}

fn check_algorithms(section: &mut Section<'_>, algorithms: &[SigningAlgorithm]) -> Option<()> {
    if !algorithms.is_empty() {
        return Some(());
    }
    section.complain("algorithms", "must not be empty: no token would be accepted");
    None
}

fn check_issuer(section: &mut Section<'_>, issuer: &str, before: &mut Before) -> Option<()> {
    if before.issuers.iter().any(|known| known == issuer) {
        let name = if section.is_given("issuer") { "issuer" } else { "provider" };
        section.complain(name, "is another token issuer's too: nobody could say which of them a token is of; put them together");
        return None;
    }
    before.issuers.push(issuer.to_owned());
    Some(())
}

/// Complains of every field that the other kind has.
fn refuse(section: &mut Section<'_>, foreign: &[(&'static str, &str)]) -> Option<()> {
    let given: Vec<_> = foreign.iter().filter(|(name, _)| section.is_given(name)).collect();
    for (name, why) in &given {
        section.complain(name, *why);
    }
    given.is_empty().then_some(())
}
