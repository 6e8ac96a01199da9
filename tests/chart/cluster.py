"""Paths of the programs and CRDs that `make cluster` builds."""

import os
import re
import sys
from pathlib import Path


# The tests have no Go module of NGINX Gateway Fabric, so snippets-filter.yaml describes its SnippetsFilter.
OWN = [Path(__file__).parent / "snippets-filter.yaml"]


def binary(name):
    path = home() / "bin" / name
    if not os.access(path, os.X_OK):
        sys.exit(f"test-chart: {path} is not there; run `tests/cluster/build.sh helm`")
    return path


def definitions(kinds):
    """The third-party CRDs of these kinds, as YAML. Some files contain the CRDs of a whole product."""
    texts = [path.read_text() for path in (home() / "definitions").glob("*.yaml")] + [path.read_text() for path in OWN]
    documents = [document for text in texts for document in re.split(r"(?m)^---$", text)]
    found = {kind[1]: document for document in documents if (kind := re.search(r"(?m)^    kind: (\w+)$", document))}
    if missing := sorted(kinds - set(found)):
        sys.exit(f"test-chart: no CRD for {', '.join(missing)}; run `tests/cluster/build.sh helm`")
    return [found[kind] for kind in sorted(kinds)]


def home():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    return Path(os.environ.get("CLUSTER_HOME", f"{cache}/vestibule-cluster"))
