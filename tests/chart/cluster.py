"""What `make cluster` has built."""

import os
import sys
from pathlib import Path


def binary(name):
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    path = Path(os.environ.get("CLUSTER_HOME", f"{cache}/vestibule-cluster")) / "bin" / name
    if not os.access(path, os.X_OK):
        sys.exit(f"test-chart: {path} is not there; run `make cluster`")
    return path
