"""What every ledger keeps and says, whatever it is written in: an entry, and why one was not taken."""

from dataclasses import dataclass


class LedgerError(Exception):
    """The folder cannot be served: the message says why and what to do."""

    def _render_traceback_(self):
        return [f"LedgerError: {self}"]


class Full(Exception):
    """It could not be written; nothing of it is in the ledger."""


class Refused(Exception):
    """The transaction would not have it. reason: "revoked", "budget" or "cohort budget"; spent: the key's rows so far."""

    def __init__(self, reason, spent=0):
        super().__init__(reason)
        self.reason, self.spent = reason, spent


@dataclass(slots=True)
class Entry:
    """One request. `charged` rows are charged to key and cohort. spent and budget_left are the transaction's to fill in.

    outcome: None once it is in the ledger, else why it is not. context is the caller's, and not stored.
    """

    at: float
    key: int
    cohort: str
    model: str
    rows: int
    policy: str
    address: str
    body: bytes
    features: bytes | None = None
    answers: bytes | None = None
    charged: int = 0
    status: int = 200
    output: str = "none"
    planted: int = 0
    request_id: str | None = None
    budget: int | None = None
    cohort_budget: int | None = None
    spent: int | None = None
    budget_left: int | None = None
    outcome: Exception | None = None
    context: object = None
