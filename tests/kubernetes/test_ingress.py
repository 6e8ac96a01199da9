"""The chart's Ingresses, served by Traefik, and by nginx with the directives of ingress-nginx."""

import atexit
import base64
import json
import secrets
import sys
import tempfile

import controllers
import images
import kube
import release
import fleet
from case import Case
from release import Release
from fleet import ALICE, CAROL, HOST, PUBLIC_URL

IDENTITY = ("user", "email", "preferred-username", "groups", "role", "key")
ROLE_MAP = {
    "version": 1, "default_role": "internal_user_viewer",
    "rules": [{"claim": "groups", "match": "/engineering/*", "role": "internal_user"}],
    "teams": [{"claim": "groups", "match": "/teams/*", "strip": "/teams/"}],
    "access": [
        {"paths": ["/open/**"], "allow": "anyone"},
        {"paths": ["/engineers/**"], "methods": ["GET"], "roles": ["internal_user"]},
        {"paths": ["/engineers/**"], "roles": ["proxy_admin"]},
        {"paths": ["/nobody/**"], "allow": "nobody"},
        {"paths": ["/theirs/**"], "read": ["session"], "upstream_credential": "pass"},
        {"paths": ["/asserted/**"], "upstream_credential": "assertion"},
        {"paths": ["/**"]},
    ],
}
CREDENTIALS = ("authorization", "x-api-key", "x-litellm-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key")
# Upstream credentials: the Secret, its mount path, and the file for each role.
OWN, OWN_FOLDER = "upstream-credentials", "/etc/vestibule/upstream"
FOR_ENGINEERS, FOR_OTHERS = "Basic ZW5naW5lZXJzOnVwc3RyZWFt", "Bearer sk-of-the-upstream-for-others"
UPSTREAM_CREDENTIAL = {
    "default": "upstream",
    "static": [
        {"name": "upstream", "roles": ["internal_user"], "authorization_file": f"{OWN_FOLDER}/engineers"},
        {"name": "upstream", "authorization_file": f"{OWN_FOLDER}/others"},
    ],
    "assertion": {"audience": "the-upstream", "keys_file": f"{OWN_FOLDER}/assertion-keys.pem"},
}


class Controller:
    """Tests that both controllers must pass."""

    @classmethod
    def setUpClass(cls):
        cls.fleet = fleet.shared()
        try:
            cls.serve()
        except BaseException:
            # The set-up belongs to no test, so no test case prints the state of the namespace.
            print(cls.fleet.namespace.story(), file=sys.stderr)
            raise

    @classmethod
    def serve(cls):
        if not kube.own():
            images.into_cluster(*cls.IMAGES)
        cls.fleet.give_secrets()
        cls.fleet.namespace.secret(OWN, engineers=FOR_ENGINEERS, others=FOR_OTHERS.removeprefix("Bearer "),
                                   **{"assertion-keys.pem": cls.fleet.authority.signing_key()})
        controllers.certificate(cls.fleet)
        cls.controller = cls.CONTROLLER(cls.fleet)
        # Traefik's class and permissions are cluster-scoped, so they are deleted even if a test fails.
        atexit.register(cls.stop)
        cls.addClassCleanup(cls.stop)
        cls.release = cls.install()
        cls.controller.start(cls.RELEASE)
        cls.sessions = {person["user"]: cls.sign_in(person) for person in (ALICE, CAROL)}
        cls.key = cls.make_key(ALICE)

    @classmethod
    def stop(cls):
        atexit.unregister(cls.stop)
        cls.fleet.namespace.helm("uninstall", cls.RELEASE, "--ignore-not-found", "--wait")
        cls.controller.close()

    @classmethod
    def install(cls):
        made = Release(cls.fleet, cls.RELEASE, cls.controller.gateway, replicaCount=2, roleMap={"document": ROLE_MAP},
                       config={"store": {"key_prefix": f"vestibule:{cls.RELEASE}-{secrets.token_hex(3)}:"},
                               # The test creates its key by JSON.
                               "api": {"session_writes": True},
                               "upstream_credential": UPSTREAM_CREDENTIAL},
                       extraVolumes=[{"name": "upstream", "secret": {"secretName": OWN}}],
                       extraVolumeMounts=[{"name": "upstream", "mountPath": OWN_FOLDER, "readOnly": True}])
        # The values of deploy/, overridden by those of this fleet.
        ingress = {"className": cls.controller.ingress_class, "tlsSecret": controllers.CERTIFICATE,
                   "gatewaySecret": {"value": cls.fleet.gateway_secret, "existingConfigMap": ""}}
        over = fleet.over(made.values, {"ingress": ingress, "networkPolicy": {"gateway": [{"podSelector": {}}]}})
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(over, file)
            file.flush()
            made.install("--values", cls.controller.folder / "values.yaml", "--values", file.name, *release.WAIT)
        return made

    @classmethod
    def sign_in(cls, person):
        """Signs in through the gateway. The driver verifies that the login returns to its first page."""
        begun = cls.fleet.driver.one("begin", door=cls.release.way, person=person, pod=None)
        return cls.fleet.driver.one("finish", door=cls.release.way, pod=None, **begun)["session"]

    @classmethod
    def make_key(cls, person):
        """Creates an API key with the user's session."""
        headers = {"cookie": f"__Host-vestibule={cls.sessions[person['user']]}", "content-type": "application/json",
                   "origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}
        made = cls.fleet.driver.ask(f"{PUBLIC_URL}/vestibule/api/keys", method="POST", headers=headers, body="{}",
                                    routes={PUBLIC_URL: cls.release.way["gateway"]})
        if made["status"] != 201:
            raise AssertionError(f"no key was created: {made}")
        return json.loads(made["body"])["key"]

    def question(self, path, person=None, method="GET", **headers):
        headers = {"accept": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if person:
            headers["cookie"] = f"other=kept; __Host-vestibule={self.sessions[person['user']]}"
        routes = {PUBLIC_URL: self.release.way["gateway"]}
        return {"url": PUBLIC_URL + path, "method": method, "headers": headers, "routes": routes}

    def ask(self, path, person=None, method="GET", **headers):
        return self.fleet.driver.ask(**self.question(path, person, method, **headers))

    def asks(self, *questions):
        return self.fleet.driver.run("asks", questions=questions)

    def received(self, answer):
        """The headers that the upstream received, from its answer: name to all values."""
        self.assertEqual(answer["status"], 200, answer)
        return headers_of(json.loads(answer["body"]))

    def header(self, answer, name):
        return next((value for key, value in answer["headers"] if key == name), None)

    def test_the_upstream_receives_the_identity_headers(self):
        received = self.received(self.ask("/page", ALICE))
        told = {name: received.get(f"x-auth-request-{name}", [""]) for name in IDENTITY}
        self.assertRegex(told.pop("user")[0], r"^[0-9a-f-]{36}$")
        self.assertEqual(told, {"email": ["alice@example.com"], "preferred-username": ["alice"], "groups": ["research"],
                                "role": ["internal_user"], "key": [""]})

    def test_clients_cannot_set_identity_headers(self):
        forged = {f"x-auth-request-{name}": "forged" for name in IDENTITY}
        people = (("/page", CAROL), ("/v1/models", CAROL), ("/open/page", None))
        for (path, person), answer in zip(people, self.asks(*(self.question(*one, **forged) for one in people))):
            with self.subTest(path):
                received = self.received(answer)
                self.assertNotIn("forged", json.dumps(received))
                self.assertEqual(received.get("x-auth-request-groups", [""]), [""])
                self.assertEqual(received.get("x-auth-request-preferred-username", [""]), ["carol"] if person else [""])

    def test_headers_for_gateways_do_not_reach_the_upstream(self):
        """Some frameworks route by such a header instead of the authorized path."""
        names = ("x_original_url", "x_original_method", "x_rewrite_url", "x_vestibule_untouched", "x_vestibule_gateway_secret",
                 "proxy_authorization")
        forged = {name: "forged" for name in names}
        for path, person in (("/page", CAROL), ("/v1/models", CAROL), ("/open/page", None)):
            received = json.dumps(self.received(self.ask(path, person, **forged)))
            self.assertNotIn("forged", received)
            self.assertNotIn(self.fleet.gateway_secret, received)

    def test_identity_headers_with_underscores_do_not_reach_the_upstream(self):
        for path, person in (("/open/page", None), ("/page", CAROL)):
            question = self.question(path, person)
            for name in ("X_Auth_Request_User", "X_Vestibule_Assertion", "X_Api_Key", "API_KEY"):
                question["headers"][name] = "forged"
            self.assertNotIn("forged", json.dumps(self.received(self.fleet.driver.ask(**question))))

    def test_the_upstream_receives_the_credential_of_the_role_and_no_session(self):
        for person, own in ((ALICE, FOR_ENGINEERS), (CAROL, FOR_OTHERS)):
            received = self.received(self.ask("/page", person))
            self.assertEqual(credentials_of(received), {"authorization": [own]})
            self.assertEqual(received["cookie"], ["other=kept"])
            self.assertNotIn(self.sessions[person["user"]], json.dumps(received))

    def test_keys_and_own_cookies_do_not_reach_the_upstream(self):
        cookie = "__Host-vestibule=ours; other=kept; __Host-vestibule-login=ours; last=kept"
        sent = [{name: f"Bearer {self.key}" if name == "authorization" else self.key, "cookie": cookie} for name in CREDENTIALS]
        for headers, answer in zip(sent, self.asks(*(self.question("/v1/models", **headers) for headers in sent))):
            received = self.received(answer)
            self.assertNotIn(self.key, json.dumps(received))
            self.assertEqual(credentials_of(received), {"authorization": [FOR_ENGINEERS]}, headers)
            self.assertEqual(received["cookie"], ["other=kept; last=kept"])
            self.assertRegex(received["x-auth-request-key"][0], r"^[0-9a-f-]{36}$")

    def test_a_connection_header_cannot_smuggle_credentials(self):
        """Traefik removes the named header before the check. A check that receives it rejects the unknown credential."""
        smuggled = [{name: "smuggled", "connection": f"keep-alive, {name}"} for name in (*CREDENTIALS, "x-vestibule-assertion")]
        for answer in self.asks(*(self.question("/v1/models", CAROL, **headers) for headers in smuggled)):
            self.assertIn(answer["status"], (200, 401))
            self.assertNotIn("smuggled", answer["body"])
            if answer["status"] == 200:
                received = self.received(answer)
                self.assertEqual(credentials_of(received), {"authorization": [FOR_OTHERS]})
                self.assertEqual(received["x-auth-request-preferred-username"], ["carol"])

    def test_credentials_that_rules_pass_reach_the_upstream_without_own_cookies(self):
        theirs = {name: f"{name} of the upstream" for name in CREDENTIALS}
        for path, person in (("/open/page", None), ("/open/page", ALICE), ("/theirs/page", ALICE)):
            received = self.received(self.ask(path, person, **theirs))
            self.assertEqual(credentials_of(received), {name: [value] for name, value in theirs.items()}, path)
            self.assertEqual([value for value in received.get("cookie", []) if value], ["other=kept"] if person else [])

    def test_clients_cannot_send_an_identity_assertion(self):
        received = self.received(self.ask("/asserted/page", ALICE, x_vestibule_assertion="forged"))
        (assertion,) = received["x-vestibule-assertion"]
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in assertion.split(".")[:2])
        self.assertEqual((claims["iss"], claims["aud"], claims["preferred_username"], claims["role"], claims["teams"]),
                         (PUBLIC_URL, "the-upstream", "alice", "internal_user", ["research"]))
        self.assertEqual(credentials_of(received), {})
        published = json.loads(self.ask("/vestibule/jwks.json")["body"])
        self.assertEqual([key["kid"] for key in published["keys"]], [header["kid"]])
        for path, person in (("/page", ALICE), ("/open/page", None), ("/theirs/page", ALICE)):
            received = self.received(self.ask(path, person, x_vestibule_assertion="forged"))
            self.assertEqual(received.get("x-vestibule-assertion", [""]), [""])

    def test_a_clients_long_cookie_reaches_the_upstream(self):
        """The cookie makes the check's answer larger than the default buffer of ingress-nginx."""
        question = self.question("/page", ALICE)
        long = f"long={'a' * 6000}"
        question["headers"]["cookie"] += f"; {long}"
        self.assertEqual(self.received(self.fleet.driver.ask(**question))["cookie"], [f"other=kept; {long}"])

    def test_browsers_are_redirected_to_the_sign_in_and_programs_receive_401(self):
        browser, program = self.asks(self.question("/page?a=b&c=%2Fd"), self.question("/v1/chat/completions", method="POST"))
        self.assertEqual(browser["status"], 302)
        back = f"https://{HOST}%2Fpage%3Fa%3Db%26c%3D%252Fd"
        self.assertEqual(self.header(browser, "location"), f"{PUBLIC_URL}/sso/login?rd={back}")
        self.assertEqual((program["status"], self.header(program, "location")), (401, None))
        self.assertIn("Bearer", self.header(program, "www-authenticate"))

    def test_access_rules_evaluate_the_original_request(self):
        expected = (
            ("/engineers/page", ALICE, "GET", 200), ("/engineers/page", ALICE, "DELETE", 403),
            ("/engineers/page", CAROL, "GET", 403), ("/open/page", None, "GET", 200),
            ("/nobody/page", ALICE, "GET", 403), ("/open/../nobody/page", ALICE, "GET", 403),
            ("/open/%2e%2e/nobody/page", None, "GET", 403), ("//nobody/page", ALICE, "GET", 403),
        )
        answers = self.asks(*(self.question(path, person, method) for path, person, method, _ in expected))
        self.assertEqual([answer["status"] for answer in answers], [status for *_, status in expected])

    def test_clients_cannot_set_the_original_request_headers(self):
        """If the client's headers counted, each of these requests would be allowed as /open/page."""
        hops = ("keep-alive", "x-original-url, x-original-method")
        lies = [{
            "x_original_url": url, "x_original_method": "GET", "x_original_uri": "/open/page", "x_rewrite_url": "/open/page",
            "x_forwarded_uri": "/open/page", "x_forwarded_method": "GET", "x_forwarded_host": HOST, "x_forwarded_proto": "https",
            "x_auth_request_redirect": "/open/page", "connection": connection,
        } for url in (f"{PUBLIC_URL}/open/page", "/open/page") for connection in hops]
        for path, method in (("/engineers/page", "GET"), ("/nobody/page", "GET"), ("/engineers/page", "DELETE")):
            answers = self.asks(*(self.question(path, CAROL, method, **lie) for lie in lies))
            self.assertEqual([answer["status"] for answer in answers], [403] * len(lies), path)

    def test_our_own_pages_are_served_without_a_check(self):
        nobody, alice, page = self.asks(self.question("/sso/session"), self.question("/sso/session", ALICE),
                                        self.question("/vestibule/", ALICE, accept="text/html", sec_fetch_mode="navigate"))
        self.assertEqual((nobody["status"], self.header(nobody, "location")), (401, None))
        self.assertEqual(json.loads(nobody["body"])["error"], "login_required")
        self.assertEqual(json.loads(alice["body"])["user_email"], "alice@example.com")
        self.assertEqual(page["status"], 200)
        self.assertIn("alice@example.com", page["body"])

    def test_the_gateway_does_not_route_to_the_check_or_the_metrics(self):
        """These paths belong to the upstream, like all others."""
        paths = ("/auth/nginx", "/metrics", "/readyz", "/livez")
        for path, nobody, alice in zip(paths, self.asks(*(self.question(path) for path in paths)),
                                       self.asks(*(self.question(path, ALICE) for path in paths))):
            with self.subTest(path):
                self.assertEqual(nobody["status"], 302)
                self.assertEqual(self.received(alice)["x-auth-request-preferred-username"], ["alice"])

    def test_a_websocket_opens_for_a_signed_in_user(self):
        where = {"host": HOST, "place": self.release.way["gateway"], "path": "/socket"}
        self.assertEqual(self.fleet.driver.one("upgrade", **where)["status"], 302)
        opened = self.fleet.driver.one("upgrade", session=self.sessions["alice"], headers={"X-Auth-Request-Role": "forged"},
                                       **where)
        self.assertEqual(opened["status"], 101)
        received = headers_of(opened["received"])
        self.assertEqual(received["x-auth-request-role"], ["internal_user"])
        self.assertEqual(received["authorization"], [FOR_ENGINEERS])
        self.assertNotIn(self.sessions["alice"], json.dumps(received))

    def test_a_signed_out_user_is_redirected_to_the_sign_in(self):
        session = self.sign_in(CAROL)
        question = self.question("/page")
        question["headers"]["cookie"] = f"__Host-vestibule={session}"
        self.assertEqual(self.fleet.driver.ask(**question)["status"], 200)
        self.fleet.driver.one("sign_out", door=self.release.way, session=session)
        # The next request may reach the other pod before it receives the invalidation message.
        kube.until("the session has ended", lambda: self.fleet.driver.ask(**question)["status"] == 302, patience=10)


def headers_of(received):
    names, values = [name.lower() for name in received["rawHeaders"][::2]], received["rawHeaders"][1::2]
    return {name: [value for other, value in zip(names, values) if other == name] for name in names}


def credentials_of(received):
    """The credential headers that are not empty."""
    return {name: received[name] for name in CREDENTIALS if any(received.get(name, []))}


class IngressNginx(Controller, Case):
    RELEASE, CONTROLLER, IMAGES = "by-nginx", controllers.Nginx, ("nginx",)


class Traefik(Controller, Case):
    RELEASE, CONTROLLER, IMAGES = "by-traefik", controllers.Traefik, ("traefik",)

    def test_without_the_snippet_every_request_is_denied(self):
        """Values for ingress-nginx lack the snippet, so the check denies requests without the original URL."""
        name = f"{self.RELEASE}-vestibule-upstream"
        snippet = "nginx.ingress.kubernetes.io/auth-snippet"
        kept = self.fleet.namespace.get("ingress", name)["metadata"]["annotations"][snippet]
        self.addCleanup(lambda: kube.until("it is asked again", lambda: self.ask("/page", ALICE)["status"] == 200))
        self.addCleanup(self.fleet.namespace.run, "annotate", "ingress", name, f"{snippet}={kept}")
        self.fleet.namespace.run("annotate", "ingress", name, f"{snippet}-")
        kube.until("Traefik has seen it", lambda: self.ask("/page", ALICE)["status"] == 403)

