"""Traefik with the chart's Ingresses, and with its IngressRoutes, on a real API server, without a cluster."""

import json
import unittest

import binary
import cluster
import gateway_types
from api_server import ApiServer, path_of
from gateway_requests import IDENTITY, OPEN, PROTECTED, HeaderTests, HostTests, Peers
from helm import CHART, NAMESPACE, objects_of, pick
from traefik import INGRESS_NGINX, INGRESS_ROUTES, Traefik

# Traefik's provider needs all of its CRDs.
KINDS = {"IngressRoute", "IngressRouteTCP", "IngressRouteUDP", "Middleware", "MiddlewareTCP", "ServersTransport",
         "ServersTransportTCP", "TLSOption", "TLSStore", "TraefikService"}


def setUpModule():
    global PEERS, SERVER
    PEERS = unittest.enterModuleContext(Peers.running())
    SERVER = unittest.enterModuleContext(ApiServer.running())
    SERVER.namespace(NAMESPACE)
    create([loopback("litellm", PEERS.ports["upstream"]), loopback("door-vestibule-public", PEERS.ports["public"])])


def loopback(name, port):
    """A Service without pods."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}}


def create(objects):
    """Creates objects. The check's name, which only a cluster resolves, becomes loopback."""
    for one in objects:
        text = json.dumps(one).replace("door-vestibule-check.llm.svc.cluster.local", "127.0.0.1")
        namespace = None if one["kind"] == "IngressClass" else NAMESPACE
        SERVER.ask("POST", path_of(one, namespace), json.loads(text))


class TraefikCase(unittest.TestCase):
    @classmethod
    def start(cls, provider, objects):
        cls.peers = PEERS
        create(objects)
        traefik = Traefik(SERVER, NAMESPACE, PEERS.folder, provider)
        cls.addClassCleanup(traefik.close)
        cls.port = traefik.port
        traefik.until_served(OPEN, "/page", 200)
        traefik.until_served(PROTECTED, "/v1/models", 401)


class Annotations(HostTests, TraefikCase):
    DIALECT = "nginx"

    @classmethod
    def setUpClass(cls):
        ingress = {"enabled": True, "controller": "traefik", "programPaths": ["/v1"], "tlsSecret": "",
                   "upstreamAnnotations": {}, "gatewaySecret": {"value": binary.GATEWAY_SECRET}}
        made = pick(objects_of(CHART / "ci/traefik-values.yaml", {**PEERS.values(), "ingress": ingress}), "Ingress")
        made.append({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
                     "spec": {"controller": "k8s.io/ingress-nginx"}})
        cls.start(INGRESS_NGINX, made)


class IngressRoutes(HostTests, HeaderTests, TraefikCase):
    DIALECT = "traefik"

    @classmethod
    def setUpClass(cls):
        SERVER.define(cluster.definitions(KINDS))
        given = gateway_types.values("traefik", secret=True, gateway={"traefik": {"entryPoints": ["web"]}}, **PEERS.values())
        cls.start(INGRESS_ROUTES, [one for one in objects_of(overrides=given) if one["apiVersion"].startswith("traefik.io/")])

    def test_every_identity_header_arrives_once_even_if_a_client_lists_it_in_connection(self):
        for lines in ((), (f"Connection: {', '.join(IDENTITY)}",)):
            names = [name for name, _ in self.received(*lines)]
            self.assertEqual([names.count(header.lower()) for header in IDENTITY], [1] * len(IDENTITY))


if __name__ == "__main__":
    unittest.main()
