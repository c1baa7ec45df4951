"""`course vault ...`: each subcommand is its help, its flags, and a few calls. Starts with the standard library alone.

course vault serve              a vault for this computer; with --lan, for a class
course vault init --class NAME  a folder for a class: its policy to edit, its instructor's key
course vault key ...            new, list, move, revoke, lift, expire
course vault policy check FILE  whether a policy can be, and what it says
course vault report             what was asked, by whom, at which price; what was unusual
course vault export FOLDER      the ledger as CSV files, and the SQL behind each of them
"""

import argparse
import contextlib
import errno
import json
import os
import secrets
import shlex
import sys
from pathlib import Path

from course_lib import workspace
from course_lib.environment import Refused

PORT, PORTS = 8700, 100
NOTE = "server.json"  # in the folder, while a server runs: where it is, and the word that programs of this computer use


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
    if text != "1":
        raise argparse.ArgumentTypeError(
            f"one process serves a class, because one process writes its ledger and keeps its limits; {text} were asked for. "
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


def serve(options, folder):
    from course_lib.vault import app, serve
    from course_lib.vault.service import Service

    listener = open_door(options, serve)
    print(f"Opening the vault in {folder} (the first time, its models are trained: half a minute).", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(folder)
    if service.behind > 60:
        print(
            f"This computer's clock is {service.behind / 3600:.1f} hours behind the ledger, and the vault goes on from the ledger's\n"
            "last time: keys that have ended stay so; --hours of a new key count from there."
        )
    new = first_keys(service) if not service.keys() else {}
    control, port = secrets.token_urlsafe(32), listener.getsockname()[1]
    note = folder / NOTE
    try:
        serve.run(
            app.for_service(service, control=control, lan=options.lan),
            listener,
            ready=lambda: (
                write_note(note, port, service.class_name, control),
                welcome(service, port, options.lan, new, carried(options)),
            ),
        )
        left = still_open(service.keys(), carried(options))
    finally:
        note.unlink(missing_ok=True)
        service.close()
    print(f"The vault has stopped. Its ledger is {folder / 'vault.db'}{left}")
    return 0


def still_open(keys, more):
    """A line about the learners' keys that would open the vault again; nothing where there is none."""
    learners = [key for key in keys if "instructor" not in key["scope"].split() and key["pseudonym"] != "demo"]
    n = sum(not (key["revoked"] or key["expired"]) for key in learners)
    so = "1 learner's key is" if n == 1 else f"{n:,} learners' keys are"
    return f"\n{so} still open. When the class is over: python -m course_lib vault key expire{more}" if n else ""


def open_door(options, serve):
    host, port = "0.0.0.0" if options.lan else "127.0.0.1", PORT if options.port is None else options.port
    try:
        return serve.listen(host, port, PORTS if options.port is None else 1)
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        why = "another program has it" if taken else f"the system says: {getattr(error, 'strerror', None) or error}"
        raise Refused(f"Port {port} was asked for, and {why}. Ask for another, or leave --port away.") from None


def first_keys(service):
    """A vault that has no key yet: one for its teacher, one to try it with."""
    return {
        "instructor": service.new_key("instructor", scope="instructor"),
        "demo": service.new_key("demo"),
    }


def write_note(note, port, class_name, control):
    """For `course vault key new` and its like: while a server runs, it alone writes the ledger, so they ask it."""
    fresh = note.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        where = f"http://127.0.0.1:{port}"
        json.dump({"address": where, "class": class_name, "pid": os.getpid(), "control": control}, file)
    os.replace(fresh, note)


def carried(options):
    """What the commands that we print need, so that they find the same folder."""
    return f" --folder {shlex.quote(options.folder)}" if options.folder else ""


def welcome(service, port, lan, new, more=""):
    here = f"http://127.0.0.1:{port}"
    print(f"\nThe vault of the class {service.class_name!r} is open:\n\n    {here}\n")
    if new:
        print(f"The instructor's view, signed in:\n\n    {here}/instructor#key={new['instructor']}\n")
        print(f"A key to try it: {new['demo']}\n")
        print(f"    from course_lib.vault.client import connect\n    oracle = connect('{here}', '{new['demo']}')")
        print("    print(oracle.rules())\n    oracle.accept_rules()  # once for each key")
        print("    oracle([[0.5] * 64])  # one question, ten probabilities\n")
        print("Keys are shown this once; the vault keeps their hashes.\n")
    if lan:
        print(on_the_network(own_addresses(), port, more))
    print("To stop: Ctrl-C here; what it has taken is answered first.", flush=True)


def on_the_network(addresses, port, more=""):
    """What --lan means, in words. addresses: this computer's, as own_addresses() gives them; more: carried()."""
    from course_lib.vault.client import private

    within = [f"http://{address}:{port}" for address in addresses if private(address)]
    if not within:
        has = ", ".join(addresses) or "none at all"
        reach = (
            f"--lan: this computer's address ({has}) is on no private network (10.x, 172.16-31.x, 192.168.x), and the course's\n"
            "client asks no other. Join a network of your own, a phone's hotspot for instance, and start again."
        )
    else:
        reach = f"--lan: other computers of this network reach it at {within[0]}"
        if within[1:]:
            reach += f"\nThis computer is on other networks too; where that is the class's: {', '.join(within[1:])}"
    return (
        f"{reach}\nThis is plain HTTP: whoever shares the network can read questions, answers and keys on their way. Use a network\n"
        "that you trust, keys for this class alone, and no question that is private. Instructor's calls work on this\n"
        f"computer only. When the class is over: python -m course_lib vault key expire{more}\n"
    )


def own_addresses():
    """This computer's IPv4 addresses on its networks, the one that it would send from first. Nothing is sent."""
    import socket

    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    entries = [entry for name, all_of_it in psutil.net_if_addrs().items() if name in up for entry in all_of_it]
    found = [entry.address for entry in entries if entry.family == socket.AF_INET]
    way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with way, contextlib.suppress(OSError):  # no way out is no error
        way.connect(("10.255.255.255", 9))
        found.sort(key=lambda address: address != way.getsockname()[0])
    return [address for address in found if not address.startswith("127.")]


def init(options, folder):
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


def check_hours(hours, so):
    from course_lib.vault.keyring import MOST_HOURS

    if hours is not None and not 0 < hours <= MOST_HOURS:
        raise Refused(f"--hours takes hours from now, up to {MOST_HOURS:,}; got {hours:g}. {so}")


def key_new(options, folder):
    if not 1 <= options.count <= 1000:
        raise Refused(f"--count takes a number of keys from 1 to 1,000; got {options.count}. No key was made.")
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


def key_list(options, folder):
    with instructor(folder) as tell:
        keys = tell("state")["keys"]
    rows = [["id", "pseudonym", "cohort", "scope", "asked", "left", "opens"]]
    for key in keys:
        opens = "revoked" if key["revoked"] else "expired" if key["expired"] else "yes"
        left = "no budget" if key["budget_left"] is None else f"{key['budget_left']:,}"
        rows.append([str(key["id"]), key["pseudonym"], key["cohort"], key["scope"], f"{key['rows']:,}", left, opens])
    print(columns(rows))
    return 0


def key_move(options, folder):
    with instructor(folder) as tell:
        for key in keys_of(tell, options.who):
            tell("cohort", {"id": key, "cohort": options.cohort})
    print(f"{options.who} is in the cohort {options.cohort} from its next question on.")
    return 0


def key_revoke(options, folder):
    with instructor(folder) as tell:
        tell("revoke", {"id": options.id})
    print(f"Key {options.id} opens nothing any more.")
    return 0


def key_lift(options, folder):
    with instructor(folder) as tell:
        if options.cohort is not None:
            tell("lift", {"cohort": options.cohort})
        for key in [] if options.who is None else keys_of(tell, options.who):
            tell("lift", {"key": key})
    print(f"{options.who or 'The cohort ' + options.cohort} starts afresh.")
    return 0


def keys_of(tell, who):
    """The numbers of the keys of a pseudonym, or of the one key with that number."""
    keys = tell("state")["keys"]
    found = [key["id"] for key in keys if key["pseudonym"] == who] or [
        key["id"] for key in keys if str(key["id"]) == who
    ]
    if not found:
        raise Refused(f"No key has the pseudonym or the number {who!r}; see: python -m course_lib vault key list")
    return found


def key_expire(options, folder):
    with instructor(folder) as tell:
        name = tell("expire", {})["class"]
    print(f"The keys of the class {name!r} have ended.")
    return 0


def policy_check(options, folder):
    from course_lib.vault import policy, words

    found = policy.load(options.file)
    print(f"{options.file} is a policy; its version is {found.version}.", *words.in_words(found), sep="\n")
    return 0


def report(options, folder):
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
    from course_lib.vault import tables

    if not (folder / "vault.db").exists():
        raise no_ledger(folder)
    for path, rows in tables.export(folder / "vault.db", Path(options.to)):
        print(f"{path}: {rows:,} rows")
    return 0


def columns(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


@contextlib.contextmanager
def opened(folder, **settings):
    """The service of a folder that no server has open."""
    from course_lib.vault.service import Service

    service = Service(folder, **settings)
    try:
        yield service
    finally:
        service.close()


def no_ledger(folder):
    return Refused(
        f"A vault's folder was expected; {folder} has no ledger. Start one: python -m course_lib vault serve"
    )


def running(folder):
    """The calls of the server that runs on this folder; None where there is none, or only the note of one that died.

    Another program may have its port by now, so the server's word is said only where our own class answers.
    """
    from http.client import HTTPException

    from course_lib.vault import client, desk

    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        health = client.Line(note["address"]).exchange("GET", "/healthz")
        if (health["vault"], health["class"]) != ("distillation, hands on", note["class"]):
            return None
        tell = desk.over(note["address"], note["control"])
        tell("state")
    except (OSError, ValueError, KeyError, TypeError, client.Refused, HTTPException):
        return None
    return tell


@contextlib.contextmanager
def instructor(folder):
    """tell(name, said={}): an instructor's call to the running server if there is one, else to the folder itself."""
    from course_lib.vault import desk

    if tell := running(folder):
        yield tell
        return
    if not (folder / "vault.db").exists():
        raise no_ledger(folder)
    with opened(folder) as service:
        calls = desk.desk(service)
        yield lambda name, said=None: calls[name](said or {})


VERBS = {
    "serve": serve,
    "init": init,
    "key_new": key_new,
    "key_list": key_list,
    "key_move": key_move,
    "key_revoke": key_revoke,
    "key_lift": key_lift,
    "key_expire": key_expire,
    "policy_check": policy_check,
    "report": report,
    "export": export,
}
