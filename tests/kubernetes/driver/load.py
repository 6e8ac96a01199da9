"""Generates a load of auth requests and logins, and counts their results."""

import collections
import threading
import time

from browser import FAILURES, Connections

# Pause between two requests of a worker, so that the load leaves CPU time to the pods.
PAUSE = 0.03
# Maximum number of failures that are reported individually.
TOLD = 20


class Counts:
    def __init__(self, say):
        self.say, self.lock, self.told = say, threading.Lock(), 0
        self.ends = collections.Counter()

    def add(self, kind, outcome, good, **more):
        with self.lock:
            self.ends[f"{kind} {outcome}"] += 1
            if not good and self.told < TOLD:
                self.told += 1
                self.say(failed=kind, outcome=outcome, **more)


def run(door, ended, say, sessions, people, service, gateways, directs, logins):
    """Runs three kinds of workers: requests through the gateway on persistent connections, auth requests to the check's
    Service on new connections, and logins through the gateway. Each worker rotates through sessions or users."""
    counts, began = Counts(say), time.monotonic()
    calls = [(through_gateway, sessions, number) for number in range(gateways)]
    calls += [(at_service, sessions, number, service) for number in range(directs)]
    calls += [(sign_in, people, number, service) for number in range(logins)]
    workers = [threading.Thread(target=what, args=(door, ended, counts, *more)) for what, *more in calls]
    for worker in workers:
        worker.start()
    say(started=len(workers))
    for worker in workers:
        worker.join()
    say(counts=dict(counts.ends), seconds=time.monotonic() - began)


def rounds(ended, start):
    number = start
    while not ended.is_set():
        yield number
        number += 1
        ended.wait(PAUSE)


def through_gateway(door, ended, counts, sessions, start):
    connections = Connections({door.origin: door.gateway})
    for number in rounds(ended, start):
        one = sessions[number % len(sessions)]
        headers = [("Cookie", f"__Host-vestibule={one['session']}"), ("Accept", "application/json")]
        try:
            answer = connections.ask("GET", f"{door.origin}/page", None, headers)
            right = answer.status != 200 or f'"x-auth-request-preferred-username":"{one["user"]}"' in answer.body
            outcome = answer.status if right else "as another"
        except FAILURES as error:
            outcome = type(error).__name__
        counts.add("gateway", outcome, outcome == 200)


def at_service(door, ended, counts, sessions, start, service):
    for number in rounds(ended, start):
        one = sessions[number % len(sessions)]
        try:
            answer = door.check(service, one["session"])
            right = answer.status != 200 or answer.header("x-auth-request-preferred-username") == one["user"]
            outcome = answer.status if right else "as another"
        except FAILURES as error:
            outcome = type(error).__name__
        counts.add("service", outcome, outcome == 200)


def sign_in(door, ended, counts, people, start, service):
    for number in rounds(ended, start):
        person = people[number % len(people)]
        try:
            session = door.login(person)
        except Exception as error:
            counts.add("login", type(error).__name__, False, why=str(error))
            continue
        counts.add("login", "done", True)
        try:
            status = door.check(service, session).status
        except FAILURES as error:
            status = type(error).__name__
        counts.add("check after login", status, status == 200)
