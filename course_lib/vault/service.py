"""The vault without its network: the path of a question (door.py), and what a key's holder and an instructor may do."""

import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path

from course_lib.vault import policy, refusal
from course_lib.vault.door import Door
from course_lib.vault.honest import rate
from course_lib.vault.keyring import MOST_HOURS, Keyring, check_name
from course_lib.vault.ledger import Books, Ledger, LedgerError
from course_lib.vault.limits import Steady
from course_lib.vault.policy import in_words
from course_lib.vault.state import snapshot, usage
from course_lib.vault.watch import Eye, Watchers


class Service(Door):
    """A vault in a folder: vault.db, and policy.toml (written if missing). ask() is in door.py.

    clock() gives seconds since 1970; nothing else here reads a clock or sleeps. victims: {name: Victim}, else those that
    are trained on the set `data`. class_name: kept from the first start. serving: no other process may serve the folder.
    max_pages: the ledger's largest size, in pages of 4,096 bytes.
    """

    def __init__(
        self,
        folder,
        policy_path=None,
        clock=time.time,
        victims=None,
        class_name=None,
        data="digits",
        serving=True,
        max_pages=None,
    ):
        if victims is None:
            from course_lib.vault import victims as trained

            victims = trained.victims(data)
        super().__init__(victims, Steady(clock))
        self.folder = Path(folder)
        self.refused_policy = None  # {"line", "reason"} of the file's newest text, where it is no policy
        self.policy_path = Path(policy_path) if policy_path else self.folder / "policy.toml"
        self.ledger = Ledger(folder, serving, max_pages)
        self.ledger.on_commit(self._committed)
        try:
            self._open(class_name)
        except BaseException:
            self.ledger.close()
            raise

    def _open(self, class_name):
        """As it was when it closed, however it closed: everything is rebuilt from the ledger.

        Its time goes on from the ledger's newest: a computer whose clock was set back opens no key that had ended.
        """
        newest = self.ledger.newest()
        self.behind = max(0.0, newest - self.clock())  # seconds that the computer's clock is behind
        self.clock.not_before(newest)
        meta = self._meta(class_name)
        self.class_name, self.secret, self.ends = meta["class"], meta["secret"], meta.get("ends")
        self.keyring, self.books = Keyring(self.ledger, self.class_name, self.clock), Books(self.ledger)
        seed = int.from_bytes(hashlib.sha256(self.secret + b"projection").digest()[:8], "little")
        eyes = {name: Eye(victim.reference, seed) for name, victim in self.victims.items()}
        self.watchers = Watchers(eyes, self.ledger, self._false_alarm_rate)
        if not self.policy_path.exists():
            _write(self.policy_path, policy.default_text())
        self.policy, now = policy.load(self.policy_path), self.clock()
        for row in self.ledger.history():
            subjects, at = (("key", row["key"]), ("cohort", row["cohort"])), min(row["at"], now)
            if row["features"] is not None and row["model"] in self.victims:
                self.watchers.replay(row["id"], subjects, row["model"], row["features"], at)
            if row["request_id"] is not None:
                self.known.add(hash((row["key"], row["request_id"])))
            if row["charged"]:
                for limit in self._limits(row["key"], row["cohort"]):
                    self.limits.replay(limit, row["rows"], at)
        self._read_prices()
        self._adopt(self.policy)

    def _read_prices(self):
        for version, text in self.ledger.policies():
            with contextlib.suppress(policy.PolicyError):  # of an older course, say
                self.prices[version] = policy.parse(text).price.cents_per_1000_rows

    def _meta(self, class_name):
        meta = self.ledger.meta({"class": class_name or "demo", "secret": secrets.token_bytes(32)})
        if class_name and class_name != meta["class"]:
            sentence = f"{self.folder} is the vault of the class {meta['class']}, not of {class_name}"
            raise LedgerError(f"{sentence}; name another folder")
        return meta

    def identify(self, token, scope=None):
        """The Key of a token. Raises Refusal."""
        return self.keyring.identify(token, scope)

    def accept_rules(self, token):
        """The holder of this key has read the rules of engagement and accepts them."""
        key = self.identify(token)
        if key.accepted_rules is None:
            self.keyring.set(key, "accepted_rules", self.clock())

    def usage(self, token):
        """What a key has used, and what it has left."""
        return usage(self, self.identify(token))

    def policy_view(self, token):
        """What a key may know of the policy: what it gets, how much of it, at what price; how it is watched in words alone."""
        self.identify(token)
        force = self.policy
        return {
            "version": force.version,
            "output": {name: getattr(force.output, name) for name in ("kind", "top_k", "decimals")},
            "limits": {name: getattr(force.limits, name) for name in type(force.limits).__dataclass_fields__},
            "limits_count": "rows",
            "monitored": force.monitor.enabled,
            "who": force.identity.who,
            "keys_per_person": force.identity.keys_per_person,
            "cents_per_1000_rows": force.price.cents_per_1000_rows,
            "words": in_words(force),
        }

    def models(self, token):
        """The models behind the door."""
        self.identify(token)
        return [
            {
                "id": victim.name,
                "shape": list(victim.shape),
                "classes": len(victim.classes),
                "class_names": list(victim.classes),
                "parameters": victim.parameters,
            }
            for victim in self.victims.values()
        ]

    def new_key(self, pseudonym, cohort="class", scope="predict", budget=None, expires=None, accepted=False):
        """A new key's token; it is shown once. budget: rows; expires: seconds since 1970, else a learner's ends with the class.

        accepted: its holder has accepted the rules already.
        """
        if expires is None and self.ends is not None and "instructor" not in scope.split():
            if self.clock() >= self.ends:
                raise ValueError(f"the class {self.class_name} has ended; give this key hours of its own")
            expires = self.ends
        per_person = self.policy.identity.keys_per_person if scope != "instructor" else 0
        return self.keyring.new(pseudonym, cohort, scope, budget, expires, per_person, accepted)

    def end_in(self, hours):
        """What new_key takes as `expires`: so many hours from now, by the vault's clock. Raises ValueError."""
        if not 0 < hours <= MOST_HOURS:
            raise ValueError(f"hours are more than 0, and {MOST_HOURS:,} at most; got {hours:g}")
        return self.clock() + 3600 * hours

    def set_end(self, at):
        """Learners' keys that are made from now on, with no end of their own, end then: seconds since 1970."""
        self.ledger.set_meta("ends", at)
        self.ends = at

    def keys(self):
        """Every key, as the page shows it; never its secret."""
        return self.snapshot()["keys"]

    def revoke(self, key_id):
        """From now on this key opens nothing, not even the reply to an earlier question."""
        key = self.keyring.get(key_id)
        key.revoked = self.clock()  # at once, even where it cannot be written
        self.keyring.set(key, "revoked", key.revoked)

    def set_cohort(self, key_id, cohort):
        """This key acts together with those of that cohort, from its next question on. Raises KeyError or ValueError."""
        check_name("a cohort", cohort)
        self.keyring.set(self.keyring.get(key_id), "cohort", cohort)

    def expire(self, class_name):
        """The class is over: its learners' keys expire now. The instructor's still opens the page, to look and to stop."""
        now = self.clock()
        self.ledger.set_clock(now)
        ours = [key for key in list(self.keyring.by_id.values()) if key.class_name == class_name]
        for key in [key for key in ours if "instructor" not in key.scope.split()]:
            self.keyring.set(key, "expires", now)

    def forget(self, pseudonym):
        """Delete who it was: the keys' name, addresses, request ids, features and answers. Counts and charges stay.

        Raises KeyError, in words, where no key has that name: a slip of the pen must not look done.
        """
        if not self.ledger.forget(pseudonym, self.clock()):
            raise KeyError(f"no key belongs to {pseudonym!r}; the page has every name, as it is written")
        self.keyring.forget(pseudonym)

    def pardon(self, key_id=None, cohort=None):
        """After a person has looked: the alarms of a key, or of a cohort, end, and its numbers start afresh."""
        subject = ("cohort", cohort) if key_id is None else ("key", self.keyring.get(key_id).id)
        with self.lock:
            self.watchers.pardon(subject, self.clock())
            self.unanswered.clear()  # a fresh start counts whatever comes

    def pause(self, paused=True):
        """Refuse questions for a while (503), or go on."""
        self.paused = bool(paused)

    def reload_policy(self):
        """Read the file again. Raises PolicyError, and then the old policy stays, and refused_policy says why."""
        try:
            self._adopt(policy.load(self.policy_path))
        except Exception as error:
            told = isinstance(error, policy.PolicyError)
            reason = str(error) if told else "the vault made a mistake; its own words are in the terminal where it runs"
            self.refused_policy = {"line": error.line if told else None, "reason": reason}
            raise

    def set_policy(self, text):
        """Put another policy into the file and into force. Raises PolicyError or Refusal, and then the old one stays."""
        new = policy.parse(text)
        try:
            _write(self.policy_path, text)
        except OSError as error:
            sentence = f"{self.policy_path.name} cannot be written ({error.strerror}); the old policy stays"
            raise refusal.Refusal(503, sentence, "policy-not-written") from None
        self._adopt(new)

    def snapshot(self):
        """Everything that the page shows, JSON-able, without a clock in it: an idle vault gives the same again."""
        return snapshot(self)

    def close(self):
        """Finish what was taken, then close."""
        with self.lock:
            self.closed = True
        self.ledger.set_clock(self.clock())
        self.ledger.close()

    def _adopt(self, new):
        with self.lock:
            self.policy, self.refused_policy, now = new, None, self.clock()
            self.prices[new.version] = new.price.cents_per_1000_rows
            self.limits_of.clear()
            self.ledger.adopt_policy(new.version, now, new.text)
            self.watchers.judge_all(new.monitor, now)

    def _false_alarm_rate(self, per, model, statistic, threshold):
        """The share of simulated honest users beyond the threshold, each behaviour counting the same; None: not measured."""
        extremes = self.victims[model].honest
        if extremes is None:
            return None
        shares = rate(extremes, per, statistic, threshold)
        return sum(shares.values()) / len(shares)


def _write(path, text):
    """The file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
