"""A file from the first mirror that has it: resumed, checked, then moved into place. Standard library alone."""

import errno
import hashlib
import os
import shutil
import ssl
import threading
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from course_lib.files import DataError, cut
from course_lib.progress_line import Progress

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # the disk, or our share of it
TRIES = 20  # how often one mirror may break off; it has to bring new bytes each time
ABANDONED = 600  # seconds without a new byte after which a partial file belongs to nobody


def checksum(path):
    """The md5 of a file: the data sets' homes publish this one. It finds damage, it does not prove an author."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(path, urls, md5, patience=15.0):
    """The file `path` with that checksum: as it is here already, else from the first of `urls` that gives it.

    What came before an interruption is kept beside it and continued by the next call. Several processes may fetch the
    same file at once: each writes its own partial file, and a finished one is moved into place in one step.
    patience: seconds without a single byte after which a mirror is given up. Raises DataError, in words.
    """
    path = Path(path)
    if path.exists():
        if checksum(path) == md5:
            return path
        print(f"{path} is damaged (its checksum is not {md5}); fetching it again.")
    told = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _claim(path)
    except OSError as error:
        raise DataError(f"cannot write {path.name} into {path.parent}: {error.strerror}. Set COURSE_DATA.") from None
    try:
        for url in urls:
            trouble = _from_mirror(url, part, md5, patience)
            if not trouble:
                _move(part, path, md5)
                return path
            told.append(f"{urlsplit(url).netloc}: {trouble}")
    except KeyboardInterrupt:
        print(f"Stopped. {part.stat().st_size / 1e6:.1f} MB of {path.name} are kept; the next call goes on from there.")
        raise
    finally:
        _leave(part, path)
    raise DataError(
        f"{path.name} is not here and could not be downloaded ({'; '.join(told)}). Check the connection and try again, "
        f"or fetch {urls[-1]} on another computer and put the file here: {path} (md5 {md5})."
    )


def _claim(path):
    """This download's own partial file; what an earlier one left is taken over, in one step that only one can win."""
    mine = path.with_name(f"{path.name}.part-{os.getpid()}-{threading.get_ident()}")
    for left in path.parent.glob(f"{path.name}.part*"):
        try:
            if left.suffix == ".part" or time.time() - left.stat().st_mtime > ABANDONED:
                os.replace(left, mine)
                break
        except OSError:  # another process was faster
            continue
    mine.touch()
    return mine


def _leave(part, path):
    """After a failure: what has come stays for the next call, under a name that any process may take over."""
    if part.exists() and part.stat().st_size:
        os.replace(part, path.with_name(path.name + ".part"))
    else:
        part.unlink(missing_ok=True)


def _move(part, path, md5):
    try:
        os.replace(part, path)
    except PermissionError:  # Windows, where another process reads the file that it has put there just now
        if checksum(path) != md5:
            raise
        part.unlink()


def _from_mirror(url, part, md5, patience):
    """Fill the file `part` from one mirror, beginning where it ends: "" once it is whole and right, else why not."""
    continued = part.stat().st_size > 0
    for _ in range(TRIES):
        before, trouble = part.stat().st_size, "broke off"
        try:
            whole = _stream(url, part, patience)
        except HTTPError as error:
            return f"HTTP {error.code} {cut(str(error.reason))}"
        except (OSError, HTTPException) as error:
            if getattr(error, "errno", None) in FULL:
                part.write_bytes(b"")  # a full disk would also keep the learner's notebook from being saved
                raise DataError(
                    f"the disk is full: {part.parent} has no space for {url}. Free some and try again."
                ) from None
            whole, trouble = False, _words(error, patience)
        if whole:
            if checksum(part) == md5:
                return ""
            part.write_bytes(b"")
            if not continued:
                return "sent other bytes than the checksum asks for"
            continued = False  # the beginning may have been bad: once more, from the first byte
        elif part.stat().st_size <= before:
            return trouble
    return trouble


def _stream(url, part, patience):
    """Append to `part` what it lacks; True if the server sent all it announced (the checksum judges the bytes)."""
    start = part.stat().st_size
    request = Request(url, headers={"User-Agent": "distillation-hands-on"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = urlopen(request, timeout=patience)
    except HTTPError as error:
        if error.code == 416 and start:  # "nothing after that": the file is whole, or too long
            return True
        raise
    with answer, open(part, "r+b", buffering=0) as file:
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # this server starts from the first byte again
        file.seek(start)
        file.truncate()
        length = int(answer.headers.get("Content-Length") or 0)  # 0: not announced
        if length > shutil.disk_usage(part.parent).free:
            raise OSError(errno.ENOSPC, "not enough space")
        name = part.name.partition(".part")[0]
        with Progress(f"downloading {name} ({(start + length) / 1e6:.1f} MB)", length or 1) as progress:
            while block := answer.read1(1 << 16):
                file.write(block)
                if length:
                    progress.step(len(block))
        return not length or file.tell() == start + length


def _words(error, patience):
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"silent for {patience:g} s"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"{reason.verify_message} (on a Mac: run 'Install Certificates.command' in Applications/Python)"
    return cut(str(getattr(reason, "strerror", None) or reason)) or type(reason).__name__
