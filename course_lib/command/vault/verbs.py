"""`course vault ...`: each subcommand is its help, its flags, and a few calls. Starts with the standard library alone.

course vault serve              a vault for this computer; with --lan, for a class
course vault init --class NAME  a folder for a class: its policy to edit, its instructor's key
course vault key ...            new, list, move, revoke, lift, expire
course vault policy check FILE  whether a policy can be, and what it says
course vault report             what was asked, by whom, at which price; what was unusual
course vault export FOLDER      the ledger as CSV files, and the SQL behind each of them
"""

import argparse
import os
from pathlib import Path

from course_lib.command import workspace
from course_lib.command.environment import Refused
from course_lib.command.vault import keys
from course_lib.command.vault.folder import carried, instructor, no_ledger, opened
from course_lib.command.vault.keys import check_hours, columns
from course_lib.command.vault.serving import PORT, serve
from course_lib.files import cut


def add_to(commands):
    """The parsers of `course vault`."""
    vault = commands.add_parser(
        "vault", allow_abbrev=False, help="a model behind keys, limits and a ledger: serve it, look after it"
    )
    verbs = vault.add_subparsers(dest="verb", required=True, metavar="COMMAND")

    def verb(name, help, parent=verbs):
        parser = parent.add_parser(name, allow_abbrev=False, help=help)
        parser.add_argument(
            "--folder", help="where the class's ledger and policy are; COURSE_VAULT, or workspace/vault"
        )
        return parser

    serve = verb("serve", "serve the vault until Ctrl-C; makes what is missing")
    serve.add_argument("--port", type=int, help=f"{PORT}, or the next that is free, unless told; 0: any")
    serve.add_argument("--lan", action="store_true", help="let other computers of this network in")
    serve.add_argument("--workers", type=one_worker, default=1, help="one: a ledger has one writer")

    init = verb("init", "a folder for a class: its policy to edit, its instructor's key")
    init.add_argument(
        "--class", dest="class_name", required=True, metavar="NAME", help="a-z, 0-9 and -, such as autumn-2026"
    )
    init.add_argument("--hours", type=float, help="until the class ends, and with it every learner's key made for it")

    vault_key = verbs.add_parser("key", allow_abbrev=False, help="new, list, move, revoke, lift, expire")
    key = vault_key.add_subparsers(dest="what", required=True, metavar="COMMAND")
    new = verb("new", "a key, shown once", key)
    new.add_argument("pseudonym", help="no person's name; with --count, the first part of each: ant-01, ant-02, ...")
    new.add_argument("--count", type=int, default=1, help="so many keys")
    new.add_argument("--cohort", help="which keys act together")
    new.add_argument("--scope", default="predict", choices=["predict", "submit", "instructor"])
    new.add_argument("--budget", type=int, help="rows it may ask in all")
    new.add_argument(
        "--hours", type=float, help="until it expires; else it ends with the class (init --hours, or key expire)"
    )
    verb("list", "every key: pseudonym, what it spent, whether it still opens", key)
    move = verb("move", "from its next question on, a key acts together with those of another cohort", key)
    move.add_argument("who", help="its pseudonym, or its number in `course vault key list`")
    move.add_argument("--cohort", required=True, metavar="NAME")
    verb("revoke", "close a key", key).add_argument("id", type=int, help="its number in `course vault key list`")
    lift = verb("lift", "after a look: alarms end, and what was counted starts afresh", key)
    whose = lift.add_mutually_exclusive_group(required=True)
    whose.add_argument("who", nargs="?", help="its pseudonym, or its number in `course vault key list`")
    whose.add_argument("--cohort", metavar="NAME", help="a whole cohort's alarms")
    verb("expire", "the class is over: every learner's key ends", key)

    policy = verbs.add_parser("policy", allow_abbrev=False, help="check a policy file")
    check = verb(
        "check",
        "whether it can be, and what it says",
        policy.add_subparsers(dest="what", required=True, metavar="COMMAND"),
    )
    check.add_argument("file")

    verb("report", "what was asked, by whom, at which price; what was unusual")
    verb("export", "the ledger as CSV files, and the SQL behind each").add_argument("to", help="a folder for them")


def one_worker(text):
    """The number that --workers takes, which is 1; another is told why."""
    if text != "1":
        raise argparse.ArgumentTypeError(
            f"one process serves a class, because one process writes its ledger and keeps its limits; {cut(text)} were asked for. "
            "Leave --workers away: one process answers a class of forty."
        )
    return 1


def run(options, root):
    """One subcommand; its exit code."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # a row of 64 numbers is no work for several threads
    from course_lib.vault.client import Refused as Said
    from course_lib.vault.ledger import LedgerError
    from course_lib.vault.policy import PolicyError
    from course_lib.vault.refusal import Refusal

    folder = (
        Path(options.folder or os.environ.get("COURSE_VAULT") or workspace.folder(root) / "vault")
        .expanduser()
        .resolve()
    )
    verb = f"{options.verb}_{options.what}" if hasattr(options, "what") else options.verb
    try:
        return VERBS[verb](options, folder)
    except (LedgerError, PolicyError, Said, Refusal, ValueError) as error:
        raise Refused(str(error)) from None


def init(options, folder):
    """course vault init: a folder for a class, with its policy and its instructor's key."""
    from course_lib.vault import policy

    check_hours(options.hours, "No folder was made.")
    folder.mkdir(parents=True, exist_ok=True)
    with opened(folder, class_name=options.class_name) as service:
        if service.keys():
            raise Refused(
                f"{folder} is in use for the class {service.class_name!r}. For another class, name another --folder."
            )
        key = service.new_key("instructor", scope="instructor")
        if options.hours is not None:
            service.set_end(service.end_in(options.hours))
    file = folder / "policy.toml"
    if not file.exists():
        file.write_text(policy.default_text(), encoding="utf-8")
    more = carried(options)
    print(f"The class {options.class_name!r} has its folder: {folder}\nIts policy, to edit: {file}")
    print(f"Instructor's key, shown this once: {key}")
    if options.hours is not None:
        print(
            f"The class ends in {options.hours:g} hours, and with it every learner's key that has no hours of its own."
        )
    print(
        f"Next: python -m course_lib vault key new ant --count 40{more}, then: python -m course_lib vault serve --lan{more}"
    )
    return 0


def policy_check(options, folder):
    """course vault policy check: the policy in words, or PolicyError."""
    from course_lib.vault import policy
    from course_lib.vault.policy import words

    found = policy.load(options.file)
    print(f"{options.file} is a policy; its version is {found.version}.", *words.in_words(found), sep="\n")
    return 0


def report(options, folder):
    """course vault report: what was asked, refused and unusual, as two tables."""
    with instructor(folder) as tell:
        state = tell("state")
    totals, policy = state["totals"], state["policy"]
    print(f"The class {state['class']!r}: {totals['rows']:,} questions in {totals['requests']:,} requests, ", end="")
    print(
        f"{totals['cents']:.2f} cents, {totals['refused']:,} requests refused. Policy {policy['version']} is in force.\n"
    )
    rows = [["key", "cohort", "asked", "refused", "cents"]]
    rows += [
        [k["pseudonym"], k["cohort"], f"{k['rows']:,}", f"{k['refused']:,}", f"{k['cents']:.2f}"] for k in state["keys"]
    ]
    print(columns(rows))
    if not state["alarms"]:
        print("\nNothing was unusual.")
        return 0
    print("\nUnusual (which accuses nobody: the last column is how often honest work looks so):")
    rows = [["who", "per", "statistic", "value", "threshold", "after", "did", "honest"]]
    for alarm in state["alarms"]:
        rate = alarm["false_alarm_rate"]
        numbers = [f"{alarm['value']:.3g}", f"{alarm['threshold']:.3g}", f"{alarm['rows']:,}"]
        rate = "not measured" if rate is None else f"{rate:.1%}"
        rows.append([alarm["who"], alarm["per"], alarm["statistic"], *numbers, alarm["action"], rate])
    print(columns(rows))
    if more := totals["alarms"] - len(state["alarms"]):
        print(f"{more:,} more, older, have ended; all are in: python -m course_lib vault export FOLDER")
    return 0


def export(options, folder):
    """course vault export: the ledger as CSV files, and the SQL behind each."""
    from course_lib.vault.ledger import tables

    if not (folder / "vault.db").exists():
        raise no_ledger(folder)
    for path, rows in tables.export(folder / "vault.db", Path(options.to)):
        print(f"{path}: {rows:,} rows")
    return 0


VERBS = {
    "serve": serve,
    "init": init,
    "key_new": keys.new,
    "key_list": keys.listed,
    "key_move": keys.move,
    "key_revoke": keys.revoke,
    "key_lift": keys.lift,
    "key_expire": keys.expire,
    "policy_check": policy_check,
    "report": report,
    "export": export,
}
