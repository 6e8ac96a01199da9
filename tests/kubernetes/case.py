"""The base class of these tests. It prints measurements, and the state of the namespace when a test fails."""

import json
import queue
import sys
import threading
import time
import unittest

import fleet


class Case(unittest.TestCase):
    def run(self, result=None):
        result = result or self.defaultTestResult()
        before, began = len(result.failures) + len(result.errors), time.monotonic()
        super().run(result)
        self.say(f"took {time.monotonic() - began:.0f} s")
        if len(result.failures) + len(result.errors) > before:
            for one in fleet.FLEETS:
                print(one.namespace.story(), file=sys.stderr, flush=True)

    def say(self, text):
        """Prints a measurement below the test's name."""
        print(f"\n  {text}", file=sys.stderr, flush=True)


class AnswerWatch:
    """Records the answers of every pod to auth requests of one session, with their times."""

    def __init__(self, driver, door, pods, session, path="/"):
        self.pods, self.now = pods, {}
        self.stream = driver.start("follow", door=door, pods=pods, session=session, path=path)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.__exit__()

    def read(self):
        for text in self.stream.process.stdout:
            self.lines.put((time.monotonic(), text))
        self.lines.put(None)

    def until(self, wanted, patience=60):
        """Waits until every pod answers with a status or a role, and returns the time of the last change."""
        deadline = time.monotonic() + patience
        while True:
            times = [at for at, answer in self.now.values() if wanted in answer]
            if len(times) == len(self.pods):
                return max(times)
            self.take(wanted, deadline - time.monotonic())

    def answers(self):
        """The set of the pods' current answers."""
        while not self.lines.empty():
            self.take("", 0)
        return {answer for _, answer in self.now.values()}

    def take(self, wanted, left):
        try:
            taken = self.lines.get(timeout=max(left, 0.001))
        except queue.Empty:
            raise AssertionError(f"not all pods answer {wanted!r}: {self.now}") from None
        if taken is None:
            raise AssertionError(f"the driver has ended; the pods answered {self.now}")
        at, line = taken[0], json.loads(taken[1])
        self.now[line["pod"]] = (at, (line["status"], line["role"]))
