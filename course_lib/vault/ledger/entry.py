"""What every ledger keeps of a question, whatever it is written in; and why a folder cannot be served."""

from dataclasses import dataclass

from course_lib.vault.refusal import Refusal


class LedgerError(Exception):
    """The folder cannot be served: the message says why and what to do."""

    def _render_traceback_(self):
        return [f"LedgerError: {self}"]


@dataclass(slots=True)
class Entry:
    """One request. `charged` rows are charged to key and cohort. spent and budget_left are the transaction's to fill in.

    outcome: None once it is in the ledger, else the Refusal that says why it is not: key-revoked, budget-spent,
    cohort-budget-spent, ledger-full. context is the caller's, and not stored.
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
    outcome: Refusal | None = None
    context: object = None
