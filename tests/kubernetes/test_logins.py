"""Logins whose requests reach different pods."""

import unittest

import release
from case import Case
from fleet import ALICE, PEOPLE

COUNT, AT_ONCE = 60, 4


class Logins(Case):
    def setUp(self):
        self.door = release.door()
        self.fleet, self.driver = self.door.fleet, self.door.fleet.driver

    def test_logins_over_random_pods_all_succeed_and_every_pod_knows_the_session(self):
        pods = self.door.addresses()
        self.assertEqual(len(pods), 3)
        lines = self.driver.run("logins", door=self.door.way, people=PEOPLE, pods=pods, count=COUNT, at_once=AT_ONCE)
        failed = [line for line in lines if line["failed"]]
        crossed = sum(line["begin"] != line["finish"] for line in lines)
        gateway = sum(None in (line["begin"], line["finish"]) for line in lines)
        times = sorted(line["seconds"] for line in lines)
        self.say(f"{len(lines)} logins, {len(failed)} failed; {crossed} ended elsewhere than they began, "
                 f"{gateway} by the gateway; with the checks on 3 pods median {times[len(times) // 2]:.2f} s, "
                 f"longest {times[-1]:.2f} s")
        self.assertEqual(failed, [])
        self.assertEqual(len(lines), COUNT)
        self.assertGreater(crossed, COUNT // 3)

    def test_a_login_finishes_on_another_pod_when_its_pod_is_deleted(self):
        pods = self.door.until_ready(3)
        doomed = pods[0]["metadata"]["name"]
        address = pods[0]["status"]["podIP"]
        begun = self.driver.one("begin", door=self.door.way, person=ALICE, pod=address)
        self.door.namespace.run("delete", "pod", doomed)
        ended = self.driver.one("finish", door=self.door.way, pod=None, **begun)
        self.door.namespace.rolled_out("deployment", self.door.fullname)
        others = [pod["status"]["podIP"] for pod in self.door.until_ready(3)]
        self.assertNotIn(address, others)
        statuses = self.door.checks([ended["session"]], others)
        self.say(f"begun on {doomed}, which is gone; ended by the gateway; checks on the others: {statuses}")
        self.assertEqual(statuses, [200, 200, 200])


if __name__ == "__main__":
    unittest.main()
