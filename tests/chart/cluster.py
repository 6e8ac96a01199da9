"""Paths of the programs and CRDs that `make cluster` builds."""

import os
import sys
from pathlib import Path


def binary(name):
    path = home() / "bin" / name
    if not os.access(path, os.X_OK):
        sys.exit(f"test-chart: {path} is not there; run `tests/cluster/build.sh helm`")
    return path


def definitions():
    """The third-party CRDs, as YAML."""
    found = sorted((home() / "crds").glob("*.yaml"))
    if not found:
        sys.exit(f"test-chart: {home()}/crds is empty; run `tests/cluster/build.sh helm`")
    return [path.read_text() for path in found]


def home():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    return Path(os.environ.get("CLUSTER_HOME", f"{cache}/vestibule-cluster"))
