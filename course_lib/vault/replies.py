"""What the vault's routes share: replies in JSON, refusals as problems (RFC 9457), and who is asking."""

import ipaddress
import json

from starlette.responses import Response

from course_lib.vault.refusal import Refusal

SAFE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}  # an answer is for its asker alone
BODY_BYTES = 4 << 20  # the longest request that is read: 1,024 rows of 64 numbers in full precision take 1.3 MB


def problem_body(refusal):
    """The bytes of application/problem+json."""
    said = {"type": f"urn:vault:{refusal.type}", "title": refusal.title, "status": refusal.status}
    return json.dumps(said | {"detail": refusal.detail}).encode()


def problem_headers(refusal):
    headers = {"content-type": "application/problem+json", **SAFE, **refusal.headers}
    if refusal.status == 401:
        headers["www-authenticate"] = 'Bearer realm="vault"'
    return headers


def refusal_reply(refusal):
    return Response(problem_body(refusal), refusal.status, problem_headers(refusal))


def reply(content, status=200, headers=None):
    """JSON as the vault sends it; numbers in full double precision, which is what json writes."""
    body = json.dumps(content, allow_nan=False).encode()
    return Response(body, status, {"content-type": "application/json", **SAFE, **(headers or {})})


def bearer(headers):
    """The key in `Authorization: Bearer ...`; a Refusal where there is none, or more than one.

    headers: the pairs of bytes that ASGI gives, names in lower case.
    """
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) != 1:
        raise Refusal(
            401, f"One header `Authorization: Bearer vk_...` was expected; {len(found) or 'none'} came.", "no-key"
        )
    scheme, _, token = found[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "The header was expected in the form `Authorization: Bearer vk_...`.", "no-key")
    return token.strip()


def is_loopback(scope):
    """Whether the request came from this very computer: by its connection, never by a header, which anybody can write."""
    try:
        address = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


async def read_body(receive, headers, limit=BODY_BYTES):
    """The bytes of a request's body. One over the limit is read to its end and forgotten, then refused with 413.

    (Replying at once would make the asker's computer throw the reply away: it is still sending.)
    """
    announced = next((value for name, value in headers if name == b"content-length"), b"0")
    size, parts = 0, []
    too_long = int(announced) > limit
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the asker left before the request was whole")
        part = message.get("body", b"")
        size += len(part)
        too_long = too_long or size > limit
        if too_long:
            parts.clear()
            if size > 16 * limit:
                break
        elif part:
            parts.append(part)
        if not message.get("more_body"):
            break
    if too_long:
        raise Refusal(
            413,
            f"A request takes at most {limit:,} bytes, and this one is longer. Send it in several.",
            "too-many-bytes",
            headers={"connection": "close"},
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)
