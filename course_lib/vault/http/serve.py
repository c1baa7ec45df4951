"""The vault's door to the network: uvicorn and httptools in one process, whose connections are in connection.py."""

import asyncio
import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading

from uvicorn import Config, Server

from course_lib.vault.http.connection import Connection, Crowd

FINISH_SECONDS = 20.0  # at the end: so long may what was taken need to be answered
MOST_FILES = 4096
NO_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Gate(Server):
    """uvicorn's server with a crowd, a word when it is ready, and an end that is no error."""

    def __init__(self, config, crowd, ready):
        super().__init__(config)
        self.crowd, self.ready = crowd, ready

    async def startup(self, sockets=None):
        """uvicorn: from here on we listen; ready() is called at its end."""
        await super().startup(sockets)
        for listener in sockets:
            listener.listen(
                1024
            )  # so many may knock at once; uvicorn's backlog is also how many are let in at a stroke
        asyncio.get_running_loop().set_exception_handler(self.trouble)
        self.sweeper = asyncio.create_task(self.crowd.keep_sweeping())
        sys.setswitchinterval(5e-4)  # the ledger's thread and this one hand over ten times as often as Python's habit
        gc.collect()
        gc.freeze()  # what is here now stays; to look through it again and again would make somebody wait
        self.ready()

    def trouble(self, loop, context):
        """Where no file is left for one more connection, asyncio rests for a second; room is made meanwhile."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in NO_FILES:
            for _ in range(32):
                self.crowd.make_room()
        elif not isinstance(error, (ConnectionError, TimeoutError)):
            loop.default_exception_handler(context)

    async def shutdown(self, sockets=None):
        """uvicorn: who has not asked yet is let go; who has is answered."""
        for connection in [one for one in self.crowd.waiting if not one.in_body]:
            self.crowd.drop(connection)  # it has not asked yet
        await super().shutdown(sockets)
        self.sweeper.cancel()


def run(app, listener, ready=lambda: None, until_stdin_closes=False, **deadlines):
    """Serve the ASGI `app` on a listening socket until SIGTERM, Ctrl-C or app.stop(); what was taken is answered first.

    ready: called once the first request can be answered. until_stdin_closes: also end when nobody holds the other end
    of our standard input any more, so that a child ends with its parent, whatever ended that.
    """
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    files = files_allowed()
    at_a_stroke = max(4, min(100, files // 8))
    config = Config(
        app,
        loop="asyncio",
        http=type("Connection", (Connection,), {"crowd": None}),
        ws="none",
        lifespan="on",
        backlog=at_a_stroke,
        access_log=False,  # no log of who asked what: the ledger is the record, and it holds no key
        log_config=None,
        proxy_headers=False,  # X-Forwarded-For is what anybody may write
        server_header=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    crowd = Crowd(files - at_a_stroke - min(64, files // 4), **deadlines)
    config.http.crowd = crowd
    gate = Gate(config, crowd, ready)
    app.stop = lambda: setattr(gate, "should_exit", True)
    if threading.current_thread() is threading.main_thread():
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: None)  # uvicorn takes it, finishes, and raises it once more
    if until_stdin_closes:
        threading.Thread(target=wait_for_the_end_of, args=(sys.stdin, app.stop), daemon=True).start()
    gate.run(sockets=[listener])


def wait_for_the_end_of(stream, stop):
    """In a thread: call stop() when whoever holds the other end of the stream has closed it, or ended."""
    try:
        while stream.buffer.read(1 << 16):
            pass
    except (OSError, ValueError):
        pass
    stop()


def files_allowed():
    """How many files and connections this process may hold; asks for more where the system gives 256 or 1,024."""
    try:
        import resource
    except ImportError:  # Windows
        return 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft < want:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
            soft = want
        except (OSError, ValueError):
            pass
    return soft


def listen(host, port, tries=1):
    """A listening socket on host, on the first free port of `tries` from `port` (0: any). Raises OSError."""
    for candidate in range(port, port + tries):
        listener = socket.socket(socket.AF_INET)
        if os.name != "nt":  # there, this option would let two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(1024)  # so many may knock at once; and the port is ours: bound alone, two may have it
            return listener
        except OSError:
            listener.close()
            if candidate == port + tries - 1:
                raise


def say(**what):
    """One line of JSON on standard output, for the program that started us."""
    print(json.dumps(what), flush=True)
