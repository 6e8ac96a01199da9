"""Paths of the repository. Importing it makes the modules of tests/chart importable too."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PEERS = ROOT / "tests/peers"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))

sys.path.append(str(ROOT / "tests/chart"))
