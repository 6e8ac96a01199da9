"""Sends the tests' traffic from a pod of the cluster.

    driver.py COMMAND ARGUMENTS      the arguments are JSON, and so is each line of output

Commands without a natural end run until stdin is closed. The pod itself runs `idle`.
"""

import json
import random
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import chat
import load
import websocket
from browser import FAILURES, Browser, Connections
from door import SESSION, Door

POLL = 0.02
# A pod counts as ended after this many seconds without an answer.
QUIET = 6


def say(**line):
    print(json.dumps(line), flush=True)


def idle():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        signal.pause()


def ask(url, method="GET", headers=None, body=None, routes=None):
    """Sends one request to any address."""
    given = {"accept": "*/*", "sec-fetch-mode": "cors", **(headers or {})}
    answer = Browser(routes).send(method, url, None if body is None else body.encode(), given)
    say(status=answer.status, headers=[[name.lower(), value] for name, value in answer.headers], body=answer.body)


def get(url):
    connections = Connections(patience=1)
    try:
        return connections.ask("GET", url)
    finally:
        connections.close()


def logins(door, people, pods, count, at_once):
    """Sends each request of a login to a random pod or the gateway, then checks the session on every pod."""
    door, dice = Door(**door), random.SystemRandom()

    def one(number):
        began = time.monotonic()
        person, begin, finish = people[number % len(people)], dice.choice([None, *pods]), dice.choice([None, *pods])
        try:
            session = door.login(person, begin, finish)
            checks = [[answer.status, answer.header("x-auth-request-preferred-username")]
                      for answer in (door.check(pod, session) for pod in pods)]
            wrong = [check for check in checks if check != [200, person["user"]]]
            say(session=session, user=person["user"], begin=begin, finish=finish, failed=str(wrong) if wrong else None,
                seconds=time.monotonic() - began)
        except Exception as error:
            say(session=None, user=person["user"], begin=begin, finish=finish, failed=repr(error), seconds=0)

    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(one, range(count)))


def begin(door, person, pod):
    """Runs a login up to its callback, which `finish` opens later."""
    door = Door(**door)
    browser = door.browser()
    say(callback=door.until_callback(browser, pod, person), jar=browser.jar)


def finish(door, pod, callback, jar):
    door = Door(**door)
    say(session=door.finish(door.browser(jar), pod, callback))


def checks(door, questions):
    """Sends auth requests. Each question has place, session, path and method."""
    door = Door(**door)
    for one in questions:
        answer = door.check(**one)
        say(status=answer.status, headers={name.lower(): value for name, value in answer.headers})


def follow(door, pods, session, path="/"):
    """Polls every pod until stdin ends, and reports each answer that differs from the pod's last one."""
    door, ended = Door(**door), end_of_stdin()

    def one(pod):
        last = None
        while not ended.is_set():
            try:
                answer = door.check(pod, session, path)
                now = [answer.status, answer.header("x-auth-request-role")]
            except FAILURES as error:
                now = [0, type(error).__name__]
            if now != last:
                say(pod=pod, status=now[0], role=now[1])
                last = now
            ended.wait(POLL)

    with ThreadPoolExecutor(len(pods)) as threads:
        list(threads.map(one, pods))


def endings(door, pod, session, upstream):
    """Polls a pod's check and its upstream until neither answers, and reports how long each answered."""
    door, began = Door(**door), time.monotonic()
    last, wrong = {"check": began, "upstream": began}, []
    questions = {"check": lambda: door.check(pod, session, connections=Connections(patience=1)),
                 "upstream": lambda: get(f"http://{pod}:{upstream}/")}
    say(started=True)
    while time.monotonic() - max(last.values()) < QUIET:
        for name, one in questions.items():
            try:
                status = one().status
                last[name] = time.monotonic()
                wrong += [] if status == 200 else [[name, status]]
            except FAILURES:
                pass
        time.sleep(POLL)
    say(wrong=wrong, **{name: at - began for name, at in last.items()})


def asks(questions):
    """Sends requests in sequence, each with the arguments of `ask`."""
    for one in questions:
        ask(**one)


def sign_out(door, session):
    door = Door(**door)
    browser = door.at(door.browser([{"host": door.host, "path": "/", "name": SESSION, "value": session}]), None)
    page = browser.get(f"{door.origin}/sso/logout").expect(200)
    browser.submit(page).expect(302, 303)
    say(cookie=browser.cookie(door.host, SESSION))


def upgrade(host, place, path, session=None, headers=None):
    status, message = websocket.first_message(host, place, path, session, (headers or {}).items())
    say(status=status, received=json.loads(message) if message else None)


def chats(door, questions):
    """Chats. Each question has session, model, stream and headers."""
    door = Door(**door)
    connections = Connections({door.origin: door.gateway})
    for one in questions:
        status, said = chat.ask(connections, door, **one)
        say(status=status, said=said)


def chats_under_load(door, **more):
    chat.run(Door(**door), end_of_stdin(), say, **more)


def under_load(door, **more):
    load.run(Door(**door), end_of_stdin(), say, **more)


def end_of_stdin():
    ended = threading.Event()

    def wait():
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


COMMANDS = {"idle": idle, "ask": ask, "logins": logins, "begin": begin, "finish": finish, "checks": checks, "follow": follow,
            "endings": endings, "load": under_load, "upgrade": upgrade,
            "asks": asks, "sign_out": sign_out, "chats": chats, "chats_under_load": chats_under_load}


def main():
    name, arguments = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    COMMANDS[name](**arguments)


main()
