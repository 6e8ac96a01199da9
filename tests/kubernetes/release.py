"""A release of the chart in a fleet."""

import json
import tempfile

import kube
import fleet
from fleet import over

import helm

ROLES = {
    "version": 1,
    "default_role": "internal_user_viewer",
    "delegate": ["internal_user"],
    "rules": [
        {"claim": "resource_access.litellm.roles", "match": "llm-admin*", "role": "proxy_admin"},
        {"claim": "groups", "match": "/engineering/*", "role": "internal_user"},
    ],
}
FRAGMENTS = "vestibule/role-map=fragment"
WAIT = ["--wait", f"--timeout={kube.PATIENCE}s"]


class Release:
    def __init__(self, within, name, gateway="gateway", **values):
        self.gateway, self.way = gateway, within.way(gateway)
        self.fleet, self.namespace, self.name = within, within.namespace, name
        self.fullname = f"{name}-vestibule"
        self.selector = f"app.kubernetes.io/instance={name},app.kubernetes.io/component=door"
        role_map = {"document": ROLES, "fragments": {"selector": FRAGMENTS}}
        self.values = within.values(gateway, **over({"roleMap": role_map}, values))

    def install(self, *arguments):
        return self.helm("install", {}, *arguments)

    def upgrade(self, *arguments, **change):
        return self.helm("upgrade", change, *arguments)

    def helm(self, verb, change, *arguments):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(over(self.values, change), file)
            file.flush()
            return self.namespace.helm(verb, self.name, helm.CHART, "--values", file.name, *(arguments or WAIT))

    def pods(self):
        return self.namespace.ready_pods(self.selector)

    def addresses(self):
        return [pod["status"]["podIP"] for pod in self.pods()]

    def restarts(self):
        """Restart counts of all containers of the release's pods."""
        return [one["restartCount"] for pod in self.pods() for one in statuses(pod)]

    def names(self):
        return {pod["metadata"]["name"] for pod in self.namespace.get("pods", selector=self.selector)}

    def until_ready(self, count):
        """Waits until this many pods are ready: a readiness probe can fail while the machine is busy."""
        return kube.until(f"{count} ready pods", lambda: len(self.pods()) == count and self.pods())

    def until_gone(self, names):
        """Waits until these pods are deleted."""
        kube.until(f"{sorted(names)} to be gone", lambda: not names & self.names())

    def hurry(self, **annotations):
        """Makes the kubelet update the pods' volumes now instead of within a minute."""
        for pod in self.pods():
            self.namespace.run("annotate", "pod", pod["metadata"]["name"], "--overwrite",
                               *(f"example.test/{name}={value}" for name, value in annotations.items()))

    def start_gateway(self, upstream="upstream:4000"):
        self.fleet.start_gateway(self.fullname, upstream, self.gateway)

    def sessions(self, people, count):
        """Signs users in through the gateway and returns their sessions."""
        lines = self.fleet.driver.run("logins", door=self.way, people=people, pods=[], count=count, at_once=3)
        if failed := [line for line in lines if line["failed"]]:
            raise AssertionError(f"logins failed: {failed}")
        return [{"session": line["session"], "user": line["user"]} for line in lines]

    def checks(self, sessions, pods=None):
        """The statuses of auth requests for each session on every pod."""
        questions = [{"place": pod, "session": one} for pod in pods or self.addresses() for one in sessions]
        return [line["status"] for line in self.fleet.driver.run("checks", door=self.way, questions=questions)]

    def logs(self, pod, container="vestibule"):
        return self.namespace.run("logs", pod["metadata"]["name"], "--container", container)


def statuses(pod):
    return pod["status"].get("initContainerStatuses", []) + pod["status"]["containerStatuses"]


def door():
    """The release that most tests share: `mode: deployment`, three replicas, behind the gateway."""
    def make():
        within = fleet.shared()
        within.give_secrets()
        made = Release(within, "door")
        made.notes = made.install()
        made.start_gateway()
        return made

    return fleet.once("door", make)
