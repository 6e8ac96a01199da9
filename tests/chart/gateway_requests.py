"""Vestibule and an upstream behind a gateway, and requests that every gateway must treat alike."""

import contextlib
import http.server
import json
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import binary
from api_server import free_port

PROTECTED, OPEN = "llm.example.com", "docs.example.com"
# Every host but the protected one is open, so that a request which is taken for another host passes.
ROLE_MAP = f"""version: 1
access:
  - {{hosts: [{PROTECTED}], roles: [proxy_admin]}}
  - {{allow: anyone}}
"""

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

IDENTITY = [f"X-Auth-Request-{name}" for name in ("User", "Email", "Preferred-Username", "Groups", "Role", "Key")]
SPOOFED = [*IDENTITY, "X-Vestibule-Assertion", "X-Vestibule-Untouched", "X-Vestibule-Removed", "X-Original-URL", "X-Original-Method",
           "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Envoy-Original-Path", "Proxy-Authorization"]


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


class Peers:
    """Vestibule and the upstream on loopback."""

    @staticmethod
    @contextlib.contextmanager
    def running():
        with contextlib.ExitStack() as stack:
            yield Peers(stack)

    def __init__(self, stack):
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
        upstream = stack.enter_context(http.server.ThreadingHTTPServer(("localhost", 0), Upstream))
        stack.callback(upstream.shutdown)
        threading.Thread(target=upstream.serve_forever, daemon=True).start()
        self.ports = {"public": free_port(), "check": free_port(), "admin": free_port(), "upstream": upstream.server_address[1]}
        self.start_vestibule(stack)

    def start_vestibule(self, stack):
        (self.folder / "roles.yaml").write_text(ROLE_MAP)
        (self.folder / "gateway-secret").write_text(binary.GATEWAY_SECRET)
        listen = {name: f"127.0.0.1:{self.ports[name]}" for name in ("public", "check", "admin")}
        config = {"public_url": f"https://{PROTECTED}", "origins": [f"https://{OPEN}"], "listen": listen,
                  "check": {"secret_file": str(self.folder / "gateway-secret")}, "role_map": {"file": str(self.folder / "roles.yaml")}}
        (self.folder / "vestibule.yaml").write_text(json.dumps(config))
        with open(self.folder / "vestibule.log", "w") as log:
            pod = subprocess.Popen([binary.path(), "--config", self.folder / "vestibule.yaml"], stdout=log, stderr=log)
        stack.callback(pod.wait)
        stack.callback(pod.kill)

    def values(self):
        """Values with the hosts and ports of the peers."""
        return {"config": {"origins": [f"https://{OPEN}"]}, "ports": {name: self.ports[name] for name in ("public", "check", "admin")},
                "upstream": {"serviceName": "litellm", "port": self.ports["upstream"]}}


class Requests:
    """Tests of these classes need the fields `peers`, `port` (of the gateway) and `DIALECT` (of the check)."""

    def send(self, lines):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            request = "\r\n".join([*lines, "Accept: application/json", "Connection: close", "", ""])
            connection.sendall(request.encode())
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        return received.decode(errors="replace")

    def original_request(self, host):
        """Headers in which the gateway describes the request to the check."""
        if self.DIALECT == "nginx":
            return {"X-Original-URL": f"https://{host}/secret", "X-Original-Method": "GET"}
        return {"X-Forwarded-Host": host, "X-Forwarded-Uri": "/secret", "X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https"}


class HostTests(Requests):
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
        """Without the host in the URL, the gateway's own matching of hosts would be the only protection."""
        url = f"http://127.0.0.1:{self.peers.ports['check']}/auth/{self.DIALECT}?host={PROTECTED}&echo=true"
        for host, status in ((OPEN, 403), (PROTECTED, 401)):
            headers = {**self.original_request(host), "X-Vestibule-Gateway-Secret": binary.GATEWAY_SECRET}
            with self.subTest(host), self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20)
            self.assertEqual(refused.exception.code, status)


class HeaderTests(Requests):
    def received(self, *lines):
        """The headers that the upstream received, in lower case."""
        answer = self.send(("GET /page HTTP/1.1", f"Host: {OPEN}", *lines))
        self.assertRegex(answer, r"^HTTP/1\.1 200 ")
        return [(name.lower(), value) for name, value in json.loads(answer.split("\r\n\r\n", 1)[1])["upstream"]]

    def test_no_header_of_a_client_reaches_the_upstream_as_identity(self):
        for header in SPOOFED:
            for name in (header, header.lower(), header.upper(), header.replace("-", "_")):
                with self.subTest(name):
                    answer = self.send(("GET /page HTTP/1.1", f"Host: {OPEN}", f"{name}: forged", f"{name}: forged"))
                    self.assertRegex(answer, r"^HTTP/1\.1 (200|400) ")
                    self.assertNotIn("forged", answer)

    def test_vestibules_cookies_end_at_the_gateway(self):
        cookies = [value for name, value in self.received("Cookie: a=1; __Host-vestibule=stolen; b=2") if name == "cookie"]
        self.assertEqual(cookies, ["a=1; b=2"])

    def test_own_paths_are_served_on_every_host_and_paths_that_only_begin_like_them_are_not(self):
        # Pages of further hosts are at `public_url`.
        for host, status in ((PROTECTED, 404), (OPEN, 302)):
            answer = self.send(("GET /sso/none HTTP/1.1", f"Host: {host}"))
            self.assertRegex(answer, rf"^HTTP/1\.1 {status} ")
            self.assertIn("\r\nx-request-id: ", answer.lower())
        self.assertIn('"upstream"', self.send(("GET /ssolike HTTP/1.1", f"Host: {OPEN}")))
        self.assertRegex(self.send(("GET /ssolike HTTP/1.1", f"Host: {PROTECTED}")), r"^HTTP/1\.1 401 ")

    def test_browsers_are_redirected_to_the_sign_in_and_programs_get_401(self):
        for lines in (["Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none"], ["Accept: application/xhtml+xml, text/html;q=0.9"]):
            browser = self.send(("GET /page HTTP/1.1", f"Host: {PROTECTED}", *lines))
            self.assertRegex(browser, r"^HTTP/1\.1 302 ")
            self.assertRegex(browser.lower(), rf"\r\nlocation: (https://{PROTECTED})?/sso/login\?rd=")
        for lines in (["Sec-Fetch-Mode: cors"], ["Accept: text/html;q=0"], ["Accept: text/html", "X-Requested-With: XMLHttpRequest"]):
            self.assertRegex(self.send(("GET /page HTTP/1.1", f"Host: {PROTECTED}", *lines)), r"^HTTP/1\.1 401 ")
        program = self.send(("GET /v1/models HTTP/1.1", f"Host: {PROTECTED}"))
        self.assertRegex(program, r"^HTTP/1\.1 401 ")
        self.assertIn("www-authenticate:", program.lower())

    def test_service_workers_and_other_upgrades_than_websocket_do_not_reach_the_upstream(self):
        self.assertRegex(self.send(("GET /sw.js HTTP/1.1", f"Host: {OPEN}", "Service-Worker: script")), r"^HTTP/1\.1 403 ")
        lines = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
        answer = self.send(("GET /page HTTP/1.1", f"Host: {OPEN}", *lines))
        self.assertRegex(answer, r"^HTTP/1\.1 (200|400) ")
        self.assertNotIn('"upgrade"', answer.lower())
