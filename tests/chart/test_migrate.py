"""A real API server accepts the manifests that `vestibule migrate ingress` prints."""

import subprocess
import tempfile
import unittest

import binary
import cluster
from api_server import ApiServer
from helm import read_yaml

INGRESSES = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: chat
  namespace: apps
  annotations:
    nginx.ingress.kubernetes.io/auth-url: https://auth.example.com/oauth2/auth
    nginx.ingress.kubernetes.io/auth-signin: https://auth.example.com/oauth2/start?rd=$escaped_request_uri
    nginx.ingress.kubernetes.io/auth-response-headers: X-Auth-Request-User, X-Auth-Request-Email
    nginx.ingress.kubernetes.io/proxy-body-size: 32m
spec:
  ingressClassName: nginx
  tls: [{hosts: [chat.example.com], secretName: chat-tls}]
  rules:
    - host: chat.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: chat, port: {number: 8080}}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: notes
  namespace: apps
  annotations:
    nginx.ingress.kubernetes.io/auth-url: http://authelia.auth.svc.cluster.local/api/authz/auth-request
    nginx.ingress.kubernetes.io/auth-response-headers: Remote-User, Remote-Groups
spec:
  ingressClassName: nginx
  rules:
    - host: notes.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: notes, port: {number: 9000}}}}
"""
KINDS = {
    "traefik": {"Middleware", "IngressRoute", "ServersTransport"},
    "envoy-gateway": {"HTTPRoute", "SecurityPolicy", "HTTPRouteFilter", "ReferenceGrant"},
    "gateway-api": {"HTTPRoute", "ReferenceGrant"},
    "nginx": {"ConfigMap"},
}


class Migration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(ApiServer.running())
        cls.server.define(cluster.definitions(set().union(*KINDS.values()) - {"ConfigMap"}))
        for name in ("apps", "auth", "gateways"):
            cls.server.namespace(name)

    def printed(self, target):
        gateway = ["--gateway", "gateways/public"] if target in ("envoy-gateway", "gateway-api") else []
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(INGRESSES)
            file.flush()
            command = [binary.path(), "migrate", "ingress", file.name, "--to", target, "--vestibule", "auth/door", *gateway]
            done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return read_yaml(done.stdout)

    def test_every_printed_object_is_accepted_without_unknown_fields(self):
        for target, kinds in KINDS.items():
            objects = self.printed(target)
            self.assertEqual({one["kind"] for one in objects}, kinds)
            for one in objects:
                with self.subTest(target, kind=one["kind"], name=one["metadata"]["name"]):
                    self.assertIsNone(self.server.try_create(one, one["metadata"]["namespace"]))


if __name__ == "__main__":
    unittest.main()
