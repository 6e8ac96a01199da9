"""The chart without a cluster: lint, rendered objects, and errors about invalid values."""

import base64
import hashlib
import json
import re
import tempfile
import unittest
from pathlib import Path

import binary
import pod_security
from helm import CHART, CI, NAMESPACE, RELEASE, ROOT, KUBERNETES, Refused, objects_of, pick, read_yaml, run, text_of

MINIMAL = {
    "image": {"repository": "localhost/vestibule"},
    "config": {"public_url": "https://llm.example.com", "trusted_proxies": ["10.0.0.0/8"]},
}
REDIS = {"store": {"url": "redis://redis:6379"}}
ROLES = {"roleMap": {"document": {"version": 1, "default_role": "none"}}}


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


NGINX = "nginx.ingress.kubernetes.io/"
AUTH_URL = f"{NGINX}auth-url"
CHECK_URL = "http://door-vestibule-check.llm.svc.cluster.local:4181/auth/nginx?host=llm.example.com&echo=true"


# What the check requires before it returns upstream credentials.
TRUSTED = {"check": {"trust_network": True}}
SECRET_FILE = {"check": {"secret_file": "/etc/vestibule/secrets/gateway-secret"}}


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


UPSTREAM = "/etc/vestibule/secrets/upstream"
KEYS = {"keys_file": "/etc/vestibule/secrets/keys.pem"}
SECRETS = {"secrets": {"existingSecret": "door-secrets"}}
GATEWAY = {"networkPolicy": {"gateway": [{"podSelector": {"matchLabels": {"app": "gateway"}}}]}}
OPEN = {"networkPolicy": {"leaveCheckOpen": True}}
# Without access rules a static credential is a configuration warning.
USER_IDS = {"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}
ACCESS = {"roleMap": {"document": {"access": [{"paths": ["/**"]}]}}}


def pod(objects):
    return pick(objects, "Deployment")[0]["spec"]["template"]["spec"]


def vestibule(spec):
    return next(one for one in pod_security.containers(spec) if one["name"] == "vestibule")


class EveryValuesFile(unittest.TestCase):
    """Tests of each values file in ci/."""

    def each(self):
        self.assertGreater(len(CI), 4)
        return CI

    def test_helm_lint_reports_nothing(self):
        run("lint", "--strict", CHART)
        for values in self.each():
            with self.subTest(values.name):
                run("lint", "--strict", CHART, "--values", values, "--kube-version", KUBERNETES)

    def test_the_rendered_configuration_is_valid(self):
        for values in self.each():
            with self.subTest(values.name):
                objects = objects_of(values)
                status, said = binary.check_config(objects, pick(objects, "ConfigMap", f"{RELEASE}-vestibule"))
                self.assertEqual((status, said), (0, "the configuration is valid\n"))

    def test_the_rendered_role_map_is_valid(self):
        rendered = 0
        for values in self.each():
            with self.subTest(values.name):
                config_maps = pick(objects_of(values), "ConfigMap")
                texts = {name: text for one in config_maps for name, text in one["data"].items()}
                if "roles.yaml" in texts:
                    rendered += 1
                    status, said = binary.check_role_map(texts["roles.yaml"], read_yaml(texts["vestibule.yaml"])[0])
                    self.assertEqual(status, 0, said)
        self.assertGreater(rendered, 1)

    def test_a_restricted_namespace_admits_every_pod(self):
        for values in self.each():
            with self.subTest(values.name):
                specs = list(pod_security.pod_specs(objects_of(values)))
                self.assertTrue(specs)
                for spec in specs:
                    self.assertEqual(pod_security.violations(spec) + pod_security.promises(spec), [])

    def test_without_user_ids_no_pod_requests_a_user_as_openshift_requires(self):
        without = {"securityContext": {"runAsUser": None, "runAsGroup": None}}
        for values in self.each():
            with self.subTest(values.name):
                own = over(read_yaml(values.read_text())[0], without)
                own.get("upstream", {}).pop("securityContext", None)
                specs = list(pod_security.pod_specs(objects_of(overrides=own)))
                self.assertTrue(specs)
                for spec in specs:
                    self.assertEqual(pod_security.violations(spec) + pod_security.promises(spec), [])
                    contexts = [spec.get("securityContext", {})] + [one.get("securityContext", {}) for one in pod_security.containers(spec)]
                    self.assertEqual([set(one) & USER_IDS for one in contexts], [set()] * len(contexts))

    def test_the_test_pod_has_the_user_of_vestibule(self):
        large = {"runAsUser": 1000650000, "runAsGroup": 0}
        for values, expected in [({}, {"runAsUser": 65532, "runAsGroup": 65532}), ({"securityContext": large}, large)]:
            objects = minimal(values)
            contexts = [pick(objects, "Pod")[0]["spec"]["securityContext"], vestibule(pod(objects))["securityContext"]]
            self.assertEqual([{name: one[name] for name in expected} for one in contexts], [expected, expected])

    def test_every_mount_has_a_volume_and_every_volume_an_object(self):
        given = {"door-secrets", "door-key-ring", "llm-roles", "litellm", "kube-root-ca.crt"}
        for values in self.each():
            with self.subTest(values.name):
                objects = objects_of(values)
                made = {(one["kind"], one["metadata"]["name"]) for one in objects}
                for spec in pod_security.pod_specs(objects):
                    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
                    mounted = {mount["name"] for one in pod_security.containers(spec) for mount in one.get("volumeMounts", [])}
                    self.assertEqual(mounted, set(volumes))
                    for volume in volumes.values():
                        if name := volume.get("configMap", {}).get("name"):
                            self.assertTrue(name in given or ("ConfigMap", name) in made, name)
                        if name := volume.get("secret", {}).get("secretName"):
                            self.assertTrue(name in given or ("Secret", name) in made, name)

    def test_services_select_pods_with_matching_ports(self):
        for values in self.each():
            with self.subTest(values.name):
                objects = objects_of(values)
                listeners = {one["metadata"]["labels"]["vestibule/listener"] for one in pick(objects, "Service")}
                self.assertLessEqual({"public", "check", "admin"}, listeners)
                for deployment in pick(objects, "Deployment"):
                    template = deployment["spec"]["template"]
                    ports = {port["name"] for one in pod_security.containers(template["spec"]) for port in one.get("ports", [])}
                    for service in pick(objects, "Service"):
                        self.assertLessEqual(service["spec"]["selector"].items(), template["metadata"]["labels"].items())
                        self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, ports)

    def test_config_maps_and_pods_contain_no_secret(self):
        values = json.loads(json.dumps(read_yaml((CHART / "ci/deployment-values.yaml").read_text())[0]))
        objects = objects_of(CHART / "ci/deployment-values.yaml")
        others = json.dumps([one for one in objects if one["kind"] != "Secret"])
        for secret in values["secrets"]["values"].values():
            self.assertNotIn(secret, others)
            self.assertNotIn(base64.b64encode(secret.encode()).decode(), others)


class InvalidValues(unittest.TestCase):
    """Invalid values and their error messages."""

    def refused(self, values, *words):
        with self.assertRaises(Refused) as caught:
            text_of(overrides=values)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_schema_errors_name_the_field_and_the_mistake(self):
        for wrong, *words in [
            ({"replicas": 3}, "additional properties 'replicas' not allowed"),
            ({"replicaCount": "3"}, "replicaCount", "got string, want integer"),
            ({"replicaCount": 0}, "replicaCount", "minimum: got 0, want 1"),
            ({"mode": "daemonset"}, "mode", "value must be one of 'deployment', 'sidecar', 'embedded'"),
            ({"image": {"repo": "x"}}, "image", "additional properties 'repo' not allowed"),
            ({"image": {"repository": "x:1"}}, "image/repository"),
            ({"config": {"listen": {}}}, "config", "additional properties 'listen' not allowed"),
            ({"config": {"store": {"password": "x"}}}, "config/store", "additional properties 'password' not allowed"),
            ({"config": {"sessions": {"idle": 12}}}, "config/sessions/idle", "got number, want string"),
            ({"config": {"sessions": {"idle": "12"}}}, "config/sessions/idle"),
            ({"config": {"sessions": {"idle": "1m1h"}}}, "config/sessions/idle"),
            ({"config": {"cache": {"entries": 1}}}, "config/cache/entries", "minimum: got 1, want 100"),
            ({"config": {"contact": " us"}}, "config/contact"),
            (provider(client_secret="x"), "config/providers/0", "additional properties 'client_secret' not allowed"),
            (provider(isuer="x"), "config/providers/0", "additional properties 'isuer' not allowed"),
            (provider(algorithms=["HS256"]), "config/providers/0/algorithms/0"),
            (provider(id="Corp"), "config/providers/0/id"),
            (provider(http_proxy="http://a:hunter2@proxy:3128"), "config/providers/0/http_proxy"),
            ({"config": {"http_proxy": "proxy:3128"}}, "config/http_proxy"),
            ({"config": {"http_proxy_credentials": "a:hunter2"}}, "config", "additional properties 'http_proxy_credentials' not allowed"),
            ({"config": {"no_proxy": "example.com"}}, "config/no_proxy", "got string, want array"),
            ({"config": {"no_proxy": ["a.example.com,b.example.com"]}}, "config/no_proxy/0"),
            ({"service": {"check": {"type": "LoadBalancer"}}}, "service/check", "additional properties 'type' not allowed"),
            ({"ports": {"public": 80}}, "ports/public", "minimum: got 80, want 1,024"),
            ({"roleMap": {"document": ["x"]}}, "roleMap/document", "got array, want"),
            *((role_map(rules=[{"role": "team", "claim": "a", "match": "b", **wrong}]), f"roleMap/document/rules/0/{name}", "want string")
              for wrong, name in (({"match": 116544810872468347481}, "match"), ({"match": 8192}, "match"), ({"match": True}, "match"), ({"claim": 7}, "claim"))),
            (role_map(rules=[{"role": "team", "all": [{"claim": "a", "match": 3}]}]), "rules/0/all/0/match", "want string"),
            (role_map(teams=[{"claim": "a", "match": False}]), "teams/0/match", "want string"),
            (role_map(teams=[{"claim": "a", "map": {"x": 7}}]), "teams/0/map/x", "want string"),
            (role_map(teams=[{"claim": "a", "map": {"1.1654481087246835e+20": "x"}}]), "invalid propertyName"),
            (role_map(litellm_jwtauth={"jwt_litellm_role_map": [{"jwt_role": 1, "litellm_role": "team"}]}), "jwt_role", "want string"),
            ({"config": {"identity_headers": {"encoding": "latin1"}}}, "config/identity_headers/encoding"),
            (upstream_credential(static=[{"header": "x_key", "value_file": "/x"}]), "static/0/header"),
            ({"extraEnv": {"A": "b"}}, "extraEnv", "got object, want array"),
            ({"podLabels": {"a": 1}}, "podLabels/a", "got number, want string"),
            ({"ingress": {"programPaths": ["v1"]}}, "ingress/programPaths/0"),
            ({"listenAddress": "999.0.0.1"}, "listenAddress"),
            ({"listenAddress": "1:2"}, "listenAddress"),
            (upstream_credential(static=[static(authorization="x")]), "upstream_credential/static/0", "'authorization' not allowed"),
            (upstream_credential(static=[{"authorization_file": "upstream"}]), "static/0/authorization_file"),
            (upstream_credential(static=[static(roles=["a", "a"])]), "static/0/roles"),
            (upstream_credential(static=static()), "upstream_credential/static", "got object, want array"),
            (upstream_credential(assertion={"keys": "x"}), "upstream_credential/assertion", "'keys' not allowed"),
            (upstream_credential(assertion={"authorization": "true"}), "assertion/authorization", "got string, want boolean"),
            (upstream_credential(assertion={"audience": ""}), "assertion/audience"),
            ({"config": {"keys": {"admin_roles": ["a"]}}}, "config/keys", "additional properties 'admin_roles' not allowed"),
            ({"config": {"admin_roles": ["a", "a"]}}, "config/admin_roles"),
            ({"config": {"local_accounts": {"enabled": "yes"}}}, "config/local_accounts/enabled", "got string, want boolean"),
            ({"config": {"local_accounts": {"password_min_length": 7}}}, "config/local_accounts/password_min_length", "minimum: got 7, want 8"),
            ({"config": {"local_accounts": {"argon2": {"memory": "19MB"}}}}, "config/local_accounts/argon2/memory"),
            ({"config": {"ui": {"name": "x" * 41}}}, "config/ui/name"),
            ({"config": {"ui": {"accent": "red"}}}, "config/ui/accent"),
            ({"config": {"ui": {"logo_file": "logo.svg"}}}, "config/ui/logo_file"),
            ({"ingress": {"controller": "nginx"}}, "ingress/controller", "value must be one of 'ingress-nginx', 'traefik'"),
        ]:
            with self.subTest(wrong):
                self.refused(over(MINIMAL, wrong), *words)

    def test_invalid_combinations_of_fields_are_reported(self):
        sidecar = {"mode": "sidecar", "upstream": {"image": {"repository": "x"}}}
        for wrong, *words in [
            ({"config": {"public_url": ""}}, "config.public_url: is required"),
            ({"config": {"public_url": "http://llm.example.com"}}, "config.public_url: must be https://"),
            ({"config": {"public_url": "https://llm.example.com/path"}}, "config.public_url: must be an origin"),
            ({"config": {"public_url": "https://llm.example.com."}}, "config.public_url: the host must not end with a dot"),
            ({"config": {"public_url": "https://*.example.com"}}, "config.public_url: must be an origin"),
            ({"config": {"public_url": "https://llm.example.com:99999"}}, "config.public_url: must be an origin"),
            ({"config": {"origins": ["http://chat.example.com"]}}, "config.origins[0]: must be an https origin"),
            ({"config": {"origins": ["https://chat.example.com", "https://docs.example.com/app"]}}, "config.origins[1]: must be an https origin"),
            ({"config": {"origins": ["https://chat.example.com", "https://chat.example.com:8443"]}}, "config.origins[1]: chat.example.com is also the host"),
            ({"config": {"origins": ["https://LLM.example.com:8443"]}}, "config.origins[0]: llm.example.com is also the host of config.public_url"),
            (over({"config": {"origins": ["https://chat.example.com"]}}, ingress(upstreamAnnotations={AUTH_URL: CHECK_URL + "&allow_roles=a"})),
             "auth-url: would name the host llm.example.com for the hosts of config.origins too"),
            ({"config": {"trusted_proxies": ["10.0.0.0/33"]}}, "config.trusted_proxies: 10.0.0.0/33 must be an IP address or a network"),
            ({"config": {"log": {"level": "info,vestibule=much"}}}, "config.log.level: is not a valid filter"),
            ({"config": {"store": {"url": "redis://a:99999"}}}, "config.store.url: must be memory, redis://"),
            (provider(issuer="https://idp.example.com:99999"), "config.providers[0].issuer: must be an https:// URL"),
            (issuers({**CLUSTER, "review": True, "review_cache": "2h"}), "token_issuers[0].review_cache: must be from 1s to 1h"),
            ({"config": REDIS, "keyRing": {"value": "# none"}}, "keyRing.value: must contain at least one key"),
            ({"config": REDIS, "keyRing": {"value": f"{binary.KEY}\n{binary.KEY}\n"}}, "keyRing.value: must contain at least one key"),
            ({"config": REDIS, "keyRing": {"value": binary.KEY[:-1] + "B"}}, "keyRing.value: must contain one key per line"),
            ({"config": {"trusted_proxies": ["0.0.0.0/0"]}}, "config.trusted_proxies: /0 would trust the X-Forwarded-For of every client"),
            ({"config": {"store": {"url": "redis://a,b"}}}, "config.store.url: must be memory, redis://"),
            ({"config": {"store": {"url": "redis://a/999"}}}, "config.store.url: must be memory, redis://"),
            ({"config": {"store": {"url": "redis-sentinel://a"}}}, "config.store.url: must be memory, redis://"),
            ({"config": {"store": {"url": "redis-cluster://a/1"}}}, "config.store.url: must be memory, redis://"),
            ({"config": over(REDIS, {"store": {"command_timeout": "1m"}})}, "config.store.command_timeout: must be from 10ms to 10s"),
            ({"config": {"sessions": {"idle": "500ms"}}}, "config.sessions.idle: must be from 1s to 365d"),
            (provider(max_claims_age="59s"), "config.providers[0].max_claims_age: must be from 1m to 3650d"),
            (provider(directory={"kind": "entra_id", "interval": "9s"}), "config.providers[0].directory.interval: must be from 10s to 30d"),
            (provider(directory={"kind": "entra_id", "interval": "2d"}), "config.providers[0].directory.max_age: must not be shorter than interval"),
            (provider(directory={"kind": "entra_id", "api_url": "http://graph.example.com"}), "directory.api_url: must be an https:// URL"),
            (provider(directory={"kind": "entra_id", "credential": "client"}), "token_endpoint: is required with credential: client", "credential: client requires client_secret_file"),
            (provider(directory={"kind": "entra_id", "token_endpoint": "https://x"}), "token_endpoint: requires credential: client"),
            (provider(directory={"kind": "github", "when": "always", "subject": "x"}), "directory.when: requires kind: entra_id", "directory.subject: requires kind: google"),
            (provider(directory={"kind": "google"}), "directory.service_account_file: is required with kind: google"),
            (provider(directory={"kind": "google", "service_account_file": "/run/key"}), "directory.service_account_file: no volume is mounted at"),
            (provider(directory={"kind": "gitlab"}), "directory.kind: gitlab requires the scope read_api"),
            (provider(refresh={"interval": "9s"}), "config.providers[0].refresh.interval: must be from 10s to 365d"),
            (provider(refresh={"interval": "1h", "max_age": "1h"}), "config.providers[0].refresh.max_age: must be longer than"),
            (provider(id="local"), "config.providers[0].id: must not be local"),
            (provider(issuer="http://idp.example.com"), "config.providers[0].issuer: must be an https:// URL"),
            (provider(issuer="https://idp.example.com?a=b"), "config.providers[0].issuer: must not have a query"),
            (provider(authorization_params={"state": "x"}), "authorization_params.state: is set by Vestibule"),
            (provider(token_endpoint_auth_method="client_secret_post"), "token_endpoint_auth_method: requires client_secret_file"),
            ({"image": {"repository": ""}}, "image.repository: is required"),
            ({"replicaCount": 3}, "replicaCount: more than one pod requires a shared store"),
            ({"autoscaling": {"enabled": True}}, "autoscaling.maxReplicas: more than one pod requires a shared store"),
            ({"autoscaling": {"enabled": True, "minReplicas": 20}, "config": REDIS}, "autoscaling.minReplicas: must not be greater"),
            ({"autoscaling": {"enabled": True}, "mode": "embedded", "config": REDIS}, "another chart scales the pods"),
            ({"config": {"store": {"username": "x"}}}, "config.store.username: has no effect with the memory store"),
            ({"config": over(REDIS, {"store": {"sentinel_username": "x"}})}, "config.store.sentinel_username: requires a redis-sentinel://"),
            ({"config": over(REDIS, {"store": {"ca_file": "/x"}})}, "config.store.ca_file: requires TLS"),
            ({"config": over(REDIS, {"store": {"tls_server_name": "x"}})}, "config.store.tls_server_name: requires TLS"),
            ({"config": over(REDIS, {"store": {"cert_file": "/x"}})}, "config.store: cert_file and key_file belong together"),
            ({"config": {"sessions": {"idle": "8d"}}}, "config.sessions.idle: must not be longer"),
            ({"config": {"cache": {"revocation_grace": "5s"}}}, "config.cache.revocation_grace: must be from 6s to 1h"),
            ({"config": {"providers": provider()["config"]["providers"] * 2}}, "corp is also the id of another provider"),
            (provider(kind="oauth2"), "issuer: has no effect with kind: oauth2", "userinfo_endpoint: is required with kind: oauth2"),
            (provider(jwks_uri="https://x"), "authorization_endpoint, token_endpoint and jwks_uri must be set together"),
            (issuers({**CLUSTER, "issuer": "https://x"}), "token_issuers[0].issuer: requires kind: oidc"),
            (issuers(CLUSTER, {"id": "other", "kind": "kubernetes"}), "token_issuers[1].kind: only one token issuer may have kind: kubernetes"),
            (issuers({"id": "ci", "issuer": "https://x"}), "token_issuers[0].audiences: is required"),
            (issuers({"id": "ci", "issuer": "http://x", "audiences": ["a"]}), "token_issuers[0].issuer: must be an https:// URL"),
            (issuers({"id": "ci", "audiences": ["a"]}), "token_issuers[0].issuer: is required"),
            (issuers({"id": "ci", "issuer": "https://ci", "audiences": ["a"], "user_claim": "oid"}), "token_issuers[0].user_claim: requires provider"),
            (over(provider(), issuers({"id": "ci", "provider": "corp", "audiences": ["a"], "workload": False})), "token_issuers[0].workload: requires unregistered: allow"),
            (issuers({"id": "ci", "issuer": "https://ci", "audiences": ["a"], "keys_max_age": "1h"}), "token_issuers[0].keys_max_age: must be from 2h to 30d"),
            (issuers({"id": "ci", "provider": "x", "audiences": ["a"]}), "token_issuers[0].provider: x is not the id of a configured provider"),
            (issuers({"id": "ci", "issuer": "https://x", "audiences": ["a"], "review": True}), "review: requires kind: kubernetes"),
            (over(provider(), issuers({**CLUSTER, "audiences": ["vestibule"]})), "vestibule is also the client_id of a provider"),
            (issuers({"id": "ci", "issuer": "https://ci", "audiences": ["a"], "audience_claim": "azp"}), "token_issuers[0].audience_claim: requires required_claims"),
            (issuers({**CLUSTER, "access_token_claim": "scp"}), "token_issuers[0].access_token_claim: requires kind: oidc"),
            (issuers({"id": "ci", "issuer": "https://ci", "audiences": ["a"], "additional_issuers": ["b"]}), "token_issuers[0].additional_issuers: requires kind: kubernetes"),
            (issuers({**CLUSTER, "audiences": ["b"], "additional_issuers": ["b"]}), "token_issuers[0].additional_issuers: b is also one of the audiences"),
            (provider(logout="off", end_session_parameters={"logout_uri": "x"}), "end_session_parameters: has no effect with logout: off; remove one of them"),
            (provider(end_session_parameters={"client_secret": "x"}), "end_session_parameters.client_secret: must not be set: users see the URL; remove it"),
            (provider(end_session_parameters={"id_token_hint": "x"}), "end_session_parameters.id_token_hint: is set by logout: id_token_hint; remove it"),
            (over(provider(), issuers({**CLUSTER, "id": "corp"})), "token_issuers[0].id: corp is also the id of a provider"),
            (provider(subject_field="id"), "subject_field: requires kind: oauth2"),
            (provider(scopes=["email"]), "scopes: must contain openid"),
            (provider(client_secret_file="/etc/vestibule/secrets/x"), "there is no Secret"),
            (over(provider(client_secret_file="/etc/vestibule/secrets/x"), {"secrets": {"values": {"y": "z"}}}), "secrets.values has no x"),
            (provider(ca_file="/etc/vestibule/config/ca.pem"), "extraFiles has no ca.pem"),
            (provider(client_secret_file="/run/secret"), "no volume is mounted at"),
            ({"config": {"http_proxy": "http://proxy:3128", "http_proxy_credentials_file": "/etc/vestibule/secrets/proxy"}},
             "config.http_proxy_credentials_file: the file /etc/vestibule/secrets/proxy does not exist"),
            (provider(http_proxy="http://proxy:3128", http_proxy_credentials_file="/run/secret"), "no volume is mounted at"),
            ({"config": {"ui": {"logo_file": "/etc/vestibule/config/logo.svg"}}}, "config.ui.logo_file", "extraFiles has no logo.svg"),
            ({"config": {"ui": {"text_file": "/srv/de.ftl"}}}, "config.ui.text_file: no volume is mounted at /srv/de.ftl"),
            ({"config": {"local_accounts": {"invitation_duration": "31d"}}}, "config.local_accounts.invitation_duration: must be from 1m to 30d"),
            *(({"config": {"local_accounts": {"argon2": {"memory": wrong}}}}, "config.local_accounts.argon2.memory: must be from 8MiB to 1GiB")
              for wrong in ("7MiB", 8388607, "2GiB", 0)),
            (upstream_credential(default="litellm"), "upstream_credential.default: litellm is not a name in"),
            (upstream_credential(default=""), "upstream_credential.default: must be none, pass, assertion, or a name"),
            (upstream_credential(default="assertion"), "upstream_credential.default: assertion requires", "assertion.keys_file"),
            (upstream_credential(static=[{"name": "a"}]), "upstream_credential.static[0].authorization_file: is required"),
            (upstream_credential(static=[static(name="A")]), "static[0].name: must be 1 to 32 characters long"),
            (upstream_credential(static=[static(name="pass")]), "static[0].name: must not be none, pass or assertion"),
            (upstream_credential(static=[static(roles=[])]), "static[0].roles: must not be empty"),
            (upstream_credential(static=[static(teams=[], roles=["a"])]), "static[0].teams: must not be empty"),
            (upstream_credential(static=[static(), static(name="static", roles=["a"])]), "static[1].name: an earlier entry for static has neither roles nor teams"),
            (upstream_credential(static=[static()]), "static[0].authorization_file: the file /etc/vestibule/secrets/upstream does not exist, because there is no Secret"),
            (over(upstream_credential(static=[static()]), {"secrets": {"values": {"y": "z"}}}), "secrets.values has no upstream"),
            (upstream_credential(static=[{"authorization_file": "/run/upstream"}]), "no volume is mounted at"),
            (upstream_credential(assertion={"audience": "a"}), "upstream_credential.assertion.audience: has no effect without keys_file"),
            (upstream_credential(assertion={"authorization": False}), "assertion.authorization: has no effect without keys_file"),
            (over(SECRETS, upstream_credential(assertion=KEYS)), "upstream_credential.assertion.audience: is required"),
            (upstream_credential(assertion={**KEYS, "audience": "a"}), "assertion.keys_file: the file /etc/vestibule/secrets/keys.pem does not exist"),
            *(({"roleMap": {"document": document}}, "roleMap.document: access[1].upstream_credential must be none, pass, or a name") for document in (
                {"access": [{"upstream_credential": "pass"}, {"upstream_credential": "litellm"}]},
                "access: [{}, {upstream_credential: assertion}]")),
            ({"secrets": {"existingSecret": "a", "values": {"b": "c"}}}, "secrets.values: cannot be combined with"),
            ({"keyRing": {"existingSecret": "a", "value": "b"}}, "keyRing.value: cannot be combined with"),
            (over(ROLES, {"roleMap": {"existingConfigMap": "a"}}), "roleMap.document: cannot be combined with"),
            ({"roleMap": {"fragments": {"selector": "a=b"}}}, "fragments.selector: requires roleMap.document or"),
            (over(ROLES, {"roleMap": {"fragments": {"selector": "a=b"}, "watch": False}}), "fragments.selector: requires roleMap.watch"),
            (over(ROLES, {"roleMap": {"namespace": "x"}}), "roleMap.namespace: requires roleMap.existingConfigMap"),
            ({"roleMap": {"existingConfigMap": "a", "namespace": "x", "watch": False}}, "another namespace cannot be mounted"),
            ({"mode": "sidecar"}, "upstream.image.repository: is required with mode: sidecar"),
            ({"upstream": {"image": {"repository": "x"}}}, "has an effect with mode: sidecar only"),
            (over(sidecar, {"upstream": {"serviceName": "x"}}), "upstream.serviceName: has no effect"),
            (over(sidecar, {"upstream": {"port": 4181}}), "upstream.port: must differ from ports.public"),
            ({"ports": {"public": 4181}}, "ports: public, check and admin must be different ports"),
            ({"shutdown": {"delaySeconds": 30}}, "shutdown.delaySeconds: must be less"),
            ({"terminationGracePeriodSeconds": 30}, "terminationGracePeriodSeconds: must be more"),
            ({"ingress": {"enabled": True}}, "upstream.serviceName: is required with ingress.enabled"),
            ({"upstream": {"serviceName": "door-vestibule-check"}}, "to which no gateway may route"),
            (ingress(annotations={AUTH_URL: "http://x"}), f"ingress.annotations.{AUTH_URL}: is set by the chart"),
            *((ingress(upstreamAnnotations={AUTH_URL: wrong}), f"ingress.upstreamAnnotations.{AUTH_URL}: is set by the chart") for wrong in (
                "", CHECK_URL, CHECK_URL.removesuffix("?echo=true"), CHECK_URL.replace("echo=true", "allow_roles=a"),
                f"{CHECK_URL}&echo=false", f"{CHECK_URL}&allow_role=a", f"{CHECK_URL}&allow_teams=a+b", f"{CHECK_URL}?allow_roles=a")),
            (ingress(programPaths=["/"]), "ingress.programPaths: / has an Ingress already"),
            (ingress(programPaths=["/onboarding"]), "ingress.programPaths: /onboarding has an Ingress already"),
            (ingress(programPaths=["/sso/"]), "ingress.programPaths: /sso/ has an Ingress already"),
            ({"fullnameOverride": "a.b"}, "fullnameOverride: the objects would be named a.b"),
            ({"commonLabels": {"app.kubernetes.io/instance": "x"}}, "commonLabels.app.kubernetes.io/instance: is set by the chart"),
            ({"podLabels": {"app.kubernetes.io/name": "x"}}, "podLabels.app.kubernetes.io/name: is set by the chart"),
            ({"podAnnotations": {"vestibule/configuration": "x"}}, "podAnnotations.vestibule/configuration: is set by the chart; remove it"),
            ({"extraFiles": {"vestibule.yaml": "x"}}, "extraFiles.vestibule.yaml: is generated from config"),
            (over(ROLES, {"serviceAccount": {"create": False}}), "serviceAccount.name: is required with serviceAccount.create"),
            ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: is required"),
        ]:
            with self.subTest(wrong):
                self.refused(over(MINIMAL, wrong), *words)

    def test_a_static_upstream_credential_requires_a_network_policy(self):
        """The check returns the credential and listens on the pod's address in every mode."""
        given = over(SECRETS, upstream_credential(static=[static()]))
        by_environment = {"extraEnv": [{"name": "VESTIBULE__UPSTREAM_CREDENTIAL__STATIC__0__AUTHORIZATION", "value": "x"}],
                          "config": TRUSTED}
        sidecar = {"mode": "sidecar", "upstream": {"image": {"repository": "x"}}}
        why = ("the check returns the upstream's credential to its callers", "networkPolicy.leaveCheckOpen: true")
        for shape in ({}, sidecar, {"mode": "embedded"}):
            for gives in (given, by_environment):
                with self.subTest(shape=shape, gives=gives):
                    self.refused(over(MINIMAL, shape, gives), "networkPolicy.gateway: is required", *why)
                    off = over(GATEWAY, {"networkPolicy": {"enabled": False}})
                    self.refused(over(MINIMAL, shape, gives, off), "networkPolicy.enabled: must be true", *why)
                    self.assertEqual(pick(minimal(shape, gives, OPEN), "NetworkPolicy"), [])
                    self.assertEqual(len(pick(minimal(shape, gives, GATEWAY), "NetworkPolicy")), 1)
        self.refused(over(MINIMAL, given, GATEWAY, OPEN), "networkPolicy.leaveCheckOpen: cannot be combined with networkPolicy.gateway")
        self.refused(over(MINIMAL, {"networkPolicy": {"leaveCheckOpen": "true"}}), "networkPolicy/leaveCheckOpen", "want boolean")

    def test_an_upstream_credential_requires_a_gateway_secret_or_a_trusted_network(self):
        """Any client that reaches the check would receive it."""
        fixed, assertion = {"static": [static()]}, {"assertion": {**KEYS, "audience": "a"}}
        by_environment = {"extraEnv": [{"name": "VESTIBULE__UPSTREAM_CREDENTIAL__STATIC__0__AUTHORIZATION", "value": "x"}]}
        for gives in ({"config": {"upstream_credential": fixed}}, {"config": {"upstream_credential": assertion}}, by_environment):
            given = over(MINIMAL, SECRETS, GATEWAY, gives)
            self.refused(given, "config.check.secret_file: is required with config.upstream_credential.static and assertion")
            for enough in (TRUSTED, SECRET_FILE):
                objects_of(overrides=over(given, {"config": enough}))
            for name in ("VESTIBULE__CHECK__SECRET_FILE", "VESTIBULE__CHECK__TRUST_NETWORK"):
                variables = [*gives.get("extraEnv", []), {"name": name, "value": "x"}]
                objects_of(overrides=over(given, {"extraEnv": variables}))
        self.refused(over(MINIMAL, SECRETS, {"config": {"check": {**TRUSTED["check"], **SECRET_FILE["check"]}}}),
                     "config.check.trust_network: has no effect with config.check.secret_file")

    def test_the_ingresses_need_the_gateway_secret_that_the_check_requires(self):
        value = {"gatewaySecret": {"value": binary.GATEWAY_SECRET}}
        checked = over(MINIMAL, SECRETS, {"config": SECRET_FILE})
        for controller, field in (("ingress-nginx", "existingConfigMap"), ("traefik", "value")):
            self.refused(over(checked, ingress(controller=controller)), f"ingress.gatewaySecret.{field}: is required with config.check.secret_file")
        self.refused(over(MINIMAL, ingress(**value)), "ingress.gatewaySecret: has no effect without config.check.secret_file")
        both = {"gatewaySecret": {**value["gatewaySecret"], "existingConfigMap": "x"}}
        self.refused(over(checked, ingress(**both)), "ingress.gatewaySecret.existingConfigMap: cannot be combined")
        self.refused(over(checked, ingress(controller="traefik", gatewaySecret={"existingConfigMap": "x"})),
                     "ingress.gatewaySecret.existingConfigMap: Traefik does not read headers from ConfigMaps")
        for wrong in ("short", "x" * 257, binary.GATEWAY_SECRET + "\n", binary.GATEWAY_SECRET + '"; evil'):
            self.refused(over(checked, ingress(gatewaySecret={"value": wrong})), "ingress.gatewaySecret.value: must be one line of 32 to 256")
        self.refused(over(checked, ingress(**value, annotations={f"{NGINX}auth-proxy-set-headers": "x/y"})),
                     "auth-proxy-set-headers: is set by the chart")

    def test_errors_do_not_contain_possible_secrets(self):
        for wrong in (
            over(ingress(gatewaySecret={"value": "hunter2"}), {"config": SECRET_FILE}),
            {"config": {"store": {"url": "redis://vestibule:hunter2@redis"}}},
            {"config": {"store": {"url": "hunter2"}}},
            {"config": {"public_url": "https://me:hunter2@llm.example.com"}},
            provider(issuer="https://me:hunter2@idp.example.com"),
            {"keyRing": {"value": "hunter2"}},
            {"config": {"store": {"password": "hunter2"}}},
            upstream_credential(default="Bearer hunter2"),
            upstream_credential(static=[static(name="Bearer hunter2")]),
            upstream_credential(static=[static(authorization="Bearer hunter2")]),
            {"secrets": {"values": {"a": {"b": "hunter2"}}}},
        ):
            with self.subTest(wrong), self.assertRaises(Refused) as caught:
                text_of(overrides=over(MINIMAL, wrong))
            self.assertNotIn("hunter2", str(caught.exception))

    def test_values_that_the_binary_accepts_are_valid(self):
        for right in (
            provider(token_endpoint_auth_method="none", authorization_params={"prompt": "login"}, max_claims=4096),
            provider(issuer="http://localhost:8080/realms/corp"),
            provider(issuer="https://[2001:db8::1]:65535/realms/corp"),
            {"config": {"log": {"level": "Info,vestibule=DEBUG,actix_http=off"}}},
            {"config": {"public_url": "https://[2001:db8::1]:8443"}},
            issuers({**CLUSTER, "review": True, "review_cache": "1h"}),
            {"config": {"public_url": "https://LLM.example.com:8443/", "trusted_proxies": ["10.0.0.0/8", "fd00::/8", "192.0.2.1"]}},
            {"config": {"public_url": "http://localhost:8080"}},
            {"config": {"origins": ["https://chat.example.com:8443/", "http://127.0.0.1:9000", "https://[2001:db8::1]"]}},
            *({"config": {"local_accounts": {"invitation_duration": "1m", "argon2": {"memory": right}}}} for right in ("8MiB", 8388608, "1GiB")),
            {"config": {"admin_roles": [], "local_accounts": {"enabled": False}, "ui": {"name": "Ä" * 40, "accent": "#ABCDEF"}}},
            {"config": {"store": {"url": "redis://redis:6379/15", "command_timeout": "1s"}}},
            {"config": {"store": {"url": "rediss://[::1]:6379"}}},
            {"config": {"store": {"url": "redis-sentinel://a:26379,b/my.master_1"}}},
            {"config": {"sessions": {"idle": "1h30m", "absolute": "30d"}, "cache": {"revocation_grace": "1m30s"}}},
            {"config": REDIS, "keyRing": {"value": f"# new\n{binary.KEY}\n"}},
            over(GATEWAY, SECRETS, ACCESS, upstream_credential(default="pass", static=[
                static(roles=["a"]), static(teams=["b"]), static(name="static"), static(name="other")])),
            over(GATEWAY, SECRETS, ACCESS, upstream_credential(default="other", static=[static(name="other", roles=["a"], teams=["b"])])),
            over(GATEWAY, SECRETS, ACCESS, upstream_credential(static=[{"header": "X-LiteLLM-Api-Key", "value_file": UPSTREAM}])),
            {"config": {"identity_headers": {"encoding": "percent"}}},
            over(SECRETS, upstream_credential(default="assertion", assertion={
                **KEYS, "audience": "a", "issuer": "https://door.example.com", "authorization": True})),
            {"config": {"upstream_credential": {"static": [], "assertion": {}}}},
            {"config": {"upstream_credential": {"static": [{"authorization_file": "/etc/vestibule/own/upstream"}]}, **SECRET_FILE}, **OPEN, **SECRETS, **ACCESS,
             "extraVolumeMounts": [{"name": "own", "mountPath": "/etc/vestibule/own"}]},
        ):
            with self.subTest(right):
                objects = minimal(right)
                self.assertEqual(binary.check_config(objects, pick(objects, "ConfigMap", "door-vestibule")), (0, "the configuration is valid\n"))

    def test_all_mistakes_are_reported_at_once(self):
        self.refused({"replicaCount": 2}, "config.public_url:", "image.repository:", "replicaCount:")


class Secrets(unittest.TestCase):
    def test_each_install_generates_its_own_valid_key_ring(self):
        rings = [pick(minimal({"config": REDIS}), "Secret", "-key-ring")["data"]["keyring"] for _ in range(2)]
        self.assertNotEqual(*rings)
        for ring in rings:
            self.assertRegex(base64.b64decode(ring).decode(), r"^# created 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n[A-Za-z0-9_-]{43}\n$")

    def test_the_memory_store_has_no_key_ring(self):
        self.assertEqual(pick(minimal(), "Secret"), [])

    def test_a_key_ring_of_the_values_is_unchanged_and_an_existing_one_is_mounted(self):
        given = pick(minimal({"config": REDIS, "keyRing": {"value": binary.KEY}}), "Secret", "-key-ring")
        self.assertEqual(base64.b64decode(given["data"]["keyring"]).decode(), binary.KEY)
        objects = minimal({"config": REDIS, "keyRing": {"existingSecret": "mine", "key": "ring"}})
        self.assertEqual(pick(objects, "Secret"), [])
        self.assertIn({"name": "vestibule-key-ring", "secret": {"secretName": "mine"}}, pod(objects)["volumes"])
        self.assertIn("key_ring_file: /etc/vestibule/key-ring/ring\n", pick(objects, "ConfigMap")[0]["data"]["vestibule.yaml"])

    def test_only_changes_of_files_without_reload_restart_the_pods(self):
        def mark(*trees):
            base = {"config": REDIS, "keyRing": {"value": binary.KEY}, "secrets": {"values": {"a": "b"}}, "extraFiles": {"a": "b"}}
            template = pick(minimal(base, ROLES, *trees), "Deployment")[0]["spec"]["template"]
            return template["metadata"]["annotations"]["vestibule/configuration"]

        before = mark()
        self.assertEqual(before, mark())
        for live in ({"keyRing": {"value": binary.KEY.lower()}}, {"secrets": {"values": {"a": "c"}}}, {"roleMap": {"document": {"default_role": "team"}}}):
            self.assertEqual(before, mark(live), live)
        for restart in ({"config": {"contact": "us"}}, {"extraFiles": {"a": "c"}}, {"shutdown": {"delaySeconds": 6}}):
            self.assertNotEqual(before, mark(restart), restart)


class RoleMap(unittest.TestCase):
    def test_the_config_map_has_the_digest_of_the_rendered_document(self):
        for document in ({"version": 1}, "version: 1\n", "version: 1", "# Ours.\nversion: 1\n\n"):
            config_map = pick(minimal({"roleMap": {"document": document}}), "ConfigMap", "-roles")
            held = hashlib.sha256(config_map["data"]["roles.yaml"].encode()).hexdigest()
            self.assertEqual(config_map["metadata"]["annotations"]["vestibule/rendered"], held, document)

    def test_a_text_document_is_unchanged(self):
        text = "# Ours.\nversion: 1   # the only one\n"
        self.assertEqual(pick(minimal({"roleMap": {"document": text}}), "ConfigMap", "-roles")["data"]["roles.yaml"], text)

    def test_a_watched_role_map_may_only_be_listed_by_name(self):
        role = pick(minimal(ROLES), "Role")[0]
        self.assertEqual(role["rules"], [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["door-vestibule-roles"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        ])

    def test_fragments_grant_access_to_config_maps_of_the_namespace_only(self):
        rules = pick(minimal(ROLES, {"roleMap": {"fragments": {"selector": "a=b"}}}), "Role")[0]["rules"]
        self.assertEqual(rules[0], {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]})

    def test_a_role_map_in_another_namespace_has_its_role_there(self):
        objects = minimal({"roleMap": {"existingConfigMap": "llm-roles", "namespace": "policies"}})
        self.assertEqual({pick(objects, kind)[0]["metadata"]["namespace"] for kind in ("Role", "RoleBinding")}, {"policies"})
        self.assertEqual(pick(objects, "RoleBinding")[0]["subjects"][0]["namespace"], NAMESPACE)
        self.assertEqual({pick(objects, kind)[0]["metadata"]["name"] for kind in ("Role", "RoleBinding")}, {f"{NAMESPACE}:door-vestibule"})

    def test_only_a_watched_role_map_needs_permissions_and_a_token(self):
        for values, watched in [((), False), ((ROLES, {"roleMap": {"watch": False}}), False), ((ROLES,), True)]:
            objects = minimal(*values)
            self.assertEqual(bool(pick(objects, "Role")), watched)
            self.assertEqual(bool(pick(objects, "RoleBinding")), watched)
            names = {volume["name"] for volume in pod(objects)["volumes"]}
            self.assertEqual("vestibule-token" in names, watched)

    def test_an_unwatched_role_map_is_mounted(self):
        objects = minimal(ROLES, {"roleMap": {"watch": False}})
        self.assertIn("role_map:\n  file: /etc/vestibule/role-map/roles.yaml\n", pick(objects, "ConfigMap", "door-vestibule")["data"]["vestibule.yaml"])
        mounts = {mount["mountPath"] for mount in vestibule(pod(objects))["volumeMounts"]}
        self.assertIn("/etc/vestibule/role-map", mounts)


def issuers(*given):
    return {"config": {"token_issuers": list(given)}}


CLUSTER = {"id": "cluster", "kind": "kubernetes"}


class TokenIssuers(unittest.TestCase):
    def granted(self, *values):
        return {one["roleRef"]["name"] for one in pick(minimal(*values), "ClusterRoleBinding")}

    def test_only_a_kubernetes_issuer_needs_permissions_and_a_token(self):
        ci = {"id": "ci", "issuer": "https://ci.example.com", "audiences": ["llm"]}
        discovery, review = "system:service-account-issuer-discovery", "system:auth-delegator"
        for values, granted in [
            ((), set()),
            ((ROLES,), set()),
            ((issuers(ci),), set()),
            ((issuers(ci, CLUSTER),), {discovery}),
            ((issuers({**CLUSTER, "review": True}),), {discovery, review}),
            ((issuers({**CLUSTER, "review": True}), {"rbac": {"create": False}}), set()),
        ]:
            with self.subTest(values):
                self.assertEqual(self.granted(*values), granted)
                objects = minimal(*values)
                asks = any(one in values for one in [ROLES]) or "cluster" in json.dumps(values)
                names = {volume["name"] for volume in pod(objects)["volumes"]}
                mounts = {mount["name"] for mount in vestibule(pod(objects))["volumeMounts"]}
                self.assertEqual("vestibule-token" in names, asks)
                self.assertEqual("vestibule-token" in mounts, asks)

    def test_permissions_belong_to_the_pods_of_this_release(self):
        binding = pick(minimal(issuers(CLUSTER)), "ClusterRoleBinding")[0]
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": "door-vestibule", "namespace": NAMESPACE}])
        self.assertEqual(binding["metadata"]["name"], f"{NAMESPACE}:door-vestibule:service-account-issuer-discovery")

    def test_a_mounted_role_map_and_a_token_are_both_mounted(self):
        volumes = {volume["name"] for volume in pod(minimal(ROLES, {"roleMap": {"watch": False}}, issuers(CLUSTER)))["volumes"]}
        self.assertLessEqual({"vestibule-token", "vestibule-role-map"}, volumes)

    def test_the_rendered_token_issuers_are_valid(self):
        values = over(provider(token_endpoint_auth_method="none"), issuers(
            {**CLUSTER, "review": True, "review_cache": "30s", "audiences": ["llm"], "additional_issuers": ["https://former.example.com"]},
            {"id": "pool", "issuer": "https://pool.example.com", "audiences": ["batch"], "audience_claim": "client_id", "required_claims": {"token_use": "access"}},
            {"id": "staff", "provider": "corp", "audiences": ["api"], "user_claim": "oid", "unregistered": "allow", "workload": False, "keys_max_age": "6h"},
            {"id": "ci", "issuer": "https://ci.example.com", "jwks_uri": "https://ci.example.com/keys", "audiences": ["llm"],
             "algorithms": ["RS256"], "required_claims": {"repository_owner": "acme"}},
        ))
        objects = minimal(values)
        status, said = binary.check_config(objects, pick(objects, "ConfigMap", f"{RELEASE}-vestibule"))
        self.assertEqual((status, said), (0, "the configuration is valid\n"))


class Pods(unittest.TestCase):
    def test_a_sidecar_starts_before_the_upstream_and_ends_after_it(self):
        spec = pod(objects_of(CHART / "ci/sidecar-values.yaml"))
        self.assertEqual([(one["name"], one["restartPolicy"]) for one in spec["initContainers"]], [("vestibule", "Always")])
        self.assertIn("startupProbe", spec["initContainers"][0])
        self.assertEqual([one["name"] for one in spec["containers"]], ["upstream"])
        self.assertEqual(spec["terminationGracePeriodSeconds"], 70)
        self.assertEqual(spec["containers"][0]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}})

    def test_a_rollout_with_the_memory_store_runs_one_pod_at_a_time(self):
        strategies = [pick(minimal(*more), "Deployment")[0]["spec"]["strategy"]["type"] for more in ((), ({"config": REDIS},))]
        self.assertEqual(strategies, ["Recreate", "RollingUpdate"])

    def test_several_pods_are_spread_and_have_a_disruption_budget(self):
        objects = minimal({"replicaCount": 3, "config": REDIS})
        labels = pick(objects, "Deployment")[0]["spec"]["selector"]["matchLabels"]
        self.assertEqual(pod(objects)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"], labels)
        self.assertEqual(pick(objects, "PodDisruptionBudget")[0]["spec"]["maxUnavailable"], 1)
        self.assertEqual(pick(minimal(), "PodDisruptionBudget"), [])

    def test_the_autoscaler_replaces_the_replica_count(self):
        objects = objects_of(CHART / "ci/autoscaled-values.yaml")
        self.assertNotIn("replicas", pick(objects, "Deployment")[0]["spec"])
        self.assertEqual(pick(objects, "HorizontalPodAutoscaler")[0]["spec"]["maxReplicas"], 20)
        self.assertIn("replicas: 20\n", pick(objects, "ConfigMap", "door-vestibule")["data"]["vestibule.yaml"])

    def test_embedded_mode_creates_no_pods(self):
        kinds = {one["kind"] for one in objects_of(CHART / "ci/embedded-values.yaml")}
        self.assertTrue(kinds.isdisjoint({"Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"}), kinds)

    def test_a_parent_chart_includes_the_sidecar_in_its_pods(self):
        with tempfile.TemporaryDirectory() as folder:
            chart = copied(ROOT / "deploy/sidecar-example", Path(folder) / "llm")
            copied(CHART, chart / "charts/vestibule")
            objects = objects_of(chart=chart)
        spec = pod(objects)
        self.assertEqual([one["name"] for one in spec["initContainers"]], ["vestibule"])
        self.assertEqual(pod_security.violations(spec) + pod_security.promises(spec), [])
        labels = pick(objects, "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
        for service in pick(objects, "Service"):
            self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
        status, said = binary.check_config(objects, pick(objects, "ConfigMap", "-vestibule"))
        self.assertEqual(status, 0, said)

    def test_litellm_and_vestibule_read_the_master_key_from_one_secret(self):
        objects = objects_of(ROOT / "deploy/litellm/values.yaml", over(MINIMAL, GATEWAY, {"config": REDIS}))
        config_map = pick(objects, "ConfigMap", "door-vestibule")
        self.assertEqual(binary.check_config(objects, config_map), (0, "the configuration is valid\n"))
        config = read_yaml(config_map["data"]["vestibule.yaml"])[0]
        self.assertEqual(binary.check_role_map(pick(objects, "ConfigMap", "-roles")["data"]["roles.yaml"], config)[0], 0)
        (credential,) = config["upstream_credential"]["static"]
        folder, _, name = credential["authorization_file"].rpartition("/")
        spec = pod(objects)
        mounted = {mount["name"] for mount in vestibule(spec)["volumeMounts"] if mount["mountPath"] == folder}
        (secret,) = [volume["secret"] for volume in spec["volumes"] if volume["name"] in mounted]
        litellm = {one["name"]: one for one in spec["containers"][0]["env"]}["LITELLM_MASTER_KEY"]["valueFrom"]["secretKeyRef"]
        self.assertEqual(secret["secretName"], litellm["name"])
        self.assertIn({"key": litellm["key"], "path": name}, secret["items"])
        self.assertTrue(mounted.isdisjoint(mount["name"] for mount in spec["containers"][0]["volumeMounts"]))


def copied(source, target):
    for path in source.rglob("*"):
        within = path.relative_to(source)
        if path.is_file() and "ci" not in within.parts:
            to = target / within
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(path.read_bytes())
    return target


class Notes(unittest.TestCase):
    """NOTES.txt, rendered as an object because `helm template` omits it."""

    def notes(self, *trees):
        with tempfile.TemporaryDirectory() as folder:
            chart = copied(CHART, Path(folder) / "vestibule")
            (chart / "notes").write_text((chart / "templates/NOTES.txt").read_text())
            (chart / "templates/notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes") . | toJson }}\n')
            return pick(objects_of(overrides=over(MINIMAL, *trees), chart=chart), "Notes")[0]["text"]

    def test_they_warn_without_a_gateway(self):
        self.assertIn("no gateway is named in networkPolicy.gateway", self.notes())
        self.assertIn("networkPolicy.enabled is false", self.notes(GATEWAY, {"networkPolicy": {"enabled": False}}))
        self.assertIn("the upstream's own pods are open", self.notes(GATEWAY))
        self.assertNotIn("identity headers", self.notes(GATEWAY, {"networkPolicy": {"upstream": {"podLabels": {"app": "llm"}}}}))

    def test_they_warn_of_an_open_check_and_its_credentials(self):
        given = over(SECRETS, upstream_credential(static=[static()]))
        self.assertIn("A pod that reaches the check", self.notes())
        self.assertNotIn("upstream's own credential", self.notes())
        self.assertIn("That is the upstream's own credential here", self.notes(given, OPEN))
        self.assertNotIn("A pod that reaches the check", self.notes(given, GATEWAY))

    def test_they_warn_of_the_memory_store_and_of_missing_configuration(self):
        self.assertIn("the store is the pod's memory", self.notes())
        self.assertNotIn("memory", self.notes({"config": REDIS}))
        self.assertIn("nobody can sign in: set config.providers", self.notes())
        self.assertIn("nobody can sign in: set config.providers", self.notes({"config": over(REDIS, {"local_accounts": {"enabled": False}})}))
        self.assertIn("There is no role map", self.notes())
        self.assertIn("kubectl edit configmap door-vestibule-roles", self.notes(ROLES))

    def test_they_contain_the_command_for_the_bootstrap_invitation(self):
        invited = self.notes({"config": REDIS})
        self.assertIn("kubectl --namespace llm exec deployment/door-vestibule --container vestibule --", invited)
        self.assertIn("vestibule invite --role proxy_admin --email YOUR-ADDRESS --config /etc/vestibule/config/vestibule.yaml", invited)
        self.assertNotIn("nobody can sign in", invited)
        self.assertIn("--role org_admin ", self.notes({"config": {**REDIS, "admin_roles": ["org_admin"]}}))
        self.assertIn("exec POD --container vestibule", self.notes({"config": REDIS, "mode": "embedded"}))
        beside = self.notes(provider(), {"config": over(REDIS, {"local_accounts": {"enabled": True}})})
        self.assertIn("https://llm.example.com/vestibule/invitations", beside)
        self.assertNotIn("vestibule invite", beside + self.notes(provider(), {"config": REDIS}) + self.notes())

    def test_they_warn_if_the_network_policy_blocks_prometheus(self):
        monitor = {"serviceMonitor": {"enabled": True}}
        self.assertIn("networkPolicy.monitoring", self.notes(GATEWAY, monitor))
        for enough in (({}, monitor), (GATEWAY,), (GATEWAY, monitor, {"networkPolicy": {"monitoring": [{"podSelector": {}}]}})):
            self.assertNotIn("networkPolicy.monitoring", self.notes(*enough))

    def test_they_contain_the_next_steps(self):
        notes = self.notes()
        for step in ("https://llm.example.com/sso/callback", "https://llm.example.com/sso/logout",
                     "http://door-vestibule-check.llm.svc.cluster.local:4181/auth/nginx", "helm test door --namespace llm"):
            self.assertIn(step, notes)

    def test_they_contain_the_host_of_the_check_and_the_gateway_secret(self):
        check = "http://door-vestibule-check.llm.svc.cluster.local:4181/auth/nginx?host="
        header = "with the gateway secret in the header X-Vestibule-Gateway-Secret,"
        self.assertIn(f"{check}llm.example.com\n", self.notes())
        other = {"config": {"public_url": "https://chat.example.org:8443/"}}
        self.assertIn(f"{check}chat.example.org\n", self.notes(other))
        self.assertNotIn("X-Vestibule-Gateway-Secret", self.notes())
        self.assertNotIn("X-Vestibule-Gateway-Secret", self.notes({"config": TRUSTED}))
        self.assertIn(header, self.notes(SECRETS, {"config": SECRET_FILE}))

    def test_they_recommend_a_host_of_its_own(self):
        for given in ((), (GATEWAY,), (provider(), {"config": REDIS})):
            notes = self.notes(*given)
            self.assertIn("share the origin of Vestibule's pages", notes)
            self.assertIn('Give Vestibule a host of its own\n   where you can: docs/security.md, "A host of its own".', notes)
        self.assertIn("A host of its own", (ROOT / "docs/security.md").read_text())

    def test_they_warn_of_keys_that_scripts_can_create(self):
        warning = "WARNING: config.api.session_writes lets every script on the origin of config.public_url create keys"
        self.assertIn(warning, self.notes({"config": {"api": {"session_writes": True}}}))
        for given in ((), ({"config": {"api": {"session_writes": False}}},)):
            self.assertNotIn("session_writes", self.notes(*given))


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
        with self.assertRaises(Refused) as refused:
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
