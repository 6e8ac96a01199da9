//! Tests the manifests of each target.

use rstest::rstest;

use super::*;
use crate::migrate::ingress::headers;

#[rstest]
fn every_route_is_protected(#[values(0, 1, 2, 3)] target: usize) {
    let target = TARGETS[target];
    let conversion =
        convert_text(&ingress(&[AUTH, "auth-signin: https://$host/oauth2/start?rd=$escaped_request_uri"]), &settings(target));
    assert_eq!(conversion.refusals, []);
    let documents = documents(&conversion);
    assert_eq!(unprotected(&documents, target), Vec::<String>::new());
    let text = conversion.text();
    assert!(text.contains("app.example.com") && text.contains("# Vestibule replaces oauth2-proxy"), "{text}");
    assert!(text.contains("# auth-signin has no counterpart"), "{text}");
}

/// The search for routes without a check must find them.
#[rstest]
fn a_removed_check_is_noticed(#[values(0, 1, 2, 3)] target: usize) {
    let target = TARGETS[target];
    let conversion = convert_text(&ingress(&[AUTH]), &settings(target));
    let text = conversion
        .text()
        .replace("forwardAuth:", "x:")
        .replace("ExternalAuth", "CORS")
        .replace("SecurityPolicy", "X")
        .replace("auth_request /", "#");
    let parsed = parse_stream(&text, Subset::Plain);
    let documents: Vec<_> = parsed.roots.iter().map(to_json).collect();
    assert!(!unprotected(&documents, target).is_empty());
}

#[test]
fn traefik_gets_a_check_that_names_the_host() {
    let documents = documents(&convert_text(&ingress(&[&format!("{AUTH}?allowed_groups=a,b")]), &settings(Target::Traefik)));
    let check = of_kind(&documents, "Middleware").find(|middleware| middleware.pointer("/spec/forwardAuth").is_some()).unwrap();
    let expected = "http://door-check.auth.svc.cluster.local:4181/auth/traefik?host=app.example.com&echo=true&allow_teams=a,b";
    assert_eq!(text_at(check, "/spec/forwardAuth/address"), expected);
    assert_eq!(check.pointer("/spec/forwardAuth/trustForwardHeader"), Some(&false.into()));
    let route = of_kind(&documents, "IngressRoute").find(|route| text_at(route, "/metadata/name") == "app").unwrap();
    assert_eq!((text_at(route, "/spec/tls/secretName"), text_at(route, "/spec/entryPoints/0")), ("app-tls", "websecure"));
    assert_eq!(text_at(route, "/spec/routes/2/match"), "Host(`app.example.com`) && PathPrefix(`/`)");
    let names: Vec<_> = list_at(route, "/spec/routes/2/middlewares").iter().map(|one| text_at(one, "/name")).collect();
    assert_eq!(names, ["app-vestibule-no-upgrade", "app-vestibule-clean", "app-vestibule-secret", "app-vestibule-check"]);
}

#[test]
fn envoy_gateway_gets_a_policy_before_its_route() {
    let documents = documents(&convert_text(&ingress(&[AUTH]), &settings(Target::EnvoyGateway)));
    let kinds: Vec<_> = documents.iter().map(|document| text_at(document, "/kind")).collect();
    assert_eq!(kinds, ["ReferenceGrant", "HTTPRouteFilter", "SecurityPolicy", "HTTPRoute", "HTTPRoute"]);
    let policy = &documents[2];
    assert_eq!(text_at(policy, "/spec/extAuth/http/path"), "/auth/envoy/app.example.com");
    assert_eq!(text_at(policy, "/spec/extAuth/http/backendRefs/0/namespace"), "auth");
    assert_eq!(text_at(&documents[3], "/spec/parentRefs/0/name"), "public");
    assert_eq!(text_at(&documents[4], "/spec/rules/0/backendRefs/0/name"), "door-public");
}

#[test]
fn the_gateway_api_gets_a_filter() {
    let documents = documents(&convert_text(&ingress(&[AUTH]), &settings(Target::GatewayApi)));
    let route = of_kind(&documents, "HTTPRoute").next().unwrap();
    let filter = route.pointer("/spec/rules/0/filters/0").unwrap();
    assert_eq!(
        (text_at(filter, "/type"), text_at(filter, "/externalAuth/http/path")),
        ("ExternalAuth", "/auth/envoy/app.example.com")
    );
    let removed = list_at(route, "/spec/rules/0/filters/1/requestHeaderModifier/remove");
    assert!(removed.len() <= 16 && removed.contains(&"x-vestibule-gateway-secret".into()));
}

#[test]
fn nginx_gets_the_template_of_its_host() {
    let documents = documents(&convert_text(&ingress(&[AUTH, "auth-response-headers: Remote-User"]), &settings(Target::Nginx)));
    let text = text_at(&documents[0], "/data/vestibule.conf.template");
    assert!(
        text.contains("auth/nginx?host=app.example.com;") && text.contains("server app.apps.svc.cluster.local:80;"),
        "{text}"
    );
    assert!(text.contains("proxy_set_header Remote-User \"\";"));
    let variables: BTreeSet<_> =
        text.match_indices("${").map(|(at, _)| &text[at..at + text[at..].find('}').unwrap() + 1]).collect();
    assert_eq!(variables, BTreeSet::from(["${VESTIBULE_GATEWAY_SECRET}"]));
}

/// A header that the former product has set must not come from the client from now on.
#[rstest]
fn headers_of_the_former_product_are_removed(#[values(0, 1, 2)] target: usize) {
    let annotations = [
        AUTH,
        "auth-response-headers: Remote-User, X-Auth-Request-User, X-Forwarded-Groups",
        "configuration-snippet: proxy_set_header X-Name $x;",
    ];
    let mut settings = settings(TARGETS[target]);
    settings.dropped.insert("configuration-snippet".to_owned());
    let conversion = convert_text(&ingress(&annotations), &settings);
    assert_eq!(conversion.refusals, []);
    let documents = documents(&conversion);
    let traefik = of_kind(&documents, "Middleware").flat_map(|one| list_at(one, "/spec/forwardAuth/authResponseHeaders"));
    let rules = of_kind(&documents, "HTTPRoute")
        .filter(|route| text_at(route, "/metadata/name") == "app")
        .flat_map(|route| list_at(route, "/spec/rules"));
    let removed =
        rules.flat_map(|rule| list_at(rule, "/filters")).flat_map(|filter| list_at(filter, "/requestHeaderModifier/remove"));
    let names: BTreeSet<_> = traefik.chain(removed).filter_map(Value::as_str).map(str::to_ascii_lowercase).collect();
    for header in ["remote-user", "x-forwarded-groups", "x-name"] {
        assert!(names.contains(header), "{header}: {names:?}");
    }
}

/// The Ingresses that the chart renders, in which the auth URL names the Service.
#[rstest]
fn the_ingresses_of_vestibule_are_converted(#[values(0, 1, 2, 3)] target: usize) {
    let target = TARGETS[target];
    let settings = IngressSettings { vestibule: None, ..settings(target) };
    let conversion = convert_text(&file("deploy/ingress-nginx/ingress.yaml"), &settings);
    assert_eq!(conversion.refusals, []);
    let documents = documents(&conversion);
    let text = conversion.text();
    assert!(text.contains("door-vestibule-check") && text.contains("door-vestibule-public has no auth-url"), "{text}");
    let renamed: Vec<_> = documents
        .iter()
        .map(|document| serde_json::from_str(&document.to_string().replace("door-vestibule-public", "door-public")).unwrap())
        .collect();
    assert_eq!(unprotected(&renamed, target), Vec::<String>::new());
}

#[test]
fn the_headers_are_those_of_the_ingresses() {
    let mut input = Input::default();
    input.read(&file("deploy/ingress-nginx/ingress.yaml")).unwrap();
    let listed = input.ingresses[0].annotation("auth-response-headers").unwrap().to_ascii_lowercase();
    let listed: BTreeSet<_> = listed.split(", ").collect();
    let own: BTreeSet<_> = headers::sent_to_upstream().into_iter().chain(headers::REMOVED).collect();
    assert_eq!(own, listed);
}

#[test]
fn paths_are_ordered_and_rewritten() {
    let text = ingress(&[AUTH, "rewrite-target: /$2", "use-regex: \"true\""])
        .replace("path: /, pathType: Prefix", "path: '/app(/|$)(.*)', pathType: ImplementationSpecific");
    let traefik = documents(&convert_text(&text, &settings(Target::Traefik)));
    let route = of_kind(&traefik, "IngressRoute").next().unwrap();
    assert_eq!(text_at(route, "/spec/routes/2/match"), "Host(`app.example.com`) && (Path(`/app`) || PathPrefix(`/app/`))");
    assert_eq!(
        list_at(route, "/spec/routes/2/middlewares").last().map(|last| text_at(last, "/name")),
        Some("app-vestibule-rewrite-1")
    );
    assert!(of_kind(&traefik, "Middleware").any(|one| text_at(one, "/spec/stripPrefix/prefixes/0") == "/app"));
    let gateway = documents(&convert_text(&text, &settings(Target::GatewayApi)));
    let rewrite = of_kind(&gateway, "HTTPRoute").next().unwrap().pointer("/spec/rules/0/filters/2").unwrap();
    assert_eq!(text_at(rewrite, "/urlRewrite/path/replacePrefixMatch"), "/");
    assert_eq!(convert_text(&text, &settings(Target::Nginx)).refusals.len(), 1);
}

#[test]
fn a_route_of_the_gateway_api_has_at_most_16_rules() {
    let path = "          - {path: /, pathType: Prefix, backend: {service: {name: app, port: {number: 80}}}}\n";
    let paths: String = (0..40).map(|number| path.replace("path: /,", &format!("path: /p{number},"))).collect();
    for target in [Target::GatewayApi, Target::EnvoyGateway] {
        let documents = documents(&convert_text(&ingress(&[AUTH]).replace(path, &paths), &settings(target)));
        let sizes: Vec<_> = of_kind(&documents, "HTTPRoute").map(|route| list_at(route, "/spec/rules").len()).collect();
        assert_eq!((sizes, unprotected(&documents, target)), (vec![16, 16, 8, 1], Vec::new()));
    }
}

#[test]
fn lists_and_streams_are_read() {
    let json = format!(
        "{{apiVersion: v1, kind: List, items: [{{apiVersion: v1, kind: Service, metadata: {{name: x}}}}]}}\n---\n{}",
        ingress(&[AUTH])
    );
    let mut input = Input::default();
    input.read(&json).unwrap();
    input.read("apiVersion: networking.k8s.io/v1\nkind: IngressList\nitems: [{metadata: {name: y}, spec: {}}]").unwrap();
    let names: Vec<_> = input.ingresses.iter().map(|raw| raw.metadata.name.as_str()).collect();
    assert_eq!((names, input.skipped.as_slice()), (vec!["app", "y"], ["Service x (line 1)".to_owned()].as_slice()));
}
