"""What the vault's routes share: replies in JSON, refusals as problems (RFC 9457), and who is asking."""

import json

from starlette.responses import Response

SAFE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}  # an answer is for its asker alone


def problem_body(refusal):
    """The bytes of application/problem+json."""
    said = {"type": f"urn:vault:{refusal.type}", "title": refusal.title, "status": refusal.status}
    return json.dumps(said | {"detail": refusal.detail}).encode()


def problem_headers(refusal):
    """The headers of a Refusal's reply, its own among them."""
    headers = {"content-type": "application/problem+json", **SAFE, **refusal.headers}
    if refusal.status == 401:
        headers["www-authenticate"] = 'Bearer realm="vault"'
    return headers


def refusal_reply(refusal):
    """A Refusal as a reply."""
    return Response(problem_body(refusal), refusal.status, problem_headers(refusal))


def reply(content, status=200, headers=None):
    """JSON as the vault sends it; numbers in full double precision, which is what json writes."""
    body = json.dumps(content, allow_nan=False).encode()
    return Response(body, status, {"content-type": "application/json", **SAFE, **(headers or {})})
