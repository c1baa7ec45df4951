"""An answer on its way out, and as the ledger keeps it."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Reply:
    """labels (B,) whole numbers; probs (B, C) float64, or None where only labels leave. usage: rows, spent,
    budget_left (None: no budget), cents (of all that the key has spent). headers: RateLimit, RateLimit-Policy."""

    id: str
    model: str
    output: str  # "probabilities", "top_k" or "label"
    labels: np.ndarray
    probs: np.ndarray | None
    policy_version: str
    usage: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    replayed: bool = False

    @property
    def answers(self):
        """One dict per row: {"label": 7, "probs": [...]}, or {"3": 0.9, ...} for the top k, or the label alone."""
        labels = self.labels.tolist()
        if self.output == "label":
            return [{"label": label} for label in labels]
        rows = self.probs.tolist()
        if self.output == "top_k":
            rows = [{str(i): p for i, p in enumerate(row) if p > 0} for row in rows]
        return [{"label": label, "probs": row} for label, row in zip(labels, rows, strict=True)]

    def packed(self):
        """What the ledger keeps of the answers."""
        return self.labels.astype("<u2").tobytes() if self.output == "label" else self.probs.tobytes()


def unpacked(row, cents_per_row):
    """The Reply that a row of the ledger's requests kept."""
    labels, probs = np.frombuffer(row["answers"], "<u2"), None
    if row["output"] != "label":
        probs = np.frombuffer(row["answers"]).reshape(row["rows"], -1)
        labels = probs.argmax(1)
    usage = use(row["rows"], row["spent"], row["budget_left"], cents_per_row)
    return Reply(row["request_id"], row["model"], row["output"], labels, probs, row["policy"], usage, {}, True)


def use(rows, spent, budget_left, cents_per_row):
    """What a question has used, and what its key has left."""
    return {"rows": rows, "spent": spent, "budget_left": budget_left, "cents": round(spent * cents_per_row, 6)}


def prediction(reply):
    """The JSON of an answered question. reply: service.Reply."""
    answers = [
        {"label": answer["label"], "probabilities": answer["probs"]}
        if "probs" in answer
        else {"label": answer["label"]}
        for answer in reply.answers
    ]
    return {
        "id": reply.id,
        "object": "prediction",
        "model": reply.model,
        "policy_version": reply.policy_version,
        "output": reply.output,
        "answers": answers,
        "usage": reply.usage,
    }
