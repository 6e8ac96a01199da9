"""Tests of the rendered Secrets, ConfigMaps and permissions."""

import base64
import hashlib
import json
import unittest

import binary
from chart_values import CLUSTER, REDIS, ROLES, issuers, minimal, over, pod, provider, vestibule
from helm import NAMESPACE, RELEASE, pick


class Secrets(unittest.TestCase):
    def test_each_install_generates_its_own_valid_key_ring(self):
        rings = [pick(minimal({"config": REDIS}), "Secret", "-key-ring")["data"]["keyring"] for _ in range(2)]
        self.assertNotEqual(*rings)
        for ring in rings:
            self.assertRegex(base64.b64decode(ring).decode(), r"^# created 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n[A-Za-z0-9_-]{43}\n$")

    def test_the_memory_store_has_no_key_ring(self):
        self.assertEqual(pick(minimal(), "Secret"), [])

    def test_a_key_ring_of_the_values_is_unchanged_and_an_existing_one_is_mounted(self):
        given = pick(minimal({"config": REDIS, "keyRing": {"value": binary.KEY}}), "Secret", "-key-ring")
        self.assertEqual(base64.b64decode(given["data"]["keyring"]).decode(), binary.KEY)
        objects = minimal({"config": REDIS, "keyRing": {"existingSecret": "mine", "key": "ring"}})
        self.assertEqual(pick(objects, "Secret"), [])
        self.assertIn({"name": "vestibule-key-ring", "secret": {"secretName": "mine"}}, pod(objects)["volumes"])
        self.assertIn("key_ring_file: /etc/vestibule/key-ring/ring\n", pick(objects, "ConfigMap")[0]["data"]["vestibule.yaml"])

    def test_only_changes_of_files_without_reload_restart_the_pods(self):
        def mark(*trees):
            base = {"config": REDIS, "keyRing": {"value": binary.KEY}, "secrets": {"values": {"a": "b"}}, "extraFiles": {"a": "b"}}
            template = pick(minimal(base, ROLES, *trees), "Deployment")[0]["spec"]["template"]
            return template["metadata"]["annotations"]["vestibule/configuration"]

        before = mark()
        self.assertEqual(before, mark())
        for live in ({"keyRing": {"value": binary.KEY.lower()}}, {"secrets": {"values": {"a": "c"}}}, {"roleMap": {"document": {"default_role": "team"}}}):
            self.assertEqual(before, mark(live), live)
        for restart in ({"config": {"contact": "us"}}, {"extraFiles": {"a": "c"}}, {"shutdown": {"delaySeconds": 6}}):
            self.assertNotEqual(before, mark(restart), restart)


class RoleMap(unittest.TestCase):
    def test_the_config_map_has_the_digest_of_the_rendered_document(self):
        for document in ({"version": 1}, "version: 1\n", "version: 1", "# Ours.\nversion: 1\n\n"):
            config_map = pick(minimal({"roleMap": {"document": document}}), "ConfigMap", "-roles")
            held = hashlib.sha256(config_map["data"]["roles.yaml"].encode()).hexdigest()
            self.assertEqual(config_map["metadata"]["annotations"]["vestibule/rendered"], held, document)

    def test_a_text_document_is_unchanged(self):
        text = "# Ours.\nversion: 1   # the only one\n"
        self.assertEqual(pick(minimal({"roleMap": {"document": text}}), "ConfigMap", "-roles")["data"]["roles.yaml"], text)

    def test_a_watched_role_map_may_only_be_listed_by_name(self):
        role = pick(minimal(ROLES), "Role")[0]
        self.assertEqual(role["rules"], [
            {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["door-vestibule-roles"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        ])

    def test_fragments_grant_access_to_config_maps_of_the_namespace_only(self):
        rules = pick(minimal(ROLES, {"roleMap": {"fragments": {"selector": "a=b"}}}), "Role")[0]["rules"]
        self.assertEqual(rules[0], {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]})

    def test_a_role_map_in_another_namespace_has_its_role_there(self):
        objects = minimal({"roleMap": {"existingConfigMap": "llm-roles", "namespace": "policies"}})
        self.assertEqual({pick(objects, kind)[0]["metadata"]["namespace"] for kind in ("Role", "RoleBinding")}, {"policies"})
        self.assertEqual(pick(objects, "RoleBinding")[0]["subjects"][0]["namespace"], NAMESPACE)
        self.assertEqual({pick(objects, kind)[0]["metadata"]["name"] for kind in ("Role", "RoleBinding")}, {f"{NAMESPACE}:door-vestibule"})

    def test_only_a_watched_role_map_needs_permissions_and_a_token(self):
        for values, watched in [((), False), ((ROLES, {"roleMap": {"watch": False}}), False), ((ROLES,), True)]:
            objects = minimal(*values)
            self.assertEqual(bool(pick(objects, "Role")), watched)
            self.assertEqual(bool(pick(objects, "RoleBinding")), watched)
            names = {volume["name"] for volume in pod(objects)["volumes"]}
            self.assertEqual("vestibule-token" in names, watched)

    def test_an_unwatched_role_map_is_mounted(self):
        objects = minimal(ROLES, {"roleMap": {"watch": False}})
        self.assertIn("role_map:\n  file: /etc/vestibule/role-map/roles.yaml\n", pick(objects, "ConfigMap", "door-vestibule")["data"]["vestibule.yaml"])
        mounts = {mount["mountPath"] for mount in vestibule(pod(objects))["volumeMounts"]}
        self.assertIn("/etc/vestibule/role-map", mounts)


class TokenIssuers(unittest.TestCase):
    def granted(self, *values):
        return {one["roleRef"]["name"] for one in pick(minimal(*values), "ClusterRoleBinding")}

    def test_only_a_kubernetes_issuer_needs_permissions_and_a_token(self):
        ci = {"id": "ci", "issuer": "https://ci.example.com", "audiences": ["llm"]}
        discovery, review = "system:service-account-issuer-discovery", "system:auth-delegator"
        for values, granted in [
            ((), set()),
            ((ROLES,), set()),
            ((issuers(ci),), set()),
            ((issuers(ci, CLUSTER),), {discovery}),
            ((issuers({**CLUSTER, "review": True}),), {discovery, review}),
            ((issuers({**CLUSTER, "review": True}), {"rbac": {"create": False}}), set()),
        ]:
            with self.subTest(values):
                self.assertEqual(self.granted(*values), granted)
                objects = minimal(*values)
                asks = any(one in values for one in [ROLES]) or "cluster" in json.dumps(values)
                names = {volume["name"] for volume in pod(objects)["volumes"]}
                mounts = {mount["name"] for mount in vestibule(pod(objects))["volumeMounts"]}
                self.assertEqual("vestibule-token" in names, asks)
                self.assertEqual("vestibule-token" in mounts, asks)

    def test_permissions_belong_to_the_pods_of_this_release(self):
        binding = pick(minimal(issuers(CLUSTER)), "ClusterRoleBinding")[0]
        self.assertEqual(binding["subjects"], [{"kind": "ServiceAccount", "name": "door-vestibule", "namespace": NAMESPACE}])
        self.assertEqual(binding["metadata"]["name"], f"{NAMESPACE}:door-vestibule:service-account-issuer-discovery")

    def test_a_mounted_role_map_and_a_token_are_both_mounted(self):
        volumes = {volume["name"] for volume in pod(minimal(ROLES, {"roleMap": {"watch": False}}, issuers(CLUSTER)))["volumes"]}
        self.assertLessEqual({"vestibule-token", "vestibule-role-map"}, volumes)

    def test_the_rendered_token_issuers_are_valid(self):
        values = over(provider(token_endpoint_auth_method="none"), issuers(
            {**CLUSTER, "review": True, "review_cache": "30s", "audiences": ["llm"], "additional_issuers": ["https://former.example.com"]},
            {"id": "pool", "issuer": "https://pool.example.com", "audiences": ["batch"], "audience_claim": "client_id", "required_claims": {"token_use": "access"}},
            {"id": "staff", "provider": "corp", "audiences": ["api"], "user_claim": "oid", "unregistered": "allow", "workload": False, "keys_max_age": "6h"},
            {"id": "ci", "issuer": "https://ci.example.com", "jwks_uri": "https://ci.example.com/keys", "audiences": ["llm"],
             "algorithms": ["RS256"], "required_claims": {"repository_owner": "acme"}},
        ))
        objects = minimal(values)
        status, said = binary.check_config(objects, pick(objects, "ConfigMap", f"{RELEASE}-vestibule"))
        self.assertEqual((status, said), (0, "the configuration is valid\n"))


if __name__ == "__main__":
    unittest.main()
