"""Tests that invalid values are refused with their path and the mistake, and without a secret."""

import unittest

import binary
from chart_values import (
    ACCESS, AUTH_URL, CHECK_URL, CLUSTER, GATEWAY, KEYS, MINIMAL, NGINX, OPEN, REDIS, ROLES, SECRETS, SECRET_FILE, TRUSTED, UPSTREAM,
    ingress, issuers, minimal, over, provider, role_map, static, upstream_credential,
)
from helm import HelmError, objects_of, pick, text_of


class InvalidValues(unittest.TestCase):
    """Invalid values and their error messages."""

    def refused(self, values, *words):
        with self.assertRaises(HelmError) as caught:
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
            ({"config": {"origins": ["http://127.0.0.1:9000"]}}, "config.origins[0]: must have the scheme of config.public_url"),
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
            ({"config": {"origins": ["https://chat.example.com"], "ui": {"origins": [
                {"origin": "https://chat.example.com", "logo_file": "/etc/vestibule/config/logo.svg"}]}}}, "config.ui.origins[0].logo_file"),
            ({"config": {"ui": {"origins": [{"origin": "https://chat.example.com"}]}}}, "config.ui.origins[0].origin: https://chat.example.com is not one of config.origins"),
            ({"config": {"origins": ["https://chat.example.com"], "ui": {"origins": [{"origin": "https://chat.example.com"}] * 2}}}, "config.ui.origins[1].origin"),
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
            with self.subTest(wrong), self.assertRaises(HelmError) as caught:
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
            {"config": {"origins": ["https://chat.example.com:8443/", "https://127.0.0.1:9000", "https://[2001:db8::1]"]}},
            {"config": {"origins": ["https://chat.example.com"], "ui": {"origins": [{"origin": "https://chat.example.com", "name": "Chat", "accent": "#112233"}]}}},
            {"config": {"public_url": "http://localhost:8080", "origins": ["http://127.0.0.1:9000"]}},
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


if __name__ == "__main__":
    unittest.main()
