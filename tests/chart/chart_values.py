"""Values of the chart that several tests use, and the objects that are rendered with them."""

import tempfile
from pathlib import Path

import pod_security
from helm import CHART, objects_of, pick

MINIMAL = {
    "image": {"repository": "localhost/vestibule"},
    "config": {"public_url": "https://llm.example.com", "trusted_proxies": ["10.0.0.0/8"]},
}
REDIS = {"store": {"url": "redis://redis:6379"}}
ROLES = {"roleMap": {"document": {"version": 1, "default_role": "none"}}}

NGINX = "nginx.ingress.kubernetes.io/"
AUTH_URL = f"{NGINX}auth-url"
CHECK_URL = "http://door-vestibule-check.llm.svc.cluster.local:4181/auth/nginx?host=llm.example.com&echo=true"

# The settings that the check requires before it returns upstream credentials.
TRUSTED = {"check": {"trust_network": True}}
SECRET_FILE = {"check": {"secret_file": "/etc/vestibule/secrets/gateway-secret"}}

UPSTREAM = "/etc/vestibule/secrets/upstream"
KEYS = {"keys_file": "/etc/vestibule/secrets/keys.pem"}
SECRETS = {"secrets": {"existingSecret": "door-secrets"}}
GATEWAY = {"networkPolicy": {"gateway": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}}
OPEN = {"networkPolicy": {"leaveCheckOpen": True}}
# Without access rules a static credential is a configuration warning.
ACCESS = {"roleMap": {"document": {"access": [{"paths": ["/**"]}]}}}

CLUSTER = {"id": "cluster", "kind": "kubernetes"}
USER_IDS = {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}


def over(*trees):
    """Merges trees of values; later ones override earlier ones."""
    merged = {}
    for tree in trees:
        for name, value in tree.items():
            both = isinstance(value, dict) and isinstance(merged.get(name), dict)
            merged[name] = over(merged[name], value) if both else value
    return merged


def minimal(*trees):
    return objects_of(overrides=over(MINIMAL, *trees))


def ingress(**fields):
    return {"ingress": {"enabled": True, **fields}, "upstream": {"serviceName": "litellm"}}


def provider(**fields):
    return {"config": {"providers": [{"id": "corp", "client_id": "vestibule", "issuer": "https://idp.example.com", **fields}]}}


def upstream_credential(**fields):
    return {"config": {"upstream_credential": fields, **TRUSTED}}


def static(**fields):
    """An upstream credential whose file exists in a Secret."""
    return {"authorization_file": "/etc/vestibule/secrets/upstream", **fields}


def role_map(**fields):
    return {"roleMap": {"document": {"version": 1, **fields}}}


def pod(objects):
    return pick(objects, "Deployment")[0]["spec"]["template"]["spec"]


def vestibule(spec):
    return next(one for one in pod_security.containers(spec) if one["name"] == "vestibule")


def issuers(*given):
    return {"config": {"token_issuers": list(given)}}


def copy_chart(source, target):
    for path in source.rglob("*"):
        within = path.relative_to(source)
        if path.is_file() and "ci" not in within.parts:
            to = target / within
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    return target


def notes_of(values):
    """NOTES.txt, rendered as an object because `helm template` omits it."""
    with tempfile.TemporaryDirectory() as folder:
        chart = copy_chart(CHART, Path(folder) / "vestibule")
        (chart / "notes").write_text((chart / "templates/NOTES.txt").read_text())
        (chart / "templates/notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes") . | toJson }}\n')
        return pick(objects_of(overrides=values, chart=chart), "Notes")[0]["text"]
