"""Tests of the notes that Helm prints after an install."""

import unittest

from chart_values import (
    GATEWAY, MINIMAL, OPEN, REDIS, ROLES, SECRETS, SECRET_FILE, TRUSTED, notes_of, over, provider, static, upstream_credential,
)
from helm import ROOT


class Notes(unittest.TestCase):
    def notes(self, *trees):
        return notes_of(over(MINIMAL, *trees))

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


if __name__ == "__main__":
    unittest.main()
