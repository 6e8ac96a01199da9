"""Rotation of the key ring and the client secret in their Secrets, without a restart and without sign-outs."""

import base64
import secrets

import kube
import release
from case import Case
from fleet import CLIENT, PEOPLE

# The kubelet updates a Secret within about a minute, and earlier when its pod changes.
PATIENCE = 180


class Rotation(Case):
    def setUp(self):
        self.door = release.door()
        self.fleet, self.namespace, self.driver = self.door.fleet, self.door.namespace, self.door.fleet.driver
        self.before = self.door.names()
        self.sessions = [one["session"] for one in self.door.sessions(PEOPLE, 6)]

    def replace(self, secret, name, text):
        self.namespace.patch("secret", secret, {"data": {name: base64.b64encode(text.encode()).decode()}})
        self.door.hurry(rotated=secrets.token_hex(4))

    def until_each_says(self, words):
        kube.until(f"every pod to say {words!r}", lambda: all(words in self.door.logs(pod) for pod in self.door.pods()), PATIENCE)

    def nobody_was_signed_out(self):
        self.assertEqual(self.door.checks(self.sessions), [200] * 3 * len(self.sessions))
        self.assertEqual(self.door.names(), self.before)
        self.assertEqual(set(self.door.restarts()), {0})
        self.say(f"{len(self.sessions)} sessions live on all 3 pods, no pod was replaced or restarted")

    def logins_by_each(self):
        """Finishes one login on each pod."""
        return [self.login_by(pod) for pod in self.door.addresses()]

    def login_by(self, pod):
        begun = self.driver.one("begin", door=self.door.way, person=PEOPLE[0], pod=pod)
        return self.driver.one("finish", door=self.door.way, pod=pod, **begun)["session"]

    def test_the_key_ring_rotates_without_a_restart(self):
        name = f"{self.door.fullname}-key-ring"
        old = base64.b64decode(self.namespace.get("secret", name)["data"]["keyring"]).decode()
        new = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self.replace(name, "keyring", f"{new}\n{old}")
        self.until_each_says("key ring reloaded")
        self.nobody_was_signed_out()
        self.logins_by_each()

    def test_the_client_secret_rotates_without_a_restart(self):
        new = secrets.token_urlsafe(24)
        self.replace("door-secrets", "corp-client-secret", new)
        self.until_each_says("secret reloaded")
        with self.assertRaises(AssertionError):
            self.login_by(self.door.addresses()[0])
        self.fleet.call_admin_api("/client", client_id=CLIENT, client_secret=new)
        self.fleet.client_secret = new
        self.assertEqual(len(self.logins_by_each()), 3)
        self.nobody_was_signed_out()
