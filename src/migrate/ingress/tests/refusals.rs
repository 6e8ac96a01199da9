//! Tests refusals, and input that tries to obtain an unprotected route.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn reasons(text: &str, target: Target) -> String {
    let conversion = convert_text(text, &settings(target));
    assert_eq!(conversion.manifests, [], "nothing is printed for a refused Ingress");
    conversion.refusals.iter().flat_map(|refusal| refusal.reasons.clone()).collect::<Vec<_>>().join("\n")
}

#[rstest]
#[case(&["auth-url: https://verify.example.com/check"], "auth-url: `/check` is a path of neither")]
#[case(&["auth-url: \"\""], "auth-url: is not a URL")]
#[case(&["auth-url: http://p/oauth2/auth?allowed_emails=ada@example.com"], "the parameter `allowed_emails`")]
#[case(&[AUTH, "auth-type: basic", "auth-secret: users"], "auth-type: passwords are verified")]
#[case(&[AUTH, "auth-tls-secret: apps/ca"], "auth-tls-secret: client certificates")]
#[case(&[AUTH, "whitelist-source-range: 10.0.0.0/8"], "whitelist-source-range: client addresses")]
#[case(&[AUTH, "satisfy: any"], "satisfy:")]
#[case(&[AUTH, "configuration-snippet: deny all;"], "--drop configuration-snippet")]
#[case(&[AUTH, "server-snippet: return 403;"], "--drop server-snippet")]
#[case(&[AUTH, "auth-snippet: 'proxy_set_header A b; deny all;'"], "auth-snippet:")]
#[case(&[AUTH, "canary: \"true\""], "canary: a canary takes")]
#[case(&[AUTH, "ssl-passthrough: \"true\""], "ssl-passthrough:")]
#[case(&[AUTH, "unheard-of: \"true\""], "unheard-of: it is not known")]
#[case(&[AUTH, "auth-response-headers: \"A\\nB: c\""], "auth-response-headers: has a name")]
#[case(&[AUTH, "rewrite-target: /x/$3"], "rewrite-target: `/x/$3` has captures")]
fn a_protection_that_cannot_be_carried_over_is_refused(#[case] annotations: &[&str], #[case] expected: &str) {
    for target in TARGETS {
        let found = reasons(&ingress(annotations), target);
        assert!(found.contains(expected), "{target:?}: {found}");
    }
}

#[rstest]
#[case("host: app.example.com", "host: \"*.example.com\"", "is not one host")]
#[case("host: app.example.com", "host: \"a`) || Host(`b\"", "is not one host")]
#[case("- host: app.example.com\n      http:", "- http:", "is not one host")]
#[case("  tls:", "  defaultBackend: {service: {name: app, port: {number: 80}}}\n  tls:", "defaultBackend")]
#[case("service: {name: app,", "service: {name: \"app\\nx\",", "invalid name")]
#[case("{service: {name: app, port: {number: 80}}}", "{resource: {kind: Bucket, name: x}}", "is not a Service")]
#[case("path: /,", "path: '/`) || PathPrefix(`/',", "is a regular expression or has characters")]
#[case("name: app\n  namespace: apps", "name: \"app\\nkind: x\"\n  namespace: apps", "metadata.name")]
fn hostile_fields_are_refused(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    let text = ingress(&[AUTH]);
    assert!(text.contains(from), "{from}");
    for target in TARGETS {
        let found = reasons(&text.replace(from, to), target);
        assert!(found.contains(expected), "{target:?}: {found}");
    }
}

/// The remaining routes of the host would serve the paths of the refused one.
#[test]
fn a_refused_ingress_takes_the_others_of_its_host_with_it() {
    let refused = ingress(&["auth-url: https://verify.example.com/check"])
        .replace("path: /,", "path: /admin,")
        .replace("name: app\n", "name: admin\n");
    let other = ingress(&[AUTH]).replace("app.example.com", "other.example.com").replace("name: app\n", "name: other\n");
    let both = ingress(&[AUTH]).replace("name: app\n", "name: both\n")
        + &other.split_once("  rules:\n").unwrap().1.replace("other.", "third.");
    let third = ingress(&[AUTH]).replace("app.example.com", "third.example.com").replace("name: app\n", "name: third\n");
    let conversion = convert_text(&[refused, both, third, other].join("---\n"), &settings(Target::Traefik));
    let names: BTreeSet<_> = conversion.refusals.iter().map(|refusal| refusal.ingress.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["Ingress apps/admin", "Ingress apps/both", "Ingress apps/third"]));
    let text = conversion.text();
    assert!(
        text.contains("other.example.com") && !text.contains("third.example.com") && !text.contains("app.example.com"),
        "{text}"
    );
}

#[test]
fn different_restrictions_of_one_host_are_refused() {
    let admin = ingress(&[&format!("{AUTH}?allowed_groups=admins")])
        .replace("path: /,", "path: /admin,")
        .replace("name: app\n", "name: admin\n");
    let text = [admin, ingress(&[AUTH])].join("---\n");
    assert!(reasons(&text, Target::Traefik).contains("restrict users differently"));
    let alone = ingress(&[&format!("{AUTH}?allowed_groups=admins")]);
    assert!(reasons(&alone, Target::EnvoyGateway).contains("cannot restrict a route"));
}

#[test]
fn an_ingress_without_an_auth_url_is_not_converted() {
    let conversion = convert_text(&ingress(&["auth-type: basic"]), &settings(Target::Traefik));
    assert_eq!((conversion.manifests.len(), conversion.refusals.len()), (0, 0));
    assert!(conversion.remarks[0].contains("global-auth-url"));
}

/// The snippet that the chart renders for Traefik contains the gateway secret.
#[test]
fn values_of_annotations_are_not_printed() {
    let secret = "5d41402abc4b2a76b9719d911017c592";
    let snippet = format!("auth-snippet: 'proxy_set_header X-Vestibule-Gateway-Secret \"{secret}\";'");
    for target in TARGETS {
        let conversion = convert_text(&ingress(&[AUTH, &snippet]), &settings(target));
        assert!(!conversion.manifests.is_empty() && !conversion.text().contains(secret));
    }
    let wrong = ingress(&[AUTH]).replace("cert-manager.io/issuer: x", &format!("cert-manager.io/issuer: [{secret}]"));
    let error = Input::default().read(&wrong).unwrap_err().to_string();
    assert!(error.contains("Ingress app (line 1)") && !error.contains(secret), "{error}");
}

#[rstest]
#[case("apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: x}", "has the version")]
#[case("just: text", "is not a Kubernetes manifest")]
#[case("apiVersion: v1\nkind: x\nmetadata: {<<: {a: b}}", "merge key")]
#[case("apiVersion: v1\napiVersion: v1\nkind: x", "given twice")]
#[case("apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x, annotations: {a: true}}", "quote them")]
fn other_documents_are_mistakes(#[case] text: &str, #[case] expected: &str) {
    let error = Input::default().read(text).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn aliases_cannot_exhaust_memory() {
    let mut text = "apiVersion: v1\nkind: List\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = level - 1;
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
    }
    Input::default().read(&text).unwrap_err();
}

fn annotations() -> impl Strategy<Value = Vec<(String, String)>> {
    let names = prop_oneof![
        Just("auth-url".to_owned()),
        proptest::sample::select(super::annotations::MEANINGS.iter().map(|(name, _)| name.replace('*', "x")).collect::<Vec<_>>()),
        "[a-z-]{1,12}",
    ];
    let values = prop_oneof![
        Just("http://oauth2-proxy.auth/oauth2/auth".to_owned()),
        Just("http://c.d:4181/auth/nginx?allow_roles=a".to_owned()),
        Just("X-A, Remote-User".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec((names, values), 1..5)
}

proptest! {
    #[test]
    fn no_ingress_yields_an_unprotected_route(
        all in annotations(),
        path in prop_oneof![Just("/".to_owned()), "/[a-z(|/$).*]{0,8}", any::<String>()],
        host in prop_oneof![Just("app.example.com".to_owned()), "[a-z.*-]{1,12}", any::<String>()],
        service in prop_oneof!["[a-z-]{1,8}", any::<String>()],
        is_exact in any::<bool>(),
        dropped in prop::collection::btree_set(proptest::sample::select(vec!["configuration-snippet".to_owned(), "satisfy".to_owned()]), 0..2),
    ) {
        let annotations: serde_json::Map<String, Value> =
            all.into_iter().map(|(name, value)| (format!("nginx.ingress.kubernetes.io/{name}"), Value::from(value))).collect();
        let path_type = if is_exact { "Exact" } else { "ImplementationSpecific" };
        let object = serde_json::json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": "app", "annotations": annotations},
            "spec": {"rules": [{"host": host, "http": {"paths": [
                {"path": path, "pathType": path_type, "backend": {"service": {"name": service, "port": {"number": 80}}}},
            ]}}]},
        });
        for target in TARGETS {
            let mut input = Input::default();
            // YAML does not allow control characters.
            if input.read(&object.to_string()).is_err() {
                continue;
            }
            let settings = IngressSettings { dropped: dropped.clone(), ..settings(target) };
            let is_protected = input.ingresses.iter().all(manifest::RawIngress::is_protected);
            let conversion = convert(input, &settings);
            prop_assert!(is_protected || conversion.manifests.is_empty());
            let found = unprotected(&documents(&conversion), target);
            prop_assert!(found.is_empty(), "{found:?}");
        }
    }
}
