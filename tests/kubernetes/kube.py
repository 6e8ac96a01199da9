"""kubectl and helm, against the cluster that the tests run in."""

import base64
import json
import os
import shutil
import subprocess
import time

import paths  # noqa: F401  makes the modules below importable

import cluster
import helm

# Timeout of a step in the cluster, in seconds, for a machine with two busy cores.
PATIENCE = 180
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


class KubectlError(Exception):
    """A kubectl command failed; the message is its output."""


def own():
    """True if the tests run in an existing cluster, in which they only change their own namespaces."""
    return bool(os.environ.get("TEST_KUBECONFIG"))


def kubeconfig():
    return os.environ.get("TEST_KUBECONFIG") or cluster.home() / "run/conf/host.kubeconfig"


def kubectl():
    built = cluster.home() / "bin/kubectl"
    return str(built) if os.access(built, os.X_OK) else shutil.which("kubectl") or str(built)


def command(*arguments):
    return [kubectl(), "--kubeconfig", str(kubeconfig()), *map(str, arguments)]


def run(*arguments, stdin=None):
    done = subprocess.run(command(*arguments), input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise KubectlError(f"kubectl {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}".strip())
    return done.stdout


def until(what, ready, patience=PATIENCE, every=0.3):
    """Calls `ready` until it returns a true value. The error of a timeout contains the last value."""
    deadline = time.monotonic() + patience
    while True:
        try:
            last = ready()
            if last:
                return last
        except KubectlError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not in {patience} s: {what}; the last was {last!r}")
        time.sleep(every)


def makes_volumes():
    """True if the cluster has a default StorageClass."""
    classes = json.loads(run("get", "storageclasses", "--output=json"))["items"]
    return any(one["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true" for one in classes)


class Namespace:
    """A namespace and operations in it."""

    def __init__(self, name):
        self.name = name

    def create(self, **labels):
        labels = {f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.name, "labels": labels}})
        # The API server rejects pods until the namespace has a ServiceAccount.
        until("the default ServiceAccount", lambda: run("get", "serviceaccount", "default", "-n", self.name))

    def delete(self):
        # A short grace period is enough, because no requests are served. Deleting only the namespace waits for the longest one.
        self.attempt("delete", "deployments,statefulsets,replicasets", "--all", "--cascade=orphan", "--wait=false")
        self.attempt("delete", "pods", "--all", "--grace-period=1", f"--timeout={PATIENCE}s")
        run("delete", "namespace", self.name, "--ignore-not-found", f"--timeout={PATIENCE}s")

    def run(self, *arguments, **more):
        return run("--namespace", self.name, *arguments, **more)

    def apply(self, *objects):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.run("apply", "--server-side", "--force-conflicts", "--filename", "-", stdin=text)

    def get(self, kind, name=None, selector=None):
        words = [name] if name else ["--selector", selector] if selector else []
        found = json.loads(self.run("get", kind, *words, "--output", "json"))
        return found if name else found["items"]

    def patch(self, kind, name, change):
        self.run("patch", kind, name, "--type", "merge", "--patch", json.dumps(change))

    def secret(self, name, **files):
        """Creates a Secret from file names and contents. Names with dots and dashes need a dict with `**`."""
        data = {file: base64.b64encode(text.encode()).decode() for file, text in files.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data})

    def config_map(self, name, files, **metadata):
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": files})

    def rolled_out(self, kind, name, patience=PATIENCE):
        self.run("rollout", "status", f"{kind}/{name}", f"--timeout={patience}s")

    def ready_pods(self, selector):
        """The pods that are ready and not stopping."""
        pods = self.get("pods", selector=selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)]

    def helm(self, *arguments):
        return helm.run(*arguments, "--namespace", self.name, kubeconfig=kubeconfig())

    def names(self):
        """The names of all objects of all kinds, except events and similar records."""
        kinds = run("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
        kinds = [kind for kind in kinds if kind.split(".")[0] not in {"events", "leases"} and "metrics.k8s.io" not in kind]
        return set(self.run("get", ",".join(kinds), "--ignore-not-found", "--output=name").split())

    def story(self):
        """Events, pods and the last lines of their logs, for the analysis of a failed test."""
        parts = [self.attempt("get", "pods", "--output=wide"), self.attempt("get", "events", "--sort-by=.lastTimestamp")[-6000:]]
        for name in self.attempt("get", "pods", "--output=name").split():
            for more in ([], ["--previous"]):
                log = self.attempt("logs", name, "--all-containers", "--prefix", "--tail=40", *more)
                parts.append(f"--- {name} {' '.join(more)}\n{log}")
        return f"=== namespace {self.name}\n" + "\n".join(parts)

    def attempt(self, *arguments):
        try:
            return self.run(*arguments)
        except KubectlError as error:
            return "" if "--previous" in arguments else str(error)


def is_ready(pod):
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
