"""nginx with the chart's snippets for NGINX Gateway Fabric, in servers like those that it generates."""

import re
import subprocess
import time
import unittest
import urllib.error
import urllib.request

import gateway_types
from api_server import free_port
from gateway_requests import HeaderTests, HostTests, Peers
from helm import objects_of, pick
from nginx import BINARY, configuration

START = 30


class NginxFabric(HostTests, HeaderTests, unittest.TestCase):
    DIALECT = "nginx"

    @classmethod
    def setUpClass(cls):
        cls.peers = cls.enterClassContext(Peers.running())
        cls.port = free_port()
        given = gateway_types.values("nginx-gateway-fabric", secret=True, **cls.peers.values())
        objects = objects_of(overrides=given)
        servers = f"server {{ listen 127.0.0.1:{cls.port} default_server; return 404; }}\n"
        for route in pick(objects, "HTTPRoute"):
            if "-upstream" in route["metadata"]["name"]:
                servers += cls.server(route, objects)
        (cls.peers.folder / "nginx.conf").write_text(configuration(servers))
        cls.start()

    @classmethod
    def server(cls, route, objects):
        name = route["spec"]["rules"][0]["filters"][0]["extensionRef"]["name"]
        snippets = {one["context"]: one["value"] for one in pick(objects, "SnippetsFilter", name)["spec"]["snippets"]}
        own = [match["path"]["value"] for match in pick(objects, "HTTPRoute", "-public")["spec"]["rules"][0]["matches"]]
        public, upstream = (cls.proxy(cls.peers.ports[name]) for name in ("public", "upstream"))
        locations = "".join(f"location = {path} {{ {public} }}\nlocation {path}/ {{ {public} }}\n" for path in own)
        return (f"server {{ listen 127.0.0.1:{cls.port}; server_name {route['spec']['hostnames'][0]};\n{snippets['http.server']}\n{locations}"
                f"location / {{\n{snippets['http.server.location']}\n{upstream} }} }}\n")

    @staticmethod
    def proxy(port):
        return f"proxy_set_header Host $host; proxy_http_version 1.1; proxy_pass http://localhost:{port};"

    @classmethod
    def start(cls):
        command = [BINARY, "-p", cls.peers.folder, "-c", "nginx.conf", "-g", "daemon off; master_process off;"]
        with open(cls.peers.folder / "nginx.log", "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        deadline = time.monotonic() + START
        while not cls.answers(f"http://127.0.0.1:{cls.port}/") or not cls.answers(f"http://127.0.0.1:{cls.peers.ports['admin']}/readyz"):
            if time.monotonic() > deadline or process.poll() is not None:
                raise AssertionError((cls.peers.folder / "nginx.log").read_text()[-3000:])
            time.sleep(0.1)

    @staticmethod
    def answers(url):
        try:
            return urllib.request.urlopen(url, timeout=5).status == 200
        except urllib.error.HTTPError as error:
            return error.code == 404
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
