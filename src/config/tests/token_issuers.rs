//! Tests of the `token_issuers` section.

use std::time::Duration;

use rstest::rstest;

use super::{config, mistakes, parsed};
use crate::bearer_tokens::{AudienceClaim, IssuerKind, IssuerSettings, Review, UnregisteredSubjects};
use crate::jwt::Algorithm;

const PREAMBLE: &str = "
public_url: https://llm.example.com
providers:
  - {id: corp, issuer: https://idp.example.com, client_id: vestibule, algorithms: [ES256]}
  - {id: hub, kind: oauth2, client_id: hub-client, authorization_endpoint: https://hub.example/a,
     token_endpoint: https://hub.example/t, userinfo_endpoint: https://hub.example/u}
token_issuers:
";

#[test]
fn issuers_are_read_with_safe_defaults() {
    let text = format!(
        "{PREAMBLE}
  - id: ci
    issuer: https://token.actions.githubusercontent.com
    audiences: [https://llm.example.com, llm]
    required_claims: {{repository_owner: acme, kubernetes\\.io.namespace: llm}}
  - {{id: staff, provider: corp, audiences: [api], unregistered: allow, workload: false}}
  - {{id: staff-too, issuer: https://other.example, jwks_uri: https://other.example/keys, audiences: [api], algorithms: [EdDSA]}}
  - {{id: cluster, kind: kubernetes, review: true}}
"
    );
    let config = config(&text, &[]);
    assert_eq!(config.claim_sources(), ["corp", "hub", "ci", "staff-too", "cluster"]);
    let [ci, staff, other, cluster] = <[_; 4]>::try_from(config.token_issuers).unwrap();
    let IssuerKind::OpenIdConnect(address) = &ci.kind else { panic!("{ci:?}") };
    assert_eq!((address.unregistered_subjects, &address.jwks_uri), (UnregisteredSubjects::Workloads, &None));
    let required: Vec<_> = ci.required_claims.iter().map(|one| (one.claim.to_string(), one.value.as_str())).collect();
    assert_eq!(required, [("repository_owner".to_owned(), "acme"), (r"kubernetes\.io.namespace".to_owned(), "llm")]);
    assert_eq!(ci.algorithms.len(), 4);

    let IssuerKind::OpenIdConnect(address) = &staff.kind else { panic!("{staff:?}") };
    assert_eq!(
        (address.issuer.as_str(), address.unregistered_subjects),
        ("https://idp.example.com", UnregisteredSubjects::Users)
    );
    assert_eq!((staff.claim_source(), &*staff.algorithms), ("corp", &[Algorithm::ES256][..]));

    assert_eq!((other.claim_source(), &*other.algorithms), ("staff-too", &[Algorithm::EdDSA][..]));
    let IssuerKind::Kubernetes(settings) = cluster.kind else { panic!("{cluster:?}") };
    assert_eq!(
        (settings.review, &*cluster.audiences),
        (Review::Every(Duration::from_secs(60)), &["https://llm.example.com".to_owned()][..])
    );
}

#[test]
fn a_providers_issuer_refuses_unregistered_subjects_and_names_a_claim_for_its_users() {
    let text = |issuer: &str| format!("{PREAMBLE}  - {{id: staff, provider: corp, audiences: [api], {issuer}}}\n");
    let registered = config(&text("user_claim: extension.oid, keys_max_age: 3h"), &[]);
    let IssuerKind::OpenIdConnect(address) = &registered.token_issuers[0].kind else { panic!("{registered:?}") };
    assert_eq!(address.unregistered_subjects, UnregisteredSubjects::Refused);
    assert_eq!(registered.token_issuers[0].keys_max_age, Duration::from_secs(3 * 3600));
    let claims = |place: usize| registered.providers[place].user_claims.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((claims(0), claims(1)), (vec!["extension.oid".to_owned()], vec![]));
    let allowed = config(&text("unregistered: allow"), &[]);
    let IssuerKind::OpenIdConnect(address) = &allowed.token_issuers[0].kind else { panic!("{allowed:?}") };
    assert_eq!(address.unregistered_subjects, UnregisteredSubjects::Workloads);
    assert_eq!(allowed.token_issuers[0].keys_max_age, Duration::from_secs(24 * 3600));
}

#[test]
fn audiences_of_other_forms_are_read() {
    let text = format!(
        "{PREAMBLE}
  - {{id: pool, issuer: 'https://pool.example', audiences: [batch], audience_claim: client_id, required_claims: {{token_use: access}}}}
  - {{id: entra, provider: corp, audiences: [vestibule], access_token_claim: scp}}
  - {{id: cluster, kind: kubernetes, additional_issuers: ['https://old.example', former]}}
"
    );
    let [pool, entra, cluster] = <[_; 3]>::try_from(config(&text, &[]).token_issuers).unwrap();
    assert_eq!((pool.audience_claim, pool.access_token_claim), (Some(AudienceClaim::ClientId), None));
    assert_eq!(entra.access_token_claim.map(|claim| claim.to_string()).as_deref(), Some("scp"));
    assert_eq!((&*entra.audiences, entra.audience_claim), (&["vestibule".to_owned()][..], None));
    let IssuerKind::Kubernetes(settings) = cluster.kind else { panic!("{cluster:?}") };
    assert_eq!(settings.additional_issuers, ["https://old.example", "former"]);
}

#[test]
fn an_issuer_that_does_not_name_its_provider_is_a_warning() {
    let issuer = "{id: staff, issuer: https://idp.example.com, audiences: [api]}";
    let warnings = parsed(&format!("{PREAMBLE}  - {issuer}\n"), &[]).expect("it is valid").warnings;
    let expected = "token_issuers[0].issuer: is the issuer of provider corp";
    assert!(warnings.iter().any(|warning| warning.starts_with(expected)), "{warnings:?}");
    let other = parsed(&format!("{PREAMBLE}  - {}\n", issuer.replace("idp.", "ci.")), &[]).expect("it is valid").warnings;
    assert!(!other.iter().any(|warning| warning.starts_with("token_issuers")), "{other:?}");
}

#[test]
fn an_issuer_takes_the_maximum_age_of_its_providers_keys() {
    let preamble = PREAMBLE.replace("algorithms: [ES256]", "algorithms: [ES256], keys_max_age: 6h");
    let config = config(&format!("{preamble}  - {{id: staff, provider: corp, audiences: [api]}}\n"), &[]);
    assert_eq!(config.token_issuers[0].keys_max_age, Duration::from_secs(6 * 3600));
}

#[test]
fn an_issuer_has_the_proxy_of_its_provider_or_of_the_top_level() {
    let text = format!(
        "http_proxy: http://outer.example\n{}
  - {{id: staff, provider: corp, audiences: [api]}}
  - {{id: ci, issuer: https://ci.example, audiences: [api]}}
  - {{id: direct, issuer: https://direct.example, audiences: [api], no_proxy: [\"*\"]}}
  - {{id: cluster, kind: kubernetes}}
",
        PREAMBLE.replace("algorithms: [ES256]", "http_proxy: http://inner.example")
    );
    let config = config(&text, &[]);
    let proxy = |issuer: &IssuerSettings| match &issuer.kind {
        IssuerKind::OpenIdConnect(address) => address.proxy.as_ref().map(ToString::to_string),
        IssuerKind::Kubernetes(_) => None,
    };
    let of_providers: Vec<_> = config.providers.iter().map(|one| one.proxy.as_ref().map(ToString::to_string)).collect();
    let [outer, inner] = ["outer", "inner"].map(|name| Some(format!("http://{name}.example")));
    assert_eq!(of_providers, [inner.clone(), outer.clone()]);
    assert_eq!(config.token_issuers.iter().map(proxy).collect::<Vec<_>>(), [inner, outer, None, None]);
}

#[rstest]
#[case("{issuer: 'https://a.example', audiences: [api]}", "id (line 8): is required")]
#[case("{id: Ci, issuer: 'https://a.example', audiences: [api]}", "id (line 8): must be 1 to 32 of the letters")]
#[case(
    "{id: corp, issuer: 'https://a.example', audiences: [api]}",
    "id (line 8): `corp` is the `id` of a provider, so that rules"
)]
#[case("{id: a, audiences: [api]}", "issuer (line 8): is required, unless `provider`")]
#[case("{id: a, issuer: 'http://a.example', audiences: [api]}", "issuer (line 8): must be an https:// URL")]
#[case("{id: a, issuer: 'https://a.example'}", "audiences (line 8): is required")]
#[case("{id: a, issuer: 'https://a.example', audiences: []}", "audiences (line 8): must not be empty")]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [vestibule]}",
    "audiences (line 8): `vestibule` is the `client_id` of provider `corp`"
)]
#[case(
    "{id: a, kind: kubernetes, audiences: [vestibule]}",
    "audiences (line 8): `vestibule` is the `client_id` of provider `corp`"
)]
#[case(
    "{id: a, kind: kubernetes, audiences: ['https://kubernetes.default.svc']}",
    "audiences (line 8): `https://kubernetes.default.svc` is the API server's own"
)]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], algorithms: [HS256]}",
    "algorithms[0] (line 8): must not be an HS algorithm"
)]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], algorithms: [none]}",
    "algorithms[0] (line 8): must not be `none`"
)]
#[case("{id: a, issuer: 'https://a.example', audiences: [api], algorithms: []}", "algorithms (line 8): must not be empty")]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], required_claims: {a..b: c}}",
    "required_claims.a..b (line 8): the claim's path has an empty step"
)]
#[case(
    "{id: a, provider: corp, issuer: 'https://a.example', audiences: [api]}",
    "issuer (line 8): can't be combined with `provider`"
)]
#[case(
    "{id: a, provider: corp, jwks_uri: 'https://a.example', audiences: [api]}",
    "jwks_uri (line 8): can't be combined with `provider`"
)]
#[case(
    "{id: a, provider: corp, http_proxy: 'http://proxy.example', audiences: [api]}",
    "http_proxy (line 8): can't be combined with `provider`"
)]
#[case("{id: a, provider: corp, no_proxy: ['*'], audiences: [api]}", "no_proxy (line 8): can't be combined with `provider`")]
#[case("{id: a, kind: kubernetes, http_proxy: 'http://proxy.example'}", "http_proxy (line 8): is only for `kind: oidc`")]
#[case("{id: a, kind: kubernetes, no_proxy: ['*']}", "no_proxy (line 8): is only for `kind: oidc`")]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], http_proxy: proxy}",
    "http_proxy (line 8): must be an http:// or https:// URL"
)]
#[case("{id: a, provider: nobody, audiences: [api]}", "provider (line 8): `nobody` is not the `id` of a provider")]
#[case("{id: a, provider: hub, audiences: [api]}", "provider (line 8): is a provider of `kind: oauth2`")]
#[case("{id: a, issuer: 'https://a.example', audiences: [api], review: true}", "review (line 8): is only for `kind: kubernetes`")]
#[case(
    "{id: a, provider: corp, audiences: [api], workload: false}",
    "workload (line 8): has no effect unless `unregistered` is `allow`"
)]
#[case("{id: a, provider: corp, audiences: [api], unregistered: maybe}", "unregistered (line 8): must be refuse or allow")]
#[case("{id: a, provider: corp, audiences: [api], user_claim: 'oids[].id'}", "user_claim (line 8): must lead to a single value")]
#[case("{id: a, issuer: 'https://a.example', audiences: [api], user_claim: oid}", "user_claim (line 8): requires `provider`")]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], unregistered: allow}",
    "unregistered (line 8): requires `provider`"
)]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], keys_max_age: 1h}",
    "keys_max_age (line 8): must be from 2h to 30d"
)]
#[case("{id: a, kind: kubernetes, user_claim: sub}", "user_claim (line 8): is only for `kind: oidc`")]
#[case("{id: a, kind: kubernetes, workload: false}", "workload (line 8): is only for `kind: oidc`")]
#[case("{id: a, kind: kubernetes, issuer: 'https://a.example'}", "issuer (line 8): is only for `kind: oidc`")]
#[case("{id: a, kind: kubernetes, review_cache: 30s}", "review_cache (line 8): has no effect without `review: true`")]
#[case("{id: a, kind: kubernetes, review: true, review_cache: 0s}", "review_cache (line 8): must be from 1s to 1h")]
#[case("{id: a, kind: kubernetes, review: }", "review (line 8): has no value; write one")]
#[case("{id: a, kind: kubernetes, required_claims: }", "required_claims (line 8): has no value; write one")]
#[case("{id: a, kind: kubernetes, audiences: }", "audiences (line 8): has no value; write one")]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], audience_claim: client_id}",
    "audience_claim (line 8): requires `required_claims`"
)]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], audience_claim: azp, required_claims: {}}",
    "audience_claim (line 8): requires `required_claims`"
)]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], audience_claim: sub, required_claims: {a: b}}",
    "audience_claim (line 8): must be client_id, azp or appid"
)]
#[case(
    "{id: a, provider: corp, audiences: [vestibule], access_token_claim: nonce}",
    "access_token_claim (line 8): must name a claim that no id_token has"
)]
#[case("{id: a, provider: corp, audiences: [api], access_token_claim: }", "access_token_claim (line 8): has no value")]
#[case(
    "{id: a, kind: kubernetes, audience_claim: azp, required_claims: {a: b}}",
    "audience_claim (line 8): is only for `kind: oidc`"
)]
#[case("{id: a, kind: kubernetes, access_token_claim: scp}", "access_token_claim (line 8): is only for `kind: oidc`")]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api], additional_issuers: ['https://b.example']}",
    "additional_issuers (line 8): is only for `kind: kubernetes`"
)]
#[case(
    "{id: a, kind: kubernetes, audiences: ['https://old.example'], additional_issuers: ['https://old.example']}",
    "additional_issuers (line 8): `https://old.example` is also one of `audiences`"
)]
#[case("{id: a, kind: jwt, audiences: [api]}", "kind (line 8): must be oidc or kubernetes")]
fn mistakes_are_reported_with_a_remedy(#[case] issuer: &str, #[case] expected: &str) {
    let found = mistakes(&format!("{PREAMBLE}  - {issuer}\n"), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("token_issuers[0].{expected}")), "{found:?}");
}

#[rstest]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api]}",
    "{id: a, issuer: 'https://b.example', audiences: [api]}",
    "id",
    "`a` is already the `id` of another token issuer"
)]
#[case(
    "{id: a, issuer: 'https://a.example', audiences: [api]}",
    "{id: b, issuer: 'https://a.example', audiences: [llm]}",
    "issuer",
    "is already the issuer of another token issuer entry"
)]
#[case(
    "{id: a, issuer: 'https://idp.example.com', audiences: [api]}",
    "{id: b, provider: corp, audiences: [llm]}",
    "provider",
    "is already the issuer of another token issuer entry"
)]
#[case("{id: a, kind: kubernetes}", "{id: b, kind: kubernetes}", "kind", "is also the kind of an earlier entry")]
#[case(
    "{id: a, issuer: 'https://old.example', audiences: [api]}",
    "{id: b, kind: kubernetes, additional_issuers: ['https://old.example']}",
    "additional_issuers",
    "`https://old.example` is already the issuer of another token issuer entry"
)]
fn two_issuers_must_differ(#[case] first: &str, #[case] second: &str, #[case] field: &str, #[case] expected: &str) {
    let found = mistakes(&format!("{PREAMBLE}  - {first}\n  - {second}\n"), &[]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("token_issuers[1].{field} (line 9): {expected}")), "{found:?}");
}

#[test]
fn a_rule_may_name_a_token_issuer_and_must_if_there_are_several() {
    let directory = tempfile::tempdir().unwrap();
    let check = |rule: &str| {
        let path = directory.path().join("roles.yaml");
        std::fs::write(&path, format!("version: 1\nrules: [{rule}]\n")).unwrap();
        let issuers = "{id: cluster, kind: kubernetes}";
        mistakes(&format!("{PREAMBLE}  - {issuers}\nrole_map: {{file: {}}}\n", path.display()), &[])
    };
    assert_eq!(check(r"{provider: cluster, claim: kubernetes\.io.namespace, match: llm, role: internal_user}"), [""; 0]);
    assert!(
        check("{provider: clutser, claim: sub, match: x, role: internal_user}")[0]
            .contains("provider `clutser` is not configured")
    );
    assert!(check("{claim: sub, match: x, role: internal_user}")[0].contains("a rule must name one"));
}
