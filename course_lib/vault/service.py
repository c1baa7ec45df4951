"""The vault without its network: a door for questions (door.py), and around it what a key's holder and an instructor may do."""

import contextlib
import hashlib
import secrets
import time
from pathlib import Path

from course_lib.files import quoted, whole
from course_lib.vault import policy, refusal, state
from course_lib.vault.door import Door
from course_lib.vault.honest import rate
from course_lib.vault.in_force import InForce
from course_lib.vault.keyring import MOST_HOURS, Keyring, check_name
from course_lib.vault.ledger import Books, Ledger, LedgerError
from course_lib.vault.limits import Buckets, Steady
from course_lib.vault.watch import Eye, Watchers


class Service:
    """A vault in a folder: vault.db, and policy.toml (written if missing). Its door: .door; what is in force: .in_force.

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
        self.victims, self.clock, self.folder = victims, Steady(clock), Path(folder)
        self.refused_policy = None  # {"line", "reason"} of the file's newest text, where it is no policy
        self.policy_path = Path(policy_path) if policy_path else self.folder / "policy.toml"
        self.ledger = Ledger(folder, serving, max_pages)
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
        self.class_name, secret, self.ends = meta["class"], meta["secret"], meta.get("ends")
        self.keyring, self.books = Keyring(self.ledger, self.class_name, self.clock), Books(self.ledger)
        seed = int.from_bytes(hashlib.sha256(secret + b"projection").digest()[:8], "little")
        eyes = {name: Eye(victim.reference, seed) for name, victim in self.victims.items()}
        self.watchers = Watchers(eyes, self.ledger, self._false_alarm_rate)
        if not self.policy_path.exists():
            self._write(policy.default_text())
        self.in_force = InForce(policy.load(self.policy_path), self._prices())
        stands_on = self.ledger, Buckets(), self.keyring, self.books, self.watchers
        self.door, now = Door(*stands_on, self.victims, self.in_force, secret, self.clock), self.clock()
        for row in self.ledger.history():
            self.door.replay(row, now)
        self.door.adopt(self.policy)

    def _prices(self):
        prices = {}
        for version, text in self.ledger.policies():
            with contextlib.suppress(policy.PolicyError):  # of an older course, say
                prices[version] = policy.parse(text).price.cents_per_1000_rows
        return prices

    def _meta(self, class_name):
        meta = self.ledger.meta({"class": class_name or "demo", "secret": secrets.token_bytes(32)})
        if class_name and class_name != meta["class"]:
            sentence = f"{self.folder} is the vault of the class {meta['class']}, not of {class_name}"
            raise LedgerError(f"{sentence}; name another folder")
        return meta

    @property
    def policy(self):
        """The Policy in force."""
        return self.in_force.policy

    @property
    def paused(self):
        """Whether questions are refused for a while."""
        return self.in_force.paused

    def ask(self, token, model, rows, request_id=None, address="", scope="predict"):
        """A Future of the Reply to rows (B, D): see Door.ask."""
        return self.door.ask(token, model, rows, request_id, address, scope)

    def controlled(self, name, x):
        """What an honest user would get for x (B, D) under the policy in force: probs (B, C). Uncharged, unlogged."""
        return self.door.controlled(name, x)

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
        return state.usage(self, self.identify(token))

    def policy_view(self, token):
        """What a key may know of the policy: what it gets, how much of it, at what price; how it is watched in words alone."""
        self.identify(token)
        return state.terms(self.policy)

    def models(self, token):
        """The models behind the door."""
        self.identify(token)
        return [state.model(victim) for victim in self.victims.values()]

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
            raise ValueError(f"hours are more than 0, and {MOST_HOURS:,} at most; got {quoted(hours)}")
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
            raise KeyError(f"no key belongs to {quoted(pseudonym)}; the page has every name, as it is written")
        self.keyring.forget(pseudonym)

    def pardon(self, key_id=None, cohort=None):
        """After a person has looked: the alarms of a key, or of a cohort, end, and its numbers start afresh."""
        subject = ("cohort", cohort) if key_id is None else ("key", self.keyring.get(key_id).id)
        self.door.pardon(subject)

    def pause(self, paused=True):
        """Refuse questions for a while (503), or go on."""
        self.in_force.paused = bool(paused)

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
            self._write(text)
        except OSError as error:
            sentence = f"{self.policy_path.name} cannot be written ({error.strerror}); the old policy stays"
            raise refusal.Refusal(503, sentence, "policy-not-written") from None
        self._adopt(new)

    def snapshot(self):
        """Everything that the page shows, JSON-able, without a clock in it: an idle vault gives the same again."""
        return state.snapshot(self)

    def close(self):
        """Finish what was taken, then close."""
        self.door.close()
        self.ledger.set_clock(self.clock())
        self.ledger.close()

    def _adopt(self, new):
        self.door.adopt(new)
        self.refused_policy = None

    def _write(self, text):
        with whole(self.policy_path, "w") as file:
            file.write(text)

    def _false_alarm_rate(self, per, model, statistic, threshold):
        """The share of simulated honest users beyond the threshold, each behaviour counting the same; None: not measured."""
        extremes = self.victims[model].honest
        if extremes is None:
            return None
        shares = rate(extremes, per, statistic, threshold)
        return sum(shares.values()) / len(shares)
