"""Tests of the chart with each values file in ci/, without a cluster: lint, configuration, role map and pods."""

import base64
import json
import unittest

import binary
import pod_security
from chart_values import USER_IDS, minimal, over, pod, vestibule
from helm import CHART, CI, KUBERNETES, RELEASE, objects_of, pick, read_yaml, run


class ValuesFiles(unittest.TestCase):
    """Tests of each values file in ci/."""

    def each(self):
        self.assertGreater(len(CI), 4)
        return CI

    def test_helm_lint_reports_nothing(self):
        run("lint", "--strict", CHART)
        for values in self.each():
            with self.subTest(values.name):
                run("lint", "--strict", CHART, "--values", values, "--kube-version", KUBERNETES)

    def test_the_rendered_configuration_is_valid(self):
        for values in self.each():
            with self.subTest(values.name):
                objects = objects_of(values)
                status, said = binary.check_config(objects, pick(objects, "ConfigMap", f"{RELEASE}-vestibule"))
                self.assertEqual((status, said), (0, "the configuration is valid\n"))

    def test_the_rendered_role_map_is_valid(self):
        rendered = 0
        for values in self.each():
            with self.subTest(values.name):
                config_maps = pick(objects_of(values), "ConfigMap")
                texts = {name: text for one in config_maps for name, text in one["data"].items()}
                if "roles.yaml" in texts:
                    rendered += 1
                    status, said = binary.check_role_map(texts["roles.yaml"], read_yaml(texts["vestibule.yaml"])[0])
                    self.assertEqual(status, 0, said)
        self.assertGreater(rendered, 1)

    def test_a_restricted_namespace_admits_every_pod(self):
        for values in self.each():
            with self.subTest(values.name):
                specs = list(pod_security.pod_specs(objects_of(values)))
                self.assertTrue(specs)
                for spec in specs:
                    self.assertEqual(pod_security.violations(spec) + pod_security.promises(spec), [])

    def test_without_user_ids_no_pod_requests_a_user_as_openshift_requires(self):
        without = {"securityContext": {"runAsUser": None, "runAsGroup": None}}
        for values in self.each():
            with self.subTest(values.name):
                own = over(read_yaml(values.read_text())[0], without)
                own.get("upstream", {}).pop("securityContext", None)
                specs = list(pod_security.pod_specs(objects_of(overrides=own)))
                self.assertTrue(specs)
                for spec in specs:
                    self.assertEqual(pod_security.violations(spec) + pod_security.promises(spec), [])
                    contexts = [spec.get("securityContext", {})] + [one.get("securityContext", {}) for one in pod_security.containers(spec)]
                    self.assertEqual([set(one) & USER_IDS for one in contexts], [set()] * len(contexts))

    def test_the_test_pod_has_the_user_of_vestibule(self):
        large = {"runAsUser": 1000650000, "runAsGroup": 0}
        for values, expected in [({}, {"runAsUser": 65532, "runAsGroup": 65532}), ({"securityContext": large}, large)]:
            objects = minimal(values)
            contexts = [pick(objects, "Pod")[0]["spec"]["securityContext"], vestibule(pod(objects))["securityContext"]]
            self.assertEqual([{name: one[name] for name in expected} for one in contexts], [expected, expected])

    def test_every_mount_has_a_volume_and_every_volume_an_object(self):
        given = {"door-secrets", "door-key-ring", "llm-roles", "litellm", "kube-root-ca.crt"}
        for values in self.each():
            with self.subTest(values.name):
                objects = objects_of(values)
                made = {(one["kind"], one["metadata"]["name"]) for one in objects}
                for spec in pod_security.pod_specs(objects):
                    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
                    mounted = {mount["name"] for one in pod_security.containers(spec) for mount in one.get("volumeMounts", [])}
                    self.assertEqual(mounted, set(volumes))
                    for volume in volumes.values():
                        if name := volume.get("configMap", {}).get("name"):
                            self.assertTrue(name in given or ("ConfigMap", name) in made, name)
                        if name := volume.get("secret", {}).get("secretName"):
                            self.assertTrue(name in given or ("Secret", name) in made, name)

    def test_services_select_pods_with_matching_ports(self):
        for values in self.each():
            with self.subTest(values.name):
                objects = objects_of(values)
                listeners = {one["metadata"]["labels"]["vestibule/listener"] for one in pick(objects, "Service")}
                self.assertLessEqual({"public", "check", "admin"}, listeners)
                for deployment in pick(objects, "Deployment"):
                    template = deployment["spec"]["template"]
                    ports = {port["name"] for one in pod_security.containers(template["spec"]) for port in one.get("ports", [])}
                    for service in pick(objects, "Service"):
                        self.assertLessEqual(service["spec"]["selector"].items(), template["metadata"]["labels"].items())
                        self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, ports)

    def test_config_maps_and_pods_contain_no_secret(self):
        values = json.loads(json.dumps(read_yaml((CHART / "ci/deployment-values.yaml").read_text())[0]))
        objects = objects_of(CHART / "ci/deployment-values.yaml")
        others = json.dumps([one for one in objects if one["kind"] != "Secret"])
        for secret in values["secrets"]["values"].values():
            self.assertNotIn(secret, others)
            self.assertNotIn(base64.b64encode(secret.encode()).decode(), others)


if __name__ == "__main__":
    unittest.main()
