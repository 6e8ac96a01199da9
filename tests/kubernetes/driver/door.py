"""Requests of browsers and gateways, step by step, so that each step can reach a different pod."""

from urllib.parse import urlencode, urlsplit

from browser import Browser, Connections, UnexpectedAnswer

PUBLIC, CHECK = 4180, 4181
SESSION = "__Host-vestibule"


class Door:
    """`origin` is the public URL, `gateway` the Service that terminates TLS, `issuer` the provider's issuer, `secret` the
    gateway secret."""

    def __init__(self, origin, gateway, issuer, secret):
        self.origin, self.gateway, self.issuer, self.secret = origin, gateway, issuer, secret
        self.host = urlsplit(origin).hostname

    def browser(self, jar=None):
        return Browser({self.origin: self.gateway}, jar)

    def at(self, browser, pod):
        """Routes the following requests to this pod's public listener, or with `None` to the gateway."""
        browser.route(self.origin, f"plain:{pod}:{PUBLIC}" if pod else self.gateway)
        return browser

    def until_callback(self, browser, pod, person, target="/page?a=b"):
        """Runs a login up to the callback, and returns the callback's URL without opening it."""
        begin = f"{self.origin}/sso/login?{urlencode({'rd': target})}" if pod else self.origin + target
        page = self.at(browser, pod).get(begin)
        page = browser.follow_until(page, lambda to: to.startswith(self.issuer))
        if page.location is None:
            page.expect(302)
        page = browser.follow_until(page, lambda to: not to.startswith(self.issuer))
        if page.location is None:
            answer = browser.submit(page.expect(200), username=person["user"], password=person["password"], action="login")
            page = browser.follow_until(answer, lambda to: not to.startswith(self.issuer))
        if page.location is None:
            raise UnexpectedAnswer(f"the provider doesn't send back: {page.status} {page.body[:300]!r}")
        return page.location

    def finish(self, browser, pod, callback, target="/page?a=b"):
        """Opens the callback, which creates a session and redirects to the login's target."""
        page = self.at(browser, pod).get(callback).expect(303)
        if page.location != self.origin + target:
            raise UnexpectedAnswer(f"the login leads to {page.location}")
        session = browser.cookie(self.host, SESSION)
        if session is None:
            raise UnexpectedAnswer("the callback set no session cookie")
        return session

    def login(self, person, begin=None, finish=None):
        browser = self.browser()
        try:
            return self.finish(browser, finish, self.until_callback(browser, begin, person))
        finally:
            browser.close()

    def check(self, place, session, path="/", method="GET", connections=None):
        """Sends the auth request of nginx for a browser with this session. `place` is a pod's address or a Service."""
        own = connections or Connections()
        headers = [("X-Original-URL", self.origin + path), ("X-Original-Method", method)]
        headers += [("X-Vestibule-Gateway-Secret", self.secret)]
        headers += [("Cookie", f"{SESSION}={session}")] if session else []
        try:
            return own.ask("GET", f"http://{place}:{CHECK}/auth/nginx", None, headers)
        finally:
            if connections is None:
                own.close()
