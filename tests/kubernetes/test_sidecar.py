"""`mode: sidecar`: an upstream with Vestibule as its sidecar in three pods."""

import images
import release
from release import Release
from load_case import LoadCase
from fleet import BOB, once

SLEEP = 3


def side():
    """A release behind its own gateway."""
    upstream = {
        "serviceName": "",
        "image": images.values("node"),
        "args": ["/peers/upstream.mjs", "4000", "0.0.0.0"],
        "readinessProbe": {"tcpSocket": {"port": "upstream"}, "periodSeconds": 1},
        "securityContext": {"readOnlyRootFilesystem": True},
        "preStopSleepSeconds": SLEEP,
    }

    def make():
        made = Release(release.door().fleet, "side", gateway="gateway-side", mode="sidecar", upstream=upstream,
                       config={"store": {"key_prefix": "vestibule:side:"}}, networkPolicy={"upstream": {"podLabels": None}})
        made.install()
        made.start_gateway(f"{made.fullname}-upstream:4000")
        return made

    return once("side", make)


class Sidecar(LoadCase):
    def setUp(self):
        self.door = side()

    def test_the_native_sidecar_starts_before_the_upstream(self):
        for pod in self.door.until_ready(3):
            [sidecar], [upstream] = pod["spec"]["initContainers"], pod["spec"]["containers"]
            self.assertEqual((sidecar["name"], sidecar["restartPolicy"], upstream["name"]), ("vestibule", "Always", "upstream"))
            self.assertLessEqual({"startupProbe", "readinessProbe", "livenessProbe"}, set(sidecar))
            [first], [second] = pod["status"]["initContainerStatuses"], pod["status"]["containerStatuses"]
            for status in (first, second):
                self.assertEqual((status["ready"], status["started"], status["restartCount"]), (True, True, 0))
            self.assertLessEqual(first["state"]["running"]["startedAt"], second["state"]["running"]["startedAt"])

    def test_the_sidecar_serves_until_the_upstream_of_a_stopping_pod_ends(self):
        session = self.door.sessions([BOB], 1)[0]["session"]
        pod = self.door.pods()[0]
        endings = self.door.fleet.driver.start("endings", door=self.door.way, pod=pod["status"]["podIP"], session=session,
                                               upstream=4000)
        with endings:
            self.assertIn("started", endings.line())
            self.door.namespace.run("delete", "pod", pod["metadata"]["name"], "--wait=false")
            end = endings.line()
        self.say(f"after the pod was told to stop the upstream answered for {end['upstream']:.1f} s, "
                 f"the sidecar for {end['check']:.1f} s")
        self.assertEqual(end["wrong"], [])
        self.assertGreater(end["upstream"], SLEEP)
        self.assertGreater(end["check"], end["upstream"])
        self.door.namespace.rolled_out("deployment", self.door.fullname)

    def test_a_rollout_of_all_pods_loses_no_request(self):
        self.under_load("kubectl rollout restart of the sidecar's pods", lambda: self.rolled(self.restart))
