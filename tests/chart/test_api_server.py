"""Installs the chart on a real API server, with upgrades, rollbacks and uninstalls."""

import base64
import json
import re
import unittest

import cluster
import gateway_types
import helm
import pod_security
from api_server import ApiServer
from helm import CHART, CI, NAMESPACE, RELEASE, objects_of
from manifests import kustomized

VALUES = CHART / "ci/sidecar-values.yaml"
ROLES, RING = f"{RELEASE}-vestibule-roles", f"{RELEASE}-vestibule-key-ring"


def is_foreign(version):
    """True for an API version that Kubernetes itself does not serve."""
    group = version.split("/")[0]
    return "." in group and (not group.endswith(".k8s.io") or group == "gateway.networking.k8s.io")


class Installation(unittest.TestCase):
    count = 0

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(ApiServer.running())

    def helm(self, *arguments, **more):
        return helm.run(*arguments, "--namespace", self.namespace, kubeconfig=self.server.kubeconfig, **more)

    def install(self, *arguments):
        return self.helm("install", RELEASE, CHART, "--values", VALUES, *arguments)

    def upgrade(self, *arguments):
        return self.helm("upgrade", RELEASE, CHART, "--values", VALUES, *arguments)

    def setUp(self):
        type(self).count += 1
        self.namespace = f"test-{self.count}"
        self.server.namespace(self.namespace)

    def roles(self):
        return self.server.get("ConfigMap", self.namespace, ROLES)["data"]["roles.yaml"]

    def ring(self):
        return base64.b64decode(self.server.get("Secret", self.namespace, RING)["data"]["keyring"]).decode()

    def edit_roles(self, text):
        self.server.patch("ConfigMap", self.namespace, ROLES, {"data": {"roles.yaml": text}})

    def test_every_object_of_every_values_file_is_accepted_without_unknown_fields(self):
        for name in (NAMESPACE, "policies", "gateways"):
            self.server.namespace(name)
        renderings = [(values.name, objects_of(values)) for values in CI]
        renderings += [(name, gateway_types.rendering(name)) for name in gateway_types.VARIANTS]
        foreign = {one["kind"] for _, objects in renderings for one in objects if is_foreign(one["apiVersion"])}
        self.server.define(cluster.definitions(foreign))
        taken = set()
        for rendering, objects in renderings:
            for one in objects:
                if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "post-delete":
                    continue  # Created after the object of the same name is deleted.
                taken.add(one["kind"])
                with self.subTest(rendering, kind=one["kind"], name=one["metadata"]["name"]):
                    self.assertIsNone(self.server.try_create(one, one["metadata"].get("namespace")))
        templates = [path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()]
        made = {kind for text in templates for kind in re.findall(r"(?m)^kind: (\w+)$", text)}
        self.assertEqual(taken, made, "a kind that neither a file in ci/ nor a gateway type makes")

    def test_a_namespace_that_enforces_restricted_admits_every_pod(self):
        self.server.namespace("strict", enforce="restricted")
        for values in CI:
            for number, spec in enumerate(pod_security.pod_specs(objects_of(values))):
                with self.subTest(values.name, number=number):
                    # A PriorityClass is cluster-scoped, and the built-in ones are restricted to kube-system.
                    spec.pop("priorityClassName", None)
                    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": spec}
                    self.assertIsNone(self.server.try_create(pod, "strict"))

    def test_the_redis_manifests_are_accepted_in_a_restricted_namespace(self):
        self.server.namespace("redis", enforce="restricted")
        objects = kustomized("deploy/redis")
        self.assertGreater(len(objects), 4)
        pods = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": spec} for spec in pod_security.pod_specs(objects)]
        for one in objects + pods:
            with self.subTest(one["kind"]):
                self.assertIsNone(self.server.try_create(one, "redis"))

    def test_a_restricted_namespace_rejects_a_pod_that_may_run_as_root(self):
        self.server.namespace("stricter", enforce="restricted")
        spec = next(pod_security.pod_specs(objects_of(VALUES)))
        spec["containers"][0]["securityContext"]["runAsNonRoot"] = False
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "it"}, "spec": spec}
        self.assertIn("violates PodSecurity", self.server.try_create(pod, "stricter"))

    def test_an_upgrade_keeps_a_generated_key_ring_with_rotated_keys(self):
        self.install()
        first = self.ring()
        self.upgrade()
        self.assertEqual(self.ring(), first)
        rotated = f"# new\n{first}"
        self.server.patch("Secret", self.namespace, RING, {"data": {"keyring": base64.b64encode(rotated.encode()).decode()}})
        self.upgrade()
        self.assertEqual(self.ring(), rotated)

    def test_a_rollback_or_failed_upgrade_keeps_rotated_keys(self):
        self.install()
        rotated = f"# new\n{self.ring()}"
        self.server.patch("Secret", self.namespace, RING, {"data": {"keyring": base64.b64encode(rotated.encode()).decode()}})
        # Without a kubelet, no pod becomes ready.
        with self.assertRaisesRegex(helm.HelmError, "original upgrade error|rolled back"):
            self.upgrade("--set", "config.contact=us", "--atomic", "--timeout", "1s")
        self.assertEqual(self.ring(), rotated)
        self.helm("rollback", RELEASE, "1")
        self.assertEqual(self.ring(), rotated)

    def test_a_generated_key_ring_can_become_an_existing_secret(self):
        self.install()
        first = self.ring()
        for _ in range(2):
            self.upgrade("--set", f"keyRing.existingSecret={RING}")
            self.assertEqual(self.ring(), first)
        self.helm("uninstall", RELEASE, "--cascade", "background")
        self.assertEqual(self.ring(), first)

    def test_a_key_ring_in_the_values_replaces_a_generated_one_and_is_kept_without_them(self):
        self.install()
        given = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
        for more in (["--set", f"keyRing.value={given}"], []):
            self.upgrade(*more)
            self.assertEqual(self.ring(), given)

    def test_a_change_of_the_secrets_key_does_not_replace_the_key_ring(self):
        self.install()
        with self.assertRaisesRegex(helm.HelmError, "keyRing.key: the existing key ring has the key keyring and not ring"):
            self.upgrade("--set", "keyRing.key=ring")

    def test_a_key_ring_of_an_earlier_release_is_not_deleted(self):
        self.install()
        owner = {"meta.helm.sh/release-name": RELEASE}
        self.server.patch("Secret", self.namespace, RING, {"metadata": {"annotations": owner}})
        with self.assertRaisesRegex(helm.HelmError, f"keyRing: {RING} was created by this release"):
            self.upgrade()

    def test_an_unedited_role_map_follows_the_values(self):
        self.install()
        notes = self.upgrade("--set-string", "roleMap.document=version: 1")
        self.assertEqual(self.roles(), "version: 1\n")
        self.assertNotIn("was edited with kubectl", notes)

    def test_an_edited_role_map_is_kept_until_it_is_overwritten(self):
        self.install()
        edited = "# by hand: <&>\nversion: 1   \n\n"
        self.edit_roles(edited)
        for document in ("version: 1", "default_role: none"):
            notes = self.upgrade("--set-string", f"roleMap.document={document}")
            self.assertEqual(self.roles(), edited)
            self.assertIn("was edited with kubectl", notes)
        self.upgrade("--set", "roleMap.overwrite=true")
        self.assertIn("internal_user_viewer", self.roles())
        self.upgrade("--set-string", "roleMap.document=version: 1")
        self.assertEqual(self.roles(), "version: 1\n")

    def test_an_edit_that_matches_the_values_no_longer_counts_as_edited(self):
        self.install()
        self.edit_roles("version: 1\ndefault_role: customer\n")
        notes = self.upgrade("--set-string", "roleMap.document=version: 1\ndefault_role: customer")
        self.assertNotIn("was edited with kubectl", notes)
        self.upgrade("--set-string", "roleMap.document=version: 1")
        self.assertEqual(self.roles(), "version: 1\n")

    def test_a_role_map_without_its_annotations_counts_as_edited(self):
        self.install()
        self.server.patch("ConfigMap", self.namespace, ROLES, {"metadata": {"annotations": None, "labels": None}})
        self.edit_roles("version: 1\n")
        self.upgrade()
        self.assertEqual(self.roles(), "version: 1\n")

    def test_an_object_of_the_release_cannot_become_an_existing_one_unless_it_is_kept(self):
        self.install()
        taken = ["--set", "roleMap.document=null", "--set", f"roleMap.existingConfigMap={ROLES}"]
        with self.assertRaisesRegex(helm.HelmError, "roleMap.existingConfigMap: .* was created by this release"):
            self.upgrade(*taken)
        self.server.patch("ConfigMap", self.namespace, ROLES, {"metadata": {"annotations": {"helm.sh/resource-policy": "keep"}}})
        self.upgrade(*taken)
        self.upgrade(*taken)
        self.assertIn("internal_user_viewer", self.roles())

    def test_an_uninstall_deletes_all_objects(self):
        self.install()
        self.edit_roles("version: 1\n")
        self.helm("uninstall", RELEASE, "--cascade", "background")
        kinds = [("v1", kind) for kind in ("ConfigMap", "Secret", "Service", "ServiceAccount", "Pod")]
        kinds += [("apps/v1", "Deployment"), ("rbac.authorization.k8s.io/v1", "Role"), ("rbac.authorization.k8s.io/v1", "RoleBinding")]
        kinds += [("networking.k8s.io/v1", "NetworkPolicy"), ("networking.k8s.io/v1", "Ingress")]
        self.assertEqual(self.server.names(self.namespace, *kinds), [])

    def test_a_rejected_install_creates_nothing(self):
        with self.assertRaises(helm.HelmError):
            self.install("--set", "config.store.url=memory")
        self.assertEqual(self.server.names(self.namespace, ("v1", "ConfigMap"), ("v1", "Secret")), [])

    def test_changes_of_secrets_key_ring_and_role_map_do_not_restart_pods(self):
        self.install()
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{RELEASE}-vestibule"
        def generation():
            return json.loads(self.server.ask("GET", path))["metadata"]["generation"]

        before = generation()
        self.upgrade("--set-string", "roleMap.document=version: 1")
        self.edit_roles("version: 1 \n")
        self.upgrade()
        self.assertEqual(generation(), before)
        self.upgrade("--set", "config.contact=us")
        self.assertEqual(generation(), before + 1)


if __name__ == "__main__":
    unittest.main()
