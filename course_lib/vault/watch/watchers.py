"""Who is watched, which alarms are on, and what that means for a question. Alarms say "unusual", never more."""

import threading
from collections import deque
from dataclasses import dataclass

from course_lib.vault.watch.monitor import Seen, Watch
from course_lib.vault.watch.statistics import BELOW, NAMES

SHOWN = 50  # of the alarms that have ended, the newest are kept at hand; the ledger has all
REMEMBERED = 500  # the newest questions that were seen and then refused


@dataclass(slots=True)
class Alarm:
    """A statistic went beyond its threshold. who: a key's id, or a cohort's name. false_alarm_rate: of honest users."""

    id: int
    at: float
    per: str
    who: int | str
    model: str
    statistic: str
    value: float
    threshold: float
    false_alarm_rate: float | None
    action: str
    rows: int  # that were seen until then
    ended: float | None = None

    def sentence(self):
        """What an alarm means, in words for everybody: not where the line is, nor how far beyond it somebody went."""
        rate = self.false_alarm_rate
        honest = "how often honest users look so is not measured"
        if rate is not None:
            honest = f"{rate:.1%} of simulated honest users look so, too"
        side = "low" if self.statistic in BELOW else "high"
        what = f"{NAMES[self.statistic]}: {side}"
        return f"unusual after {self.rows} rows ({what}). That is no proof of anything: {honest}"


class Watchers:
    """Key and cohort of every question are watched; a subject is ("key", 3) or ("cohort", "green").

    eyes: {model: Eye}. rate(per, model, statistic, threshold): the share of honest users beyond it, or None.
    """

    def __init__(self, eyes, ledger, rate):
        self.eyes, self.ledger, self.rate = eyes, ledger, rate
        self.watches, self.ended = {}, deque(maxlen=SHOWN)
        self.on = {}  # subject: {(model, statistic): Alarm}
        self.pardons, alarms = ledger.pardons(), [Alarm(*row) for row in ledger.alarms()]
        self.next, self.count = max((alarm.id for alarm in alarms), default=0) + 1, len(alarms)
        for alarm in alarms:
            if alarm.ended is None:
                self.on.setdefault((alarm.per, alarm.who), {})[alarm.model, alarm.statistic] = alarm
            else:
                self.ended.append(alarm)

    def see(self, subjects, model, seen, settings, now):
        """Take in the rows of one question, for each of its subjects, and judge."""
        for subject in subjects:
            watch = self._watch(subject, model)
            watch.see(seen, now, subjects[0][1])
            self._judge(subject, model, watch, settings, now)

    def replay(self, request, subjects, model, blob, at):
        """At the start, in order: a request that the ledger has; not for a subject that was pardoned after it."""
        seen = Seen.unpacked(blob)
        for subject in subjects:
            if request > self.pardons.get(subject, 0):
                self._watch(subject, model).see(seen, at, subjects[0][1])

    def judge_all(self, settings, now):
        """After a restart or under a new policy: alarms begin and end as the numbers say."""
        for (subject, model), watch in self.watches.items():
            watch.pass_time(now)
            self._judge(subject, model, watch, settings, now)

    def judged(self, subjects, settings, now):
        """The alarms that are still on for any of the subjects, now that time has passed."""
        for subject in subjects:
            for model in {alarm.model for alarm in self.alarmed([subject])}:
                if watch := self.watches.get((subject, model)):
                    watch.pass_time(now)
                    self._judge(subject, model, watch, settings, now)
        return self.alarmed(subjects)

    def alarmed(self, subjects):
        """The alarms that are on for any of the subjects."""
        return [a for subject in subjects for a in list(self.on.get(subject, {}).values())] if self.on else []

    def alarms(self):
        """Every alarm that is on, however many, and the newest of those that have ended; newest first."""
        on = self.alarmed(list(self.on))
        found = {alarm.id: alarm for alarm in on + list(self.ended)}  # one that ends meanwhile is in both
        return [found[i] for i in sorted(found, reverse=True)]

    def pardon(self, subject, now):
        """A person has looked: alarms end, and the subject's numbers start afresh, also after a restart."""
        for alarm in self.alarmed([subject]):
            self._end(subject, alarm, now)
        for key in [key for key in self.watches if key[0] == subject]:
            del self.watches[key]
        self.ledger.pardon(subject, now)

    def numbers(self, subject):
        """{model: {statistic: value}} of a subject, for people."""
        return {model: watch.numbers() for (one, model), watch in list(self.watches.items()) if one == subject}

    def _watch(self, subject, model):
        watch = self.watches.get((subject, model))
        if watch is None:
            watch = self.watches[subject, model] = Watch(self.eyes[model].near, subject[0])
        return watch

    def _judge(self, subject, model, watch, settings, now):
        per, who = subject
        beyond = watch.unusual(settings) if settings.enabled and settings.per in (per, "both") else {}
        on = self.on.get(subject)
        if on:
            for alarm in [a for a in on.values() if a.model == model and a.statistic not in beyond]:
                self._end(subject, alarm, now)
        for statistic, (value, threshold) in beyond.items():
            if not on or (model, statistic) not in on:
                rate = self.rate(per, model, statistic, settings.volume if statistic == "volume" else threshold)
                alarm = Alarm(
                    self.next, now, per, who, model, statistic, value, threshold, rate, settings.action, watch.rows
                )
                self._begin(subject, alarm)

    def _begin(self, subject, alarm):
        self.next, self.count = self.next + 1, self.count + 1
        self.on.setdefault(subject, {})[alarm.model, alarm.statistic] = alarm
        self.ledger.begin_alarm(alarm)

    def _end(self, subject, alarm, now):
        alarm.ended = now
        self.ended.append(alarm)
        del self.on[subject][alarm.model, alarm.statistic]
        if not self.on[subject]:
            del self.on[subject]
        self.ledger.end_alarm(alarm)


class Unanswered:
    """Questions that were seen and then refused (the ledger was full, say). Who asks one again has not asked twice."""

    def __init__(self):
        self.features, self.lock = {}, threading.Lock()  # (key, question): see take

    def keep(self, key, question, features):
        """The ledger's thread: this question was seen, and gets no answer. features: None where the ledger has them."""
        with self.lock:
            self.features[key, question] = features
            if len(self.features) > REMEMBERED:
                del self.features[next(iter(self.features))]

    def take(self, key, question):
        """(whether it was seen before, what the ledger is to keep of it; None: the ledger has it), once."""
        if not self.features:
            return False, None
        with self.lock:
            seen = (key, question) in self.features
            return seen, self.features.pop((key, question), None)

    def clear(self):
        """Whatever comes is new."""
        with self.lock:
            self.features.clear()
