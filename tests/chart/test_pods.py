"""Tests of the rendered pods: rollouts, replicas, sidecars and the embedding chart."""

import tempfile
import unittest
from pathlib import Path

import binary
import pod_security
from chart_values import GATEWAY, MINIMAL, REDIS, copy_chart, minimal, over, pod, vestibule
from helm import CHART, ROOT, objects_of, pick, read_yaml


class Pods(unittest.TestCase):
    def test_a_sidecar_starts_before_the_upstream_and_ends_after_it(self):
        spec = pod(objects_of(CHART / "ci/sidecar-values.yaml"))
        self.assertEqual([(one["name"], one["restartPolicy"]) for one in spec["initContainers"]], [("vestibule", "Always")])
        self.assertIn("startupProbe", spec["initContainers"][0])
        self.assertEqual([one["name"] for one in spec["containers"]], ["upstream"])
        self.assertEqual(spec["terminationGracePeriodSeconds"], 70)
        self.assertEqual(spec["containers"][0]["lifecycle"], {"preStop": {"sleep": {"seconds": 5}}})

    def test_a_rollout_with_the_memory_store_runs_one_pod_at_a_time(self):
        strategies = [pick(minimal(*more), "Deployment")[0]["spec"]["strategy"]["type"] for more in ((), ({"config": REDIS},))]
        self.assertEqual(strategies, ["Recreate", "RollingUpdate"])

    def test_several_pods_are_spread_and_have_a_disruption_budget(self):
        objects = minimal({"replicaCount": 3, "config": REDIS})
        labels = pick(objects, "Deployment")[0]["spec"]["selector"]["matchLabels"]
        self.assertEqual(pod(objects)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"], labels)
        self.assertEqual(pick(objects, "PodDisruptionBudget")[0]["spec"]["maxUnavailable"], 1)
        self.assertEqual(pick(minimal(), "PodDisruptionBudget"), [])

    def test_the_autoscaler_replaces_the_replica_count(self):
        objects = objects_of(CHART / "ci/autoscaled-values.yaml")
        self.assertNotIn("replicas", pick(objects, "Deployment")[0]["spec"])
        self.assertEqual(pick(objects, "HorizontalPodAutoscaler")[0]["spec"]["maxReplicas"], 20)
        self.assertIn("replicas: 20\n", pick(objects, "ConfigMap", "door-vestibule")["data"]["vestibule.yaml"])

    def test_embedded_mode_creates_no_pods(self):
        kinds = {one["kind"] for one in objects_of(CHART / "ci/embedded-values.yaml")}
        self.assertTrue(kinds.isdisjoint({"Deployment", "PodDisruptionBudget", "HorizontalPodAutoscaler"}), kinds)

    def test_a_parent_chart_includes_the_sidecar_in_its_pods(self):
        with tempfile.TemporaryDirectory() as folder:
            chart = copy_chart(ROOT / "deploy/sidecar-example", Path(folder) / "llm")
            copy_chart(CHART, chart / "charts/vestibule")
            objects = objects_of(chart=chart)
        spec = pod(objects)
        self.assertEqual([one["name"] for one in spec["initContainers"]], ["vestibule"])
        self.assertEqual(pod_security.violations(spec) + pod_security.promises(spec), [])
        labels = pick(objects, "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
        for service in pick(objects, "Service"):
            self.assertLessEqual(service["spec"]["selector"].items(), labels.items())
        status, said = binary.check_config(objects, pick(objects, "ConfigMap", "-vestibule"))
        self.assertEqual(status, 0, said)

    def test_litellm_and_vestibule_read_the_master_key_from_one_secret(self):
        objects = objects_of(ROOT / "deploy/litellm/values.yaml", over(MINIMAL, GATEWAY, {"config": REDIS}))
        config_map = pick(objects, "ConfigMap", "door-vestibule")
        self.assertEqual(binary.check_config(objects, config_map), (0, "the configuration is valid\n"))
        config = read_yaml(config_map["data"]["vestibule.yaml"])[0]
        self.assertEqual(binary.check_role_map(pick(objects, "ConfigMap", "-roles")["data"]["roles.yaml"], config)[0], 0)
        (credential,) = config["upstream_credential"]["static"]
        folder, _, name = credential["authorization_file"].rpartition("/")
        spec = pod(objects)
        mounted = {mount["name"] for mount in vestibule(spec)["volumeMounts"] if mount["mountPath"] == folder}
        (secret,) = [volume["secret"] for volume in spec["volumes"] if volume["name"] in mounted]
        litellm = {one["name"]: one for one in spec["containers"][0]["env"]}["LITELLM_MASTER_KEY"]["valueFrom"]["secretKeyRef"]
        self.assertEqual(secret["secretName"], litellm["name"])
        self.assertIn({"key": litellm["key"], "path": name}, secret["items"])
        self.assertTrue(mounted.isdisjoint(mount["name"] for mount in spec["containers"][0]["volumeMounts"]))


if __name__ == "__main__":
    unittest.main()
