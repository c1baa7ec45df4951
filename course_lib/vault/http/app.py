"""The ASGI application: read a request, hand it to the service's door, write the reply. Nothing is decided here.

POST /v1/predict is on the path of every question, so it is read and written without Starlette; everything else is not
(routes.py).
"""

import asyncio
import functools
import ipaddress
import json
import logging
import re
import socket

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool

from course_lib.vault.addresses import private
from course_lib.vault.answer import prediction
from course_lib.vault.http.request import TRUSTED, bearer, read_body, read_question, request_name
from course_lib.vault.http.response import SAFE, problem_body, problem_headers
from course_lib.vault.http.routes import ERRORS, api_routes, broken
from course_lib.vault.policy import PolicyError
from course_lib.vault.refusal import Refusal

log = logging.getLogger("vault")


class App:
    """The ASGI application for one service. more: routes of the page and the leaderboard.

    control: a secret with which programs of this computer may do what an instructor may, until this server ends.
    lan: also answer under this computer's private addresses and its name.
    """

    def __init__(self, service, more=(), control=None, lan=False):
        self.service, self.door, self.control, self.lan = service, service.door, control, lan
        self.names = {"localhost", *own_names()} if lan else {"localhost"}
        self.stop = lambda: None  # the server puts its own here
        self.rest = Starlette(routes=[*api_routes(self), *more], exception_handlers=ERRORS)
        self.rest.router.redirect_slashes = False  # no reply of ours sends anybody to another address
        self.mail = Mail(service.door)
        self.ours = functools.lru_cache(256)(self.ours)  # one class asks under one or two names
        self.near = functools.lru_cache(1024)(private)

    async def __call__(self, scope, receive, send):
        """ASGI: one request, or the server's lifespan."""
        if scope["type"] == "lifespan":
            return await self.lifespan(receive, send)
        started = False
        try:
            self.check_peer(scope.get("client"))
            self.check_host(scope["headers"])
            if scope["path"] == "/v1/predict" and scope["method"] == "POST":
                status, headers, body = await self.predict(scope, receive)
            else:
                started = True
                return await self.rest(scope, receive, send)
        except ConnectionResetError:
            return  # nobody is there to read a reply
        except Refusal as refusal:
            status, headers, body = refusal.status, problem_headers(refusal), problem_body(refusal)
        except Exception as error:
            log.exception("a request failed")
            if started:
                return
            trouble = broken(error)
            status, headers, body = trouble.status, problem_headers(trouble), problem_body(trouble)
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        lines.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body})

    async def lifespan(self, receive, send):
        """Between the server's start and its end: the policy's file is watched."""
        await receive()
        self.mail.loop = asyncio.get_running_loop()
        watching = asyncio.create_task(self.watch_policy())
        await send({"type": "lifespan.startup.complete"})
        try:
            await receive()
        except asyncio.CancelledError:
            return  # Ctrl-C a second time: nobody waits for the end
        finally:
            watching.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def watch_policy(self, seconds=0.5, sleep=asyncio.sleep):
        """Whoever saves the policy's file puts it into force; a broken one is told here, and the old one stays.

        Two looks have to find the same file: one that is being saved may be empty, or half there.
        """
        seen = now = stamp(self.service.policy_path)
        while True:
            await sleep(seconds)
            before, now = now, stamp(self.service.policy_path)
            if now == before and now != seen:
                seen = now
                try:
                    await run_in_threadpool(self.service.reload_policy)
                    log.warning("The policy %s is in force.", self.service.policy.version)
                except PolicyError as error:
                    log.warning("The policy stays as it was: %s", error)
                except Exception:  # the next text may be a good one
                    log.exception("The policy stays as it was")

    def check_peer(self, client):
        """With --lan we listen on every network that this computer is on; the class is on a private one."""
        if not (client and self.near(client[0])):
            raise Refusal(403, "This vault answers this computer and private networks, and no other.", "not-private")

    def check_host(self, headers):
        """A page of another site cannot reach us under a name that it made point here (DNS rebinding)."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self.ours(hosts[0].decode("latin-1")):
            raise Refusal(
                421, "This server answers under its own address only: see where it printed it.", "another-host"
            )

    def ours(self, host):
        """Whether a Host header names this server: this computer, or with --lan one of its private addresses or its name."""
        name = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", host)
        if name and int((name[2] or ":80")[1:]) > 65535:
            return False
        name = name[1].strip("[]").lower() if name else ""
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return address.is_loopback or (self.lan and private(name))

    async def predict(self, scope, receive):
        """POST /v1/predict: (status, headers, body), or a Refusal."""
        headers = scope["headers"]
        found = dict(headers)
        try:
            token = bearer(headers)
            length = found.get(b"content-length")
            if length is None or int(length) > TRUSTED:
                self.service.identify(token, "predict")
            request = request_name(headers)
            model, rows = read_question(await read_body(receive, headers), found.get(b"content-type", b""))
        except Refusal as refusal:
            self.count(headers, refusal)
            raise
        answer = await self.mail.outcome(
            self.door.ask(token, model, rows, request, address=(scope.get("client") or ("",))[0])
        )
        headers = {"content-type": "application/json", **SAFE, **answer.headers}
        if answer.replayed:
            headers["idempotent-replayed"] = "true"
        return 200, headers, json.dumps(prediction(answer), allow_nan=False).encode()

    def count(self, headers, refusal):
        """A question that is refused before the service hears of it is counted there all the same."""
        try:
            key = self.service.identify(bearer(headers))
        except Refusal:
            key = None
        self.door.count_refusal(key, refusal, 1)


class Mail:
    """Brings the outcomes of one COMMIT from the ledger's thread to the server's loop: one wake-up for all of them."""

    def __init__(self, door):
        self.loop, self.settle = None, door.deliver
        door.deliver = self.deliver

    def deliver(self, pairs):  # in the ledger's thread
        """Settle the (future, outcome) pairs of one COMMIT in the server's loop; called in the ledger's thread."""
        try:
            self.loop.call_soon_threadsafe(self.settle, pairs)
        except (AttributeError, RuntimeError):  # the loop has not begun, or has ended
            self.settle(pairs)

    async def outcome(self, future):
        """What a concurrent.futures.Future gives. Leaving does not cancel it: what was taken is written down."""
        if not future.done():
            arrived = self.loop.create_future()
            future.add_done_callback(lambda _: arrived.done() or arrived.set_result(None))
            await arrived
        return future.result()


def stamp(path):
    """What changes when a file is saved; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def own_names():
    """What this computer is called on its network."""
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0], name.partition(".")[0] + ".local"}
