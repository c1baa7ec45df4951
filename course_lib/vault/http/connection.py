"""Connections, and deadlines for whoever is slow to say what they want.

A connection is waiting (for a request, or for the rest of one), busy (its request is being answered) or idle (answered,
kept open for the next). Three dictionaries hold them, in the order of time. Each state has a deadline; and where the
system allows no more connections, the one that has waited or idled longest makes room for the new one.
"""

import asyncio
import itertools
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from course_lib.vault.http.request import BODY_BYTES
from course_lib.vault.http.response import problem_body, problem_headers
from course_lib.vault.refusal import Refusal

HEADER_SECONDS = 10.0  # from the first byte, or from connecting, to the end of the headers
BODY_SECONDS = 30.0  # and to the end of the request: 4 MB at 140 kB/s, a bad Wi-Fi
BUSY_SECONDS = 60.0  # and to the end of the reply, for whoever does not read it
IDLE_SECONDS = 120.0  # a connection that asks nothing more
GRACE_SECONDS = 2.0  # an honest request is whole by then, so older ones make room first
SWEEP_SECONDS = 0.25  # between two looks at the deadlines
HEADER_BYTES = 32 << 10
MESSAGE_BYTES = 20 * BODY_BYTES  # the body of a request that is refused is read to its end, but not for ever


def loop_clock():
    """Seconds, by the running loop."""
    return asyncio.get_running_loop().time()


class Crowd:
    """All connections of one server: who waits, who is busy, who idles, since when; and how many the system allows."""

    def __init__(self, most, clock=loop_clock, header_seconds=HEADER_SECONDS, body_seconds=BODY_SECONDS):
        self.most, self.clock = most, clock
        self.header_seconds, self.body_seconds = header_seconds, body_seconds
        self.waiting, self.busy, self.idle = {}, {}, {}  # {connection: since}, oldest first

    def came(self, connection):
        """A connection was made; where there is no room for it, somebody else's ends, or it does."""
        if len(self.waiting) + len(self.busy) + len(self.idle) >= self.most and not self.make_room():
            connection.transport.abort()
        else:
            self.waits(connection)

    def left(self, connection):
        """A connection has ended."""
        for state in (self.waiting, self.busy, self.idle):
            state.pop(connection, None)

    def waits(self, connection):
        """A connection waits for a request, or for the rest of one; its time runs from the first of these calls."""
        self.idle.pop(connection, None)
        if connection not in self.busy:  # with the answer before still to come
            self.waiting.setdefault(connection, self.clock())

    def waits_again(self, connection):
        """Its answer has left, and a part of its next request is here."""
        self.busy.pop(connection, None)
        self.waits(connection)

    def is_busy(self, connection):
        """A connection's request is whole, and is being answered."""
        self.waiting.pop(connection, None)
        self.idle.pop(connection, None)
        self.busy.setdefault(connection, self.clock())

    def idles(self, connection):
        """A connection is answered, and kept open."""
        self.waiting.pop(connection, None)
        self.busy.pop(connection, None)
        self.idle[connection] = self.clock()

    def make_room(self):
        """Close the connection that has been of no use for longest; False if all are busy."""
        oldest, since = next(iter(self.waiting.items()), (None, 0))
        if oldest is None or (self.idle and self.clock() - since < GRACE_SECONDS):
            oldest = next(iter(self.idle), oldest)
        if oldest is not None:
            self.drop(oldest)
        return oldest is not None

    def drop(self, connection):
        """Close a connection at once."""
        self.left(connection)
        connection.transport.abort()  # not close(): that would wait until it reads its last answer

    def sweep(self):
        """Close what has waited, been busy or idled too long."""
        now = self.clock()
        for connection, since in older(self.waiting, now - self.header_seconds):
            if not connection.in_body or now - since >= self.body_seconds:
                connection.too_late()
        for state, seconds in ((self.busy, BUSY_SECONDS), (self.idle, IDLE_SECONDS)):
            for connection, _ in older(state, now - seconds):
                self.drop(connection)

    async def keep_sweeping(self):
        """Sweep, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()


def older(state, than):
    """The (connection, since) of a state that began before `than`."""
    return list(itertools.takewhile(lambda item: item[1] <= than, state.items()))


class Joined:
    """A transport that sends all that is written at one moment at once: headers and body in one packet, one system call."""

    def __init__(self, transport):
        self.transport, self.parts, self.loop = transport, [], asyncio.get_running_loop()
        self.abort, self.is_closing = transport.abort, transport.is_closing
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.get_extra_info = transport.get_extra_info

    def write(self, data):
        """Send this, together with whatever else is written before the loop goes on."""
        if not self.parts:
            self.loop.call_soon(self.send)
        self.parts.append(data)

    def send(self):
        """Send what was written."""
        if self.parts:
            self.transport.write(b"".join(self.parts))
            self.parts.clear()

    def close(self):
        """Send what was written, and close."""
        self.send()
        self.transport.close()


class Connection(HttpToolsProtocol):
    """uvicorn's connection, which also tells the crowd what it is doing."""

    crowd = None  # set by the server
    in_headers = False  # a message has begun, its headers are not whole
    in_body = False  # the headers are whole, the body is not
    received = 0  # bytes since this message began, to the nearest packet

    def connection_made(self, transport):
        """asyncio: the connection is there."""
        super().connection_made(Joined(transport))
        self.crowd.came(self)

    def connection_lost(self, exc):
        """asyncio: it has ended."""
        self.crowd.left(self)
        super().connection_lost(exc)

    def data_received(self, data):
        """asyncio: bytes came; too many of them are refused, or the connection ends."""
        self.received += len(data)
        super().data_received(data)
        unasked = self.in_headers or (self in self.crowd.waiting and not self.in_body)
        if unasked and self.received > HEADER_BYTES:
            self.refuse(431, "long-headers", f"A request's headers take at most {HEADER_BYTES:,} bytes.")
        elif self.in_body and self.received > MESSAGE_BYTES:
            self.crowd.drop(self)

    def on_message_begin(self):
        """httptools: a request begins."""
        super().on_message_begin()
        self.received, self.in_headers, self.in_body = 0, True, False
        self.crowd.waits(self)

    def on_header(self, name, value):
        """httptools: a header is whole."""
        if not self.in_body:  # what comes behind a body in pieces has no use here
            super().on_header(name, value)

    def on_headers_complete(self):
        """httptools: all headers are."""
        self.in_headers, self.in_body = False, True
        super().on_headers_complete()

    def on_message_complete(self):
        """httptools: the request is whole; it is answered now."""
        super().on_message_complete()
        self.in_body = False
        if self.cycle.response_complete:
            self.crowd.idles(self)
        else:
            self.crowd.is_busy(self)

    def on_response_complete(self):
        """uvicorn: the answer has left."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the crowd's sweep closes the idle
        if self.transport.is_closing():
            return
        if (self.in_headers and self.cycle.response_complete) or (self.in_body and not self.pipeline):
            self.crowd.waits_again(self)  # the next request has begun, behind this one, and is not whole
        elif not self.in_body and self.cycle.response_complete:
            self.crowd.idles(self)

    def too_late(self):
        """The rest of its request did not come in time."""
        self.refuse(408, "too-slow", "The rest of the request was expected in time, and did not come. Send it again.")

    def send_400_response(self, msg):
        """uvicorn: what came is no HTTP."""
        self.refuse(400, "not-http", "A request in HTTP/1.1 was expected; what came is none.")

    def refuse(self, status, slug, detail):
        """Say so, where the asker waits for a reply, and close."""
        self.crowd.is_busy(self)
        if self.transport.is_closing():
            return
        started = self.cycle is not None and self.cycle.response_started
        complete = self.cycle is None or self.cycle.response_complete
        if (self.in_body and not started) or (not self.in_body and complete):
            refusal = Refusal(status, detail, slug)
            body = problem_body(refusal)
            headers = problem_headers(refusal) | {"content-length": str(len(body)), "connection": "close"}
            lines = [
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
                *(f"{name}: {value}" for name, value in headers.items()),
            ]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.transport.close()
