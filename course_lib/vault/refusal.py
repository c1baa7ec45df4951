"""Why a question gets no answer: a status of HTTP, a title, and a sentence that says what to do."""

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
            self.headers["Retry-After"] = str(max(1, -int(-retry_after // 1)))  # whole seconds, rounded up

    def __repr__(self):
        return f"Refusal({self.status}, {self.type!r}, {self.detail!r})"

    def _render_traceback_(self):
        return [f"Refused ({self.status}): {self.detail}"]  # what a notebook shows
