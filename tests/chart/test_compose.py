"""deploy/compose.yaml without Docker: its files exist, and each part accepts its configuration."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import binary
from helm import ROOT, read_yaml

DEPLOY = ROOT / "deploy"
COMPOSE = read_yaml((DEPLOY / "compose.yaml").read_text())[0]
SERVICES = COMPOSE["services"]
# Compose replaces a doubled dollar with one.
CONFIGS = {name: one["content"].replace("$$", "$") for name, one in COMPOSE["configs"].items()}
NGINX = ROOT / "tests/peers/.venv/peer-nginx"


def mounted(service):
    """Maps paths in the container to the contents of the configs."""
    return {one["target"]: CONFIGS[one["source"]] for one in service.get("configs", [])}


class Compose(unittest.TestCase):
    def of_vestibule(self):
        return [one for name, one in SERVICES.items() if name.startswith("vestibule-")]

    def configuration(self):
        return read_yaml(CONFIGS["vestibule.yaml"])[0]

    def test_every_file_and_config_exists_and_is_used(self):
        used = set()
        for name, service in SERVICES.items():
            for volume in service.get("volumes", []):
                self.assertTrue((DEPLOY / volume.split(":")[0]).exists(), f"{name}: {volume}")
                self.assertTrue(volume.endswith(":ro"), f"{name}: {volume}")
            used |= {one["source"] for one in service.get("configs", [])}
        self.assertEqual(used, set(CONFIGS))

    def test_the_configuration_of_each_replica_is_valid(self):
        self.assertEqual(len(self.of_vestibule()), self.configuration()["replicas"])
        for service in self.of_vestibule():
            self.assertEqual(service["command"], ["--config", "/etc/vestibule/vestibule.yaml"])
            with tempfile.TemporaryDirectory() as folder:
                for path, text in mounted(service).items():
                    Path(folder, Path(path).name).write_text(text.replace("/etc/vestibule", folder))
                answer = binary.run("check-config", "--config", f"{folder}/vestibule.yaml", environment=service.get("environment", {}))
            self.assertEqual(answer, (0, "the configuration is valid\n"))

    def test_ports_agree_with_the_image_and_with_nginx(self):
        listens = [{name: address.split(":")[1] for name, address in self.configuration()["listen"].items()}]
        for service in self.of_vestibule()[1:]:
            environment = service["environment"]
            listens.append({name: environment[f"VESTIBULE__LISTEN__{name.upper()}"].split(":")[1] for name in listens[0]})
        exposed = re.search(r"(?m)^EXPOSE (.+)$", (ROOT / "Dockerfile").read_text())[1].split()
        self.assertEqual(sorted(listens[0].values()), exposed)
        for name in ("public", "check"):
            servers = re.findall(r"server 127\.0\.0\.1:(\d+) max_fails=0;", SERVICES["nginx"]["environment"][f"VESTIBULE_{name.upper()}_SERVERS"])
            self.assertEqual(servers, [listen[name] for listen in listens])

    def test_published_ports_are_bound_to_loopback(self):
        published = [port for service in SERVICES.values() for port in service.get("ports", [])]
        self.assertEqual(published, ["127.0.0.1:8080:8080", "127.0.0.1:9000:9000"])
        for name, service in SERVICES.items():
            self.assertEqual(service.get("network_mode"), None if name == "nginx" else "service:nginx")

    def test_the_provider_has_the_configured_client_and_issuer(self):
        provider, settings = self.configuration()["providers"][0], json.loads(CONFIGS["provider.json"])
        client = settings["clients"][0]
        self.assertEqual(settings["issuer"], provider["issuer"])
        self.assertEqual((client["client_id"], client["client_secret"]), (provider["client_id"], CONFIGS["client-secret"].strip()))
        public = self.configuration()["public_url"]
        self.assertEqual(client["redirect_uris"], [f"{public}/sso/callback"])
        self.assertIn(f"127.0.0.1:{settings['port']};", CONFIGS["provider.conf"])

    def test_the_redis_nodes_match_the_peers_and_the_store(self):
        nodes = [one["environment"] for name, one in SERVICES.items() if name.startswith("redis-")]
        peers = nodes[0]["PEERS"].split()
        self.assertEqual([node["POD_IP"] for node in nodes], peers)
        self.assertEqual([node["POD_NAME"] for node in nodes], [f"redis-{number}" for number in range(6)])
        named = re.findall(r"[\d.]+(?=:6379)", self.configuration()["store"]["url"])
        self.assertLessEqual(set(named), set(peers))

    def test_nginx_accepts_the_template_with_these_variables(self):
        environment = SERVICES["nginx"]["environment"]
        template = (DEPLOY / "nginx/vestibule.conf.template").read_text()
        server = re.sub(r"\$\{(\w+)\}", lambda variable: environment[variable[1]], template)
        with tempfile.TemporaryDirectory() as folder:
            paths = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            http = f"{paths} access_log off; {server} {CONFIGS['provider.conf']}"
            Path(folder, "nginx.conf").write_text(f"error_log stderr; pid {folder}/pid; events {{}} http {{ {http} }}")
            done = subprocess.run([NGINX, "-t", "-p", folder, "-c", f"{folder}/nginx.conf"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
