"""The live page, and the instructor's view of it.

Everybody's page asks for one answer that is made at most once a second, however many ask, and comes with an ETag: a page that
has it already gets 304 and no body. It shows pseudonyms, never keys' ids. What only an instructor may see or do needs a
session: a cookie that no script reads and no other site's page sends, from this very computer, from a page of this very server.
"""

import asyncio
import hashlib
import json
import secrets
import time
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from course_lib.vault.addresses import is_loopback
from course_lib.vault.http import response
from course_lib.vault.http.desk import desk
from course_lib.vault.http.request import fields, read_body, read_json
from course_lib.vault.keyring import RULES
from course_lib.vault.page.pages import page
from course_lib.vault.policy import PolicyError, in_words
from course_lib.vault.refusal import Refusal

STATIC = Path(__file__).with_name("static")
FILES = {  # address: (file, type); nothing else in the folder, or beside it, is served
    "/": ("index.html", "text/html; charset=utf-8"),  # pages.py assembles these two
    "/instructor": ("instructor.html", "text/html; charset=utf-8"),
    "/static/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/static/instructor.js": ("instructor.js", "text/javascript; charset=utf-8"),
    "/static/page.css": ("page.css", "text/css; charset=utf-8"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {  # the browser runs and asks for nothing that this server did not send
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
SECONDS = 1.0  # the state is made anew at most this often
SESSION_SECONDS, SESSIONS = 8 * 3600.0, 16  # a school day; the oldest of more sessions ends
BODY_BYTES = 256 << 10


def content(name):
    """The bytes of one of FILES: a page, or a file as it lies in static/."""
    return page(name) if name.endswith(".html") else (STATIC / name).read_bytes()


class Fresh:
    """What make() gives, as (bytes, ETag) in two versions, made anew when it is older than `seconds` and somebody asks."""

    def __init__(self, make, clock, seconds=SECONDS):
        self.make, self.clock, self.seconds, self.lock = make, clock, seconds, asyncio.Lock()
        self.made = None  # when
        self.bodies = {}

    async def get(self, which):
        """(bytes, ETag) of one version, for a coroutine."""
        if self._old():
            async with self.lock:  # forty ask at once: one makes it, and all get it
                if self._old():
                    at = self.clock()
                    states = await run_in_threadpool(self.make)
                    bodies = {name: json.dumps(state, allow_nan=False).encode() for name, state in states.items()}
                    self.bodies = {
                        name: (body, f'"{hashlib.sha256(body).hexdigest()[:20]}"') for name, body in bodies.items()
                    }
                    self.made = at
        return self.bodies[which]

    def forget(self):
        """Something was changed by hand: the next one who asks gets it anew."""
        self.made = None

    def _old(self):
        return self.made is None or not 0 <= self.clock() - self.made < self.seconds


def states(service, board):
    """What the page shows: {"class": for everybody, "instructor": with the keys' numbers and the policy's text}."""
    now = service.snapshot()
    now["rules"], now["policy"]["words"] = list(RULES), in_words(service.policy)
    everybody = now | {"board": board.board(now["keys"]) if board else None}
    everybody["keys"] = [without(key, "id") for key in now["keys"] if key["scope"] != "instructor"]
    everybody["alarms"] = [without(alarm, "key", "value", "threshold") for alarm in now["alarms"]]
    everybody["policy"] = without(now["policy"], "text", "refused")
    return {"class": everybody, "instructor": now}


def without(row, *names):
    """A dict without some of its names."""
    return {key: value for key, value in row.items() if key not in names}


class Sessions:
    """Who signed in as an instructor. A cookie's value is kept as a hash; the key is asked about again at every call."""

    def __init__(self, service, clock):
        self.service, self.clock, self.open = service, clock, {}  # sha256 of the cookie: (token, until)

    def start(self, token):
        """A cookie's value for an instructor's key; a Refusal for any other."""
        self.service.identify(token, scope="instructor")  # a Refusal where it is no instructor's
        cookie, now = secrets.token_urlsafe(32), self.clock()
        self.open = {name: one for name, one in self.open.items() if one[1] > now}
        while len(self.open) >= SESSIONS:
            self.open.pop(next(iter(self.open)))
        self.open[_hash(cookie)] = token, now + SESSION_SECONDS
        return cookie

    def check(self, request):
        """A Refusal, unless the request's cookie belongs to a session whose key is still an instructor's."""
        name = _hash(request.cookies.get(cookie_name(request), ""))
        token, until = self.open.get(name, (None, 0.0))
        if until <= self.clock():
            self.open.pop(name, None)
            raise Refusal(401, "Sign in with an instructor's key first.", "not-signed-in")
        try:
            self.service.identify(token, scope="instructor")
        except Refusal:
            self.open.pop(name, None)
            raise Refusal(401, "The key of this session is no instructor's any more.", "not-signed-in") from None

    def end(self, request):
        """The session of the request's cookie is over."""
        self.open.pop(_hash(request.cookies.get(cookie_name(request), "")), None)


def _hash(cookie):
    return hashlib.sha256(cookie.encode()).hexdigest()


def cookie_name(request):
    """Cookies know no ports: two vaults on one computer need two names."""
    return f"vault-instructor-{request.url.port or 80}"


def check_place(request):
    """A Refusal, unless the request comes from this very computer and, where it changes something, from our own page."""
    if not is_loopback(request.scope):
        raise Refusal(403, "The instructor's view works on the vault's own computer only.", "not-from-here")
    if request.method == "GET":
        return
    origin, host = request.headers.get("origin", ""), request.headers.get("host", "")
    same = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    if not (host and same and origin == f"http://{host}"):
        raise Refusal(403, "This works from the vault's own page only.", "from-another-page")


def routes(service, board=None, stop=lambda: None, clock=time.monotonic):
    """The page's routes, for the server to mount. stop(): ends the server, after what it took."""
    fresh, sessions = Fresh(lambda: states(service, board), clock), Sessions(service, clock)
    files = {address: (content(name), kind) for address, (name, kind) in FILES.items()}

    async def file(request):
        body, kind = files[request.url.path]
        return tagged(request, body, f'"{hashlib.sha256(body).hexdigest()[:20]}"', kind)

    async def state(request):
        return tagged(request, *await fresh.get("class"))

    async def instructor_state(request):
        check_place(request)
        sessions.check(request)
        return tagged(request, *await fresh.get("instructor"))

    async def login(request):
        check_place(request)
        (key,) = fields(await sent(request), key=str)
        cookie = sessions.start(key)
        reply = response.reply({"object": "session"})
        options = {"path": "/live", "httponly": True, "samesite": "strict", "max_age": int(SESSION_SECONDS)}
        reply.set_cookie(cookie_name(request), cookie, **options)
        return reply

    async def logout(request):
        check_place(request)
        sessions.end(request)
        return response.reply({"object": "session", "ended": True})

    def action(do):
        async def endpoint(request):
            check_place(request)
            sessions.check(request)
            said = await run_in_threadpool(do, await sent(request))
            fresh.forget()
            return said if isinstance(said, Response) else response.reply(said)

        return endpoint

    def policy(said):
        text, base = fields(said, text=str, base=(str, None))
        if base not in (None, service.policy.version):
            raise Refusal(
                409, "Another policy came into force while you wrote. Load it before you replace it.", "not-newest"
            )
        try:
            service.set_policy(text)
        except PolicyError as error:
            return response.reply({"detail": str(error), "line": error.line}, 422)
        return {"object": "policy", "version": service.policy.version}

    calls = desk(service, stop) | {"policy": policy}
    return [
        *(Route(address, file, methods=["GET"]) for address in files),
        Route("/live/state", state, methods=["GET"]),
        Route("/live/instructor", instructor_state, methods=["GET"]),
        Route("/live/login", login, methods=["POST"]),
        Route("/live/logout", logout, methods=["POST"]),
        *(Route(f"/live/{name}", action(do), methods=["POST"]) for name, do in calls.items() if name != "state"),
    ]


def tagged(request, body, tag, kind="application/json"):
    """The body, or 304 and nothing where the asker has it already."""
    headers = {**HEADERS, "etag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=kind)


async def sent(request):
    """The JSON object in a request's body."""
    headers = request.scope["headers"]
    return read_json(await read_body(request.receive, headers, BODY_BYTES), dict(headers).get(b"content-type", b""))
