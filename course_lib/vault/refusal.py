"""Why a question gets no answer: a status of HTTP, a title, and a sentence that says what to do."""

import math

from course_lib.files import quoted

PAUSE = 5  # seconds after which a client may try a paused, closing or full vault again
TITLES = {
    401: "Who is asking?",
    403: "Not with this key",
    404: "Not here",
    409: "Not now",
    413: "Too much at once",
    422: "Not understood",
    429: "Too fast",
    503: "Not at the moment",
}


class Refusal(Exception):
    """A refused question. status, title, detail (one sentence), type (a slug), retry_after (seconds or None), headers."""

    def __init__(self, status, detail, type, retry_after=None, headers=None, title=None):
        super().__init__(detail)
        self.status, self.detail, self.type, self.retry_after = status, detail, type, retry_after
        self.title = title or TITLES.get(status, "Refused")
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    def __repr__(self):
        return f"Refusal({self.status}, {self.type!r}, {self.detail!r})"

    def _render_traceback_(self):
        return [f"Refused ({self.status}): {self.detail}"]  # what a notebook shows


def no_rules():
    """403: the key's holder has not accepted the rules."""
    sentence = (
        "first read the rules and accept them: on the page, in Python by oracle.rules() and oracle.accept_rules(), "
        "or by GET /v1/rules and POST /v1/rules/accept"
    )
    return Refusal(403, sentence, "rules")


def no_model(model, models):
    """404: model is none of `models`, their names."""
    return Refusal(404, f"there is no model {quoted(str(model))}; there are {', '.join(models)}", "no-model")


def malformed(d, came):
    """422: rows of d numbers were expected; `came` says what came."""
    return Refusal(422, f"inputs are rows of {d} numbers, one row per picture; got {came}", "malformed-input")


def too_many_rows(rows, limit):
    """413: more rows than one request takes, by the policy or ever."""
    return Refusal(413, f"at most {limit} rows in one request; got {rows}. Send them in several", "too-many-rows")


def out_of_range(limit):
    """422: a number beyond the limit, or none."""
    sentence = f"inputs are finite numbers from -{limit:g} to {limit:g} (pictures: from 0 to 1)"
    return Refusal(422, sentence, "input-out-of-range")


def malformed_id():
    """422: no name for a request."""
    return Refusal(422, "an Idempotency-Key is a text of 1 to 128 printable characters", "malformed-request-id")


def reused_id():
    """422: the name of another question."""
    sentence = "this Idempotency-Key was used for another question; take a new one for each question"
    return Refusal(422, sentence, "request-id-reused")


def revoked():
    """403: the key was revoked."""
    return Refusal(403, "this key was revoked; ask your teacher why, and for another one", "key-revoked")


def budget_spent(spent, budget, rows):
    """403: the key's budget, in rows, has no room for these."""
    sentence = f"{rows} more rows would exceed this key's budget of {budget}, of which {spent} are spent"
    return Refusal(403, sentence, "budget-spent")


def cohort_budget_spent(cohort, spent, budget, rows):
    """403: its cohort's has none."""
    sentence = (
        f"{rows} more rows would exceed the budget of {budget} of the cohort {cohort}, of which {spent} are spent"
    )
    return Refusal(403, sentence, "cohort-budget-spent")


def too_fast(limit, rows, seconds, headers):
    """seconds: until these rows could pass; infinite where they never could."""
    if math.isinf(seconds):
        sentence = (
            f"at most {limit.burst:g} rows pass at once for this {limit.who[0]}; got {rows}. Send them in several"
        )
        return Refusal(413, sentence, "over-the-limit", None, headers)
    sentence = f"at most {limit.rate * 60:g} rows a minute for this {limit.who[0]}; try again in {math.ceil(seconds)} s"
    return Refusal(429, sentence, "too-fast", seconds, headers)


def unusual(alarm):
    """403: an Alarm is on, and the policy blocks."""
    return Refusal(403, f"{alarm.sentence()}. Your teacher can look at it and lift it", "unusual")


def paused():
    """503: the teacher has paused the vault."""
    return Refusal(503, "the teacher has paused the vault; it goes on in a moment", "paused", PAUSE)


def closing():
    """503: the server is ending."""
    return Refusal(503, "this vault is closing", "closing", PAUSE)


def ledger_full(error):
    """503: nothing was written, and so nothing leaves. error: why, in the ledger's words."""
    sentence = f"the ledger cannot be written ({error}), and nothing leaves without a record; try again"
    return Refusal(503, sentence, "ledger-full", PAUSE)
