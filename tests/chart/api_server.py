"""A Kubernetes API server with etcd, without other parts of a cluster. `make cluster` builds both. Needs no root."""

import contextlib
import json
import secrets
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import cluster

START = 120


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class ApiServer:
    def __init__(self, folder):
        self.folder, self.port, self.token = Path(folder), free_port(), secrets.token_hex(16)
        self.processes = []
        self.kubeconfig = self.folder / "kubeconfig"

    @staticmethod
    @contextlib.contextmanager
    def running():
        with tempfile.TemporaryDirectory(prefix="chart-") as folder:
            server = ApiServer(folder)
            try:
                server.start()
                yield server
            finally:
                server.stop()

    def start(self):
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        subprocess.run(["openssl", "genrsa", "-out", self.folder / "sa.key", "2048"], check=True, capture_output=True)
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self.url(), "insecure-skip-tls-verify": True}}],
            "users": [{"name": "it", "user": {"token": self.token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }))
        etcd = f"http://127.0.0.1:{free_port()}"
        self.spawn("etcd", "--unsafe-no-fsync", "--data-dir", self.folder / "etcd", "--log-level", "error",
                   "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", "http://127.0.0.1:0")
        # No controller creates ServiceAccounts here, and no pod runs.
        self.spawn("kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
                   f"--cert-dir={self.folder}/certs", f"--service-account-key-file={self.folder}/sa.key",
                   f"--service-account-signing-key-file={self.folder}/sa.key", "--authorization-mode=RBAC",
                   "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
                   f"--token-auth-file={self.folder}/tokens.csv", "--disable-admission-plugins=ServiceAccount")
        self.wait()

    def spawn(self, name, *arguments):
        with open(self.folder / f"{name}.log", "w") as log:
            self.processes.append(subprocess.Popen([cluster.binary(name), *map(str, arguments)], stdout=log, stderr=log))

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def wait(self):
        deadline = time.monotonic() + START
        while True:
            try:
                return self.ask("GET", "/readyz")
            except (OSError, urllib.error.HTTPError) as error:
                if time.monotonic() > deadline or any(process.poll() is not None for process in self.processes):
                    log = (self.folder / "kube-apiserver.log").read_text()[-2000:]
                    raise RuntimeError(f"the API server does not come up: {error}\n{log}") from error
                time.sleep(0.2)

    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def define(self, texts):
        """Installs CRDs and waits until their resources are served."""
        created = [self.ask("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", text) for text in texts]
        for spec in [json.loads(one)["spec"] for one in created]:
            for version in (one["name"] for one in spec["versions"] if one["served"]):
                self.until_served(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}")

    def until_served(self, path):
        deadline = time.monotonic() + START
        while True:
            try:
                return self.ask("GET", path)
            except urllib.error.HTTPError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def ask(self, method, path, body=None):
        """Sends a request. The body is an object, or YAML text."""
        kind = "yaml" if isinstance(body, str) else "merge-patch+json" if method == "PATCH" else "json"
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": f"application/{kind}"}
        data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
        request = urllib.request.Request(self.url() + path, data, headers, method=method)
        trust = ssl._create_unverified_context()  # the server generates its certificate at its start
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            return answer.read()

    def namespace(self, name, **labels):
        labels = {f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()}
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})

    def try_create(self, one, namespace):
        """The error of a dry run, or `None`. Unknown fields are errors."""
        try:
            self.ask("POST", f"{path_of(one, namespace)}?dryRun=All&fieldValidation=Strict", one)
            return None
        except urllib.error.HTTPError as error:
            return json.loads(error.read())["message"]

    def get(self, kind, namespace, name):
        return json.loads(self.ask("GET", f"{path_of({'apiVersion': 'v1', 'kind': kind}, namespace)}/{name}"))

    def patch(self, kind, namespace, name, body):
        self.ask("PATCH", f"{path_of({'apiVersion': 'v1', 'kind': kind}, namespace)}/{name}", body)

    def names(self, namespace, *kinds):
        found = []
        for version, kind in kinds:
            path = path_of({"apiVersion": version, "kind": kind}, namespace)
            found += [f"{kind}/{one['metadata']['name']}" for one in json.loads(self.ask("GET", path))["items"]]
        return found


def path_of(one, namespace):
    """The path of an object; without a namespace, of a cluster-scoped object."""
    version, kind = one["apiVersion"], one["kind"]
    prefix = "/api" if version == "v1" else "/apis"
    place = f"namespaces/{namespace}/" if namespace else ""
    return f"{prefix}/{version}/{place}{plural(kind.lower())}"


def plural(kind):
    if kind.endswith("ss"):
        return f"{kind}es"
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
