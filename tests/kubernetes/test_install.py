"""Install, `helm test`, upgrade and uninstall of the chart in a namespace that enforces `restricted`."""

import json

import kube
import release
from case import Case
from release import Release

import pod_security

LOOK = """
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
root = next(line for line in open("/proc/1/mounts") if line.split()[1] == "/")
print({"uid": status["Uid"].split()[1], "gid": status["Gid"].split()[1], "may": status["CapEff"], "bound": status["CapBnd"],
       "new": status["NoNewPrivs"], "seccomp": status["Seccomp"], "root": root.split()[3].split(",")[0]})
"""


class Install(Case):
    def setUp(self):
        self.door = release.door()
        self.fleet, self.namespace = self.door.fleet, self.door.namespace

    def test_three_replicas_are_ready_in_a_namespace_that_enforces_restricted(self):
        labels = json.loads(kube.run("get", "namespace", self.namespace.name, "--output=json"))["metadata"]["labels"]
        self.assertEqual(labels["pod-security.kubernetes.io/enforce"], "restricted")
        for pod in self.door.until_ready(3):
            self.assertEqual(pod_security.violations(pod["spec"]) + pod_security.promises(pod["spec"]), [])

    def test_helm_test_passes(self):
        self.assertIn("Phase:          Succeeded", self.namespace.helm("test", self.door.name))

    def test_the_notes_refer_to_existing_objects(self):
        for wanted in ("https://door.example.test/sso/callback", f"http://door-vestibule-check.{self.namespace.name}.svc",
                       "door-vestibule-roles"):
            self.assertIn(wanted, self.door.notes)
        self.assertNotIn("WARNING", self.door.notes)

    def test_the_process_is_not_root_and_has_a_read_only_root_file_system_and_no_capabilities(self):
        pod = self.door.pods()[0]["metadata"]["name"]
        image = self.namespace.get("pod", "driver")["spec"]["containers"][0]["image"]
        self.namespace.run("debug", pod, f"--image={image}", "--target=vestibule", "--profile=restricted", "--container=look",
                           "--image-pull-policy=IfNotPresent", "--", "/usr/bin/python3", "-c", LOOK)
        seen = kube.until("what was seen", lambda: self.namespace.run("logs", pod, "--container=look").strip())
        self.say(f"in the pod: {seen}")
        nothing = "0000000000000000"
        self.assertEqual(seen, str({"uid": "65532", "gid": "65532", "may": nothing, "bound": nothing, "new": "1",
                                    "seccomp": "2", "root": "ro"}))

    def test_the_container_has_no_shell(self):
        pod = self.door.pods()[0]["metadata"]["name"]
        self.assertIn("vestibule", self.namespace.run("exec", pod, "--", "/usr/bin/vestibule", "--version"))
        for shell in ("sh", "/bin/sh", "/bin/bash", "/busybox/sh"):
            with self.assertRaises(kube.KubectlError):
                self.namespace.run("exec", pod, "--", shell, "-c", "exit 0")

    def test_an_upgrade_keeps_an_edited_role_map_and_restarts_no_pod(self):
        name, before = f"{self.door.fullname}-roles", self.door.names()
        self.addCleanup(self.door.upgrade, "--set", "roleMap.overwrite=true")
        edited = "# by hand\nversion: 1\ndefault_role: customer\n"
        self.namespace.patch("configmap", name, {"data": {"roles.yaml": edited}})
        notes = self.door.upgrade()
        self.assertEqual(self.namespace.get("configmap", name)["data"]["roles.yaml"], edited)
        self.assertIn("was edited with kubectl", notes)
        self.assertEqual(self.door.names(), before)


class Uninstall(Case):
    def test_an_uninstall_leaves_nothing(self):
        fleet = release.door().fleet
        before = fleet.namespace.names()
        short = Release(fleet, "short", replicaCount=2, config={"store": {"key_prefix": "vestibule:short:"}})
        short.install()
        short.until_ready(2)
        made = fleet.namespace.names() - before
        fleet.namespace.helm("uninstall", "short", "--wait")
        left = kube.until("nothing to be left", lambda: not (left_of(made, fleet.namespace)) or None)
        self.assertTrue(left)
        self.say(f"made {len(made)} objects and left none: {', '.join(sorted(made))}")
        self.assertGreater(len(made), 15)


def left_of(made, namespace):
    return made & namespace.names()
