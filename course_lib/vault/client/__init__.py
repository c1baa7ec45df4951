"""The oracle: a function x -> answers, asked over HTTP, or of a service in this process with no server between.

    oracle = connect("http://127.0.0.1:8700", key)
    probs = oracle(x)   # x (B, ...) -> (B, C) float64

Before the key leaves this computer the address is resolved, once, and has to be this computer or a private network
(RFC 1918, RFC 4193), and what answers there has to be the vault of the class that the key names.

floor 0   refused  the client's one exception
floor 1   line     one connection, kept alive, to an address that was settled once
floor 2   ways     the same calls over HTTP and in this process
floor 3   oracle   a function x -> answers, and its patience
"""

from course_lib.vault.client.line import Line, over, seconds, settle
from course_lib.vault.client.oracle import BATCH, PATIENCE, TRIES, Oracle, connect, in_process
from course_lib.vault.client.refused import Refused
from course_lib.vault.client.ways import HTTP, InProcess, pack, packed

__all__ = [
    "BATCH",
    "HTTP",
    "InProcess",
    "Line",
    "Oracle",
    "PATIENCE",
    "Refused",
    "TRIES",
    "connect",
    "in_process",
    "over",
    "pack",
    "packed",
    "seconds",
    "settle",
]
