"""Helm: finds it, renders the chart, and reads YAML by it."""

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


class Refused(Exception):
    """Helm's own words for why it rendered nothing."""


def binary():
    found = os.environ.get("HELM") or cluster.binary("helm")
    if not os.access(found, os.X_OK):
        sys.exit(f"test-chart: {found} is not there; HELM names it")
    return found


def run(*arguments, kubeconfig=os.devnull):
    # Without a cluster `lookup` finds nothing; no kubeconfig of this machine has a say.
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise Refused(done.stdout + done.stderr)
    return done.stdout


def read_yaml(text):
    """Every document of a YAML text."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        lines = run("template", "json", Path(__file__).parent / "json", "--set-file", f"text={file.name}")
    return [json.loads(line) for line in lines.splitlines() if line.startswith("{")]


def text_of(values=None, overrides=None, chart=CHART, release=RELEASE):
    """What the chart renders from a file of values and, laid over it, a tree of them."""
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
    """The objects of a kind, or the one whose name ends so."""
    found = [one for one in objects if one["kind"] == kind]
    if name is None:
        return found
    return next(one for one in found if one["metadata"]["name"].endswith(name))
