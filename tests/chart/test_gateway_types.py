"""Tests of the objects for each `gateway.type`: routes, the check, headers and the gateway secret."""

import base64
import json
import re
import unittest

import gateway_types
from gateway_routes import routes
from gateway_types import ENVOY, FURTHER, HOST, SECRET, TYPES, VARIANTS, rendering
from helm import CHART, ROOT, HelmError, objects_of, pick, read_yaml, text_of

IDENTITY = {f"X-Auth-Request-{name}" for name in ("User", "Email", "Preferred-Username", "Groups", "Role", "Key")}
CREDENTIALS = {"Authorization", "X-Api-Key", "X-Litellm-Api-Key", "Api-Key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key"}
TO_UPSTREAM = IDENTITY | CREDENTIALS | {"X-Vestibule-Assertion", "Cookie"}
OF_GATEWAYS = {"Proxy-Authorization", "X-Original-URL", "X-Original-Method", "X-Rewrite-URL", "X-Vestibule-Untouched",
               "X-Vestibule-Removed", "X-Vestibule-Gateway-Secret"}
# Headers with the original request, by which some frameworks route.
ORIGINAL = {"X-Forwarded-Uri", "X-Forwarded-Method", "X-Envoy-Original-Path"}
OWN_PATHS = {"/sso", "/vestibule", "/onboarding"}
# Headers that the check reads and that Envoy does not send by itself.
TO_CHECK = CREDENTIALS - {"Authorization"} | {
    "Cookie", "X-Forwarded-Proto", "Accept", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "X-Requested-With", "Upgrade",
    "Sec-WebSocket-Key", "X-Request-Id"}
OF_DENIALS = {
    "Location", "WWW-Authenticate", "Retry-After", "Content-Type", "Cache-Control", "Vary", "X-Request-Id", "Content-Security-Policy",
    "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"}
# The kind of object that contains the gateway secret. Other types read it from elsewhere.
SECRET_IN = {"ingress-nginx": "ConfigMap", "traefik": "Middleware", "nginx-gateway-fabric": "SnippetsFilter", "haproxy": "Ingress",
             "envoy-gateway": "Secret"}
NGINX = {"nginx", "nginx-gateway-fabric"}


def each(*kinds, only=""):
    """The variants of types: type, name, objects."""
    found = [name for name in VARIANTS if name.split()[0] in kinds and only in name]
    assert found, kinds
    return [(name.split()[0], name, rendering(name)) for name in found]


def hosts_of(name):
    return {HOST, FURTHER} if name.endswith(" hosts") else {HOST}


class Routes(unittest.TestCase):
    def test_every_route_to_the_upstream_has_the_check_of_its_own_host(self):
        for kind, name, _ in each(*(set(TYPES) - {"none", "nginx"})):
            with self.subTest(name):
                protected = [route for route in routes(name) if not route.service.endswith("-public")]
                self.assertEqual({route.host for route in protected}, hosts_of(name))
                prefix = "other" if name.endswith(" hosts") else "door-vestibule"
                upstream = f"{prefix}-upstream" if name.endswith(" sidecar") else "litellm"
                self.assertEqual({route.service for route in protected}, {upstream})
                for route in protected:
                    self.assertEqual(route.check, self.check_url(kind, name, prefix, route.host))

    @staticmethod
    def check_url(kind, name, prefix, host):
        port = 9181 if name.endswith(" hosts") else 4181
        domain = "corp.example" if name.endswith(" sidecar") else "cluster.local"
        if kind in ENVOY:
            return f"{prefix}-check:{port}/auth/envoy/{host}"
        if kind == "haproxy":
            return f"svc://{prefix}-check:check/auth/haproxy?host={host}&echo=true"
        dialect = "traefik" if kind == "traefik" else "nginx"
        return f"http://{prefix}-check.llm.svc.{domain}:{port}/auth/{dialect}?host={host}&echo=true"

    def test_only_the_own_paths_are_routed_without_the_check(self):
        for _, name, _ in each(*(set(TYPES) - {"none", "nginx"})):
            with self.subTest(name):
                own = [route for route in routes(name) if route.service.endswith("-public")]
                self.assertEqual({route.host for route in own}, hosts_of(name))
                for route in own:
                    self.assertEqual((route.check, set(route.paths)), (None, OWN_PATHS))

    def test_no_gateway_routes_to_the_check_or_the_admin_listener(self):
        for _, name, _ in each(*(set(TYPES) - {"none", "nginx"})):
            for route in routes(name):
                self.assertNotRegex(route.service, "-(check|admin)$", name)

    def test_a_gateway_that_cannot_reach_the_check_refuses_requests(self):
        for _, name, objects in each("envoy-gateway"):
            for policy in pick(objects, "SecurityPolicy"):
                self.assertEqual((policy["spec"]["extAuth"]["failOpen"], policy["spec"]["extAuth"]["statusOnError"]), (False, 503), name)

    def test_an_istio_policy_is_in_the_namespace_of_each_gateway_and_has_a_name_of_its_own(self):
        values = gateway_types.values("istio", config={"origins": [f"https://{FURTHER}"]})
        values["httpRoute"]["parentRefs"] = [{"name": "a", "namespace": "edge"}, {"name": "b"}]
        policies = pick(objects_of(overrides=values), "AuthorizationPolicy")
        self.assertEqual([(one["metadata"]["namespace"], one["metadata"]["name"]) for one in policies], [
            ("edge", "door-vestibule-llm-a-check"), ("llm", "door-vestibule-llm-b-check"),
            ("edge", f"door-vestibule-llm-a-check-{FURTHER}"), ("llm", f"door-vestibule-llm-b-check-{FURTHER}")])
        for policy in policies:
            self.assertEqual(policy["spec"]["action"], "CUSTOM")
            operation = policy["spec"]["rules"][0]["to"][0]["operation"]
            self.assertEqual(set(operation["notPaths"]), OWN_PATHS | {f"{path}/*" for path in OWN_PATHS})
            self.assertEqual(operation["hosts"], [operation["hosts"][0], f"{operation['hosts'][0]}:*"])

    def test_no_type_creates_routes_without_a_gateway(self):
        made = {one["kind"] for one in rendering("none plain")}
        self.assertEqual(made & {"Ingress", "HTTPRoute", "IngressRoute"}, set())

    def test_the_type_ingress_nginx_creates_what_ingress_enabled_creates(self):
        old = gateway_types.values("none", ingress={"enabled": True})
        self.assertEqual(rendering("ingress-nginx plain"), objects_of(overrides=old))


class Headers(unittest.TestCase):
    def test_traefik_sets_or_removes_every_header(self):
        for _, name, objects in each("traefik"):
            made = {one["metadata"]["name"]: one["spec"] for one in pick(objects, "Middleware")}
            checks = [spec["forwardAuth"] for spec in made.values() if "forwardAuth" in spec]
            self.assertEqual(len(checks), len(hosts_of(name)))
            for check in checks:
                self.assertEqual(set(check["authResponseHeaders"]), TO_UPSTREAM | OF_GATEWAYS)
                self.assertIs(check["trustForwardHeader"], False)
            cleared = next(spec for key, spec in made.items() if key.endswith("-clean"))["headers"]["customRequestHeaders"]
            self.assertEqual(cleared, dict.fromkeys(OF_GATEWAYS | ORIGINAL, ""))

    def test_istios_providers_send_what_the_check_reads_and_pass_on_what_it_answers(self):
        for _, name, _ in each("istio"):
            for provider in gateway_types.extension_providers(name).values():
                self.assertLessEqual(TO_CHECK, set(provider["includeRequestHeadersInCheck"]), name)
                self.assertEqual(set(provider["headersToUpstreamOnAllow"]), TO_UPSTREAM)
                self.assertEqual(set(provider["headersToDownstreamOnDeny"]), OF_DENIALS)
                self.assertEqual("includeAdditionalHeadersInCheck" in provider, "secret" in name)
                self.assertEqual((provider["failOpen"], provider["statusOnError"]), (False, "503"))

    def test_gateways_based_on_envoy_send_what_the_check_reads_and_pass_on_what_it_answers(self):
        for kind, name, objects in each("envoy-gateway", "gateway-api"):
            for sent, passed in self.lists(kind, objects):
                self.assertLessEqual(TO_CHECK, set(sent), name)
                self.assertEqual("X-Vestibule-Gateway-Secret" in sent, "secret" in name)
                self.assertEqual(set(passed), TO_UPSTREAM, name)

    @staticmethod
    def lists(kind, objects):
        if kind == "envoy-gateway":
            policies = [one["spec"]["extAuth"] for one in pick(objects, "SecurityPolicy")]
            return [(one["headersToExtAuth"], one["http"]["headersToBackend"]) for one in policies]
        filters = [one for route in pick(objects, "HTTPRoute") for rule in route["spec"]["rules"] for one in rule.get("filters", [])]
        found = [one["externalAuth"]["http"] for one in filters if one["type"] == "ExternalAuth"]
        return [(one["allowedHeaders"], one["allowedResponseHeaders"]) for one in found]

    def test_routes_of_gateways_based_on_envoy_remove_headers_for_gateways(self):
        for _, name, objects in each(*ENVOY):
            upstream = [one for one in pick(objects, "HTTPRoute") if "-upstream" in one["metadata"]["name"]]
            self.assertEqual(len(upstream), len(hosts_of(name)))
            for route in upstream:
                removal = route["spec"]["rules"][0]["filters"][0]["requestHeaderModifier"]["remove"]
                self.assertEqual(set(removal), OF_GATEWAYS | ORIGINAL, name)

    def test_nginx_gateway_fabric_sets_every_header(self):
        for _, name, objects in each("nginx-gateway-fabric"):
            for one in pick(objects, "SnippetsFilter"):
                location = next(part["value"] for part in one["spec"]["snippets"] if part["context"] == "http.server.location")
                found = dict(re.findall(r'(?m)^proxy_set_header (\S+) (\S+);$', location))
                self.assertEqual(set(found), TO_UPSTREAM | OF_GATEWAYS | ORIGINAL, name)
                self.assertEqual({header for header, value in found.items() if value == '""'}, OF_GATEWAYS | ORIGINAL)
                for header in TO_UPSTREAM:
                    variable = header.lower().replace("-", "_")
                    self.assertIn(f"auth_request_set {found[header]} $upstream_http_{variable};", location)

    def test_haproxy_removes_every_header_of_the_client_and_sets_those_of_the_answer(self):
        for _, name, objects in each("haproxy"):
            for one in pick(objects, "Ingress"):
                annotations = one["metadata"].get("annotations", {})
                if "haproxy-ingress.github.io/auth-url" not in annotations:
                    continue
                late = annotations["haproxy-ingress.github.io/config-backend-late"]
                self.assertLessEqual(TO_UPSTREAM | {"X-Vestibule-Gateway-Secret"}, set(re.findall(r"del-header (\S+)", late)), name)
                self.assertEqual(set(re.findall(r"set-header (\S+)", late)), TO_UPSTREAM)
                for header in TO_UPSTREAM:
                    self.assertLess(late.index(f"del-header {header}\n"), late.index(f"set-header {header} "))
                early = annotations["haproxy-ingress.github.io/config-backend-early"]
                self.assertIn("deny deny_status 400 unless { req.hdr_cnt(host) eq 1 }\n", early)
                self.assertLessEqual(OF_GATEWAYS | ORIGINAL, set(re.findall(r"del-header (\S+)", early)))
                for prefix in ("x-auth-request-", "x-vestibule-"):
                    self.assertIn(f"http-request del-header {prefix} -m beg\n", early)
                self.assertEqual(annotations["haproxy-ingress.github.io/auth-headers-succeed"], "-")
                self.assertEqual(set(annotations["haproxy-ingress.github.io/auth-headers-fail"].split(",")), OF_DENIALS)

    def test_every_type_passes_on_the_header_of_a_static_upstream_credential_once(self):
        entries = [{"header": "X-Upstream-Key", "value_file": "/etc/vestibule/secrets/upstream"},
                   {"name": "b", "header": "x-litellm-api-key", "value_file": "/etc/vestibule/secrets/upstream"}]
        for kind in set(TYPES) - {"none", "nginx", "istio"}:
            config = {"upstream_credential": {"static": entries}, "check": {"trust_network": True}}
            values = gateway_types.values(kind, config=config, networkPolicy={"leaveCheckOpen": True})
            values |= {"secrets": {"existingSecret": "door-secrets"}, "roleMap": {"document": {"access": [{"paths": ["/**"]}]}}}
            routing = [one for one in objects_of(overrides=values) if one["kind"] not in ("ConfigMap", "Deployment")]
            text = json.dumps(routing).lower()
            with self.subTest(kind):
                self.assertIn("x-upstream-key", text)
                once = json.dumps([one for one in routing if "x-litellm-api-key" in json.dumps(one).lower()]).lower()
                self.assertEqual(once.count("x-upstream-key"), once.count("x-goog-api-key") - self.sent_to_check(kind))

    def test_nginx_passes_on_the_header_of_a_static_upstream_credential(self):
        entries = [{"header": "X-Upstream-Key", "value_file": "/etc/vestibule/secrets/upstream"}]
        config = {"upstream_credential": {"static": entries}, "check": {"trust_network": True}, "origins": [f"https://{FURTHER}"]}
        values = gateway_types.values("nginx", config=config, networkPolicy={"leaveCheckOpen": True})
        values |= {"secrets": {"existingSecret": "door-secrets"}, "roleMap": {"document": {"access": [{"paths": ["/**"]}]}}}
        [text] = [one["data"]["vestibule.conf.template"] for one in objects_of(overrides=values)
                  if one["kind"] == "ConfigMap" and one["metadata"]["name"].endswith("-nginx")]
        copied = ("        auth_request_set $vestibule_static_x_upstream_key $upstream_http_x_upstream_key;\n"
                  "        proxy_set_header X-Upstream-Key $vestibule_static_x_upstream_key;\n")
        self.assertEqual(text.count(copied), 2)
        self.assertEqual(text.count("vestibule_static_"), 4)

    @staticmethod
    def sent_to_check(kind):
        """The number of times that the check's list has a credential header that is not configured."""
        return 1 if kind in ENVOY else 0


class GatewaySecret(unittest.TestCase):
    def test_only_the_objects_that_send_it_contain_it(self):
        for kind, name, objects in each(*(set(TYPES) - {"none", "gateway-api"}), only=" secret"):
            with self.subTest(name):
                spelled = (SECRET, base64.b64encode(SECRET.encode()).decode())
                kinds = {one["kind"] for one in objects if any(text in json.dumps(one) for text in spelled)}
                expected = set() if name.endswith(" existing secret") else {SECRET_IN.get(kind)} - {None}
                self.assertEqual(kinds, expected)

    def test_without_one_the_gateways_send_an_empty_value_or_none(self):
        for kind, name, objects in each(*(NGINX | {"traefik", "haproxy"}), only=" plain"):
            text = "\n".join(json.dumps(one) for one in objects)
            self.assertNotIn("VESTIBULE_GATEWAY_SECRET}", text)
            self.assertNotRegex(text, r'proxy_set_header X-Vestibule-Gateway-Secret [^\\]|set-header X-Vestibule-Gateway-Secret')
            self.assertNotIn("-secret", [one["metadata"]["name"] for one in pick(objects, "Middleware")], name)

    def test_traefik_removes_the_clients_own_before_it_adds_the_secret_and_removes_that_after_the_check(self):
        _, _, objects = each("traefik", only=" secret")[0]
        for route in pick(objects, "IngressRoute")[0]["spec"]["routes"]:
            names = [one["name"].removeprefix("door-vestibule-") for one in route["middlewares"]]
            if "check" in names:
                self.assertEqual(names[1:], ["clean", "secret", "check"])
                self.assertIn(names[0], ("websocket", "no-upgrade"))

    def test_envoy_gateway_injects_it_from_a_secret(self):
        for name, secret in (("secret", "door-vestibule-gateway-secret"), ("existing secret", "theirs")):
            objects = rendering(f"envoy-gateway {name}")
            injection = pick(objects, "HTTPRouteFilter")[0]["spec"]["credentialInjection"]
            self.assertEqual(injection, {"header": "X-Vestibule-Gateway-Secret", "overwrite": True, "credential": {"valueRef": {"name": secret}}})
            self.assertEqual([one["metadata"]["name"] for one in pick(objects, "Secret")], [secret] if name == "secret" else [])
        self.assertEqual(pick(rendering("envoy-gateway plain"), "HTTPRouteFilter"), [])

    def test_nginx_reads_it_from_the_environment(self):
        texts = [pick(rendering(f"nginx {name}"), "ConfigMap", "-nginx")["data"]["vestibule.conf.template"] for name in ("secret", "plain")]
        sent = [re.findall(r'proxy_set_header X-Vestibule-Gateway-Secret "(.*)";', text)[0] for text in texts]
        self.assertEqual(sent, ["${VESTIBULE_GATEWAY_SECRET}", ""])


class Notes(unittest.TestCase):
    def test_each_type_says_what_is_left_to_do_and_contains_no_secret(self):
        for name, *words in [
            ("ingress-nginx secret", "was retired in March 2026"),
            ("nginx secret", "ConfigMap door-vestibule-nginx", "VESTIBULE_GATEWAY_SECRET"),
            ("traefik secret", "entrypoints.NAME.http.aliasheadersstrategy=delete", "websecure"),
            ("envoy-gateway secret", "SecurityPolicy door-vestibule-check", "{name: envoy.filters.http.credential_injector, before: envoy.filters.http.ext_authz}"),
            ("istio secret", "Without it, Istio denies all requests", "Replace GATEWAY-SECRET"),
            ("gateway-api plain", "experimental", "based on Envoy"),
            ("nginx-gateway-fabric secret", "SnippetsFilter door-vestibule-check"),
            ("haproxy secret", "HAProxy Ingress 0.16 or later", "config-backend-early"),
        ]:
            with self.subTest(name):
                for word in words:
                    self.assertIn(word, gateway_types.notes(name))
                self.assertNotIn(SECRET, gateway_types.notes(name))


class ConsistentLists(unittest.TestCase):
    """The lists of headers agree with the templates of deploy/."""

    def test_with_nginx(self):
        text = (ROOT / "deploy/nginx/vestibule.conf.template").read_text()
        location = text.split("    location / {")[1].split("\n    }")[0]
        found = set(re.findall(r"proxy_set_header (\S+) ", location))
        connection = {"Host", "Connection", "Upgrade", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Request-ID"}
        self.assertEqual(found - connection, TO_UPSTREAM | OF_GATEWAYS | ORIGINAL)

    def test_with_traefik(self):
        text = (ROOT / "deploy/traefik/vestibule.yaml.template").read_text()
        middlewares = read_yaml(text)[0]["http"]["middlewares"]
        check = middlewares["vestibule-check"]["forwardAuth"]
        self.assertEqual(set(check["authResponseHeaders"]) | set(middlewares["vestibule-clean"]["headers"]["customRequestHeaders"]),
                         TO_UPSTREAM | OF_GATEWAYS | ORIGINAL)
        [ours] = [one["spec"]["forwardAuth"] for one in pick(rendering("traefik plain"), "Middleware") if "forwardAuth" in one["spec"]]
        for field in ("trustForwardHeader", "maxResponseBodySize"):
            self.assertEqual(ours[field], check[field])

    def test_with_envoy(self):
        text = (ROOT / "deploy/envoy/envoy.yaml.template").read_text()
        steps = ("allowed_headers:", "allowed_upstream_headers:", "allowed_client_headers:", "retry_policy:")
        listed = [set(re.findall(r"exact: (\S+)", text.split(start)[1].split(end)[0])) for start, end in zip(steps, steps[1:])]
        [provider] = gateway_types.extension_providers("istio plain").values()
        ours = ("includeRequestHeadersInCheck", "headersToUpstreamOnAllow", "headersToDownstreamOnDeny")
        self.assertEqual(listed, [{header.lower() for header in provider[name]} for name in ours])

    def test_the_chart_has_the_nginx_template_of_deploy(self):
        ours, theirs = CHART / "files/vestibule.conf.template", ROOT / "deploy/nginx/vestibule.conf.template"
        self.assertTrue(ours.read_text() == theirs.read_text(), f"{ours} differs from {theirs}; run `make chart`")


class RefusedValues(unittest.TestCase):
    def test_what_a_gateway_cannot_do_is_refused_with_the_reason(self):
        for values, *words in [
            (gateway_types.values("caddy"), "gateway/type", "value must be one of 'ingress-nginx', 'nginx'"),
            (gateway_types.values("gateway-api", secret=True), "gateway.type: gateway-api cannot send the gateway secret", "trust_network"),
            (gateway_types.values("traefik", secret=True, gateway={"secret": {}}), "gateway.secret.value: is required with config.check.secret_file"),
            (gateway_types.values("envoy-gateway", secret=True, gateway={"secret": {}}), "gateway.secret.existingSecret: is required"),
            (gateway_types.values("traefik", secret=True, gateway={"secret": {"existingSecret": "x"}}), "gateway.secret.existingSecret: has no effect with gateway.type: traefik; this gateway cannot read it from a Secret"),
            (gateway_types.values("istio", gateway={"secret": {"value": SECRET}}), "gateway.secret.value: has no effect with gateway.type: istio; Istio reads it from the extension provider"),
            (gateway_types.values("nginx", gateway={"secret": {"value": SECRET}}), "its environment variable VESTIBULE_GATEWAY_SECRET"),
            (gateway_types.values("ingress-nginx", gateway={"secret": {"value": SECRET}}), "set ingress.gatewaySecret"),
            (gateway_types.values("traefik", gateway={"secret": {"value": SECRET}}), "gateway.secret: has no effect without config.check.secret_file"),
            (gateway_types.values("haproxy", secret=True, gateway={"secret": {"value": 'x" } deny'}}), "gateway.secret.value: must be one line of 32 to 256"),
            (gateway_types.values("envoy-gateway", secret=True, gateway={"secret": {"value": SECRET, "existingSecret": "x"}}), "cannot be combined with gateway.secret.value"),
            (gateway_types.values("istio", httpRoute={}), "httpRoute.parentRefs: is required with gateway.type: istio"),
            (gateway_types.values("traefik", httpRoute={"parentRefs": [{"name": "a"}]}), "httpRoute.parentRefs: has no effect with gateway.type: traefik"),
            (gateway_types.values("istio", httpRoute={"parentRefs": [{"name": "a"}], "enabled": True}), "httpRoute.enabled: must be false"),
            (gateway_types.values("istio", httpRoute={"parentRefs": [{"name": "a"}], "hostnames": ["x"]}), "httpRoute.hostnames: has no effect"),
            (gateway_types.values("traefik", ingress={"enabled": True}), "ingress.enabled: must be false with gateway.type: traefik"),
            (gateway_types.values("haproxy", ingress={"programPaths": ["/v1"], "host": "x"}), "ingress.programPaths: has no effect", "ingress.host: has no effect"),
            (gateway_types.values("ingress-nginx", ingress={"controller": "traefik"}), "ingress.controller: must be ingress-nginx"),
            (gateway_types.values("istio", gateway={"tlsSecret": "x", "className": "y"}), "gateway.tlsSecret: has an effect with gateway.type: traefik, haproxy only", "gateway.className"),
            (gateway_types.values("gateway-api", gateway={"allowServiceWorkers": True}), "gateway.allowServiceWorkers: has an effect with"),
            (gateway_types.values("traefik", upstream={}), "upstream.serviceName: is required with gateway.type"),
            (gateway_types.values("traefik", upstream={"serviceName": "door-vestibule-check"}), "is one of Vestibule's own Services"),
            (gateway_types.values("traefik", config={"public_url": "https://10.0.0.1"}), "cannot serve the host 10.0.0.1; it must be a DNS name"),
            (gateway_types.values("traefik", config={"public_url": "https://a`b.example.com"}), "cannot serve the host a`b.example.com"),
        ]:
            with self.subTest(words), self.assertRaises(HelmError) as refused:
                text_of(overrides=values)
            for word in words:
                self.assertIn(word, str(refused.exception))
            self.assertNotIn(SECRET, str(refused.exception))


if __name__ == "__main__":
    unittest.main()
