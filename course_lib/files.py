"""Files that the course writes: where they go, and how a file is whole or not there at all; and what an error quotes.

Standard library alone.
"""

import contextlib
import os
from pathlib import Path

__all__ = ["DataError", "ROOT", "data_folder", "keep_folder", "whole"]

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "data"


class DataError(Exception):
    """Something the reader can mend: the message says what was expected, what came, and what to do."""

    def _render_traceback_(self):
        return [f"DataError: {self}"]  # IPython shows this line in place of a traceback through our code


def cut(text, most=80):
    """The text in one line of at most so many characters; what was longer ends in "..."."""
    line = " ".join(part.strip() for part in text[: 4 * most].splitlines())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 3]}..."


def quoted(value, most=80):
    """What came, as Python writes it, cut: an error says what came, and never all of it."""
    try:
        return cut(repr(value), most)
    except (RecursionError, ValueError):  # deeper than Python writes, or a whole number of thousands of digits
        return f"{type(value).__name__} ..."


def data_folder(folder=None):
    """`folder`, else COURSE_DATA, else data/ in the project. A relative COURSE_DATA starts at the project's folder."""
    if folder:
        return Path(folder).expanduser().resolve()
    return (ROOT / Path(os.environ.get("COURSE_DATA") or HOME).expanduser()).resolve()


def nearest(folder):
    """The folder, or the nearest above it that is there and may be seen; on a drive that is not there, the folder."""
    return next((place for place in (folder, *folder.parents) if os.path.exists(place)), folder)


def may_write(folder):
    """True if we may put files into the folder. One that is marked read-only is respected by an administrator too."""
    folder = nearest(folder)
    return os.path.isdir(folder) and os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def keep_folder(folder=None):
    """Where our own new files go: the data folder, or data/ in the project where that one is read-only."""
    folder = data_folder(folder)
    return folder if may_write(folder) else HOME


def sync(file):
    """What was written to the open file is on the disk when this returns; a full disk says so here, as OSError."""
    file.flush()
    os.fsync(file.fileno())


@contextlib.contextmanager
def whole(path, mode="wb"):
    """Write a file whole or not at all: `with whole(path) as file: ...` writes beside it, syncs, then renames.

    mode: "wb" for bytes, "w" for text in UTF-8. After an error, Ctrl-C too, what was there before is there still, and
    nothing else is left. A file that is replaced keeps its permissions: what its owner alone may read stays so. The
    folder is made where it is missing. After a power cut it is the file as it was or as it is, never half of one; the
    folder is not synced, because nothing of ours counts on which of the two. Raises OSError as the system gives it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")  # no other process or thread has this name
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(beside, mode, **text) as file:
            with contextlib.suppress(FileNotFoundError):
                beside.chmod(path.stat().st_mode & 0o777)
            yield file
            sync(file)
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
            raise error.__context__ from None  # torch.save hides a full disk behind an error of its own
        raise
