"""`course vault key ...`: new, list, move, revoke, lift, expire."""

import sys

from course_lib.command.environment import Refused
from course_lib.command.vault.folder import instructor
from course_lib.files import quoted


def new(options, folder):
    """course vault key new: one key, or --count of them, printed once each as NAME, tab, key."""
    if not 1 <= options.count <= 1000:
        raise Refused(f"--count takes a number of keys from 1 to 1,000; got {quoted(options.count)}. No key was made.")
    check_hours(options.hours, "No key was made.")
    names = [options.pseudonym]
    if options.count > 1:
        names = [f"{options.pseudonym}-{number:0{len(str(options.count))}}" for number in range(1, options.count + 1)]
    wish = {"cohort": options.cohort or "class", "scope": options.scope, "budget": options.budget}
    wish["hours"] = options.hours
    with instructor(folder) as tell:
        for name in names:
            print(f"{name}\t{tell('keys', {'pseudonym': name, **wish})['key']}", flush=True)
    print("Shown this once: the vault keeps hashes.", file=sys.stderr)
    return 0


def listed(options, folder):
    """course vault key list: a table of every key."""
    with instructor(folder) as tell:
        keys = tell("state")["keys"]
    rows = [["id", "pseudonym", "cohort", "scope", "asked", "left", "opens"]]
    for key in keys:
        opens = "revoked" if key["revoked"] else "expired" if key["expired"] else "yes"
        left = "no budget" if key["budget_left"] is None else f"{key['budget_left']:,}"
        rows.append([str(key["id"]), key["pseudonym"], key["cohort"], key["scope"], f"{key['rows']:,}", left, opens])
    print(columns(rows))
    return 0


def move(options, folder):
    """course vault key move: another cohort for every key of a pseudonym, or for one key."""
    with instructor(folder) as tell:
        for key in keys_of(tell, options.who):
            tell("cohort", {"id": key, "cohort": options.cohort})
    print(f"{options.who} is in the cohort {options.cohort} from its next question on.")
    return 0


def revoke(options, folder):
    """course vault key revoke: close a key."""
    with instructor(folder) as tell:
        tell("revoke", {"id": options.id})
    print(f"Key {options.id} opens nothing any more.")
    return 0


def lift(options, folder):
    """course vault key lift: the alarms of a key, a pseudonym or a cohort end, and its numbers start afresh."""
    with instructor(folder) as tell:
        if options.cohort is not None:
            tell("lift", {"cohort": options.cohort})
        for key in [] if options.who is None else keys_of(tell, options.who):
            tell("lift", {"key": key})
    print(f"{options.who or 'The cohort ' + options.cohort} starts afresh.")
    return 0


def expire(options, folder):
    """course vault key expire: every learner's key of the class ends now."""
    with instructor(folder) as tell:
        name = tell("expire", {})["class"]
    print(f"The keys of the class {quoted(name)} have ended.")
    return 0


def keys_of(tell, who):
    """The numbers of the keys of a pseudonym, or of the one key with that number."""
    keys = tell("state")["keys"]
    found = [key["id"] for key in keys if key["pseudonym"] == who] or [
        key["id"] for key in keys if str(key["id"]) == who
    ]
    if not found:
        raise Refused(f"No key has the pseudonym or the number {quoted(who)}; see: python -m course_lib vault key list")
    return found


def check_hours(hours, so):
    """A Refused, which ends in the sentence `so`, where --hours is no time that a key can have."""
    from course_lib.vault.keyring import MOST_HOURS

    if hours is not None and not 0 < hours <= MOST_HOURS:
        raise Refused(f"--hours takes hours from now, up to {MOST_HOURS:,}; got {hours:g}. {so}")


def columns(rows):
    """Rows of texts as lines of a table, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)
