"""The script of deploy/redis with real servers on loopback addresses instead of pods."""

import contextlib
import itertools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import binary
from api_server import free_port
from helm import ROOT

SCRIPT = ROOT / "deploy/redis/node.sh"
PASSWORD, CLUSTER_PASSWORD = "of-vestibule", "of-the-nodes"
# All addresses 127.x.y.z are local. The process id separates parallel runs.
ADDRESSES = (f"127.{os.getpid() >> 8 & 127 | 128}.{os.getpid() & 255}.{last}" for last in itertools.count(1))
PATIENCE = 90


def until(what, ask):
    deadline = time.monotonic() + PATIENCE
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.1)
    return answer


class Node:
    """A pod of the StatefulSet as local processes, with addresses instead of names."""

    def __init__(self, folder, number):
        self.folder, self.number = Path(folder) / f"redis-{number}", number
        (self.folder / "run").mkdir(parents=True)
        (self.folder / "data").mkdir()
        self.address, self.server = next(ADDRESSES), None

    def environment(self, nodes):
        return {**os.environ, "POD_NAME": f"redis-{self.number}", "POD_IP": self.address, "HOST_NAME": self.address,
                "PEERS": " ".join(node.address for node in nodes), "SECRETS": str(self.folder.parent / "secrets"),
                "RUN": str(self.folder / "run"), "DATA": str(self.folder / "data")}

    def start(self, nodes):
        with open(self.folder / "log", "a") as log:
            self.server = subprocess.Popen(["sh", SCRIPT, "start"], env=self.environment(nodes), stdout=log, stderr=log)

    def run(self, what, nodes):
        return subprocess.run(["sh", SCRIPT, what], env=self.environment(nodes), capture_output=True, text=True)

    def stop(self):
        if self.server:
            self.server.kill()
            self.server.wait()
            self.server = None

    def cli(self, *arguments, user="cluster", password=CLUSTER_PASSWORD):
        environment = {**os.environ, "REDISCLI_AUTH": password}
        arguments = ["redis-cli", "-h", self.address, "--user", user, *arguments]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True).stdout.strip()

    def role(self):
        return self.cli("role").split("\n")[0]

    def is_replicated(self):
        """True if a replica has acknowledged all writes of this primary."""
        lines = self.cli("info", "replication").splitlines()
        known = dict(line.split(":", 1) for line in lines if ":" in line)
        acknowledged = re.findall(r"state=online,offset=(\d+)", known.get("slave0", ""))
        return known["role"] != "master" or acknowledged == [known["master_repl_offset"]]


class Cluster:
    def __init__(self, folder):
        (Path(folder) / "secrets").mkdir()
        (Path(folder) / "secrets/cluster-password").write_text(f"{CLUSTER_PASSWORD}\nan-old-one\n")
        (Path(folder) / "secrets/vestibule-password").write_text(PASSWORD)
        self.nodes = [Node(folder, number) for number in range(6)]

    @staticmethod
    @contextlib.contextmanager
    def running():
        with tempfile.TemporaryDirectory(prefix="redis-") as folder:
            cluster = Cluster(folder)
            try:
                cluster.start()
                cluster.join()
                yield cluster
            finally:
                for node in cluster.nodes:
                    node.stop()

    def start(self):
        for node in self.nodes:
            node.start(self.nodes)

    def join(self):
        """Runs the probes like the kubelet: all pods in parallel, the startup probe first."""
        def through(node):
            for probe in ("join", "ready"):
                until(f"redis-{node.number} to be through {probe}", lambda: node.run(probe, self.nodes).returncode == 0)

        with ThreadPoolExecutor(len(self.nodes)) as pool:
            list(pool.map(through, self.nodes))

    def set(self, key, value):
        return self.nodes[0].cli("-c", "set", f"vestibule:{key}", value, user="vestibule", password=PASSWORD)

    def get(self, key):
        return self.nodes[0].cli("-c", "get", f"vestibule:{key}", user="vestibule", password=PASSWORD)

    def owner(self):
        """Returns one of the primaries."""
        return next(node for node in self.nodes if node.role() == "master")


class RedisCluster(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        assert shutil.which("redis-server"), "needs redis-server: run `make peers`"
        cls.cluster = cls.enterClassContext(Cluster.running())

    def setUp(self):
        for part in range(20):
            self.assertEqual(self.cluster.set(part, f"{self.id()} {part}"), "OK")
        # In a failover, Redis loses writes that no replica has received.
        until("replicas to have all of it", lambda: all(node.is_replicated() for node in self.cluster.nodes))

    def assertKept(self):
        for part in range(20):
            self.assertEqual(until("a value", lambda: self.cluster.get(part)), f"{self.id()} {part}")

    def test_three_primaries_have_slots_and_one_replica_each(self):
        def spread():
            lines = [line.split() for line in self.cluster.nodes[0].cli("cluster", "nodes").splitlines()]
            return len({fields[3] for fields in lines if "slave" in fields[2]}) == 3

        roles = [node.role() for node in self.cluster.nodes]
        self.assertEqual((roles.count("master"), roles.count("slave")), (3, 3))
        # After a failover, Redis moves a second replica to a primary without one.
        until("a replica for each primary", spread)

    def test_access_requires_a_password_and_vestibule_has_only_its_permissions(self):
        node = self.cluster.nodes[0]
        self.assertIn("NOAUTH", subprocess.run(["redis-cli", "-h", node.address, "ping"], capture_output=True, text=True).stdout)
        for command in (("keys", "*"), ("flushall",), ("config", "set", "appendonly", "no"), ("get", "another:key")):
            with self.subTest(command):
                self.assertIn("NOPERM", node.cli(*command, user="vestibule", password=PASSWORD))
        self.assertIn("NOPERM", node.cli("get", "vestibule:1"), "a node reads no records")

    def test_vestibule_connects_and_becomes_ready(self):
        with tempfile.TemporaryDirectory() as folder:
            ports = {name: free_port() for name in ("public", "check", "admin")}
            Path(folder, "password").write_text(PASSWORD)
            Path(folder, "keyring").write_text(binary.KEY)
            Path(folder, "vestibule.yaml").write_text(f"""
public_url: https://llm.example.com
listen: {{{", ".join(f'{name}: "127.0.0.1:{port}"' for name, port in ports.items())}}}
key_ring_file: {folder}/keyring
store:
  url: redis-cluster://{self.cluster.nodes[0].address}:6379,{self.cluster.nodes[1].address}:6379
  username: vestibule
  password_file: {folder}/password
""")
            with open(Path(folder, "log"), "w+") as log:
                pod = subprocess.Popen([binary.path(), "--config", f"{folder}/vestibule.yaml"], stdout=log, stderr=log)
                try:
                    until("Vestibule to be ready", lambda: answers(f"http://127.0.0.1:{ports['admin']}/readyz"))
                finally:
                    pod.kill()
                    pod.wait()
            said = Path(folder, "log").read_text()
            for warning in ("maxmemory-policy", "append-only"):
                self.assertNotIn(warning, said)

    def test_the_cluster_recovers_when_all_addresses_change_at_once(self):
        for node in self.cluster.nodes:
            node.stop()
            node.address = next(ADDRESSES)
        self.cluster.start()
        self.cluster.join()
        self.assertKept()

    def test_a_node_without_its_volume_becomes_a_replica_of_the_new_primary(self):
        lost = self.cluster.owner()
        before = lost.cli("cluster", "myid")
        lost.stop()
        rest = [node for node in self.cluster.nodes if node is not lost]
        until("a failover", lambda: [node.role() for node in rest].count("master") == 3)
        shutil.rmtree(lost.folder / "data")
        (lost.folder / "data").mkdir()
        lost.address = next(ADDRESSES)
        lost.start(self.cluster.nodes)
        self.cluster.join()
        self.assertEqual(lost.role(), "slave")
        self.assertNotEqual(lost.cli("cluster", "myid"), before)
        self.assertKept()

    def test_a_stopping_primary_fails_over_first(self):
        leaving = self.cluster.owner()
        self.assertEqual(leaving.run("leave", self.cluster.nodes).returncode, 0)
        self.assertEqual(leaving.role(), "slave")
        roles = [node.role() for node in self.cluster.nodes]
        self.assertEqual((roles.count("master"), roles.count("slave")), (3, 3))
        self.assertKept()

    def test_a_password_that_needs_quotes_is_rejected(self):
        node = Node(tempfile.mkdtemp(dir=self.cluster.nodes[0].folder), 0)
        secrets = node.folder.parent / "secrets"
        secrets.mkdir()
        (secrets / "cluster-password").write_text('a "quoted" one')
        refused = node.run("start", [node])
        self.assertEqual(refused.returncode, 1)
        self.assertIn("cluster-password: ", refused.stderr)
        self.assertNotIn("quoted", refused.stderr)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, socket.timeout, ConnectionError):
        return False


if __name__ == "__main__":
    unittest.main()
