"""Rollouts of all pods under load: sessions survive and no request fails."""

import secrets

import kube
import release
from load_case import LoadCase

import helm


class Rollouts(LoadCase):
    def setUp(self):
        self.door = release.door()

    def test_an_upgrade_of_all_pods_loses_no_request(self):
        def upgrade():
            self.door.values["config"]["contact"] = f"help desk {secrets.token_hex(2)}"
            self.door.upgrade()

        self.under_load("helm upgrade", lambda: self.rolled(upgrade))

    def test_a_rollout_restart_loses_no_request(self):
        self.under_load("kubectl rollout restart", lambda: self.rolled(self.restart))

    def test_a_failed_upgrade_is_rolled_back_and_loses_no_request(self):
        before = self.door.names()

        def fail():
            with self.assertRaises(helm.HelmError) as refused:
                self.door.upgrade("--atomic", "--timeout", "12s", image={"tag": "there-is-none"})
            self.assertIn("rolled back due to atomic", str(refused.exception))

        self.under_load("helm upgrade --atomic to an image that isn't there", fail)
        kube.until("the pods of before alone", lambda: self.door.names() == before)
        history = self.door.namespace.helm("history", self.door.name, "--max", "3")
        self.assertRegex(history.splitlines()[-1], r"deployed.*Rollback to")
