#!/usr/bin/env python3
"""Runs the tests on a real cluster: `make test-kubernetes`.

    run.py [--if-possible] [TEST…]      names as unittest has them; all tests without

Without TEST_KUBECONFIG the cluster is one node on this machine (tests/cluster), which needs root; it is brought up, and
ended again unless it was up before. --if-possible: where that can't be, says so loudly and counts it as no failure.
With TEST_KUBECONFIG it is the cluster of that file, and the images come from TEST_REGISTRY.
"""

import atexit
import os
import subprocess
import sys
import unittest

from paths import HERE, ROOT, TARGET

import kube

CLUSTER = ROOT / "tests/cluster"
RULE = "=" * 110


def step(*command, **environment):
    done = subprocess.run(list(map(str, command)), env={**os.environ, **environment}, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"test-kubernetes: {command[0]} failed")


def why_not():
    """The reason why this machine cannot run a cluster. Empty if it can."""
    return subprocess.run([CLUSTER / "can.sh"], capture_output=True, text=True).stderr.strip()


def not_run(why):
    return f"""{RULE}
NOT RUN: the tests on a real Kubernetes: the image, the chart's pods, logins and role maps over them, rolling upgrades.
{why}
They run as root where `tests/cluster/can.sh` finds nothing missing, or on your own cluster with
    TEST_KUBECONFIG=FILE TEST_REGISTRY=registry.example.com/x make test-kubernetes        (CONTRIBUTING.md)
{RULE}"""


def bring_up():
    if subprocess.run([CLUSTER / "in", "true"], capture_output=True).returncode != 0:
        atexit.register(subprocess.run, [CLUSTER / "down.sh"])
    step(CLUSTER / "up.sh")


def main():
    words = sys.argv[1:]
    if_possible = "--if-possible" in words
    if not kube.own() and (why := why_not()):
        print(not_run(why), file=sys.stderr)
        sys.exit(0 if if_possible else 1)
    step(CLUSTER / "build.sh", "helm" if kube.own() else "node")
    if "VESTIBULE_IMAGE" not in os.environ:
        # The quick profile, which README's example also builds.
        step(ROOT / "deploy/image/build.sh", TARGET / "vestibule-image.tar", IMAGE_PROFILE="release")
    if not kube.own():
        bring_up()
    names = [word for word in words if not word.startswith("-")]
    everything = ["discover", "--start-directory", str(HERE)]
    unittest.main(module=None, argv=["run.py", *(names or everything), "--verbose"])


if __name__ == "__main__":
    main()
