"""The vault's API, described: the JSON that it takes and gives, as JSON Schema. SCHEMAS: {name: schema}."""

from course_lib.vault.honest import OFF
from course_lib.vault.policy import Limits


def of(kind, **more):
    """The schema of a JSON type."""
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
    """The schema of that name in SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


def or_null(kind):
    """The schema of a JSON type, or null."""
    return {"type": [kind, "null"]}


def constant(text):
    """The schema of this one text."""
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
