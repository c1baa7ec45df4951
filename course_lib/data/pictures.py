"""A folder of pictures, or a tar of one, as tensors."""

import os
import tarfile
from functools import partial

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from course_lib.files import DataError, cut
from course_lib.progress_line import Progress

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MOST_BYTES = 4e9  # bytes of float32; more than that stops a laptop without a word


def pictures(path, size=None):
    """A folder, or a tar of one, with train/<class>/*.png (or jpg) and test/<class>/..., perhaps val/<class>/...."""
    if path.is_dir():
        folders = [label for part in ("train", "val", "test") for label in subfolders(path / part)]
        entries = [(*label.parts[-2:], file.name, file.path) for label in folders for file in os.scandir(label)]
        entries = sorted(entry for entry in entries if is_picture(*entry[1:3]))
        return [entry[3] for entry in entries], lambda: read_pictures(entries, partial(open, mode="rb"), path, size)

    def read():
        with tarfile.open(path) as tar:
            entries = [(*member.name.split("/")[-3:], member) for member in tar if member.name.count("/") > 1]
            entries = [entry for entry in entries if is_picture(*entry[1:3])]
            return read_pictures(entries, tar.extractfile, path, size)

    return [path], read


def is_picture(label, name):
    """Hidden files are none: ._cat.png on a disk that a Mac has used, .ipynb_checkpoints from Jupyter."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".") and not label.startswith(".")


def subfolders(path):
    """The folders in a folder; none where it is not there."""
    return [label for label in path.iterdir() if label.is_dir()] if path.is_dir() else []


def read_pictures(entries, opened, path, size):
    """entries: (part, class, file name, what `opened` opens) of every picture. The order is mixed, always the same way.

    size: the largest square in the middle, scaled to so many pixels; without it all pictures must have one size.
    """
    classes = sorted({entry[1] for entry in entries if entry[0] == "train"})
    for part in ("train", "test"):
        if not any(entry[0] == part for entry in entries):
            raise DataError(f"{path} has no picture like {part}/<class>/*.png (or jpg): put one folder per class there")
    read, first = {"train": ([], []), "val": ([], []), "test": ([], [])}, None
    with Progress(f"reading {len(entries):,} pictures", len(entries)) as progress:
        for part, label, name, entry in entries:
            where = f"{path}: {part}/{label}/{name}"
            if part not in read:
                continue
            if label not in classes:
                raise DataError(f"{where} is of a class that train/ does not have; it has {', '.join(classes)}")
            x = picture(opened, entry, where, size)
            first = first or (x.shape[:2], where)
            if x.shape[:2] != first[0]:
                raise DataError(
                    f"{where} is {x.shape[1]} x {x.shape[0]} pixels, and {first[1].partition(': ')[2]} is "
                    f"{first[0][1]} x {first[0][0]}: give one size for all, load({str(path)!r}, size=32)"
                )
            if x.shape[0] * x.shape[1] * 12 * len(entries) > MOST_BYTES:
                raise DataError(
                    f"{len(entries):,} pictures of {x.shape[1]} x {x.shape[0]} pixels need more than "
                    f"{MOST_BYTES / 1e9:.0f} GB as numbers: make them smaller, load({str(path)!r}, size=32)"
                )
            read[part][0].append(x)
            read[part][1].append(classes.index(label))
            progress.step()
    colour = any(x.ndim == 3 for xs, _ in read.values() for x in xs)
    generator, parts = torch.Generator().manual_seed(0), {}
    for part, (xs, ys) in read.items():
        if xs:
            x = np.stack([x if x.ndim == 3 or not colour else np.repeat(x[..., None], 3, axis=2) for x in xs])
            mixed = torch.randperm(len(xs), generator=generator)
            x = torch.from_numpy(x).permute(0, 3, 1, 2) if colour else torch.from_numpy(x)[:, None]
            parts[part] = x[mixed].contiguous(), torch.tensor(ys)[mixed]
    return parts, classes


def picture(opened, entry, where, size):
    """One picture as uint8: (h, w) if it is grey, (h, w, 3) if it has colour, the way up that its camera noted."""
    try:
        with opened(entry) as file, Image.open(file) as image:
            if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
                raise DataError(f"{where} has colours of the kind {image.mode}: save it with 8 bits per colour")
            image = ImageOps.exif_transpose(image).convert("L" if image.mode in ("1", "L", "LA") else "RGB")
            return np.asarray(ImageOps.fit(image, (size, size)) if size else image)
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise DataError(f"{where} cannot be read as a picture ({cut(str(error))}): replace it or delete it") from None
