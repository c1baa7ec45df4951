"""How often the monitor calls an honest user unusual: measured on simulated days of honest.py, for any threshold.

A threshold's rate needs no new simulation: each honest user leaves the most extreme value that a statistic had while it
asked, and the rate is the share of users whose value is beyond the threshold.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from course_lib.files import keep_folder
from course_lib.progress_line import Progress
from course_lib.vault.honest import users
from course_lib.vault.watch import STATISTICS, Eye, Watch, monitor, prada
from course_lib.vault.watch.statistics import BELOW

DAYS = 20  # simulated; each behaviour has at least one user a day


def measure(victim, x, y, days=DAYS, seed=0):
    """The extremes of honest users that ask copies of pictures x (N, 1, 8, 8), y (N,): a function of the arguments.

    {"key": {behaviour: {statistic: [one value per user]}}, "cohort": {"a day": {...}}}: an honest cohort is a day with all
    behaviours in it. A value is None where there was never enough to judge. A cohort's volume is per key that asked
    in the hour.
    """
    eye, out = Eye(victim.reference, seed), {"key": {}, "cohort": {}}
    with Progress(f"honest users of {victim.name}, {days} days", days) as progress:
        for day in range(days):
            watches, cohort = {}, Watch(eye.near, "cohort")
            extremes = {}
            for question in users.traffic(x, y, seed + day):
                watch = watches.setdefault(question.user, Watch(eye.near))
                seen = eye.features(question.x, victim.answer(question.x).argmax(1))
                for who, one in ((question.user, watch), (None, cohort)):
                    one.see(seen, question.at, question.user)
                    numbers = one.numbers()
                    numbers["volume"] /= one.keys()
                    extremes[who] = _further(extremes.get(who), numbers)
            for who, values in extremes.items():
                per, kind = ("cohort", "a day") if who is None else ("key", users.behaviour_of(who))
                for statistic, value in values.items():
                    out[per].setdefault(kind, {}).setdefault(statistic, []).append(value)
            progress.step()
    return out


def rate(extremes, per, statistic, threshold):
    """{behaviour: share of its users beyond the threshold}; the mean over behaviours is the false-alarm rate."""
    return {kind: _share(values[statistic], statistic, threshold) for kind, values in extremes[per].items()}


def measured(victim, x, y, days=DAYS):
    """measure(), done once and kept in `models` in the data folder; again where victim, pictures or code are others."""
    digest = hashlib.sha256(f"{victim.name} {days}".encode())
    for part in (victim.answer(victim.reference[:200]), victim.reference, x.numpy(), y.numpy()):
        digest.update(np.ascontiguousarray(part).tobytes())
    for file in (__file__, users.__file__, monitor.__file__, prada.__file__):
        digest.update(Path(file).read_bytes())
    path = keep_folder() / "models" / f"{victim.name}-honest-{digest.hexdigest()[:16]}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or damaged: it is only kept to save time
        extremes = measure(victim, x, y, days)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(extremes), encoding="utf-8")
    except OSError as error:
        print(
            f"The honest users of {victim.name} are simulated but could not be kept in {path.parent} ({error.strerror})."
        )
    return extremes


def _further(before, now):
    if before is None:
        return now
    return {statistic: _extreme(statistic, before[statistic], now[statistic]) for statistic in STATISTICS}


def _extreme(statistic, *values):
    values = [value for value in values if value is not None]
    return (min if statistic in BELOW else max)(values) if values else None


def _share(values, statistic, threshold):
    if not threshold:
        return 0.0  # not judged
    beyond = [v is not None and (v < threshold if statistic in BELOW else v > threshold) for v in values]
    return sum(beyond) / len(beyond)
