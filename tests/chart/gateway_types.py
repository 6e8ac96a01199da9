"""Values for each type of gateway, in the variants that the tests render."""

import re
from functools import cache

import binary
from chart_values import notes_of
from helm import objects_of, read_yaml

SECRET = binary.GATEWAY_SECRET
HOST, FURTHER = "llm.example.com", "chat.example.com"
TYPES = ["ingress-nginx", "nginx", "traefik", "envoy-gateway", "istio", "gateway-api", "nginx-gateway-fabric", "haproxy", "none"]
HTTP_ROUTES = {"envoy-gateway", "istio", "gateway-api", "nginx-gateway-fabric"}
ENVOY = {"envoy-gateway", "istio", "gateway-api"}


def values(kind, secret=False, **more):
    """Values for a type, with or without a gateway secret. `more` replaces top-level fields."""
    config = {"public_url": f"https://{HOST}", "trusted_proxies": ["10.0.0.0/8"]}
    gateway, extra = {"type": kind}, {}
    if kind in HTTP_ROUTES:
        extra["httpRoute"] = {"parentRefs": [{"name": "public", "namespace": "gateways"}]}
    if secret:
        config["check"] = {"secret_file": "/etc/vestibule/secrets/gateway-secret"}
        extra["secrets"] = {"existingSecret": "door-secrets"}
        if kind == "ingress-nginx":
            extra["ingress"] = {"gatewaySecret": {"value": SECRET}}
        elif kind in ("traefik", "haproxy", "nginx-gateway-fabric", "envoy-gateway"):
            gateway["secret"] = {"value": SECRET}
    config |= more.pop("config", {})
    gateway |= more.pop("gateway", {})
    return {"image": {"repository": "localhost/vestibule"}, "config": config, "gateway": gateway,
            "upstream": {"serviceName": "litellm"}, **extra, **more}


def variants(kind):
    yield "plain", values(kind)
    if kind not in ("gateway-api", "none"):
        yield "secret", values(kind, secret=True)
    yield "hosts", values(kind, config={"origins": [f"https://{FURTHER}:8443"]}, fullnameOverride="other", ports={"check": 9181})
    sidecar = {"image": {"repository": "litellm"}, "port": 4000}
    yield "sidecar", values(kind, mode="sidecar", upstream=sidecar, clusterDomain="corp.example")
    if kind in ("traefik", "haproxy"):
        yield "tls", values(kind, gateway={"tlsSecret": "llm-tls", "className": "internal", "annotations": {"a.example.com/b": "c"}})


VARIANTS = {f"{kind} {name}": values for kind in TYPES for name, values in variants(kind)}
VARIANTS["envoy-gateway existing secret"] = values(
    "envoy-gateway", secret=True, gateway={"secret": {"existingSecret": "theirs"}})


@cache
def rendering(name):
    """The objects of a variant. Tests must not change them."""
    return objects_of(overrides=VARIANTS[name])


@cache
def notes(name):
    return notes_of(VARIANTS[name])


def extension_providers(name):
    """Istio's mesh configuration in the notes: names to providers."""
    text = re.search(r"(?ms)^     extensionProviders:\n(?:     .*\n)+", notes(name))[0]
    return {one["name"]: one["envoyExtAuthzHttp"] for one in read_yaml(text)[0]["extensionProviders"]}
