"""Asks the binary about what the chart renders, with the files that the configuration names in a folder."""

import base64
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from helm import ROOT, pick

FOLDER = "/etc/vestibule"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
# Of assertions, for tests alone; what `vestibule assertion-key new` once printed.
ASSERTION_KEY = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIMk2UUJoV+9Qp7B29zcJ5p8Rz02W0Gb7Jl13b5J4JXIG
-----END PRIVATE KEY-----
"""


def path():
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    found = os.environ.get("VESTIBULE_BIN", f"{target}/debug/vestibule")
    if not os.access(found, os.X_OK):
        sys.exit(f"test-chart: {found} is not there; run `cargo build`, or name the binary by VESTIBULE_BIN")
    return found


def run(*arguments, environment=()):
    done = subprocess.run([path(), *map(str, arguments)], capture_output=True, text=True, env=dict(environment))
    return done.returncode, done.stdout + done.stderr


def check_config(objects, config_map):
    """Exit status and words of `check-config` for a rendered ConfigMap, beside the Secrets that were rendered with it."""
    with tempfile.TemporaryDirectory() as folder:
        config = place(objects, config_map, Path(folder))
        return run("check-config", "--config", config, environment=environment(objects))


def check_role_map(text, config):
    """Of a role map, beside the configuration whose providers and credentials it may name."""
    upstream = config.get("upstream_credential", {})
    known = [("--provider", one["id"]) for one in config.get("providers", []) + config.get("token_issuers", [])]
    known += [("--upstream-credential", one.get("name", "static")) for one in upstream.get("static", [])]
    known += [("--upstream-credential", "assertion")] if "assertion" in upstream else []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return run("role-map", "check", file.name, *(word for pair in known for word in pair))


def place(objects, config_map, folder):
    texts = {f"config/{name}": text for name, text in config_map["data"].items()}
    for secret in pick(objects, "Secret"):
        kind = "key-ring" if secret["metadata"]["name"].endswith("-key-ring") else "secrets"
        texts |= {f"{kind}/{name}": base64.b64decode(data).decode() for name, data in secret["data"].items()}
    for named in re.findall(rf"{FOLDER}/(\S+)", texts["config/vestibule.yaml"]):
        texts.setdefault(named, stand_in(named))
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text.replace(FOLDER, str(folder)))
    return folder / "config/vestibule.yaml"


def stand_in(name):
    """For what stands in a Secret or ConfigMap that exists already."""
    if name.endswith(".pem"):
        return ASSERTION_KEY
    return {"key-ring": KEY, "role-map": "version: 1\n"}.get(name.split("/")[0], "a-secret")


def environment(objects):
    for one in pick(objects, "Deployment"):
        spec = one["spec"]["template"]["spec"]
        for container in spec.get("initContainers", []) + spec["containers"]:
            if container["name"] == "vestibule":
                return [(variable["name"], variable["value"]) for variable in container.get("env", []) if "value" in variable]
    return []
