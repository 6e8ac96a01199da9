"""A role map in a ConfigMap that is edited with kubectl and watched by three pods."""

import json
import time

import kube
import release
from case import Case, AnswerWatch
from fleet import BOB, CAROL

# The documented bound, in seconds.
BOUND = 1.0


def document(**change):
    return json.dumps({**release.ROLES, **change}, indent=1)


class RoleMap(Case):
    def setUp(self):
        self.door = release.door()
        self.namespace, self.driver = self.door.namespace, self.door.fleet.driver
        self.name = f"{self.door.fullname}-roles"
        self.original = self.namespace.get("configmap", self.name)["data"]["roles.yaml"]

    def edit(self, text):
        """Edits the role map with kubectl, and returns the times of its start and end."""
        return timed(lambda: self.namespace.patch("configmap", self.name, {"data": {"roles.yaml": text}}))

    def restore(self):
        self.edit(self.original)

    def seen(self, person):
        session = self.door.sessions([person], 1)[0]["session"]
        return self.enterContext(AnswerWatch(self.driver, self.door.way, self.door.addresses(), session))

    def measure_activation(self, what, seen, wanted, times):
        at, (began, done) = seen.until(wanted), times
        self.say(f"{what}: on {len(seen.pods)} pods {at - done:.3f} s after kubectl was done ({at - began:.3f} s after it began)")
        self.assertLess(at - done, BOUND)

    def test_updates_are_active_on_every_pod_within_a_second(self):
        self.addCleanup(self.restore)
        seen = self.seen(CAROL)
        self.assertEqual(len(seen.pods), 3)
        seen.until("internal_user_viewer")
        for role in ("customer", "org_admin", "team"):
            self.measure_activation(f"an edit to {role}", seen, role, self.edit(document(default_role=role)))

    def test_an_invalid_update_keeps_the_last_valid_map_and_creates_an_event_without_claims(self):
        self.addCleanup(self.restore)
        seen = self.seen(CAROL)
        self.edit(document(default_role="customer"))
        seen.until("customer")
        bad = release.ROLES["rules"] + [{"claim": "groups", "match": "/a-secret-project/*", "role": "king"}]
        self.edit(document(default_role="team", rules=bad))
        told = kube.until("an Event", lambda: self.described("RoleMapRefused"))
        self.say(f"kubectl describe: {told}")
        self.assertRegex(told, r"rules\[2\]\.role \(line \d+\)")
        self.assertIn("king", told)
        self.assertNotIn("secret-project", told)
        # No pod may activate the invalid update.
        kube.until("every pod to refuse it", lambda: all("role `king`" in self.door.logs(pod) for pod in self.door.pods()))
        self.assertEqual(seen.answers(), {(200, "customer")})
        self.edit(document(default_role="team"))
        seen.until("team")
        told = kube.until("an Event", lambda: self.described("RoleMapAccepted"))
        self.say(f"and of the good edit after it: {told}")

    def described(self, reason):
        lines = self.namespace.run("describe", "configmap", self.name).splitlines()
        return next((" ".join(line.split()) for line in reversed(lines) if reason in line), None)

    def test_a_deleted_fragment_revokes_its_grants(self):
        seen = self.seen(CAROL)
        seen.until("internal_user_viewer")
        rule = {"claim": "preferred_username", "match": "carol", "role": "internal_user"}
        self.addCleanup(self.namespace.run, "delete", "configmap", "team-roles", "--ignore-not-found")
        labels = dict([release.FRAGMENTS.split("=")])
        self.namespace.config_map("team-roles", {"roles.yaml": json.dumps({"rules": [rule]})}, labels=labels)
        seen.until("internal_user")
        times = timed(lambda: self.namespace.run("delete", "configmap", "team-roles"))
        self.measure_activation("a deleted fragment", seen, "internal_user_viewer", times)

    def test_without_the_base_document_all_requests_are_denied(self):
        seen = self.seen(BOB)
        seen.until("internal_user")
        self.addCleanup(self.door.upgrade)
        times = timed(lambda: self.namespace.run("delete", "configmap", self.name))
        self.measure_activation("a deleted base", seen, 403, times)
        self.door.upgrade()
        seen.until("internal_user")


def timed(action):
    began = time.monotonic()
    action()
    return began, time.monotonic()
