"""Keys: vk_<class>_<22 letters and digits>_<checksum>. The ledger holds their hashes; the key itself is shown once."""

import hashlib
import hmac
import re
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
LENGTH = 22  # letters and digits: 131 random bits
CLASS_NAME = re.compile(r"[a-z0-9-]{1,32}")
_TOKEN = re.compile(rf"vk_({CLASS_NAME.pattern})_([0-9A-Za-z]{{{LENGTH}}})_([0-9A-Za-z]{{6}})")


def new_token(class_name):
    """A fresh key for a class."""
    if not CLASS_NAME.fullmatch(class_name):
        raise ValueError(f"a class is called by 1 to 32 of a-z, 0-9 and -, such as autumn-2026; got {class_name!r}")
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
