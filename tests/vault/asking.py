"""What the tests of the page and the leaderboard stand on: models without training, and requests without a server."""

import asyncio
import json

import numpy as np
from starlette.applications import Starlette

from course_lib.vault.http import response
from course_lib.vault.refusal import Refusal
from course_lib.vault.victims import Victim

RNG = np.random.default_rng(0)
WEIGHT, BIAS = 4 * RNG.normal(size=(64, 10)), RNG.normal(size=10)


def probs(x):
    e = np.exp(x @ WEIGHT + BIAS - (x @ WEIGHT + BIAS).max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


VICTIMS = {  # of the digits' shape, and without training
    name: Victim(name, tuple("0123456789"), (64,), 650, probs, RNG.uniform(size=(600, 64)))
    for name in ("digits-linear", "digits-net")
}


async def refused(request, refusal):
    return response.refusal_reply(refusal)


def mounted(routes):
    """An application of these routes alone, which tells a Refusal as the vault does."""
    return Starlette(routes=routes, exception_handlers={Refusal: refused})


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.decode().lower(): value.decode() for name, value in headers}

    def json(self):
        return json.loads(self.body)


async def asking(app, method, address, body=b"", headers=(), client=("127.0.0.1", 50_000)):
    path, _, query = address.partition("?")
    sent = [
        (name.lower().encode(), value.encode()) for name, value in {"host": "localhost:8000", **dict(headers)}.items()
    ]
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http"},
        **{"path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": sent},
        **{"client": client, "server": ("localhost", 8000), "root_path": ""},
    }
    said = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        said.append(message)

    await app(scope, receive, send)
    whole = b"".join(message.get("body", b"") for message in said[1:])
    return Answer(said[0]["status"], said[0]["headers"], whole)


def ask(app, method, address, body=b"", headers=(), client=("127.0.0.1", 50_000)):
    """One request, one Answer. body: bytes, or anything else, which goes as JSON."""
    if not isinstance(body, bytes):
        body, headers = json.dumps(body).encode(), {"content-type": "application/json", **dict(headers)}
    return asyncio.run(asking(app, method, address, body, headers, client))
