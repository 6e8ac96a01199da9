"""The image that `make image` makes without a Docker engine is the one that the Dockerfile describes."""

import io
import json
import re
import shlex
import tarfile

import images
from case import Case
from paths import ROOT

MOST = 40_000_000
SHELLS = {"sh", "bash", "dash", "ash", "busybox", "zsh", "python3", "perl"}


class Image(Case):
    @classmethod
    def setUpClass(cls):
        cls.stage = final_stage((ROOT / "Dockerfile").read_text())
        cls.path = images.archive("vestibule")
        with tarfile.open(cls.path) as archive:
            [manifest] = json.load(archive.extractfile("manifest.json"))
            cls.config = json.load(archive.extractfile(manifest["Config"]))["config"]
            layers = [tarfile.open(fileobj=io.BytesIO(archive.extractfile(name).read())) for name in manifest["Layers"]]
        cls.files = {f"/{one.name}": one for layer in layers for one in layer.getmembers()}

    def test_user_entry_point_ports_and_labels_agree_with_the_dockerfile(self):
        self.assertEqual(self.config["User"], self.stage["USER"])
        self.assertEqual(self.config["Entrypoint"], json.loads(self.stage["ENTRYPOINT"]))
        self.assertEqual(set(self.config["ExposedPorts"]), {f"{port}/tcp" for port in self.stage["EXPOSE"].split()})
        labels = dict(word.split("=", 1) for word in shlex.split(self.stage["LABEL"]))
        self.assertGreater(len(labels), 3)
        self.assertEqual(self.config["Labels"], labels)
        self.assertEqual(labels["org.opencontainers.image.version"], images.version())

    def test_it_contains_the_files_that_the_dockerfile_copies(self):
        self.assertGreater(len(self.stage["COPY"]), 1)
        for line in self.stage["COPY"]:
            self.assertIn(line.split()[-1], self.files)
        self.assertEqual(self.files["/usr/bin/vestibule"].mode & 0o111, 0o111)

    def test_the_ca_certificates_are_in_the_expected_place(self):
        places = dict(one.split("=", 1) for one in self.config["Env"])
        self.assertGreater(self.files[places["SSL_CERT_FILE"]].size, 100_000)

    def test_it_is_small(self):
        size = self.path.stat().st_size
        self.say(f"{size / 1_000_000:.1f} MB")
        self.assertLess(size, MOST)

    def test_it_contains_no_shell_and_no_setuid_program(self):
        names = {path.rsplit("/", 1)[-1] for path, one in self.files.items() if not one.isdir()}
        self.assertEqual(names & SHELLS, set())
        self.assertEqual([path for path, one in self.files.items() if one.mode & 0o6000], [])


def final_stage(text):
    """Maps each instruction to its arguments; `COPY` may occur several times."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    start = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    stage = {"COPY": []}
    for name, _, rest in (line.partition(" ") for line in lines[start + 1:] if line):
        if name == "COPY":
            stage["COPY"].append(rest)
        else:
            stage[name] = rest.strip()
    return stage
