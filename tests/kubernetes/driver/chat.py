"""Chats with an LLM proxy behind the gateway by OpenAI's API, with complete and streamed answers."""

import json
import threading
import time

from browser import FAILURES, Connections
from load import Counts, rounds, sign_in


def ask(connections, door, session, model, stream, headers=()):
    """The status, and the words or the text of the answer."""
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Who is a clever bird?"}]})
    sent = [("Content-Type", "application/json"), *([("Cookie", f"__Host-vestibule={session}")] if session else []), *headers]
    answer = connections.ask("POST", f"{door.origin}/v1/chat/completions", body.encode(), sent)
    if answer.status != 200:
        return answer.status, answer.body
    return 200, streamed(answer.body) if stream else json.loads(answer.body)["choices"][0]["message"]["content"]


def streamed(body):
    """The words of server-sent events, which end with `[DONE]`."""
    events = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
    if not events or events.pop() != "[DONE]":
        raise ConnectionError("the stream has no end")
    return "".join(json.loads(event)["choices"][0]["delta"].get("content") or "" for event in events)


def run(door, ended, say, sessions, people, service, model, words, chats, streams, logins):
    """Runs a load of chats and logins and counts their results."""
    counts, began = Counts(say), time.monotonic()
    kinds = [("chat", False)] * chats + [("stream", True)] * streams
    workers = [threading.Thread(target=chat, args=(door, ended, counts, sessions, number, model, words, *kind))
               for number, kind in enumerate(kinds)]
    workers += [threading.Thread(target=sign_in, args=(door, ended, counts, people, number, service)) for number in range(logins)]
    for worker in workers:
        worker.start()
    say(started=len(workers))
    for worker in workers:
        worker.join()
    say(counts=dict(counts.ends), seconds=time.monotonic() - began)


def chat(door, ended, counts, sessions, start, model, words, kind, stream):
    connections = Connections({door.origin: door.gateway})
    for number in rounds(ended, start):
        try:
            outcome, said = ask(connections, door, sessions[number % len(sessions)]["session"], model, stream)
            outcome = outcome if said == words or outcome != 200 else "other words"
        except FAILURES as error:
            outcome, said = type(error).__name__, str(error)
        counts.add(kind, outcome, outcome == 200, said=said[:300])
