"""The Redis Cluster of deploy/redis with another namespace, image and resources, and a longer node timeout, because nodes of a
busy machine respond slowly."""

import json
import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

import images
import kube
from paths import ROOT, TARGET

import cluster

BASE = ROOT / "deploy/redis"
NODES = 6
URL = "redis-cluster://redis-0.redis:6379,redis-1.redis:6379,redis-2.redis:6379"
USER = "vestibule"
CONTAINER = "/spec/template/spec/containers/0"
SMALL = {"op": "replace", "path": f"{CONTAINER}/resources/requests", "value": {"cpu": "20m", "memory": "32Mi"}}
# For clusters without a provisioner, in which the tests may not create volumes.
WITHOUT_VOLUMES = [{"op": "remove", "path": "/spec/volumeClaimTemplates"},
                   {"op": "add", "path": "/spec/template/spec/volumes/-", "value": {"name": "data", "emptyDir": {}}}]


class Redis:
    """The password is in the Secret `redis`, which the nodes read, and in `self.password`."""

    def __init__(self, namespace):
        self.namespace, self.password = namespace, secrets.token_urlsafe(24)
        self.volumes = None if kube.own() else Volumes(namespace.name)

    def start(self):
        patch = [SMALL, {"op": "replace", "path": f"{CONTAINER}/imagePullPolicy", "value": images.pull_policy()}]
        if self.volumes:
            self.volumes.make()
        elif not kube.makes_volumes():
            patch += WITHOUT_VOLUMES
        self.namespace.secret("redis", **{"cluster-password": secrets.token_urlsafe(24), "vestibule-password": self.password})
        self.apply(patch)

    def apply(self, patch):
        TARGET.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="redis-", dir=TARGET) as folder:
            overlay = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": self.namespace.name,
                       "resources": [os.path.relpath(BASE, folder)],
                       "configMapGenerator": [{"name": "redis", "behavior": "merge", "files": ["redis.conf"]}],
                       "patches": [{"target": {"kind": "StatefulSet"}, "patch": json.dumps(patch)}],
                       "images": [{"name": "redis", "newName": images.repository("redis"), "newTag": images.tag("redis")}]}
            (Path(folder) / "redis.conf").write_text(patient((BASE / "redis.conf").read_text()))
            (Path(folder) / "kustomization.yaml").write_text(json.dumps(overlay))
            kube.run("apply", "--server-side", "--kustomize", folder)

    def wait(self):
        self.namespace.rolled_out("statefulset", "redis")

    def close(self):
        """Cleans up after the namespace is deleted."""
        if self.volumes:
            self.volumes.close()


def patient(settings):
    return re.sub(r"(?m)^cluster-node-timeout .*$", "cluster-node-timeout 15000", settings)


class Volumes:
    """Volumes for a cluster without a provisioner: one folder of this machine for each claim."""

    def __init__(self, namespace):
        self.namespace, self.folder = namespace, cluster.home() / "run/volumes" / namespace

    def make(self):
        kube.run("apply", "--server-side", "--filename", "-", stdin=json.dumps({
            "apiVersion": "v1", "kind": "List", "items": [self.volume(number) for number in range(NODES)]}))

    def name(self, number):
        return f"{self.namespace}-redis-{number}"

    def volume(self, number):
        folder = self.folder / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.name(number)}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": self.namespace, "name": f"data-redis-{number}"},
            # Unlike a hostPath volume, it gets the pod's fsGroup.
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}]}},
        }}

    def close(self):
        kube.run("delete", "persistentvolume", "--ignore-not-found", *(self.name(number) for number in range(NODES)))
        shutil.rmtree(self.folder, ignore_errors=True)
