"""The tests' shared fleet: a namespace that enforces `restricted`, with the driver, an OpenID Provider behind TLS, the Redis
Cluster of deploy/redis, an upstream and, after a release is installed, the nginx of deploy/nginx."""

import atexit
import json
import os
import re
import secrets
import signal

import images
import kube
import pods
import redis
import tls
from driver_pod import Driver
from paths import ROOT

TEMPLATE = ROOT / "deploy/nginx/vestibule.conf.template"
HOST = "door.example.test"
PUBLIC_URL = f"https://{HOST}"
CLIENT = "vestibule"
PROVIDER_PORT, SIDE_DOOR = 8443, 8444
PARTS = ("node", "nginx", "redis", "tools", "driver", "vestibule")


def person(name, password, *groups, **access_token):
    claims = {"name": name.title(), "preferred_username": name, "email": f"{name}@example.com", "email_verified": True,
              "groups": list(groups)}
    return {"sub": name, "username": name, "password": password, "claims": claims, "accessTokenClaims": access_token}


ACCOUNTS = [
    person("alice", "alice-in-wonderland", "/engineering/platform", "/teams/research",
           resource_access={"litellm": {"roles": ["llm-admins"]}}),
    person("bob", "bob-the-builder", "/engineering/tools", "/teams/data"),
    person("carol", "carol-sings-well"),
    person("erin", "erin-signs-in-often", "/engineering/platform", "/teams/research",
           resource_access={"litellm": {"roles": ["llm-admins"]}}),
]
# Erin signs in under load. A user's number of sessions is limited, so others keep theirs.
*PEOPLE, ERIN = [{"user": one["username"], "password": one["password"]} for one in ACCOUNTS]
ALICE, BOB, CAROL = PEOPLE


class Fleet:
    def __init__(self, suite):
        prefix = os.environ.get("TEST_NAMESPACE", "vestibule-test")
        self.namespace = kube.Namespace(f"{prefix}-{suite}-{secrets.token_hex(3)}")
        self.client_secret, self.gateway_secret = secrets.token_urlsafe(24), secrets.token_hex(32)
        self.redis = redis.Redis(self.namespace)

    def start(self):
        if not kube.own():
            images.into_cluster(*PARTS)
        self.namespace.create(enforce="restricted", warn="restricted")
        self.authority = tls.Authority()
        self.redis.start()
        self.driver = Driver(self.namespace, self.authority)
        self.start_provider()
        self.start_upstream()
        for name in ("idp", "upstream"):
            self.namespace.rolled_out("deployment", name)
        self.namespace.run("wait", "pod/driver", "--for=condition=Ready", f"--timeout={kube.PATIENCE}s")
        self.redis.wait()

    def close(self):
        self.namespace.delete()
        self.redis.close()

    # The provider.

    @property
    def issuer(self):
        return f"https://idp.{self.namespace.name}.svc:{PROVIDER_PORT}/realms/test"

    def start_provider(self):
        folder = "/etc/idp"
        settings = {
            "host": "0.0.0.0", "port": PROVIDER_PORT, "adminPort": SIDE_DOOR, "issuer": self.issuer, "accounts": ACCOUNTS,
            "tls": {"cert": f"{folder}/tls.crt", "key": f"{folder}/tls.key"},
            "clients": [{
                "client_id": CLIENT, "client_secret": self.client_secret,
                "redirect_uris": [f"{PUBLIC_URL}/sso/callback", f"{PUBLIC_URL}/sso/callback/corp"],
                "post_logout_redirect_uris": [f"{PUBLIC_URL}/sso/logout"],
                "token_endpoint_auth_method": "client_secret_basic", "id_token_signed_response_alg": "RS256",
            }],
        }
        host = f"idp.{self.namespace.name}.svc"
        files = self.authority.issue(host, f"{host}.cluster.local")
        self.namespace.secret("idp", **files, **{"settings.json": json.dumps(settings)})
        container = pods.container("idp", images.image("node"), ["/peers/idp.mjs", f"{folder}/settings.json"],
                                   ports=[PROVIDER_PORT, SIDE_DOOR], mounts={"files": folder},
                                   ready={"tcpSocket": {"port": SIDE_DOOR}})
        self.namespace.apply(pods.deployment("idp", container, volumes=[{"name": "files", "secret": {"secretName": "idp"}}]),
                             pods.service("idp", {PROVIDER_PORT: PROVIDER_PORT, SIDE_DOOR: SIDE_DOOR}))

    def call_admin_api(self, path, **body):
        """Calls the provider's administration API, see tests/peers/idp/admin_api.mjs."""
        answer = self.driver.ask(f"http://idp:{SIDE_DOOR}{path}", method="POST", body=json.dumps(body))
        if answer["status"] != 200:
            raise AssertionError(f"{path}: {answer['body']}")

    # The upstream and the gateway.

    def start_upstream(self):
        container = pods.container("upstream", images.image("node"), ["/peers/upstream.mjs", "4000", "0.0.0.0"], ports=[4000],
                                   ready={"tcpSocket": {"port": 4000}})
        self.namespace.apply(pods.deployment("upstream", container), pods.service("upstream", {4000: 4000}))

    def start_gateway(self, release, upstream="upstream:4000", name="gateway"):
        """Runs nginx with the unchanged template. nginx resolves the Services at its start, so they must exist."""
        values = {
            "VESTIBULE_LISTEN": "8443 ssl; ssl_certificate /etc/gateway/tls.crt; ssl_certificate_key /etc/gateway/tls.key",
            "VESTIBULE_SERVER_NAME": HOST,
            "VESTIBULE_PUBLIC_SERVERS": f"server {release}-public:4180 max_fails=0;",
            "VESTIBULE_CHECK_SERVERS": f"server {release}-check:4181 max_fails=0;",
            "VESTIBULE_UPSTREAM": upstream,
            "VESTIBULE_GATEWAY_SECRET": self.gateway_secret,
            "VESTIBULE_ALLOW_SERVICE_WORKERS": "",
        }
        configuration = re.sub(r"\$\{(VESTIBULE_\w+)\}", lambda found: values[found[1]], TEMPLATE.read_text())
        self.namespace.secret(name, **self.authority.issue(HOST), **{"nginx.conf": NGINX, "vestibule.conf": configuration})
        arguments = ["-c", "/etc/gateway/nginx.conf", "-e", "stderr"]
        container = pods.container("nginx", images.image("nginx"), arguments, ports=[8443],
                                   mounts={"files": "/etc/gateway", "tmp": "/tmp"}, ready={"tcpSocket": {"port": 8443}})
        volumes = [{"name": "files", "secret": {"secretName": name}}, {"name": "tmp", "emptyDir": {}}]
        self.namespace.apply(pods.deployment(name, container, volumes=volumes), pods.service(name, {443: 8443}))
        self.namespace.rolled_out("deployment", name)

    def way(self, gateway="gateway"):
        """The driver's arguments for requests through a gateway."""
        return {"origin": PUBLIC_URL, "gateway": f"{gateway}:443", "issuer": self.issuer, "secret": self.gateway_secret}

    # Vestibule.

    def values(self, gateway="gateway", **more):
        """The chart's values for this fleet, overridden by `more`."""
        return over({
            "replicaCount": 3,
            "image": images.values("vestibule"),
            "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
            "tests": {"image": images.values("tools")},
            "config": {
                "public_url": PUBLIC_URL,
                "check": {"secret_file": "/etc/vestibule/secrets/gateway-secret"},
                # On a busy machine, Redis may take longer to answer than the default of 300 ms.
                "store": {"url": redis.URL, "username": redis.USER, "password_file": "/etc/vestibule/secrets/redis-password",
                          "command_timeout": "3s"},
                "providers": [{"id": "corp", "name": "Example Corp", "issuer": self.issuer, "client_id": CLIENT,
                               "client_secret_file": "/etc/vestibule/secrets/corp-client-secret",
                               "ca_file": "/etc/vestibule/config/ca.pem"}],
            },
            "extraFiles": {"ca.pem": self.authority.certificate},
            "secrets": {"existingSecret": "door-secrets"},
            "upstream": {"serviceName": "upstream", "port": 4000},
            # The driver sends auth requests as a gateway does.
            "networkPolicy": {"gateway": [{"podSelector": {"matchExpressions": [
                                  {"key": "app", "operator": "In", "values": [gateway, "driver"]}]}}],
                              "upstream": {"podLabels": {"app": "upstream"}}},
        }, more)

    def give_secrets(self):
        """Creates the Secret that `values` refers to."""
        self.namespace.secret("door-secrets", **{"redis-password": self.redis.password, "corp-client-secret": self.client_secret,
                                               "gateway-secret": self.gateway_secret})


NGINX = """\
worker_processes 1;
daemon off;
pid /tmp/nginx.pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    include /etc/gateway/vestibule.conf;
}
"""


def over(under, upper):
    """Merges two trees of values; `upper` overrides `under`."""
    merged = dict(under)
    for name, value in upper.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = over(merged[name], value) if both else value
    return merged


KEPT, FLEETS = {}, []


def once(name, make):
    """Calls `make` once for each name and returns its result, or raises its error, each time."""
    if name not in KEPT:
        try:
            KEPT[name] = make()
        except Exception as error:
            KEPT[name] = error
    if isinstance(KEPT[name], Exception):
        raise KEPT[name]
    return KEPT[name]


def shared(suite="door"):
    """The fleet of a suite, created at the first call and deleted when the process ends."""
    def make():
        fleet = Fleet(suite)
        atexit.register(fleet.close)
        FLEETS.append(fleet)
        fleet.start()
        return fleet

    return once(f"fleet {suite}", make)


# SIGTERM cleans up like Ctrl-C. unittest would catch SystemExit.
signal.signal(signal.SIGTERM, signal.default_int_handler)
