"""Rolls of all pods under load: nobody is signed out, and nothing fails."""

import secrets

import kube
import release
from rolling import UnderLoad

import helm


class Rolls(UnderLoad):
    def setUp(self):
        self.door = release.door()

    def test_an_upgrade_that_rolls_all_pods(self):
        def upgrade():
            self.door.values["config"]["contact"] = f"desk {secrets.token_hex(2)}"
            self.door.upgrade()

        self.under_load("helm upgrade", lambda: self.rolled(upgrade))

    def test_a_restart_of_the_rollout(self):
        self.under_load("kubectl rollout restart", lambda: self.rolled(self.restart))

    def test_an_upgrade_that_fails_is_taken_back_and_hurts_nobody(self):
        before = self.door.names()

        def fail():
            with self.assertRaises(helm.Refused) as refused:
                self.door.upgrade("--atomic", "--timeout", "12s", image={"tag": "there-is-none"})
            self.assertIn("rolled back due to atomic", str(refused.exception))

        self.under_load("helm upgrade --atomic to an image that isn't there", fail)
        kube.until("the pods of before alone", lambda: self.door.names() == before)
        history = self.door.namespace.helm("history", self.door.name, "--max", "3")
        self.assertRegex(history.splitlines()[-1], r"deployed.*Rollback to")
