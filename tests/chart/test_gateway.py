"""Tests of the rendered Ingresses, the HTTPRoute and the NetworkPolicies."""

import unittest

import binary
from chart_values import ACCESS, AUTH_URL, CHECK_URL, GATEWAY, SECRETS, SECRET_FILE, UPSTREAM, ingress, minimal, over, upstream_credential
from helm import CHART, NAMESPACE, ROOT, HelmError, objects_of, pick, read_yaml


class Gateway(unittest.TestCase):
    HEADERS = {"User", "Email", "Preferred-Username", "Groups", "Role", "Key"}
    CREDENTIALS = {"Authorization", "X-Vestibule-Assertion", "X-Api-Key", "X-Litellm-Api-Key", "Api-Key", "X-Goog-Api-Key",
                   "Ocp-Apim-Subscription-Key", "Cookie"}
    # Headers for gateways. The check's answer does not contain the client's values, so listing the headers removes them.
    OF_GATEWAYS = {"Proxy-Authorization", "X-Original-URL", "X-Original-Method", "X-Rewrite-URL", "X-Vestibule-Untouched",
                   "X-Vestibule-Removed", "X-Vestibule-Gateway-Secret"}

    def ingresses(self):
        found = pick(objects_of(CHART / "ci/deployment-values.yaml"), "Ingress")
        return {one["metadata"]["name"].removeprefix("door-vestibule-"): one for one in found}

    def annotation(self, ingress, name):
        return ingress["metadata"].get("annotations", {}).get(f"nginx.ingress.kubernetes.io/{name}")

    def test_ingresses_of_the_upstream_send_auth_requests_and_copy_every_response_header(self):
        ingresses = self.ingresses()
        for name in ("upstream", "programs"):
            self.assertEqual(self.annotation(ingresses[name], "auth-url"), CHECK_URL)
            headers = self.annotation(ingresses[name], "auth-response-headers").split(", ")
            self.assertEqual(len(headers), len(set(headers)))
            self.assertEqual(set(headers), {f"X-Auth-Request-{name}" for name in self.HEADERS} | self.CREDENTIALS | self.OF_GATEWAYS)
            self.assertEqual(self.annotation(ingresses[name], "proxy-buffer-size"), "16k")

    def test_only_traefik_needs_a_snippet_for_the_original_request(self):
        secret = 'proxy_set_header X-Vestibule-Gateway-Secret "not-a-real-gateway-secret-0123456789";'
        snippet = {"proxy_set_header X-Original-URL $scheme://$host$request_uri;", "proxy_set_header X-Original-Method $request_method;", secret}
        for name, expected in (("traefik", snippet), ("deployment", set())):
            found = [one for one in pick(objects_of(CHART / f"ci/{name}-values.yaml"), "Ingress") if self.annotation(one, "auth-url")]
            self.assertGreaterEqual(len(found), 2)
            for one in found:
                self.assertEqual(set((self.annotation(one, "auth-snippet") or "").splitlines()), expected)

    def test_the_controller_sends_the_gateway_secret(self):
        given = over(SECRETS, {"config": SECRET_FILE})
        made = minimal(given, ingress(gatewaySecret={"value": binary.GATEWAY_SECRET}))
        headers = pick(made, "ConfigMap", "door-vestibule-gateway-secret")
        self.assertEqual(headers["data"], {"X-Vestibule-Gateway-Secret": binary.GATEWAY_SECRET})
        self.assertEqual(self.annotation(pick(made, "Ingress", "-upstream"), "auth-proxy-set-headers"), f"{NAMESPACE}/door-vestibule-gateway-secret")
        self.assertIsNone(self.annotation(pick(made, "Ingress", "-public"), "auth-proxy-set-headers"))
        made = minimal(given, ingress(gatewaySecret={"existingConfigMap": "theirs"}))
        self.assertEqual(self.annotation(pick(made, "Ingress", "-upstream"), "auth-proxy-set-headers"), f"{NAMESPACE}/theirs")
        self.assertNotIn("gateway-secret", [one["metadata"]["name"] for one in pick(made, "ConfigMap")])
        self.assertIsNone(self.annotation(pick(minimal(ingress()), "Ingress", "-upstream"), "auth-proxy-set-headers"))

    def test_browsers_are_redirected_to_the_sign_in_and_programs_are_not(self):
        ingresses = self.ingresses()
        self.assertEqual(self.annotation(ingresses["upstream"], "auth-signin"), "https://llm.example.com/sso/login")
        self.assertIsNone(self.annotation(ingresses["programs"], "auth-signin"))

    def test_annotations_may_restrict_the_checks_url(self):
        plain = ("&allow_roles=proxy_admin", "&route=data", "&route=data&allow_teams=research,data")
        encoded = "&allow_teams=research,data&allow_roles=proxy_admin,%C3%A9t%C3%A9"
        for controller, more in (*(("ingress-nginx", more) for more in plain), ("traefik", encoded)):
            made = pick(minimal(ingress(controller=controller, upstreamAnnotations={AUTH_URL: CHECK_URL + more})), "Ingress", "-upstream")
            self.assertEqual(made["metadata"]["annotations"][AUTH_URL], CHECK_URL + more)

    def test_a_percent_sign_in_the_checks_url_is_refused_for_ingress_nginx_with_the_reason(self):
        with self.assertRaises(HelmError) as refused:
            minimal(ingress(upstreamAnnotations={AUTH_URL: CHECK_URL + "&allow_teams=data%20science"}))
        for words in ("auth-url: must not contain %", "ingress-nginx refuses", "routes of the role map", "&route=NAME"):
            self.assertIn(words, str(refused.exception))

    def test_the_ingresses_copy_the_header_of_an_upstream_credential_once(self):
        entries = [{"header": "X-Upstream-Key", "value_file": UPSTREAM}, {"name": "b", "header": "x-litellm-api-key", "value_file": UPSTREAM}]
        made = minimal(over(GATEWAY, SECRETS, ACCESS, upstream_credential(static=entries)), ingress())
        headers = self.annotation(pick(made, "Ingress", "-upstream"), "auth-response-headers").lower().split(", ")
        self.assertEqual((headers.count("x-upstream-key"), headers.count("x-litellm-api-key")), (1, 1))

    def test_every_host_has_its_own_ingresses_with_its_host_in_the_checks_url(self):
        origins = {"config": {"origins": ["https://chat.example.com", "https://Docs.example.com:8443/"]}}
        made = pick(minimal(origins, ingress(programPaths=["/v1"], tlsSecret="all")), "Ingress")
        hosts = ["llm.example.com", "chat.example.com", "docs.example.com"]
        names = [f"door-vestibule-{kind}{suffix}" for suffix in ("", "-chat.example.com", "-docs.example.com")
                 for kind in ("upstream", "programs", "public")]
        self.assertEqual([one["metadata"]["name"] for one in made], names)
        for index, one in enumerate(made):
            host = hosts[index // 3]
            self.assertEqual([rule["host"] for rule in one["spec"]["rules"]], [host])
            self.assertEqual(one["spec"]["tls"], [{"hosts": [host], "secretName": "all"}])
            url = self.annotation(one, "auth-url")
            self.assertEqual(url, None if index % 3 == 2 else CHECK_URL.replace("llm.example.com", host))

    def test_the_routes_hostnames_are_those_of_all_origins(self):
        values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}, "config": {"origins": ["https://chat.example.com"]}}
        self.assertEqual(pick(minimal(values), "HTTPRoute")[0]["spec"]["hostnames"], ["llm.example.com", "chat.example.com"])

    def test_the_checks_url_has_the_host_of_the_ingress(self):
        made = pick(minimal(ingress(host="other.example.com")), "Ingress", "-upstream")
        self.assertEqual(self.annotation(made, "auth-url"), CHECK_URL.replace("llm.example.com", "other.example.com"))

    def test_annotations_may_raise_the_buffer_size(self):
        name = "nginx.ingress.kubernetes.io/proxy-buffer-size"
        made = pick(minimal(ingress(upstreamAnnotations={name: "32k"})), "Ingress", "-upstream")
        self.assertEqual(made["metadata"]["annotations"][name], "32k")

    def test_the_example_ingresses_match_the_chart(self):
        folder = ROOT / "deploy/ingress-nginx"
        made = pick(objects_of(folder / "values.yaml"), "Ingress")
        plain = read_yaml((folder / "ingress.yaml").read_text())
        self.assertEqual([one["metadata"]["name"] for one in plain], [one["metadata"]["name"] for one in made])
        for ours, theirs in zip(plain, made):
            self.assertEqual(ours["spec"], theirs["spec"])
            self.assertEqual(ours["metadata"].get("annotations"), theirs["metadata"].get("annotations"))

    def test_own_pages_need_no_check_and_no_ingress_routes_to_the_check(self):
        ingresses = self.ingresses()
        self.assertIsNone(self.annotation(ingresses["public"], "auth-url"))
        # A group of the company's directory with the maximum number of members.
        self.assertEqual(self.annotation(ingresses["public"], "proxy-body-size"), "4m")
        backends = {
            (path["path"], path["backend"]["service"]["name"])
            for one in ingresses.values() for path in one["spec"]["rules"][0]["http"]["paths"]
        }
        self.assertEqual(backends, {
            ("/", "litellm"), ("/v1", "litellm"), ("/openai", "litellm"),
            ("/sso", "door-vestibule-public"), ("/vestibule", "door-vestibule-public"), ("/onboarding", "door-vestibule-public"),
        })

    def test_an_http_route_routes_to_the_upstream_only_with_filters(self):
        values = {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}, "upstream": {"serviceName": "litellm"}}
        rules = pick(minimal(values), "HTTPRoute")[0]["spec"]["rules"]
        self.assertEqual([rule["backendRefs"][0]["name"] for rule in rules], ["door-vestibule-public"])
        filters = {"httpRoute": {"upstreamFilters": [{"type": "ExtensionRef", "extensionRef": {"group": "g", "kind": "k", "name": "n"}}]}}
        rules = pick(minimal(values, filters), "HTTPRoute")[0]["spec"]["rules"]
        self.assertEqual([rule["backendRefs"][0]["name"] for rule in rules], ["door-vestibule-public", "litellm"])
        self.assertEqual(rules[1]["filters"], filters["httpRoute"]["upstreamFilters"])

    def test_the_host_is_the_host_of_the_public_url(self):
        self.assertEqual(pick(objects_of(CHART / "ci/autoscaled-values.yaml"), "HTTPRoute")[0]["spec"]["hostnames"], ["llm.example.com"])

    def test_only_the_configured_gateway_reaches_check_and_upstream(self):
        for values in ("deployment", "sidecar"):
            gateway = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}]
            policies = pick(objects_of(CHART / f"ci/{values}-values.yaml"), "NetworkPolicy")
            rules = [rule for policy in policies for rule in policy["spec"]["ingress"]]
            who = [rule["from"] for rule in rules for port in rule["ports"] if port["port"] in ("upstream", 4000)]
            self.assertEqual(who, [gateway])
            asks = [rule["from"] for rule in rules for port in rule["ports"] if port["port"] == "check"]
            test = [{"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "door", "app.kubernetes.io/component": "test"}}}]
            self.assertEqual(asks, [gateway, test])
        self.assertEqual(pick(minimal(), "NetworkPolicy"), [])


if __name__ == "__main__":
    unittest.main()
