"""Opens the learner's copy of a lesson in JupyterLab: joins the server that runs for this workspace, or starts one."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import webbrowser
from pathlib import Path

from course_lib.command import workspace
from course_lib.command.refused import Refused
from course_lib.files import quoted, whole

SETTINGS = Path(__file__).resolve().parent / "_jupyter"
FIRST_PORT, PATIENCE_SECONDS = 8888, 60
STARTING_SECONDS = 300  # so long after its start a server that lives may be slow to answer for the first time


def start(root, number, port, browser, options):
    """Open lesson `number`; returns the exit code once the server has stopped, or at once if it runs elsewhere.

    options: more options for jupyter lab.
    """
    lesson, place = find_lesson(root, number), workspace.folder(root)
    note = place / ".lab.json"  # where the running server's own description lies
    info = running(note)
    said = workspace.open_workspace(root, replace=not info)
    for sentence in said:
        print(sentence)
    if not (place / lesson).exists():
        raise Refused(f"Your copy of {lesson} was expected in {place}, and is not there. " + " ".join(said))
    served = root if place.is_relative_to(root) else place  # what the server shows: the whole course, so links work
    page = (place / lesson).relative_to(served).as_posix()
    if info:
        ignored = " It keeps the options that it was started with." if options or port else ""
        welcome(info, page, place, browser, f"The course is running already, at this address.{ignored}")
        return 0
    return serve(note, served, page, place, free_port(port), browser, options)


def find_lesson(root, number):
    """ "3" or "03" -> "03_distillation_loss.ipynb"; None -> the first lesson."""
    names = sorted(path.name for path in (root / "lessons").glob("[0-9][0-9]_*.ipynb"))
    found = [name for name in names if number is None or name[:2] == number.zfill(2)]
    if not found:
        have = ", ".join(name[:2] for name in names) or "none: lessons/ is empty"
        raise Refused(
            f"A lesson's number was expected; {quoted(number or 'none')} came. The lessons that are here: {have}."
        )
    return found[0]


def free_port(asked):
    """The asked port, or the first free one from 8888."""
    for port in [asked] if asked else range(FIRST_PORT, FIRST_PORT + 100):
        with socket.socket() as door:
            if os.name != "nt":  # there, this option would let two programs share a port
                door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                door.bind(("127.0.0.1", port))
                return port
            except (OSError, OverflowError):  # taken, or no port at all
                continue
    if asked:
        said = f"Port {quoted(asked)} was asked for, and another program has it, or it is no port."
        raise Refused(f"{said} Ask for another, or leave --port away.")
    raise Refused(f"No free port from {FIRST_PORT} to {FIRST_PORT + 99}. Name a free one with --port.")


def running(note):
    """The description (url, token, pid, ...) of the server that serves this workspace; None if there is none.

    One that was started a moment ago is waited for.
    """
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        info_file, give_up = Path(noted["server"]), min(noted["started"], time.time()) + STARTING_SECONDS
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not (info := described(info_file)) and starting(info_file, give_up):
        print("The course was started a moment ago, in another window perhaps; waiting for it.", flush=True)
    while not info and starting(info_file, give_up):
        time.sleep(0.1)
        info = described(info_file)
    return info


def starting(info_file, give_up):
    """Whether the server that will describe itself in this file, jpserver-PID.json, may still be on its way."""
    import psutil

    pid = info_file.stem.rpartition("-")[2]
    return time.time() < give_up and pid.isdecimal() and psutil.pid_exists(int(pid))


def described(info_file):
    """What a server wrote of itself into its file, if it answers; else None."""
    try:
        info = json.loads(info_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return info if is_answering(info) else None


def is_answering(info):
    """True if a server answers at info's url and takes its token."""
    request = urllib.request.Request(info["url"] + "api/status", headers={"Authorization": f"token {info['token']}"})
    try:
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot see this computer
        with straight.open(request, timeout=20) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):  # nobody there, or another program that speaks no HTTP
        return False


def serve(note, served, page, place, port, browser, options):
    """Run JupyterLab until it is stopped; its exit code."""
    from jupyter_core.paths import jupyter_runtime_dir

    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--log-level=ERROR", f"--port={port}"),
        *("--ServerApp.port_retries=0", "--ServerApp.answer_yes=True", f"--ServerApp.root_dir={served}"),
        f"--LabApp.default_url=/lab/tree/{urllib.parse.quote(page)}",
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        *options,
    ]
    paths = [str(SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])]
    settings = {
        **os.environ,
        "JUPYTER_CONFIG_PATH": os.pathsep.join(paths),
        "COURSE_PROGRESS": str(place / ".progress"),
    }
    print("Starting JupyterLab ...", flush=True)
    server = subprocess.Popen(command, env=settings)
    info_file = Path(jupyter_runtime_dir()) / f"jpserver-{server.pid}.json"
    stop_with_us(server)
    with contextlib.suppress(OSError):  # in a folder that takes no file, a second lab cannot join; the rest works
        with whole(note, "w") as file:
            json.dump({"server": str(info_file), "started": time.time()}, file)
    threading.Thread(target=greet, args=(server, info_file, page, place, browser), daemon=True).start()
    code = server.wait()
    with contextlib.suppress(OSError):
        note.unlink()
    if code not in (0, -signal.SIGTERM, -signal.SIGINT):
        print(f"JupyterLab ended with an error (exit code {code}); its own words are above.", file=sys.stderr)
        return 1
    print(f"The course has stopped. Your work is kept in {place}")
    return 0


def stop_with_us(server):
    """Ctrl-C reaches JupyterLab by itself (it is in our terminal); any other wish to end us is handed on to it."""
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())


def greet(server, info_file, page, place, browser):
    """Wait until the server answers, then say where; after a minute, say that it is slow."""
    slow, told = time.monotonic() + PATIENCE_SECONDS, False
    while server.poll() is None:
        if info := described(info_file):
            welcome(info, page, place, browser, "The course is at this address.", "To stop: Ctrl-C here.")
            return
        if not told and time.monotonic() > slow:
            told = True
            print(f"JupyterLab has not answered in {PATIENCE_SECONDS} s; its own words are above. Waiting.", flush=True)
        time.sleep(0.1)


def welcome(info, page, place, browser, first, last=""):
    """The friendly block: the address, where the work is kept, how to stop; and the browser, where there is one."""
    token = f"?token={info['token']}" if info["token"] else ""
    address = f"{info['url']}lab/tree/{urllib.parse.quote(page)}{token}"
    opened = browser and has_screen() and webbrowser.open(address)
    wish = "It opens in your browser." if opened else "Open it in your browser."
    print(f"\n{first} {wish}\n\n    {address}\n\nYour work is kept in {place}\n{last}", flush=True)


def has_screen():
    """Whether a browser can show itself here; without a screen, Python might start one inside the terminal."""
    alone = sys.platform in ("win32", "darwin")
    return alone or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
