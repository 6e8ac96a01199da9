"""Workloads: a pod authenticates with the token of its ServiceAccount."""

import json
import subprocess
import time

import images
import kube
import pods
import release
import fleet
from case import Case
from release import Release

NAME = "nightly"
REVIEWED_FOR = 1
ROLES = {"version": 1, "rules": [{"provider": "cluster", "claim": r"kubernetes\.io.serviceaccount.name", "match": NAME,
                                  "role": "internal_user"}]}
ASK = r"""
import json, sys, urllib.error, urllib.request
folder, token, url, original, secret = sys.argv[1:]
headers = {"X-Original-URL": original, "X-Original-Method": "GET", "X-Vestibule-Gateway-Secret": secret,
           "Authorization": "Bearer " + open(folder + "/" + token).read()}
try:
    answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)
except urllib.error.HTTPError as error:
    answer = error
said = {name: answer.headers.get("X-Auth-Request-" + name) for name in ("User", "Role", "Key")}
print(json.dumps({"status": answer.status, **said}))
"""
FOLDER = "/var/run/secrets/llm"


def door():
    def make():
        within = release.door().fleet
        policy = {"gateway": [{"podSelector": {"matchLabels": {"app": NAME}}}]}
        made = Release(within, "workloads", replicaCount=1, networkPolicy=policy,
                       roleMap={"document": ROLES, "fragments": {"selector": ""}},
                       config={"store": {"key_prefix": "vestibule:workloads:"},
                               "token_issuers": [{"id": "cluster", "kind": "kubernetes", "review": True,
                                                  "review_cache": f"{REVIEWED_FOR}s"}]})
        made.install()
        return made

    return fleet.once("workloads", make)


def token(path, audience):
    return {"serviceAccountToken": {"path": path, "audience": audience, "expirationSeconds": 600}}


class Workload(Case):
    def setUp(self):
        self.door, self.namespace = door(), door().namespace
        self.namespace.run("create", "serviceaccount", NAME)
        self.addCleanup(self.namespace.run, "delete", "serviceaccount", NAME, "--ignore-not-found")
        container = pods.container("job", images.image("driver"), ["/driver/driver.py", "idle"],
                                   mounts={"program": "/driver", "tokens": FOLDER})
        sources = [token("token", fleet.PUBLIC_URL), token("other", "https://somebody.else.test")]
        pod = pods.pod(NAME, container, volumes=[{"name": "program", "configMap": {"name": "driver"}},
                                                 {"name": "tokens", "projected": {"sources": sources}}])
        pod["spec"]["serviceAccountName"] = NAME
        self.namespace.apply(pod)
        self.addCleanup(self.namespace.run, "delete", "pod", NAME, "--ignore-not-found")
        self.namespace.run("wait", f"pod/{NAME}", "--for=condition=Ready", f"--timeout={kube.PATIENCE}s")

    def ask(self, which):
        command = kube.command("--namespace", self.namespace.name, "exec", NAME, "--", "/usr/bin/python3", "-B", "-c", ASK,
                               FOLDER, which, f"http://{self.door.fullname}-check:4181/auth/nginx",
                               f"{fleet.PUBLIC_URL}/v1/models", self.door.fleet.gateway_secret)
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_a_projected_token_is_accepted_until_its_service_account_is_deleted(self):
        passed = kube.until("the token to pass", lambda: (answer := self.ask("token"))["status"] == 200 and answer)
        user = f"cluster:system:serviceaccount:{self.namespace.name}:{NAME}"
        self.assertEqual(passed, {"status": 200, "User": user, "Role": "internal_user", "Key": ""})
        self.assertEqual(self.ask("other")["status"], 401, "a token for another audience")

        self.namespace.run("delete", "serviceaccount", NAME)
        began = time.monotonic()
        kube.until("the token to be refused", lambda: self.ask("token")["status"] == 401)
        self.say(f"refused {time.monotonic() - began:.1f} s after its ServiceAccount was deleted; "
                 f"an answer of the API server holds for {REVIEWED_FOR} s")
