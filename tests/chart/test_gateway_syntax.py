"""nginx and HAProxy accept the directives that the chart renders for them."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from gateway_types import VARIANTS, rendering
from helm import pick
from nginx import BINARY, configuration



def variants(kind):
    return [name for name in VARIANTS if name.split()[0] == kind]


class Nginx(unittest.TestCase):
    def accepts(self, http):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "nginx.conf").write_text(configuration(http))
            done = subprocess.run([BINARY, "-p", folder, "-c", "nginx.conf", "-t"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_accepts_the_config_map_of_the_type_nginx(self):
        for name in variants("nginx"):
            with self.subTest(name):
                self.accepts(pick(rendering(name), "ConfigMap", "-nginx")["data"]["vestibule.conf.template"].replace("${VESTIBULE_GATEWAY_SECRET}", "x"))

    def test_it_serves_every_host_and_no_other(self):
        text = pick(rendering("nginx hosts"), "ConfigMap", "-nginx")["data"]["vestibule.conf.template"]
        self.assertEqual(re.findall(r"(?m)^    server_name (.*);$", text), ['""', "llm.example.com", "chat.example.com"])
        self.assertEqual(re.findall(r"/auth/nginx\?host=(.*);", text), ["llm.example.com", "chat.example.com"])
        self.assertEqual(re.findall(r"(?m)^[^#]*\$\{", text), [])

    def test_it_accepts_the_snippets_for_nginx_gateway_fabric_in_the_servers_of_their_hosts(self):
        for name in variants("nginx-gateway-fabric"):
            servers = ""
            for number, one in enumerate(pick(rendering(name), "SnippetsFilter")):
                snippets = {part["context"]: part["value"] for part in one["spec"]["snippets"]}
                location = f"proxy_set_header Host $host; proxy_http_version 1.1; proxy_pass http://127.0.0.1;\n{snippets['http.server.location']}"
                servers += f"server {{ listen 127.0.0.1:8080; server_name h{number};\n{snippets['http.server']}\nlocation / {{\n{location}\n}} }}\n"
            with self.subTest(name):
                self.accepts(servers)


class HAProxy(unittest.TestCase):
    def test_it_accepts_the_snippets(self):
        self.assertIsNotNone(shutil.which("haproxy"), "needs haproxy; run `make peers`")
        for name in variants("haproxy"):
            for one in pick(rendering(name), "Ingress"):
                annotations = one["metadata"].get("annotations", {})
                lines = [f"  {line}" for place in ("early", "late")
                         for line in annotations.get(f"haproxy-ingress.github.io/config-backend-{place}", "").splitlines()]
                with self.subTest(name), tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
                    file.write("\n".join(["defaults", "  mode http", "  timeout connect 1s", "  timeout client 1s", "  timeout server 1s",
                                          "listen upstream", "  bind 127.0.0.1:8080", *lines, "  server upstream 127.0.0.1:4000", ""]))
                    file.flush()
                    done = subprocess.run(["haproxy", "-c", "-f", file.name], capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
