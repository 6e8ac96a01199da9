"""Opens a WebSocket and reads the message of the tests' upstream."""

import base64
import hashlib
import secrets

from browser import PATIENCE, UnexpectedAnswer, Tls

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def first_message(host, place, path, session, headers=()):
    """The status, and with 101 the upstream's message. `place` is the address and port that terminates TLS."""
    address, _, port = place.partition(":")
    connection = Tls(host, address, int(port), PATIENCE)
    connection.connect()
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
             f"Sec-WebSocket-Key: {key}", *([f"Cookie: __Host-vestibule={session}"] if session else []),
             *(f"{name}: {value}" for name, value in headers)]
    with connection.sock as sock, sock.makefile("rb") as answer:
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status, told = head(answer)
        if status != 101:
            return status, None
        expected = base64.b64encode(hashlib.sha1(key.encode() + MAGIC).digest()).decode()
        if told.get("sec-websocket-accept") != expected:
            raise UnexpectedAnswer(f"the answer is to another question: {told}")
        return status, text(answer)


def head(answer):
    status = int(answer.readline().split()[1])
    told = {}
    while line := answer.readline().strip():
        name, _, value = line.decode().partition(":")
        told[name.lower()] = value.strip()
    return status, told


def text(answer):
    kind, length = answer.read(2)
    if kind != 0x81:
        raise UnexpectedAnswer(f"a frame that is no text: {kind:#x}")
    length = int.from_bytes(answer.read(2)) if length == 126 else length
    return answer.read(length).decode()
