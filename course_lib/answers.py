"""The teacher's answers: asked anew for every batch (Online), or once, kept in a file and looked up (Cached).

Both are targets for fit, which asks them by (picture, view): fit(student, (x, labels, answers), distill_loss, views=...).

The file: HEAD bytes of JSON (what it holds, the fingerprint of all that the answers depend on, a checksum), then the
logits view by view, (K, N, C), in half precision unless told. It grows row by row under a name that ends in .part, so
that building goes on where it stopped, and is moved into place when it is whole. Reading maps it into memory.
"""

import errno
import json
import os
import zlib
from pathlib import Path

import numpy as np
import torch

from course_lib.data import all_views, as_numbers, augment
from course_lib.files import DataError, sync
from course_lib.models import fingerprint, freeze
from course_lib.progress_line import Progress
from course_lib.train.given import autocast, told_if_full

__all__ = ["CacheError", "Cached", "Online", "build", "read"]

HEAD = 8192  # bytes; the numbers of 162 views take 700
KIND = "teacher's logits, 1"  # another number when `augment` or the layout changes
TYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}


class CacheError(DataError):
    """A file of a teacher's answers that cannot be used or written; the message says what to do."""


class Online:
    """A teacher that is asked at every step. It is frozen, and kept outside of the student, so nothing trains it."""

    def __init__(self, teacher):
        self.teacher = freeze(teacher)
        self.parts = list(teacher.modules())  # kept: walking through them at every step costs more than the look

    def at(self, rows, view, x):
        """Logits (B, C) for the pictures x (B, ...) as the student sees them."""
        if any(part.training for part in self.parts):
            raise RuntimeError(
                "the teacher, or a part of it, is in train mode: something called .train() on it. Call freeze(teacher)"
            )
        with torch.no_grad():
            return self.teacher(x)

    def to(self, device):
        """The same teacher on a device."""
        self.teacher.to(device)
        return self


class Cached:
    """Logits that were asked once: looked up by row and view. logits (K, N, C), views as fit is given them."""

    def __init__(self, logits, views):
        self.logits, self.views = logits, views
        every = len(all_views(views.shift).ids)
        slot = torch.full((every,), len(views.ids))  # of a view that was not asked: beyond the last
        slot[views.ids] = torch.arange(len(views.ids))
        self.slot = slot.to(logits.device)

    def __len__(self):
        return self.logits.shape[1]

    def at(self, rows, view, x=None):
        """Logits (B, C), float32 or better, of the pictures `rows` (B,) in the views (B,)."""
        try:
            found = self.logits[self.slot[view], rows]
        except IndexError:
            raise IndexError(
                f"the teacher was asked about {len(self):,} pictures in {len(self.views.ids)} views; row {int(rows.max())} or "
                "one of these views is not among them. Give fit the views that the answers were built with"
            ) from None
        return found.float() if found.dtype == torch.float16 else found

    def to(self, device):
        """The same on a device: half precision takes 2 bytes per view, picture and class."""
        self.logits, self.slot = self.logits.to(device), self.slot.to(device)  # no copy where they are there
        return self


def build(path, teacher, x, views, batch_size=512, dtype=torch.float16, precision="float32"):
    """Cached: the teacher's logits for pictures x (N, channels, h, w) in each of the views, kept in the file `path`.

    What is there already, is whole and is this teacher's for these pictures and views, is used; what an interruption
    left is continued. A file of another teacher is never served and never overwritten: CacheError, in words.
    x and the teacher may be on a GPU; the teacher goes where x is. dtype: what a logit is kept in; precision: what the teacher computes in.
    """
    path = Path(path)
    teacher = freeze(teacher).to(x.device)

    @torch.no_grad()
    def answer(x):
        with autocast(x.device, precision):
            return teacher(as_numbers(x))

    about = {
        "kind": KIND,
        "fingerprint": answers_fingerprint(teacher, x, views, dtype, precision),
        "shape": [len(views.ids), len(x), answer(x[:1]).shape[-1]],
        "dtype": str(dtype).removeprefix("torch."),
        "views": views.ids.tolist(),
        "shift": views.shift,
    }
    try:
        return read(path, about["fingerprint"])
    except FileNotFoundError:
        pass
    part = path.with_name(f"{path.name}.{about['fingerprint'][:8]}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with told_if_full(batch_size):
            _fill(part, about, answer, x, views, batch_size, dtype)
        _finish(part, path, about)
    except OSError as error:
        if path.exists():  # another process was faster with the same
            return read(path, about["fingerprint"])
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        needed = np.prod(about["shape"]) * torch.finfo(dtype).bits // 8 / 1e6
        raise CacheError(
            f"the teacher's answers need {needed:,.1f} MB in {path.parent}, and "
            + (
                "the disk is full. Free some space and call again: it goes on where it stopped"
                if full
                else error.strerror
            )
        ) from None
    return read(path, about["fingerprint"])


def answers_fingerprint(teacher, x, views, dtype=torch.float16, precision="float32"):
    """All that the answers depend on: the teacher's weights and buffers, the pictures, the views, the precision.

    A teacher is what state_dict() holds and str(teacher) shows: layers with a setting that neither knows look alike.
    """
    settings = {"kind": KIND, "x": x, "views": views.ids, "shift": views.shift, "dtype": dtype, "precision": precision}
    settings["teacher"] = str(teacher)  # its layers; the weights follow
    return fingerprint({**settings, **{f"teacher.{k}": v for k, v in teacher.state_dict().items()}})


def read(path, fingerprint=None):
    """Cached: the answers in a file, mapped into memory. fingerprint: whose they must be; any teacher's if None.

    Raises FileNotFoundError, or CacheError in words for a file that is another teacher's, cut short or damaged.
    """
    path = Path(path)
    with open(path, "rb") as file:
        head = file.read(HEAD)
    try:
        about = json.loads(head)
        dtype, (k, n, c) = TYPES[about["dtype"]], about["shape"]
        views = all_views(about["shift"])._replace(ids=torch.tensor(about["views"]))
        if about["kind"] != KIND:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise CacheError(
            f"{path} is no file of a teacher's answers that this version reads; delete it or choose another name"
        ) from None
    if fingerprint and about["fingerprint"] != fingerprint:
        raise CacheError(
            f"{path} holds the answers of another teacher, or to other pictures, in other views or another precision: they are not served. "
            "Choose another file name, or delete that file"
        )
    wanted, came = HEAD + k * n * c * torch.finfo(dtype).bits // 8, path.stat().st_size
    if came != wanted or _crc(path) != about["crc"]:
        what = f"{came:,} bytes where {wanted:,} were expected" if came != wanted else "its checksum is wrong"
        raise CacheError(f"{path} is damaged: {what}. Delete it and build the answers again")
    mapped = np.memmap(path, dtype=about["dtype"], mode="c", offset=HEAD, shape=(k, n, c))
    return Cached(torch.from_numpy(mapped), views)


def _fill(part, about, answer, x, views, batch_size, dtype):
    """Append the answers that the file does not hold yet."""
    k, n, c = about["shape"]
    row = c * torch.finfo(dtype).bits // 8
    with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644), "r+b") as file:
        _lock(file, part)
        file.seek(0, os.SEEK_END)
        if file.tell() < HEAD:
            file.seek(0)
            file.write(_head(about))
        done = (file.tell() - HEAD) // row  # a row that was cut short is asked again
        file.seek(HEAD + done * row)
        with Progress(f"the teacher's answers, {n:,} pictures in {k} views", k * n - done or 1) as progress:
            while done < k * n:
                view, start = divmod(done, n)
                batch = x[start : start + batch_size]
                seen = augment(batch, views.ids[view].to(x.device).expand(len(batch)), views.shift)
                logits = answer(seen)
                kept = logits.to(dtype)
                if not torch.isfinite(kept).all():
                    raise CacheError(
                        f"a logit of {logits.abs().max().item():.3g} does not fit {about['dtype']}; build with dtype=torch.float32"
                    )
                file.write(kept.contiguous().cpu().numpy().tobytes())
                done += len(batch)
                progress.step(len(batch))
        sync(file)


def _lock(file, part):
    """One process builds; the lock ends with the process, however it ends."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(HEAD * 2**20)  # far behind the data: a lock there stops no writing
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise CacheError(f"another process is building {part.stem}: call again when it has ended") from None


def _finish(part, path, about):
    """Write the checksum into the head, and move the file into place."""
    with open(part, "r+b") as file:
        file.write(_head({**about, "crc": _crc(part)}))
        sync(file)
    os.replace(part, path)


def _head(about):
    return json.dumps(about).encode().ljust(HEAD)


def _crc(path):
    crc = 0
    with open(path, "rb") as file:
        file.seek(HEAD)
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc
