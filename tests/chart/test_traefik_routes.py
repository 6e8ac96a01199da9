"""`gateway.type: traefik` in front of a real upstream: Traefik reads the chart's objects from a real API server."""

import json
import re
import unittest

import binary
import cluster
import test_traefik
from gateway_types import values
from helm import objects_of
from test_traefik import OPEN, PROTECTED
from traefik import INGRESS_ROUTES

KINDS = {"IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "Middleware", "MiddlewareTCP", "ServersTransport",
         "ServersTransportTCP", "TLSOption", "TLSStore", "TraefikService"}
IDENTITY = [f"X-Auth-Request-{name}" for name in ("User", "Email", "Preferred-Username", "Groups", "Role", "Key")]
SPOOFED = [*IDENTITY, "X-Vestibule-Assertion", "X-Vestibule-Untouched", "X-Vestibule-Removed", "X-Original-URL", "X-Original-Method",
           "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Envoy-Original-Path", "Proxy-Authorization"]


def load_tests(loader, standard, pattern):
    """Only the tests of this file: those of the imported class run in their own."""
    return loader.loadTestsFromTestCase(TraefikRoutes)


class TraefikRoutes(test_traefik.TraefikHosts):
    PROVIDER, DIALECT = INGRESS_ROUTES, "traefik"

    @classmethod
    def objects(cls, server):
        server.define(cluster.definitions(KINDS))
        given = values("traefik", secret=True, gateway={"traefik": {"entryPoints": ["web"]}}, **cls.values())
        made = objects_of(overrides=given)
        return [one for one in made if one["apiVersion"].startswith("traefik.io/")]

    @staticmethod
    def original_request(host):
        return {"X-Forwarded-Host": host, "X-Forwarded-Uri": "/secret", "X-Forwarded-Method": "GET", "X-Forwarded-Proto": "https"}

    def received(self, *lines):
        """The headers that the upstream received, in lower case."""
        answer = self.send(("GET /page HTTP/1.1", f"Host: {OPEN}", *lines))
        self.assertRegex(answer, r"^HTTP/1\.1 200 ")
        return [(name.lower(), value) for name, value in json.loads(answer.split("\r\n\r\n", 1)[1])["upstream"]]

    def test_no_header_of_a_client_reaches_the_upstream_as_identity(self):
        for header in SPOOFED:
            for name in (header, header.lower(), header.upper(), header.replace("-", "_")):
                with self.subTest(name):
                    found = self.received(f"{name}: forged", f"{name}: forged")
                    self.assertNotIn("forged", [value for _, value in found])

    def test_every_identity_header_arrives_even_if_a_client_lists_it_in_connection(self):
        for lines in ((), (f"Connection: {', '.join(IDENTITY)}",)):
            names = [name for name, _ in self.received(*lines)]
            self.assertEqual([names.count(header.lower()) for header in IDENTITY], [1] * len(IDENTITY))

    def test_vestibules_cookies_end_at_the_gateway(self):
        cookies = [value for name, value in self.received("Cookie: a=1; __Host-vestibule=stolen; b=2") if name == "cookie"]
        self.assertEqual(cookies, ["a=1; b=2"])

    def test_own_paths_are_served_on_every_host_and_paths_that_only_begin_like_them_are_not(self):
        for host in (PROTECTED, OPEN):
            self.assertRegex(self.send(("GET /sso/none HTTP/1.1", f"Host: {host}")), r"^HTTP/1\.1 404 ")
            self.assertIn("x-request-id", self.send(("GET /sso/none HTTP/1.1", f"Host: {host}")).lower())
        self.assertIn('"upstream"', self.send(("GET /ssolike HTTP/1.1", f"Host: {OPEN}")))
        self.assertRegex(self.send(("GET /ssolike HTTP/1.1", f"Host: {PROTECTED}")), r"^HTTP/1\.1 401 ")

    def test_browsers_are_redirected_to_the_sign_in_and_programs_get_401(self):
        browser = self.send(("GET /page HTTP/1.1", f"Host: {PROTECTED}", "Sec-Fetch-Mode: navigate"))
        self.assertRegex(browser, r"^HTTP/1\.1 302 ")
        self.assertTrue(re.search(rf"(?mi)^location: https://{PROTECTED}/sso/login\?rd=", browser), browser)
        program = self.send(("GET /v1/models HTTP/1.1", f"Host: {PROTECTED}"))
        self.assertRegex(program, r"^HTTP/1\.1 401 ")
        self.assertIn("www-authenticate:", program.lower())

    def test_service_workers_and_other_upgrades_than_websocket_do_not_reach_the_upstream(self):
        self.assertRegex(self.send(("GET /sw.js HTTP/1.1", f"Host: {OPEN}", "Service-Worker: script")), r"^HTTP/1\.1 403 ")
        names = [name for name, _ in self.received("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")]
        self.assertNotIn("upgrade", names)


if __name__ == "__main__":
    unittest.main()
