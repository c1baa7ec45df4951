"""Keys: vk_<class>_<22 letters and digits>_<checksum>; their rules; and every key of a class: who is asking, and may they?

The ledger holds a key's hash; the key itself is shown once. In memory it is as in the ledger.
"""

import hashlib
import hmac
import re
import secrets
import string
import threading
import zlib
from dataclasses import dataclass

from course_lib.files import quoted
from course_lib.vault.refusal import Refusal, revoked

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
LENGTH = 22  # letters and digits: 131 random bits
CLASS_NAME = re.compile(r"[a-z0-9-]{1,32}")
_TOKEN = re.compile(rf"vk_({CLASS_NAME.pattern})_([0-9A-Za-z]{{{LENGTH}}})_([0-9A-Za-z]{{6}})")
SCOPES = ("predict", "submit", "instructor")
LARGEST_BUDGET = 10**12  # rows, of a budget
MOST_HOURS = 24 * 366  # of a key: a year
RULES = (
    "Ask only this vault, and only with your own key. Everything here was made to be attacked; nothing else was.",
    "What you learn here you use on models that you may attack: your own, or those whose owner has agreed.",
    "Your key is a pseudonym. Do not put a name, or anything else about a person, into it or into a question.",
    "Every question is written down: which key, when, how many rows, at which price; not from which address exactly.",
    "An alarm says that a key's questions are unusual. It accuses nobody, and honest work raises some.",
    "Whoever runs the vault may pause it, revoke a key and change the policy. Keys end with the class.",
    "If you find a way in that was not meant, tell whoever runs the vault first.",
)
TEXT = "\n".join(f"{number}. {rule}" for number, rule in enumerate(RULES, 1))


def new_token(class_name):
    """A fresh key for a class."""
    if not CLASS_NAME.fullmatch(class_name):
        raise ValueError(
            f"a class is called by 1 to 32 of a-z, 0-9 and -, such as autumn-2026; got {quoted(class_name)}"
        )
    body = f"vk_{class_name}_{''.join(secrets.choice(ALPHABET) for _ in range(LENGTH))}"
    return f"{body}_{checksum(body)}"


def parse(token):
    """The class that a key names. Raises ValueError with a sentence for what cannot be a key: a slip in copying, say."""
    match = _TOKEN.fullmatch(token) if isinstance(token, str) and len(token) < 100 else None
    if not match:
        raise ValueError(
            "a key looks like vk_<class>_<22 letters and digits>_<6 more>; this one does not. Copy it whole"
        )
    if not same(checksum(token.rpartition("_")[0]).encode(), match[3].encode()):
        raise ValueError("this key has a slip in it (its last six letters don't fit the rest). Copy it again, whole")
    return match[1]


def checksum(text):
    """The crc32 of a text as six letters and digits. It finds slips; it keeps nobody out."""
    number, out = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        out = ALPHABET[digit] + out
    return out


def hashed(token):
    """sha256 of a key, 32 bytes: what the ledger keeps. A key has 131 random bits, so no salt and no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def same(a, b):
    """Whether two byte strings are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(a, b)


@dataclass(slots=True)
class Key:
    """A key without its secret. scope: one or several of SCOPES, by spaces. Times are seconds since 1970, or None."""

    id: int
    pseudonym: str
    cohort: str
    class_name: str
    scope: str
    budget: int | None
    spent: int
    created: float
    expires: float | None
    revoked: float | None
    accepted_rules: float | None


def check_name(what, value):
    """A ValueError, in words, where it is no name of a pseudonym or a cohort."""
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 64 or not value.isprintable():
        raise ValueError(f"{what} is a text of 1 to 64 printable characters; got {quoted(value)}")


class Keyring:
    """The keys of a class. now() gives seconds. What changes is written to the ledger first."""

    def __init__(self, ledger, class_name, now):
        self.ledger, self.class_name, self.now, self.by_hash, self.by_id = ledger, class_name, now, {}, {}
        self.first = {}  # pseudonym: the id of its first key
        self.making = threading.Lock()  # one key after the other: a pseudonym may hold so many
        for hashed, *fields in ledger.keys():
            self._add(hashed, Key(*fields))

    def identify(self, token, scope=None):
        """The key of a token, if it may be used now, for that scope. Raises Refusal."""
        # Looked up by its hash: how long that takes tells nothing about any key.
        key = self.by_hash.get(hashed(token)) if isinstance(token, str) and token.isascii() else None
        if key is None:
            self._say_why_unknown(token)
        if key.revoked is not None:
            raise revoked()
        if key.expires is not None and self.now() >= key.expires:
            raise Refusal(
                403, "this key has expired; keys end with the class. Ask your teacher for another one", "key-expired"
            )
        if scope and scope not in key.scope.split():
            raise Refusal(403, f"this key is for {key.scope}, and this takes one for {scope}", "wrong-scope")
        return key

    def new(self, pseudonym, cohort, scope, budget, expires, per_person, accepted=False):
        """A new key's token, which is shown once. per_person: keys that one pseudonym may hold; 0: any number."""
        token, now = new_token(self.class_name), self.now()
        check_name("a pseudonym", pseudonym)
        check_name("a cohort", cohort)
        if not scope or set(scope.split()) - set(SCOPES):
            raise ValueError(f"a scope is one or several of {', '.join(SCOPES)}; got {quoted(scope)}")
        if budget is not None and (
            not isinstance(budget, int) or isinstance(budget, bool) or not 0 <= budget <= LARGEST_BUDGET
        ):
            raise ValueError(
                f"a budget is a whole number of rows up to {LARGEST_BUDGET:,}, or None; got {quoted(budget)}"
            )
        with self.making:
            live = [k for k in list(self.by_id.values()) if k.pseudonym == pseudonym and k.revoked is None]
            live = [k for k in live if k.expires is None or now < k.expires]
            if per_person and len(live) >= per_person:
                raise ValueError(
                    f"{pseudonym} holds {len(live)} keys, and the policy allows {per_person} per person; revoke one first"
                )
            who, accepted_rules = (pseudonym, cohort, self.class_name, scope, budget), now if accepted else None
            i = self.ledger.new_key(hashed(token), *who, now, expires, accepted_rules)
            self._add(hashed(token), Key(i, *who, 0, now, expires, None, accepted_rules))
        return token

    def set(self, key, what, value):
        """Change one thing of a key: revoked, expires, accepted_rules or cohort."""
        self.ledger.set_key(key.id, what, value)
        setattr(key, what, value)

    def get(self, key_id):
        """The key with that id. Raises KeyError, in words."""
        if key_id not in self.by_id:
            raise KeyError(f"there is no key {quoted(key_id)}; there are {len(self.by_id)}")
        return self.by_id[key_id]

    def forget(self, pseudonym):
        """As the ledger did: no name, no way in. The hash that a token had leads to a key that is revoked."""
        for key in list(self.by_id.values()):
            if key.pseudonym == pseudonym:
                name = f"forgotten-{key.id}"
                self.first[name] = key.id  # first: the page may look at any moment
                key.pseudonym, key.revoked = name, key.revoked or self.now()
        self.first.pop(pseudonym, None)

    def _add(self, hashed, key):
        self.first.setdefault(key.pseudonym, key.id)  # first: the page may look at any moment
        self.by_hash[hashed] = self.by_id[key.id] = key

    def _say_why_unknown(self, token):
        if not token:
            raise Refusal(401, "a question needs a key: Authorization: Bearer vk_...", "no-key")
        try:
            class_name = parse(token)
        except ValueError as error:
            raise Refusal(401, str(error), "malformed-key") from None
        if class_name != self.class_name:
            sentence = f"this key is for the class {class_name}; this vault serves the class {self.class_name}"
            raise Refusal(401, sentence, "other-class")
        raise Refusal(401, "nobody in this class holds this key; ask your teacher for one", "unknown-key")
