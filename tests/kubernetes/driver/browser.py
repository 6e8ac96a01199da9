"""A small browser without JavaScript: cookies, single redirects, forms. Runs in the driver's pod."""

import html
import http.client
import re
import socket
import ssl
from urllib.parse import urlencode, urljoin, urlsplit

MOST_REDIRECTS = 20
PATIENCE = 20
AUTHORITY = "/etc/driver/ca.pem"
# Errors of a request without an answer.
FAILURES = (OSError, http.client.HTTPException)
SIGN_IN = re.compile(r"<form[^>]*action=\"([^\"]*)\"")
INPUT = re.compile(r"<input(?=[^>]*\bname=\"([^\"]*)\")(?:(?=[^>]*\bvalue=\"([^\"]*)\")|)")


class UnexpectedAnswer(Exception):
    """An unexpected answer."""


class Answer:
    def __init__(self, url, status, headers, body):
        self.url, self.status, self.headers, self.body = url, status, headers, body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def header(self, name):
        found = self.all(name)
        return found[0] if found else None

    @property
    def location(self):
        target = self.header("location")
        return urljoin(self.url, target) if target and 300 <= self.status < 400 else None

    def expect(self, *statuses):
        if self.status not in statuses:
            raise UnexpectedAnswer(f"{urlsplit(self.url).path} answers {self.status}: {self.body[:200]!r}")
        return self


class Connections:
    """Persistent connections by target. `routes` maps origins to addresses `host:port`, with plain HTTP for Vestibule's own
    ports."""

    def __init__(self, routes=None, patience=PATIENCE):
        self.routes, self.kept, self.reopened, self.patience = routes or {}, {}, 0, patience

    def open(self, origin):
        scheme, host = origin
        place = self.routes.get(f"{scheme}://{host}", host)
        plain = scheme == "http" or place.startswith("plain:")
        address, _, port = place.removeprefix("plain:").partition(":")
        if plain:
            return http.client.HTTPConnection(address, int(port or 80), timeout=self.patience)
        return Tls(host.partition(":")[0], address, int(port or 443), self.patience)

    def ask(self, method, url, body=None, headers=()):
        parts = urlsplit(url)
        origin = (parts.scheme, parts.netloc)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = [("Host", parts.netloc), *headers]
        if body is not None:
            sent.append(("Content-Length", str(len(body))))
        kept = self.kept.pop(origin, None)
        if kept is not None:
            try:
                return self.exchange(kept, origin, method, target, url, sent, body)
            except (ConnectionError, http.client.BadStatusLine):
                # The server closed the idle connection, which clients must expect.
                self.reopened += 1
        return self.exchange(self.open(origin), origin, method, target, url, sent, body)

    def exchange(self, connection, origin, method, target, url, headers, body):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = Answer(url, response.status, response.getheaders(), response.read().decode("utf-8", "replace"))
        if response.will_close:
            connection.close()
        else:
            self.kept[origin] = connection
        return answer

    def close(self):
        for connection in self.kept.values():
            connection.close()
        self.kept = {}


class Tls(http.client.HTTPSConnection):
    """Connects to an address with the name of the certificate."""

    def __init__(self, name, address, port, patience):
        super().__init__(address, port, timeout=patience, context=trust())
        self.name = name

    def connect(self):
        plain = socket.create_connection((self.host, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.name)


def trust(kept=[]):
    if not kept:
        kept.append(ssl.create_default_context(cafile=AUTHORITY))
    return kept[0]


class Browser:
    """A browser with cookies. `routes` as in `Connections`."""

    def __init__(self, routes=None, jar=None):
        self.connections = Connections(routes)
        self.jar = jar if jar is not None else []

    def route(self, origin, place):
        self.connections.routes[origin] = place

    def get(self, url, **headers):
        """Opens a page like a navigation of a user. It returns redirects instead of following them."""
        return self.send("GET", url, None, headers)

    def post(self, url, fields):
        parts = urlsplit(url)
        return self.send("POST", url, urlencode(fields).encode(), {
            "content-type": "application/x-www-form-urlencoded", "origin": f"{parts.scheme}://{parts.netloc}",
            "sec-fetch-site": "same-origin"})

    def send(self, method, url, body, headers):
        sent = {"accept": "text/html", "sec-fetch-mode": "navigate", **headers}
        parts = urlsplit(url)
        cookies = "; ".join(f"{one['name']}={one['value']}" for one in self.jar if is_for(one, parts))
        if cookies:
            sent["cookie"] = cookies
        answer = self.connections.ask(method, url, body, sent.items())
        for line in answer.all("set-cookie"):
            self.keep(parts.hostname, line)
        return answer

    def follow_until(self, answer, stop):
        for _ in range(MOST_REDIRECTS):
            target = answer.location
            if target is None or stop(target):
                return answer
            answer = self.get(target)
        raise UnexpectedAnswer(f"more than {MOST_REDIRECTS} redirects, the last to {answer.url}")

    def submit(self, page, **filled):
        form = page.body[page.body.find("<form"):].partition("</form>")[0]
        action = SIGN_IN.search(form)
        if not action:
            raise UnexpectedAnswer(f"{page.url} has no form: {page.body[:200]!r}")
        fields = {name: html.unescape(value) for name, value in INPUT.findall(form)} | filled
        return self.post(urljoin(page.url, html.unescape(action[1])), fields)

    def keep(self, host, line):
        pair, *attributes = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        attributes = {key.lower(): value for key, _, value in (part.partition("=") for part in attributes)}
        path = attributes.get("path", "/")
        path = path if path.startswith("/") else "/"
        self.jar[:] = [one for one in self.jar if (one["host"], one["path"], one["name"]) != (host, path, name)]
        if attributes.get("max-age") != "0" and "1970" not in attributes.get("expires", ""):
            self.jar.append({"host": host, "path": path, "name": name, "value": value})

    def cookie(self, host, name):
        return next((one["value"] for one in self.jar if (one["host"], one["name"]) == (host, name)), None)

    def close(self):
        self.connections.close()


def is_for(cookie, parts):
    if cookie["host"] != parts.hostname or not (parts.path or "/").startswith(cookie["path"]):
        return False
    rest = parts.path[len(cookie["path"]):]
    return not rest or cookie["path"].endswith("/") or rest.startswith("/")
