"""`course vault serve`: the door is opened, and what a teacher must know is printed."""

import contextlib
import errno
import secrets

from course_lib.command.environment import Refused
from course_lib.command.vault.folder import NOTE, carried, write_note
from course_lib.files import quoted

PORT, PORTS = 8700, 100


def serve(options, folder):
    """course vault serve: open the folder, print where it answers and its first keys, serve until Ctrl-C; the exit code."""
    from course_lib.vault import site
    from course_lib.vault.http import serve
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
            site.for_service(service, control=control, lan=options.lan),
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


def open_door(options, serve):
    """A listening socket as --port and --lan ask for it; Refused, in words, where it cannot be had."""
    host, port = "0.0.0.0" if options.lan else "127.0.0.1", PORT if options.port is None else options.port
    try:
        return serve.listen(host, port, PORTS if options.port is None else 1)
    except (OSError, OverflowError) as error:
        taken = getattr(error, "errno", None) == errno.EADDRINUSE
        why = "another program has it" if taken else f"the system says: {getattr(error, 'strerror', None) or error}"
        raise Refused(f"Port {quoted(port)} was asked for, and {why}. Ask for another, or leave --port away.") from None


def first_keys(service):
    """A vault that has no key yet: one for its teacher, one to try it with."""
    return {
        "instructor": service.new_key("instructor", scope="instructor"),
        "demo": service.new_key("demo"),
    }


def still_open(keys, more):
    """A line about the learners' keys that would open the vault again; nothing where there is none."""
    learners = [key for key in keys if "instructor" not in key["scope"].split() and key["pseudonym"] != "demo"]
    n = sum(not (key["revoked"] or key["expired"]) for key in learners)
    so = "1 learner's key is" if n == 1 else f"{n:,} learners' keys are"
    return f"\n{so} still open. When the class is over: python -m course_lib vault key expire{more}" if n else ""


def welcome(service, port, lan, new, more=""):
    """Print where the vault is, its first keys {pseudonym: key}, what --lan means, and how to stop it."""
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
    from course_lib.vault.addresses import private

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
