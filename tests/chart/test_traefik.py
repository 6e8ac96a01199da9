"""Host rules behind Traefik's ingress-nginx provider with the chart's Ingresses, on a real API server, without a cluster."""

import http.server
import json
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import binary
from api_server import ApiServer, free_port, path_of
from helm import CHART, NAMESPACE, objects_of, pick
from traefik import INGRESS_NGINX, Traefik

PROTECTED, OPEN = "llm.example.com", "docs.example.com"
# Every host but the protected one is open, so that a request which is taken for another host passes.
ROLE_MAP = f"""version: 1
access:
  - {{hosts: [{PROTECTED}], roles: [proxy_admin]}}
  - {{allow: anyone}}
"""
CHECK = "http://door-vestibule-check.llm.svc.cluster.local:4181"

# Request line and headers of requests for the protected host, or for none that is served.
DISGUISED = [
    (f"GET http://{PROTECTED}/secret HTTP/1.1", f"Host: {OPEN}"),
    (f"GET http://{PROTECTED}/secret HTTP/1.0", f"Host: {OPEN}"),
    (f"GET http://{PROTECTED}/secret HTTP/1.0",),
    (f"GET http://{PROTECTED.upper()}./secret HTTP/1.1", f"Host: {OPEN}"),
    (f"GET http://{PROTECTED}:80/secret HTTP/1.1", f"Host: {OPEN}:80"),
    (f"GET http://{OPEN}@{PROTECTED}/secret HTTP/1.1", f"Host: {OPEN}"),
    (f"GET http://{PROTECTED}/secret HTTP/1.1", f"Host: {PROTECTED}", f"Host: {OPEN}"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED}", f"Host: {OPEN}"),
    ("GET /secret HTTP/1.0", f"Host: {PROTECTED}", f"Host: {OPEN}"),
    ("GET /secret HTTP/1.0",),
    ("GET /secret HTTP/1.1", "Host: anything.example"),
    ("GET /secret HTTP/1.1", f"Host: {OPEN}.anything.example"),
    ("GET /secret HTTP/1.1", f"Host: {OPEN}@{PROTECTED}"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED}, {OPEN}"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED.upper()}:8443"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED}."),
    (f"GET /secret?host={OPEN} HTTP/1.1", f"Host: {PROTECTED}"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED}", f"X-Original-URL: https://{OPEN}/secret", "X-Original-Method: GET"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED}", f"X-Forwarded-Host: {OPEN}", f"X-Host: {OPEN}", f"Forwarded: host={OPEN}"),
    ("GET /secret HTTP/1.1", f"Host: {PROTECTED}", f"X-Original-URL: https://{OPEN}/secret", "Connection: x-original-url"),
]
HONEST = [
    ("GET /page HTTP/1.1", f"Host: {OPEN}"),
    ("GET /page HTTP/1.0", f"Host: {OPEN}"),
    ("GET /page HTTP/1.1", f"Host: {OPEN}:8443"),
    (f"GET http://{OPEN}/page HTTP/1.1", f"Host: {OPEN}"),
    (f"GET http://{OPEN}/page HTTP/1.1", f"Host: {PROTECTED}"),
]


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers with the headers that it received."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"upstream": self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class TraefikHosts(unittest.TestCase):
    PROVIDER, DIALECT = INGRESS_NGINX, "nginx"

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="traefik-")))
        server = cls.enterClassContext(ApiServer.running())
        upstream = http.server.ThreadingHTTPServer(("localhost", 0), Upstream)
        cls.addClassCleanup(upstream.server_close)
        cls.addClassCleanup(upstream.shutdown)
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        cls.ports = {"public": free_port(), "check": free_port(), "admin": free_port(), "upstream": upstream.server_address[1]}
        cls.start_vestibule()
        cls.create(server)
        cls.traefik = Traefik(server, NAMESPACE, cls.folder, cls.PROVIDER)
        cls.addClassCleanup(cls.traefik.close)
        cls.traefik.until_served(OPEN, "/page", 200)
        cls.traefik.until_served(PROTECTED, "/v1/models", 401)

    @classmethod
    def start_vestibule(cls):
        (cls.folder / "roles.yaml").write_text(ROLE_MAP)
        (cls.folder / "gateway-secret").write_text(binary.GATEWAY_SECRET)
        listen = {name: f"127.0.0.1:{cls.ports[name]}" for name in ("public", "check", "admin")}
        config = {"public_url": f"https://{PROTECTED}", "origins": [f"https://{OPEN}"], "listen": listen,
                  "check": {"secret_file": str(cls.folder / "gateway-secret")}, "role_map": {"file": str(cls.folder / "roles.yaml")}}
        (cls.folder / "vestibule.yaml").write_text(json.dumps(config))
        with open(cls.folder / "vestibule.log", "w") as log:
            pod = subprocess.Popen([binary.path(), "--config", cls.folder / "vestibule.yaml"], stdout=log, stderr=log)
        cls.addClassCleanup(pod.wait)
        cls.addClassCleanup(pod.kill)

    @classmethod
    def create(cls, server):
        """Creates the chart's objects for Traefik. Names that only a cluster resolves become loopback."""
        server.namespace(NAMESPACE)
        made = cls.objects(server)
        made += [cls.loopback("litellm", cls.ports["upstream"]), cls.loopback("door-vestibule-public", cls.ports["public"])]
        for one in made:
            text = json.dumps(one).replace(CHECK, f"http://127.0.0.1:{cls.ports['check']}")
            namespace = None if one["kind"] == "IngressClass" else NAMESPACE
            server.ask("POST", path_of(one, namespace), json.loads(text))

    @classmethod
    def objects(cls, server):
        ingress = {"enabled": True, "controller": "traefik", "programPaths": ["/v1"], "tlsSecret": "",
                   "upstreamAnnotations": {}, "gatewaySecret": {"value": binary.GATEWAY_SECRET}}
        made = pick(objects_of(CHART / "ci/traefik-values.yaml", {**cls.values(), "ingress": ingress}), "Ingress")
        return [*made, {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
                        "spec": {"controller": "k8s.io/ingress-nginx"}}]

    @classmethod
    def values(cls):
        return {"config": {"origins": [f"https://{OPEN}"]}, "ports": {"public": cls.ports["public"]},
                "upstream": {"serviceName": "litellm", "port": cls.ports["upstream"]}}

    @staticmethod
    def loopback(name, port):
        """A Service without pods."""
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}}

    @staticmethod
    def original_request(host):
        """Headers in which the gateway describes the request to the check."""
        return {"X-Original-URL": f"https://{host}/secret", "X-Original-Method": "GET"}

    def send(self, lines):
        with socket.create_connection(("127.0.0.1", self.traefik.port), timeout=20) as connection:
            request = "\r\n".join([*lines, "Accept: application/json", "Connection: close", "", ""])
            connection.sendall(request.encode())
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received.decode(errors="replace")

    def test_no_disguise_makes_the_protected_host_pass_as_the_open_one(self):
        for lines in DISGUISED:
            with self.subTest(lines):
                answer = self.send(lines)
                self.assertNotIn('"upstream"', answer)
                self.assertRegex(answer, r"^HTTP/1\.[01] (302|400|401|403|404|421) ")

    def test_every_spelling_of_the_open_host_passes(self):
        for lines in HONEST:
            with self.subTest(lines):
                answer = self.send(lines)
                self.assertRegex(answer, r"^HTTP/1\.[01] 200 ")
                headers = dict(json.loads(answer.split("\r\n\r\n", 1)[1])["upstream"])
                self.assertEqual(headers["Host"].split(":")[0], OPEN)
                self.assertNotIn(binary.GATEWAY_SECRET, answer)

    def test_a_clients_own_gateway_secret_reaches_neither_the_check_nor_the_upstream(self):
        for name in ("X-Vestibule-Gateway-Secret", "x-vestibule-gateway-secret", "X_Vestibule_Gateway_Secret"):
            for secret in ("forged", binary.GATEWAY_SECRET):
                answer = self.send(("GET /page HTTP/1.1", f"Host: {OPEN}", f"{name}: {secret}", f"{name}: forged"))
                with self.subTest(name=name, secret=secret):
                    self.assertRegex(answer, r"^HTTP/1\.1 200 ")
                    self.assertNotIn("forged", answer)
                    self.assertNotIn(binary.GATEWAY_SECRET, answer)

    def test_the_check_refuses_a_host_that_its_url_does_not_name(self):
        """Without the host in the URL, Traefik's own matching of hosts would be the only protection."""
        url = f"http://127.0.0.1:{self.ports['check']}/auth/{self.DIALECT}?host={PROTECTED}&echo=true"
        for host, status in ((OPEN, 403), (PROTECTED, 401)):
            headers = {**self.original_request(host), "X-Vestibule-Gateway-Secret": binary.GATEWAY_SECRET}
            with self.subTest(host), self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20)
            self.assertEqual(refused.exception.code, status)


if __name__ == "__main__":
    unittest.main()
