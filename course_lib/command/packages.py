"""pip, and what its failures mean, in sentences. Standard library alone."""

import os
import platform
import re
import subprocess
import sys
import tempfile

from course_lib.command.refused import Refused


def pip(python, arguments, root):
    """pip install, its progress shown as it comes; a failure becomes a sentence with its likely cause."""
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", *arguments]
    settings = {**os.environ, "PIP_USER": "0", "PYTHONUTF8": "1"}
    with subprocess.Popen(
        command, cwd=root, env=settings, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
    ) as process:
        said = []
        for line in process.stderr:
            said.append(line)
            sys.stderr.write(line)
            sys.stderr.flush()
    if process.returncode:
        raise Refused(why("".join(said)))


CAUSES = [
    (
        r"No space left|Errno 28|not enough space",
        f"The disk is full (this folder, or the temporary folder {tempfile.gettempdir()}).\nFree about 9 GB "
        "and run the same command again. Torch without CUDA needs 5 GB less: make lab TORCH=cpu.",
    ),
    (
        r"Permission denied|Access is denied",
        "A file could not be written.\nPut the course in a folder of your own and run the same command there.",
    ),
    (
        r"Name or service not known|name resolution|getaddrinfo|NewConnectionError|ConnectTimeout|Connection (refused|reset"
        r"|broken|aborted)|timed out|ProxyError|SSLError|Max retries|unreachable|IncompleteRead",
        "The package index could not be reached.\nCheck the network, then run the same command again: what is "
        "installed already stays. Behind a proxy, set HTTPS_PROXY first; with a mirror, set PIP_INDEX_URL.",
    ),
    (
        r"No matching distribution|Could not find a version",
        "The package index has no version that fits, or could not be read.\nAsked for were the versions of constraints.txt. "
        "torch is made for Linux, Windows (both 64 bits) and macOS 14 or newer on Apple silicon, and for Python 3.11 "
        f"to 3.14; this is Python {sys.version_info[0]}.{sys.version_info[1]} on {platform.platform()}.\nIf that fits, "
        "check the network and run the same command again; if not, try another Python or another computer.",
    ),
]


def why(said):
    """From what pip said on its error stream to a sentence: what happened and what to do."""
    for pattern, sentence in CAUSES:
        if re.search(pattern, said, re.I):
            return f"pip could not install the packages. {sentence}"
    return "pip could not install the packages; its own words are above.\nMend that and run the same command again."
