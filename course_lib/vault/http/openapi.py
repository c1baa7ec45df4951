"""The vault's API, described: an OpenAPI 3.1 document that says what the routes do, no more and no less."""

from course_lib.vault.http.schemas import SCHEMAS, TEXT, constant, of, ref, thing
from course_lib.vault.policy import LARGEST_INPUT, MOST_ROWS

WORDS = {
    "400": "malformed: not JSON, or not in UTF-8, or an Idempotency-Key with other characters, or two of them",
    "401": "no key, or one that is not known",
    "403": "the key is revoked, expired, for another scope, has not accepted the rules, or its budget is spent; or you are on "
    "no private network",
    "404": "no such model",
    "408": "the rest of the request did not come in time",
    "413": "more rows, or more bytes, than a request may ever have",
    "415": "not application/json in UTF-8",
    "421": "the Host header names another server",
    "422": "JSON of another form than the schema's, or an Idempotency-Key that was used for another body",
    "429": "over the limit for now; Retry-After says for how many seconds",
    "503": "the vault is paused, or cannot write its ledger; Retry-After says when to try again",
}
LIMITS = {
    "RateLimit-Policy": {"description": 'the limits, such as "key";q=600;w=60', "schema": TEXT},
    "RateLimit": {"description": 'what is left of them, such as "key";r=599;t=60', "schema": TEXT},
}
REPLAYED = {
    "Idempotent-Replayed": {"description": "there with a stored reply, which costs nothing", "schema": constant("true")}
}


def problems(*statuses):
    """{status: its reply}, for the statuses of WORDS that an operation may have."""
    content = {"application/problem+json": {"schema": ref("Problem")}}
    found = {status: {"description": WORDS[status], "content": content} for status in statuses}
    for status in {"429", "503"} & set(found):
        found[status]["headers"] = {"Retry-After": {"description": "seconds", "schema": of("integer")}}
    return found


def call(summary, schema, *statuses, open_to_all=False, **more):
    """One operation: what a 200 holds, and which problems there are."""
    good = {"description": "as asked", "content": {"application/json": {"schema": schema}}}
    return {
        "summary": summary,
        "security": [] if open_to_all else [{"key": []}],
        "responses": {"200": good, **problems("403", "421", *(() if open_to_all else ("401",)), *statuses)},
        **more,
    }


def body(schema):
    """The requestBody of an operation that takes JSON."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


NAME = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Your name for this request. Sent again with the same body it gets the stored reply and costs nothing.",
    "schema": of("string", pattern="^[A-Za-z0-9_.:-]{1,128}$"),
}


def question(model, length, most_rows):
    """The schemas of a question to one model: rows as lists of numbers, or packed."""
    row = of(
        "array", items=of("number", minimum=-LARGEST_INPUT, maximum=LARGEST_INPUT), minItems=length, maxItems=length
    )
    rows = of("array", items=row, minItems=1)
    shape = {
        "description": "[rows, numbers in a row]",
        "type": "array",
        "prefixItems": [of("integer", minimum=1), {"const": length}],
        "minItems": 2,
        "maxItems": 2,
    }
    packed = of(
        "string",
        contentEncoding="base64",
        description="float64, little-endian, row after row: as exact as the lists, and read twenty times faster",
    )
    listed = {"description": f"One row, or several; {most_rows:,} at most (413).", "anyOf": [row, rows]}
    return [
        thing(2, model={"const": model}, inputs=listed),
        thing(3, model={"const": model}, inputs=packed, shape=shape),
    ]


def document(victims, most_rows=MOST_ROWS):
    """The document of a vault with these models behind it. victims: {name: Victim}."""
    questions = [one for name, v in victims.items() for one in question(name, v.shape[0], min(most_rows, MOST_ROWS))]
    predict = call(
        "Ask a model about one row or many",
        ref("Prediction"),
        *("400", "404", "408", "413", "415", "422", "429", "503"),
        operationId="predict",
        parameters=[NAME],
        requestBody=body(ref("Question")),
    )
    predict["responses"]["200"]["headers"] = LIMITS | REPLAYED
    submit = call(
        "Hand in a copy, to be scored",
        ref("Submission"),
        *("404", "408", "413", "422", "429", "503"),
        operationId="submit",
        description="On versions of pictures drawn by a seed that the vault keeps; the pictures behind them are public. "
        "The same file again within the hour gets the same scores, and counts once.",
        parameters=[
            {"name": "model", "in": "query", "required": False, "schema": {"enum": list(victims)}},
        ],
        requestBody={"required": True, "content": {"application/octet-stream": {"schema": {}}}},
    )
    submit["responses"]["201"] = submit["responses"].pop("200")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The vault",
            "version": "1",
            "description": "A model behind keys, limits and a ledger. An answer leaves only after it is written down.",
        },
        "paths": {
            "/healthz": {"get": call("Who answers here", ref("Health"), open_to_all=True)},
            "/v1/rules": {"get": call("The rules of engagement", ref("Rules"), open_to_all=True)},
            "/v1/rules/accept": {"post": call("Accept them, with this key", ref("Rules"), "408", "413", "503")},
            "/v1/models": {"get": call("The models behind the door", ref("Models"))},
            "/v1/usage": {"get": call("What this key has spent", ref("Usage"))},
            "/v1/policy": {"get": call("What this key may know of the policy in force", ref("Policy"))},
            "/v1/predict": {"post": predict},
            "/v1/submissions": {"post": submit},
            "/v1/leaderboard": {"get": call("How close each copy came", ref("Leaderboard"), open_to_all=True)},
        },
        "components": {
            "schemas": SCHEMAS | {"Question": {"anyOf": questions}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
