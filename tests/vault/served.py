"""A vault behind a real socket, in this process: the small victim, a clock that moves when told."""

import contextlib
import http.client
import json
import socket
import threading

from course_lib.vault import site
from course_lib.vault.http import serve
from course_lib.vault.service import Service
from tests.vault.world import TOY, Clock
from tests.waiting import HANG

ROW = [0.1, 0.2, 0.3, 0.4]


class Served:
    """.service, .address, .port, .key (has accepted the rules), .teacher (an instructor's key), .clock"""

    def __init__(self, folder, control="word-for-programs-of-this-computer", lan=False, victims=TOY, **deadlines):
        self.clock = Clock()
        self.service = Service(folder, victims=victims, clock=self.clock)
        self.key, self.teacher = self.new_key("ada"), self.service.new_key("teacher", scope="instructor")
        self.control, self.app = control, site.for_service(self.service, control=control, lan=lan)
        listener, ready = serve.listen("127.0.0.1", 0), threading.Event()
        self.port = listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        deadlines = {"header_seconds": HANG, "body_seconds": HANG} | deadlines  # a busy machine may be slow to ask
        self.thread = threading.Thread(
            target=serve.run, args=(self.app, listener, ready.set), kwargs=deadlines, daemon=True
        )
        self.thread.start()
        assert ready.wait(HANG)

    def new_key(self, pseudonym, **wish):
        key = self.service.new_key(pseudonym, **wish)
        self.service.accept_rules(key)
        return key

    def call(self, method, path, content=None, key="", headers=None, line=None):
        """(status, headers, what the JSON of the reply says); content: what JSON can say, or bytes; key "": .key."""
        body = content if isinstance(content, (bytes, type(None))) else json.dumps(content).encode()
        sent = {"Content-Type": "application/json"} if body is not None else {}
        key = self.key if key == "" else key
        sent |= {"Authorization": f"Bearer {key}"} if key else {}
        line = line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG)
        line.request(method, path, body, sent | (headers or {}))
        reply = line.getresponse()
        text = reply.read()
        said = json.loads(text) if text and "json" in reply.headers.get("content-type", "") else text
        return reply.status, reply.headers, said

    def ask(self, inputs=ROW, model="toy", **more):
        return self.call("POST", "/v1/predict", {"model": model, "inputs": inputs}, **more)

    def raw(self, data, until=None):
        """All that comes back for these bytes, until the server closes or has said `until`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=HANG) as line:
            line.sendall(data)
            return read_all(line, until)

    def answered(self):
        """How many answers the ledger holds."""
        reader = self.service.ledger.reader()
        count = reader.execute("SELECT count(*) FROM requests WHERE status = 200").fetchone()[0]
        reader.close()
        return count

    def close(self):
        self.app.stop()
        self.thread.join(HANG)
        self.service.close()
        assert not self.thread.is_alive()


def read_all(line, until=None):
    """What comes until the server closes or has said `until`; a line that stays open and silent is a TimeoutError."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while part := line.recv(1 << 16):
            said += part
            if until and until(said):
                break
    return said
