"""The vault's API, described: an OpenAPI 3.1 document that says what the routes do, no more and no less."""

from course_lib.vault.honest import OFF
from course_lib.vault.policy import LARGEST_INPUT, MOST_ROWS, Limits


def of(kind, **more):
    return {"type": kind, **more}


def thing(required, **properties):
    """An object that has these properties and no others; `required` counts how many of them, from the first."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties)[:required],
        "additionalProperties": False,
    }


def ref(name):
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(kind):
    return {"type": [kind, "null"]}


def constant(text):
    return {"const": text}


TEXT = of("string")
COUNT = of("integer", minimum=0)
SHARE = of("number", minimum=0, maximum=1)
POINTS = of("integer", minimum=0, maximum=100)
INTERVAL = of("array", items=POINTS, minItems=3, maxItems=3) | {"description": "value, low, high, in whole points"}
LIMITS_OF = Limits.__dataclass_fields__

SCHEMAS = {
    "Problem": {
        "type": "object",
        "description": "A refusal (RFC 9457). `detail` says what was expected, what came, and what to do.",
        "properties": {"type": TEXT, "title": TEXT, "status": of("integer"), "detail": TEXT},
        "required": ["type", "title", "status", "detail"],
    },
    "Answer": thing(
        1,
        label=COUNT,
        probabilities={
            "description": "One number per class; under top_k an object from label to number; under label left out.",
            "anyOf": [
                of("array", items=of("number")),
                of("object", additionalProperties=of("number")),
            ],
        },
    ),
    "Prediction": thing(
        7,
        id=TEXT,
        object=constant("prediction"),
        model=TEXT,
        policy_version=TEXT,
        output={"enum": ["probabilities", "top_k", "label"]},
        answers=of("array", items=ref("Answer")),
        usage=ref("Charge"),
    ),
    "Charge": {
        "type": "object",
        "description": "rows: of this request; spent: of the key so far; cents: the price of what is spent.",
        "properties": {"rows": COUNT, "spent": COUNT, "budget_left": or_null("integer"), "cents": of("number")},
        "required": ["rows", "spent", "budget_left", "cents"],
    },
    "Usage": {
        "type": "object",
        "properties": {
            "object": constant("usage"),
            "spent": COUNT,
            "budget_left": or_null("integer"),
            "cents": of("number"),
            "cents_per_1000_rows": of("number"),
        },
        "required": ["object", "spent", "budget_left", "cents", "cents_per_1000_rows"],
    },
    "Models": thing(2, object=constant("list"), data=of("array", items=ref("Model"))),
    "Model": {
        "type": "object",
        "properties": {"id": TEXT, "shape": of("array", items=of("integer")), "classes": of("integer")},
        "required": ["id", "shape", "classes"],
    },
    "Submission": thing(
        10,
        object=constant("submission"),
        model=TEXT,
        architecture=TEXT,
        agreement=ref("Share"),
        accuracy=ref("Share"),
        questions=COUNT,
        cents=of("number"),
        policy_version=TEXT,
        left_this_hour=COUNT,
        scored_before=of("boolean"),
    )
    | {"description": "Shares in whole points, 0 to 100, with their 95% intervals."},
    "Share": thing(4, value=POINTS, low=POINTS, high=POINTS, n=TEXT),
    "Leaderboard": thing(2, entries=of("array", items=ref("Entry")), policies=of("array", items=ref("PolicyCost"))),
    "Entry": thing(
        12,
        who=TEXT,
        cohort=TEXT,
        agreement=INTERVAL,
        accuracy=INTERVAL,
        model=TEXT,
        architecture=TEXT,
        questions=COUNT,
        cohort_questions=COUNT,
        cents=of("number"),
        policy=TEXT,
        tries=COUNT,
        front=of("boolean"),
    )
    | {
        "description": "A key's best copy of a model. questions: of all keys of that name; tries: copies of it that were scored; "
        "front: nobody came as close with fewer questions."
    },
    "PolicyCost": thing(4, policy=TEXT, model=TEXT, label_lost=SHARE, confidence_lost=SHARE)
    | {
        "description": "What a policy costs honest users by what leaves: the shares of pictures that are answered with another "
        f"label; without a confidence, or with one off by more than {OFF}. Waiting and refusals are not counted (lesson 13 "
        "measures them)."
    },
    "Policy": thing(
        10,
        object=constant("policy"),
        version=TEXT,
        output=thing(3, kind={"enum": ["probabilities", "label"]}, top_k=COUNT, decimals=COUNT),
        limits=thing(len(LIMITS_OF), **{name: COUNT for name in LIMITS_OF}) | {"description": "In rows; 0: no limit."},
        limits_count=constant("rows"),
        monitored=of("boolean"),
        who=TEXT,
        keys_per_person=COUNT,
        cents_per_1000_rows=of("number"),
        words=of("array", items=TEXT) | {"description": "The policy in sentences, as the page has them."},
    ),
    "Rules": thing(1, object=constant("rules"), text=TEXT, accepted=of("boolean")),
    "Health": thing(
        4, status=constant("ok"), vault=constant("distillation, hands on"), api=constant("v1"), **{"class": TEXT}
    ),
}

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
