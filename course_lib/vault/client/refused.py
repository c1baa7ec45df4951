"""The client's one exception."""


class Refused(Exception):
    """The vault, or this client, says no: .status (0: nothing was sent), .kind (a short name), and a sentence.

    answered: (b, C), the answers to the first b of the rows that were asked; they have been charged.
    """

    def __init__(self, detail, status=0, kind="", retry_after=None):
        super().__init__(detail)
        self.detail, self.status, self.kind, self.retry_after, self.answered = detail, status, kind, retry_after, None

    def _render_traceback_(self):
        return [f"Refused: {self.detail}"]  # IPython shows this line in place of a traceback through our code
