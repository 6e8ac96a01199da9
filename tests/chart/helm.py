"""Runs Helm: renders the chart and parses YAML."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cluster

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/vestibule"
CI = sorted((CHART / "ci").glob("*-values.yaml"))
RELEASE, NAMESPACE, KUBERNETES = "door", "llm", "1.34.0"


class HelmError(Exception):
    """Helm failed; the message is its output."""


def binary():
    found = os.environ.get("HELM") or cluster.binary("helm")
    if not os.access(found, os.X_OK):
        sys.exit(f"test-chart: {found} does not exist; run `tests/cluster/build.sh helm` or set HELM")
    return found


def run(*arguments, kubeconfig=os.devnull):
    # Without a cluster, `lookup` returns nothing. The kubeconfig of this machine is ignored.
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise HelmError(done.stdout + done.stderr)
    return done.stdout


def read_yaml(text):
    """Parses all documents of a YAML text."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        lines = run("template", "json", Path(__file__).parent / "json", "--set-file", f"text={file.name}")
    return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]


def text_of(values=None, overrides=None, chart=CHART, release=RELEASE):
    """Renders the chart with a values file and overrides."""
    arguments = ["template", release, chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    if values:
        arguments += ["--values", values]
    if overrides is None:
        return run(*arguments)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(overrides, file)
        file.flush()
        return run(*arguments, "--values", file.name)


def objects_of(values=None, overrides=None, **more):
    return read_yaml(text_of(values, overrides, **more))


def pick(objects, kind, name=None):
    """The objects of a kind, or the one whose name has this suffix."""
    found = [one for one in objects if one["kind"] == kind]
    if name is None:
        return found
    return next(one for one in found if one["metadata"]["name"].endswith(name))
