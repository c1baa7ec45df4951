"""The API's routes beside POST /v1/predict: read a request, hand it to the service, write the reply; and what errors read like."""

import secrets

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Route

from course_lib.vault import keyring
from course_lib.vault.addresses import is_loopback
from course_lib.vault.http import openapi
from course_lib.vault.http.desk import desk
from course_lib.vault.http.request import TRUSTED, bearer, read_body, read_json
from course_lib.vault.http.response import refusal_reply, reply
from course_lib.vault.refusal import Refusal


def api_routes(app):
    """The routes of an App, for Starlette."""
    service = app.service

    def own(handler):
        """A route whose asker shows a key: handler(token, request) -> content."""

        async def endpoint(request):
            return reply(await handler(bearer(request.scope["headers"]), request))

        return endpoint

    def instructors(call):
        """A route for the teacher's computer: an instructor's key, or the server's own word."""

        async def endpoint(request):
            headers = request.scope["headers"]
            if not is_loopback(request.scope):
                raise Refusal(
                    403, "This is answered on the computer where the vault runs, and there only.", "loopback-only"
                )
            token = bearer(headers)
            if not (app.control and secrets.compare_digest(token.encode(), app.control.encode())):
                service.identify(token, "instructor")
            said = read_json(await read_body(request.receive, headers), dict(headers).get(b"content-type", b""))
            return reply(await run_in_threadpool(call, said))

        return endpoint

    async def healthz(request):
        return reply({"status": "ok", "vault": "distillation, hands on", "class": service.class_name, "api": "v1"})

    async def document(request):
        return reply(openapi.document(service.victims, service.policy.limits.rows_per_request))

    async def rules_of_engagement(request):
        return reply({"object": "rules", "text": keyring.TEXT})

    async def models(token, request):
        return {"object": "list", "data": service.models(token)}

    async def usage(token, request):
        return {"object": "usage", **service.usage(token)}

    async def policy(token, request):
        return {"object": "policy", **service.policy_view(token)}

    async def accept(token, request):
        await read_body(request.receive, request.scope["headers"], TRUSTED)
        service.accept_rules(token)
        return {"object": "rules", "accepted": True}

    return [
        Route("/healthz", healthz),
        Route("/openapi.json", document),
        Route("/v1/rules", rules_of_engagement),
        Route("/v1/rules/accept", own(accept), methods=["POST"]),
        Route("/v1/models", own(models)),
        Route("/v1/usage", own(usage)),
        Route("/v1/policy", own(policy)),
        Route("/v1/predict", no_method, methods=["GET", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        *(
            Route(f"/v1/instructor/{name}", instructors(call), methods=["POST"])
            for name, call in desk(service, lambda: app.stop()).items()
        ),
    ]


async def no_method(request):
    """An address that exists, asked by a method that it does not know."""
    raise HTTPException(405, headers={"allow": "POST"})


async def refused(request, refusal):
    """A Refusal, told as it is."""
    return refusal_reply(refusal)


async def not_found(request, error):
    """What Starlette would say in its own words: no such address, or no such method."""
    words = {404: "There is nothing at this address. See /openapi.json.", 405: "This address knows other methods."}
    detail = words.get(error.status_code, error.detail)
    slug = {404: "no-such-address", 405: "no-such-method"}.get(error.status_code, "refused")
    return refusal_reply(Refusal(error.status_code, detail, slug, headers=dict(error.headers or {})))


async def failed(request, error):
    """A mistake of ours."""
    return refusal_reply(broken(error))


def broken(error):
    """The Refusal for a mistake of ours: what happened is told in the terminal, never to the asker."""
    return Refusal(500, "The vault made a mistake; its own words are in the terminal where it runs.", "broken")


ERRORS = {Refusal: refused, HTTPException: not_found, Exception: failed}  # what Starlette is told to do about each
