"""A connection to an address that was settled once, and what comes back on it. A key is sent nowhere else.

Before anything leaves this computer the address is resolved, once, and has to be this computer or a private network
(RFC 1918, RFC 4193). The resolved address is the one that is used: no redirect, no proxy, no second look-up.
"""

import http.client
import json
import socket
import time
import urllib.parse
from email.utils import parsedate_to_datetime

from course_lib.files import cut, quoted
from course_lib.vault.addresses import bracketed, private
from course_lib.vault.client.refused import Refused

SILENCE = 30.0  # seconds without a byte after which a connection is given up
REPLY_BYTES = 64 << 20


class Line:
    """One connection, kept alive, to an address that was settled once."""

    def __init__(self, address, patience=SILENCE):
        self.host, self.port = settle(address)
        self.name = f"http://{bracketed(self.host)}:{self.port}"
        self.patience, self.connection = patience, None

    def exchange(self, method, path, content=None, headers=None, kind="application/json"):
        """The JSON of the reply. content: what JSON can say, or bytes."""
        headers = {"Accept": "application/json", **(headers or {})}
        body = content
        if content is not None:
            headers["Content-Type"] = kind
            body = content if isinstance(content, bytes) else json.dumps(content, allow_nan=False).encode()
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.patience)
        whole = False
        try:
            self.connection.request(method, path, body, headers)
            came = self.connection.getresponse()
            text = came.read(REPLY_BYTES + 1)
            whole = came.isclosed() and not came.will_close
        finally:
            if not whole:  # whatever is left on this line belongs to no question that we still ask
                self.close()
        return read(came.status, came.headers, text)

    def close(self):
        """Hang up; the next exchange connects anew."""
        if self.connection:
            self.connection.close()
        self.connection = None


def over(address, control):
    """tell(name, said={}): the same calls, of a vault that runs at an address. control: an instructor's key, or its word."""
    line = Line(address)

    def tell(name, said=None):
        headers = {"Authorization": f"Bearer {control}"}
        try:
            return line.exchange("POST", f"/v1/instructor/{name}", said or {}, headers)
        finally:  # the next call may come after minutes, when the vault has hung up
            line.close()

    return tell


def read(status, headers, text):
    """The JSON of a reply with status 200 or 201; a problem becomes Refused. No other address is ever followed."""
    if len(text) > REPLY_BYTES:
        raise Refused(f"A reply of at most {REPLY_BYTES:,} bytes was expected; this one is longer.", status)
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if status in (200, 201) and isinstance(said, dict):
        return said
    said = said if isinstance(said, dict) else {}
    detail = said.get("detail") or f"A vault's answer was expected; HTTP {status} came."
    kind = str(said.get("type", "")).rpartition(":")[2]
    raise Refused(cut(str(detail), 500), status, kind, seconds(headers.get("Retry-After")))


def seconds(retry_after, now=time.time):
    """The header Retry-After as seconds: "3", or a date; None where it says nothing."""
    try:
        return max(0.0, float(retry_after))
    except (TypeError, ValueError):
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now())
    except (TypeError, ValueError):
        return None


def settle(address, resolve=None):
    """(host, port) for "http://name:port": the name is resolved here, once. Raises Refused unless it is private."""
    try:
        parts = urllib.parse.urlsplit(address if "//" in address else f"//{address}", scheme="http")
        port, name = parts.port or 80, parts.hostname
    except (TypeError, ValueError, AttributeError):
        parts, name = None, None
    if not name or parts.scheme != "http" or parts.username or parts.path not in ("", "/") or parts.query:
        raise Refused(f"A vault's address was expected, such as http://127.0.0.1:8700; {quoted(address)} came.")
    try:
        found = (resolve or socket.getaddrinfo)(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(f"No computer of the name {quoted(name)} was found. Nothing was sent.") from None
    hosts = [entry[4][0] for entry in found]
    if not hosts or not all(map(private, hosts)):
        raise Refused(
            f"This client asks vaults on this computer or on a private network (127.x, 10.x, 172.16-31.x, 192.168.x, "
            f"fc00::/7) and no other; {quoted(name)} is {cut(', '.join(sorted(set(hosts))))}. Nothing was sent."
        )
    v4 = [host for host in hosts if ":" not in host]  # the vault listens there
    return (v4 or hosts)[0], port


def words(error):
    """What went wrong on the line, in a few words."""
    if isinstance(error, TimeoutError):
        return f"it was silent for {SILENCE:g} s"
    return cut(str(getattr(error, "strerror", None) or error)).lower() or type(error).__name__
