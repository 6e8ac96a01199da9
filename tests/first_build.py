#!/usr/bin/env python3
"""Measures the first build of a new user: `make first-build`. The aim is 5 minutes on two cores.

Clones the current commit into an empty directory, and prints the time from `cargo run --release` until it prints the link of
the first administrator. The download of the dependencies is not measured. Vestibule listens on its default ports.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CARGO = os.environ.get("CARGO", "cargo")
LINK = "/onboarding?invite_link="


def clone(directory):
    repository = Path(directory, "vestibule")
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), repository], check=True)
    return repository


def run_until_link(repository, environment):
    """The seconds until the link is printed, or `None` if the process ends before."""
    started = time.monotonic()
    process = subprocess.Popen([CARGO, "run", "--locked", "--release"], cwd=repository, env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = []
    try:
        for line in process.stdout:
            if LINK in line:
                return time.monotonic() - started
            lines.append(line)
    finally:
        process.terminate()
        process.wait()
    sys.stderr.write("".join(lines[-20:]))
    return None


def main():
    with tempfile.TemporaryDirectory(prefix="vestibule-first-build-") as directory:
        repository = clone(directory)
        environment = {**os.environ, "CARGO_TARGET_DIR": str(Path(directory, "target"))}
        subprocess.run([CARGO, "fetch", "--locked", "--quiet"], cwd=repository, check=True)
        seconds = run_until_link(repository, environment)
    if seconds is None:
        sys.exit("first build: no link was printed")
    print(f"first build: {int(seconds) // 60}:{int(seconds) % 60:02} from `cargo run --release` to the printed link, on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
