"""Data sets as a handful of tensors.

The digits ship with scikit-learn and are always there. Everything else lives in the data folder: COURSE_DATA, or
data/ in the project. It is downloaded once, decoded once, and kept decoded in one file per data set.
"""

import difflib
import hashlib
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import torch

from course_lib import files
from course_lib.data import sources
from course_lib.data.pictures import pictures
from course_lib.files import DataError, cut, quoted, whole


class Data(NamedTuple):
    """Pictures as float32 (N, channels, height, width) in [0, 1]; labels as whole numbers (N,).

    Choose on val; look at test once.
    """

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_val: torch.Tensor
    y_val: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    classes: tuple[str, ...]


def load(name="digits", folder=None, size=None):
    """The data set called `name`: "digits", "mnist", "fashion_mnist", "cifar10", or the path of a folder of pictures.

    A folder holds train/<class>/*.png (or jpg), test/<class>/..., and val/<class>/... if you like: without it a tenth
    of train, the same share of every class, becomes val, as it does for the sets with names. size: the pictures of a
    folder are cut to squares of so many pixels. CIFAR-10 takes 0.74 GB of memory as float32. folder: in place of
    COURSE_DATA. Raises DataError, in words.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        digits = load_digits()
        x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16  # (1797, 1, 8, 8)
        y = torch.tensor(digits.target)
        train, val, test = stratified_split(y, (0.6, 0.2, 0.2), seed=0)
        return Data(x[train], y[train], x[val], y[val], x[test], y[test], tuple("0123456789"))
    try:
        data = load_uint8(name, folder, size)
    except DataError as error:
        if name not in sources.NAMES:
            raise
        raise DataError(f'{error} The digits need no download: set DATA = "digits".') from None
    return data._replace(**{part: getattr(data, part).float().div_(255) for part in ("x_train", "x_val", "x_test")})


def load_uint8(name, folder=None, size=None):
    """The same as load(), with pictures as uint8 (0-255), a quarter of the memory; every data set but the digits."""
    places = list(dict.fromkeys([files.data_folder(folder), files.keep_folder(folder)]))
    if name in sources.NAMES and size is not None:
        raise DataError(f"size is for folders of pictures of your own; {name} has a size of its own")
    if name in sources.NAMES:
        return _decoded(name, places, *sources.named(name, places))
    own = [path for path in (Path(name).expanduser(), places[0] / name) if path.is_dir()]
    if not own:
        near = difflib.get_close_matches(str(name), sources.NAMES, n=1)
        raise DataError(
            f"no data set and no folder is called {quoted(str(name))}; "
            + (f"did you mean {near[0]!r}? " if near else "")
            + f"There are {', '.join(sources.NAMES)}, and any folder with pictures in train/<class>/ and test/<class>/"
        )
    path = own[0].resolve()
    return _decoded(f"{path.name}-{size}" if size else path.name, places, *pictures(path, size))


def stratified_split(labels, shares, seed):
    """Rows of each part, every class in the same share: labels (N,) -> one (n,) tensor of row numbers per share."""
    generator = torch.Generator().manual_seed(seed)
    parts = [[] for _ in shares]
    for label in labels.unique():
        rows = (labels == label).nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), generator=generator)]
        cuts = [round(len(rows) * sum(shares[: i + 1])) for i in range(len(shares))]
        for part, start, stop in zip(parts, [0, *cuts], cuts, strict=False):
            part.append(rows[start:stop])
    return [torch.cat(part).sort().values for part in parts]


def _with_val(parts, classes):
    """Without a val of its own, a tenth of train, the same share of every class, becomes val."""
    if "val" not in parts:
        x, y = parts["train"]
        train, val = stratified_split(y, (0.9, 0.1), seed=0)
        lacking = [classes[label] for label in sorted({*y.tolist()} - {*y[val].tolist()})]
        if lacking:
            raise DataError(f"train/{lacking[0]} has too few pictures to give a tenth to val: add some, or val/")
        parts = {"train": (x[train], y[train]), "val": (x[val], y[val]), "test": parts["test"]}
    return Data(*parts["train"], *parts["val"], *parts["test"], tuple(classes))


def _decoded(name, places, files, read):
    """What read() gives, from the decoded copy if there is a sound one that was made from these very files."""
    for path in [place / "decoded" / _stamped(name, files) for place in places]:
        if path.exists():
            try:
                kept = torch.load(path, weights_only=True)
                if _crc(kept["tensors"]) != kept["crc"]:
                    raise ValueError("its checksum is wrong")
                return Data(*kept["tensors"], tuple(kept["classes"]))
            except Exception as error:  # a damaged file makes torch.load raise what it likes
                print(f"{path} is damaged ({cut(str(error))}); it is made again.")
    data = _with_val(*read())
    path = places[-1] / "decoded" / _stamped(name, files)
    try:
        with whole(path) as file:
            torch.save({"tensors": list(data[:-1]), "crc": _crc(data[:-1]), "classes": list(data.classes)}, file)
    except OSError as error:  # no space or no right to write
        reason = cut(str(error))
        print(f"No decoded copy is kept in {path.parent} ({reason}): the next load takes as long.")
    else:
        for older in set(path.parent.glob(f"{path.stem[:-8]}????????.pt")) - {path}:
            older.unlink(missing_ok=True)
    return data


def _stamped(name, files):
    """A file name that tells where the files are and changes when they do: name, place, state (sizes and times)."""

    def seen(file):
        try:
            stat = os.stat(file)
        except FileNotFoundError:  # it is still to be downloaded
            return None
        return stat.st_size, stat.st_mtime_ns

    place = os.path.commonpath([min(files), max(files)]) if files else ""
    state = [(str(file), seen(file)) for file in files]
    return "-".join([name, *(hashlib.sha256(repr(x).encode()).hexdigest()[:8] for x in (place, state))]) + ".pt"


def _crc(tensors):
    crc = 0
    for tensor in tensors:
        crc = zlib.crc32(tensor.contiguous().numpy(), crc)
    return crc
