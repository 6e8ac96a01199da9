"""Reads the routes of a rendering: host, paths, Service and check."""

import re
from collections import namedtuple

from gateway_types import extension_providers, rendering
from helm import pick

Route = namedtuple("Route", "host paths service check")


def routes(name):
    """The routes of a variant."""
    kind, objects = name.split()[0], rendering(name)
    if kind == "traefik":
        return list(of_traefik(objects))
    if kind in ("ingress-nginx", "haproxy"):
        return list(of_ingresses(kind, objects))
    providers = extension_providers(name) if kind == "istio" else {}
    return [route for one in pick(objects, "HTTPRoute") for route in of_http_route(kind, one, objects, providers)]


def of_ingresses(kind, objects):
    name = {"ingress-nginx": "nginx.ingress.kubernetes.io/auth-url", "haproxy": "haproxy-ingress.github.io/auth-url"}[kind]
    for one in pick(objects, "Ingress"):
        check = one["metadata"].get("annotations", {}).get(name)
        for rule in one["spec"]["rules"]:
            paths = rule["http"]["paths"]
            assert {path["pathType"] for path in paths} == {"Prefix"}
            for service in {path["backend"]["service"]["name"] for path in paths}:
                yield Route(rule["host"], [path["path"] for path in paths if path["backend"]["service"]["name"] == service], service, check)


def of_traefik(objects):
    middlewares = {one["metadata"]["name"]: one["spec"] for one in pick(objects, "Middleware")}
    for one in pick(objects, "IngressRoute"):
        for route in one["spec"]["routes"]:
            specs = [middlewares[used["name"]] for used in route["middlewares"]]
            if any("ipAllowList" in spec for spec in specs):
                continue  # Refuses all requests.
            # Nothing may change headers after the check.
            check = specs[-1].get("forwardAuth", {}).get("address")
            assert check or not any("forwardAuth" in spec for spec in specs)
            exact = re.findall(r"(?<!Prefix)\(`(/\w+)`\)", route["match"])
            assert re.findall(r"PathPrefix\(`(.+?)`\)", route["match"]) == [f"{path}/" for path in exact]
            [service] = route["services"]
            yield Route(re.match(r"Host\(`(.+?)`\)", route["match"])[1], exact, service["name"], check)


def of_http_route(kind, route, objects, providers):
    for rule in route["spec"]["rules"]:
        assert {match["path"]["type"] for match in rule["matches"]} == {"PathPrefix"}
        [service] = rule["backendRefs"]
        paths = [match["path"]["value"] for match in rule["matches"]]
        for host in route["spec"]["hostnames"]:
            own = paths != ["/"]
            yield Route(host, paths, service["name"], None if own else CHECKS[kind](route, rule, objects, providers))


def of_external_auth(route, rule, objects, providers):
    [check] = [one["externalAuth"] for one in rule["filters"] if one["type"] == "ExternalAuth"]
    return f"{check['backendRef']['name']}:{check['backendRef']['port']}{check['http']['path']}"


def of_security_policy(route, rule, objects, providers):
    target = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route["metadata"]["name"]}
    [check] = [one["spec"]["extAuth"]["http"] for one in pick(objects, "SecurityPolicy") if target in one["spec"]["targetRefs"]]
    [service] = check["backendRefs"]
    return f"{service['name']}:{service['port']}{check['path']}"


def of_istio(route, rule, objects, providers):
    """The policies name the extension provider, which the release's notes contain."""
    [host] = route["spec"]["hostnames"]
    targets = {(parent["namespace"], parent["name"]) for parent in route["spec"]["parentRefs"]}
    found = [one for one in pick(objects, "AuthorizationPolicy") if host in one["spec"]["rules"][0]["to"][0]["operation"]["hosts"]]
    assert {(one["metadata"]["namespace"], one["spec"]["targetRefs"][0]["name"]) for one in found} == targets
    provider = providers[found[0]["spec"]["provider"]["name"]]
    return f"{provider['service'].split('.')[0]}:{provider['port']}{provider['pathPrefix']}"


def of_snippets(route, rule, objects, providers):
    [name] = [one["extensionRef"]["name"] for one in rule["filters"] if one["type"] == "ExtensionRef"]
    snippets = pick(objects, "SnippetsFilter", name)["spec"]["snippets"]
    server, location = (next(one["value"] for one in snippets if one["context"] == context) for context in ("http.server", "http.server.location"))
    assert "\nauth_request /_vestibule_check;\n" in location
    check = server.split("location = /_vestibule_check {")[1].split("}")[0]
    assert "internal;" in check
    return re.search(r"proxy_pass (\S+);", check)[1]


CHECKS = {"gateway-api": of_external_auth, "envoy-gateway": of_security_policy, "istio": of_istio, "nginx-gateway-fabric": of_snippets}
