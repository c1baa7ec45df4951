"""Two ways to a vault, with the same calls: over HTTP, and in this process."""

import base64
import io
import threading
import urllib.parse

import numpy as np

from course_lib.files import quoted
from course_lib.vault import keyring
from course_lib.vault.answer import prediction
from course_lib.vault.client.line import SILENCE, Line
from course_lib.vault.client.refused import Refused
from course_lib.vault.refusal import Refusal


class HTTP:
    """A vault at an address, asked with one key, by one thread at a time."""

    def __init__(self, address, key, patience=SILENCE):
        try:
            self.class_name = keyring.parse(key)
        except ValueError as error:
            raise Refused(f"{error}. Nothing was sent.") from None
        self.line, self.key, self.lock = Line(address, patience), key, threading.Lock()
        self.name = self.line.name

    def greet(self):
        """Ask, without the key, who answers there; it has to be the vault of the key's class."""
        try:
            said = self.line.exchange("GET", "/healthz")
        except (Refused, ValueError):
            said = {}
        if said.get("vault") != "distillation, hands on":
            self.line.close()
            raise Refused(f"A vault was expected at {self.name}; something else answers there. Your key was not sent.")
        if said.get("class") != self.class_name:
            self.line.close()
            raise Refused(
                f"Your key is for the class {self.class_name!r}; at {self.name} is the vault of {quoted(said.get('class'))}. "
                "Your key was not sent. Check the address."
            )

    def models(self):
        """The models behind the door: [{"id", "shape", "classes", ...}]."""
        return self._send("GET", "/v1/models")["data"]

    def usage(self):
        """The key's account: {"spent", "budget_left", "cents", "cents_per_1000_rows", ...}."""
        return self._send("GET", "/v1/usage")

    def rules(self):
        """The rules of engagement, as text."""
        return self._send("GET", "/v1/rules")["text"]

    def accept_rules(self):
        """Accept them, with this key."""
        return self._send("POST", "/v1/rules/accept", {})

    def predict(self, model, rows, request):
        """The Prediction of rows (B, D), under a name for this request: asked again under it, it costs nothing."""
        question = {"model": model, **packed(rows)}
        return self._send("POST", "/v1/predict", question, headers={"Idempotency-Key": request})

    def submit(self, model, packed):
        """Hand in a copy, as pack() gives it; what it scored."""
        path = f"/v1/submissions?model={urllib.parse.quote(model)}"
        return self._send("POST", path, packed, kind="application/octet-stream")

    def _send(self, method, path, content=None, headers=None, **more):
        with self.lock:
            if self.line.connection is None:  # greeted on every new connection: the key goes to nobody else
                self.greet()
            if self.line.connection is None:
                raise ConnectionResetError("it hangs up after its greeting, and your key was not sent")
            return self.line.exchange(
                method, path, content, {**(headers or {}), "Authorization": f"Bearer {self.key}"}, **more
            )


class InProcess:
    """The same line to a service in this process."""

    name = "this process"

    def __init__(self, service, key):
        self.service, self.key = service, key

    def models(self):
        """As HTTP.models."""
        return self._asked(self.service.models, self.key)

    def usage(self):
        """As HTTP.usage."""
        return self._asked(self.service.usage, self.key)

    def rules(self):
        """As HTTP.rules."""
        return keyring.TEXT

    def accept_rules(self):
        """As HTTP.accept_rules."""
        return self._asked(self.service.accept_rules, self.key)

    def predict(self, model, rows, request):
        """As HTTP.predict."""
        reply = self._asked(lambda: self.service.ask(self.key, model, rows, request).result())
        return prediction(reply)

    def submit(self, model, packed):
        """Refused: the board is the server's."""
        raise Refused("Copies are handed in over HTTP, to a vault that is served: connect(address, key).submit(copy).")

    def _asked(self, ask, *arguments):
        try:
            return ask(*arguments)
        except Refusal as refusal:
            raise Refused(refusal.detail, refusal.status, refusal.type, refusal.retry_after) from None


def pack(model):
    """The .npz of a model made of linear layers and ReLUs, such as models.mlp(64, 64, 10): bytes, for submit."""
    file = io.BytesIO()
    np.savez_compressed(file, **{name: value.detach().cpu().numpy() for name, value in model.state_dict().items()})
    return file.getvalue()


def packed(rows):
    """Rows (B, D) float64 as they travel: base64, exact, and read twenty times faster than digits."""
    return {"inputs": base64.b64encode(rows.astype("<f8").tobytes()).decode(), "shape": list(rows.shape)}
