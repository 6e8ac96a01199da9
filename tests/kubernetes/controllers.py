"""The controllers of the chart's Ingresses: Traefik of deploy/traefik, which reads them from the API server, and nginx with the
directives of ingress-nginx."""

import json
import os
import tempfile
from pathlib import Path

import images
import ingress_nginx
import kube
import pods
from paths import ROOT
from fleet import HOST, PUBLIC_URL

CERTIFICATE = "door-tls"


class Nginx:
    """`gateway` is its Service and the `app` label of its pods. `folder` contains the chart's values for it."""

    gateway, folder = "ingress-nginx", ROOT / "deploy/ingress-nginx"

    def __init__(self, fleet):
        self.fleet, self.namespace = fleet, fleet.namespace
        self.ingress_class = "nginx"

    def start(self, release):
        ingresses = self.namespace.get("ingress", selector=f"app.kubernetes.io/instance={release}")
        (certificate,) = {tls["secretName"] for one in ingresses for tls in one["spec"]["tls"]}
        folder = "/etc/gateway"
        config_maps = self.namespace.get("configmap", selector=f"app.kubernetes.io/instance={release}")
        headers = {f"{self.namespace.name}/{one['metadata']['name']}": one["data"] for one in config_maps}
        files = {"nginx.conf": ingress_nginx.configuration(ingresses, headers, folder), "escape.js": ingress_nginx.ESCAPE}
        self.namespace.config_map(self.gateway, files)
        container = pods.container("nginx", images.image("nginx"), ["-c", f"{folder}/nginx.conf", "-e", "stderr"], ports=[8443],
                                   mounts={"files": folder, "tls": f"{folder}/tls", "tmp": "/tmp"},
                                   ready={"tcpSocket": {"port": 8443}}, cpu="50m")
        volumes = [{"name": "files", "configMap": {"name": self.gateway}}, {"name": "tls", "secret": {"secretName": certificate}},
                   {"name": "tmp", "emptyDir": {}}]
        self.namespace.apply(pods.deployment(self.gateway, container, volumes=volumes), pods.service(self.gateway, {443: 8443}))
        self.namespace.rolled_out("deployment", self.gateway)

    def close(self):
        self.namespace.run("delete", "deployment,service,configmap", self.gateway, "--ignore-not-found")


class Traefik:
    """deploy/traefik in the fleet's namespace. It has its own names and class, because some objects are cluster-scoped, and
    watches only this namespace."""

    gateway, folder = "traefik", ROOT / "deploy/traefik"

    def __init__(self, fleet):
        self.fleet, self.namespace = fleet, fleet.namespace
        self.suffix = f"-{fleet.namespace.name}"
        self.gateway = f"traefik{self.suffix}"
        self.ingress_class = f"nginx{self.suffix}"

    def kustomize(self, *words):
        with tempfile.TemporaryDirectory(prefix="traefik-", dir=ROOT / "target") as folder:
            (Path(folder) / "kustomization.yaml").write_text(json.dumps(self.overlay(os.path.relpath(self.folder, folder))))
            return kube.run(*words, "--kustomize", folder)

    def overlay(self, base):
        controller = f"example.test/{self.namespace.name}"
        arguments = "/spec/template/spec/containers/0/args"
        more = [f"--providers.kubernetesingressnginx.{option}" for option in (
            f"controllerclass={controller}", f"watchnamespace={self.namespace.name}")]
        return {
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization",
            "namespace": self.namespace.name, "nameSuffix": self.suffix, "resources": [base],
            "images": [{"name": "traefik", "newName": images.repository("traefik"), "newTag": images.tag("traefik")}],
            "patches": [
                patch("IngressClass", {"op": "replace", "path": "/spec/controller", "value": controller}),
                patch("Deployment", *({"op": "add", "path": f"{arguments}/-", "value": one} for one in more)),
                patch("Service", {"op": "replace", "path": "/spec/type", "value": "ClusterIP"}),
            ],
        }

    def start(self, release):
        self.kustomize("apply", "--server-side")
        self.namespace.rolled_out("deployment", self.gateway)
        # Traefik is ready before it has read the Ingresses.
        kube.until("Traefik serves our pages", self.serves)

    def serves(self):
        places = [f"{pod['status']['podIP']}:8443" for pod in self.namespace.ready_pods("app=traefik")]
        try:
            answers = [self.fleet.driver.ask(f"{PUBLIC_URL}/sso/session", routes={PUBLIC_URL: place}) for place in places]
        except AssertionError as error:
            # Traefik uses a generated certificate until it has read the Secret.
            raise kube.KubectlError(str(error)) from error
        return answers and all(answer["status"] == 401 for answer in answers)

    def close(self):
        self.kustomize("delete", "--ignore-not-found", f"--timeout={kube.PATIENCE}s")


def patch(kind, *operations):
    return {"target": {"kind": kind}, "patch": json.dumps(list(operations))}


def certificate(fleet):
    """Creates the Secret with the certificate of the Ingresses."""
    fleet.namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": CERTIFICATE}, "type": "kubernetes.io/tls",
                           "stringData": fleet.authority.issue(HOST)})
