"""What a request says: its name, its JSON, its rows of numbers; and for whoever wrote something else, which sentence."""

import base64
import binascii
import json
import re

import numpy as np

from course_lib.files import cut, quoted
from course_lib.vault.policy import MOST_ROWS
from course_lib.vault.refusal import Refusal

MOST_FLOAT = 1e300  # that a field may hold: far more than any time, and no infinity
MOST_NUMBERS = 10**6  # that a shape may name: far more than a request can hold
REQUEST_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
JSON_TYPE = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-?8"?\s*)?', re.I)
NUMBERS = {int, float}


def request_name(headers):
    """The asker's name for this request, or None. headers: the pairs of bytes that ASGI gives, names in lower case."""
    names = [value for name, value in headers if name == b"idempotency-key"]
    if not names:
        return None
    if len(names) > 1:
        raise Refusal(400, f"One Idempotency-Key was expected; {len(names)} came.", "idempotency-key")
    name = names[0].decode("latin-1")
    if not REQUEST_NAME.fullmatch(name):
        raise Refusal(
            400, "An Idempotency-Key has 1 to 128 letters, digits and -_.: and no other character.", "idempotency-key"
        )
    return name


def no_number(came):
    """The Refusal for something in `inputs` that is no finite number."""
    return Refusal(422, f"Finite numbers were expected in `inputs`; {came} came.", "not-finite")


def constant(text):
    """What the decoder does with NaN and the infinities, which Python's JSON would let in: a Refusal."""
    raise no_number(text)  # NaN, Infinity, -Infinity


DECODER = json.JSONDecoder(parse_constant=constant)


def read_json(body, content_type):
    """The JSON object in a body, as a dict. Raises Refusal: 415 for another type, 400 for no JSON, 422 for no object."""
    if not JSON_TYPE.fullmatch(content_type.decode("latin-1").strip()):
        raise Refusal(415, "`Content-Type: application/json` was expected, in UTF-8.", "not-json")
    try:
        said = DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        where = f": {error.msg}, at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        raise Refusal(400, f"The body was expected to be JSON in UTF-8{where}.", "not-json") from None
    if not isinstance(said, dict):
        raise malformed(f"A JSON object was expected; {called(said)} came.")
    return said


def fields(said, **types):
    """The values of the named fields of a JSON object; a Refusal where one is missing, of another type, or unknown.

    types: name -> type, or (type, default).
    """
    unknown = sorted(set(said) - set(types))
    if unknown:
        raise malformed(f"Expected were the fields {', '.join(types)}; {quoted(unknown[0])} came.")
    values = []
    for name, kind in types.items():
        kind, *default = kind if isinstance(kind, tuple) else (kind,)
        value = said.get(name, *default)
        if value is None and default == [None]:
            pass
        elif type(value) is not kind and not (kind is float and type(value) is int):
            came = called(value) if name in said else "it is missing"
            raise malformed(f"The field `{name}` was expected to be {NAMES[kind]}; {came}.")
        elif kind is float:
            if not abs(value) < MOST_FLOAT:
                raise malformed(f"The field `{name}` was expected to be below {MOST_FLOAT:g}; {quoted(value)} came.")
            value = float(value)
        values.append(value)
    return values


NAMES = {
    str: "a text",
    list: "a list",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "an object",
}


def called(value):
    """What kind of JSON a value is, for a sentence."""
    return "null" if value is None else NAMES.get(type(value), "something else")


def read_question(body, content_type):
    """(model, rows (B, D) float64) of a request's body.

    `inputs` is rows of numbers; or, for many rows, base64 of float64 (little-endian, row after row) with their `shape`:
    as exact, and read twenty times faster.
    """
    said = read_json(body, content_type)
    if type(said.get("inputs")) is str:
        model, text, shape = fields(said, model=str, inputs=str, shape=list)
        return model, packed_rows(text, shape)
    model, inputs = fields(said, model=str, inputs=list)
    return model, listed_rows(inputs)


def listed_rows(inputs):
    """Rows (B, D) float64 of `inputs` as lists of numbers; one list alone is one row. Raises Refusal."""
    if inputs and type(inputs[0]) is not list:
        inputs = [inputs]  # one question alone
    count_rows(len(inputs))
    kinds, lengths = set(), set()
    for row in inputs:
        if type(row) is not list:
            raise malformed(f"`inputs` was expected to be rows of numbers; among them is {called(row)}.")
        kinds.update(map(type, row))
        lengths.add(len(row))
    if kinds - NUMBERS:
        wrong = min(NAMES.get(kind, "null") for kind in kinds - NUMBERS)
        raise malformed(f"`inputs` was expected to be rows of numbers; among them is {wrong}.")
    if len(lengths) != 1 or 0 in lengths:
        came = f"rows of {', '.join(map(str, sorted(lengths)[:4]))} numbers" if lengths else "none"
        raise malformed(f"Rows of one length were expected in `inputs`, at least one; {came} came.")
    try:
        return np.array(inputs, dtype=np.float64)
    except OverflowError:
        raise no_number("a larger one than double precision holds") from None


def packed_rows(text, shape):
    """Rows (B, D) float64 of `inputs` as base64, with their `shape`. Raises Refusal."""
    if len(shape) != 2 or not all(type(n) is int and 0 < n <= MOST_NUMBERS for n in shape):
        came = cut(json.dumps(shape)) if NUMBERS.issuperset(map(type, shape)) else "something else"
        raise malformed(f"`shape` was expected to be [rows, numbers in a row]; {came} came.")
    count_rows(shape[0])
    try:
        numbers = np.frombuffer(base64.b64decode(text, validate=True), "<f8")
    except (ValueError, binascii.Error):
        raise malformed("`inputs` as a text was expected to be base64 of float64 numbers, 8 bytes each.") from None
    if numbers.size != shape[0] * shape[1]:
        raise malformed(f"`inputs` was expected to hold {shape[0] * shape[1]:,} numbers; {numbers.size:,} came.")
    if not np.isfinite(numbers).all():
        raise no_number("NaN or infinity")
    return numbers.reshape(shape).astype(np.float64)  # a copy, in the machine's own order of bytes


def count_rows(n):
    """A Refusal where these are more rows than any request may have."""
    if n > MOST_ROWS:
        raise Refusal(
            413, f"A request takes at most {MOST_ROWS:,} rows; {n:,} came. Send them in several.", "too-many-rows"
        )


def malformed(detail):
    """The Refusal, 422, for a request of another form than the API's."""
    return Refusal(422, detail, "malformed")


TRUSTED = 64 << 10  # bytes that are read before we know who asks
BODY_BYTES = 4 << 20  # the longest request that is read: 1,024 rows of 64 numbers in full precision take 1.3 MB


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
