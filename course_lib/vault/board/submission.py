"""A submission: a copy's weights in an .npz, read so that nothing in it is executed and nothing in it can grow.

The file is capped; only the names and shapes of a network in ARCHITECTURES are read; an array is decompressed up to the size of
the largest listed one, read by numpy without pickle, and must hold finite numbers.
"""

import io
import re
import zipfile

import numpy as np

from course_lib.files import cut, quoted

ARCHITECTURES = {  # name: the widths between what goes in and what comes out
    "linear": (),
    "mlp-16": (16,),
    "mlp-32": (32,),
    "mlp-64": (64,),
    "mlp-128": (128,),
    "mlp-256": (256,),
    "mlp-64-64": (64, 64),
    "mlp-128-128": (128, 128),
}
MAX_BYTES = 2 << 20  # of a submission; the largest network for 784 inputs takes 1.6 MB in float64
ARRAYS = 2 * (1 + max(map(len, ARCHITECTURES.values())))
HEADER_BYTES = 512  # of an array's own header; numpy writes 128
MADE_OF = re.compile(r"(?:(\d{1,2})\.)?(weight|bias)\.npy")


class NotASubmission(ValueError):
    """What is wrong with a file, in one sentence."""


def unpack(body, into, out):
    """The network in a submission: (its name in ARCHITECTURES, [(weight (out, in), bias (out,)), ...] in float64).

    into, out: how many numbers go in, and come out. Raises NotASubmission for anything else than a listed network.
    """
    networks = {name: (into, *hidden, out) for name, hidden in ARCHITECTURES.items()}
    largest = max(a * b for widths in networks.values() for a, b in zip(widths, widths[1:], strict=False))
    if len(body) > MAX_BYTES:
        raise NotASubmission(f"a submission holds at most {MAX_BYTES:,} bytes; this one has more")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = archive.infolist()
            if not 2 <= len(files) <= ARRAYS:
                raise NotASubmission(f"expected a weight and a bias for each layer; got {len(files):,} arrays")
            arrays = {_place(file): _array(archive, file, largest) for file in files}
    except NotASubmission:
        raise
    except Exception:  # a damaged archive fails in many ways
        raise NotASubmission("expected an .npz file, as numpy.savez writes it; this is no whole one") from None
    if len(arrays) != len(files):
        raise NotASubmission("each array may be there once; one name comes twice")
    layers = sorted({layer for layer, _ in arrays})
    if set(arrays) != {(layer, kind) for layer in layers for kind in ("weight", "bias")}:
        raise NotASubmission("expected a weight and a bias for each layer: 1.weight, 1.bias, 3.weight, 3.bias, say")
    network = [(arrays[layer, "weight"], arrays[layer, "bias"]) for layer in layers]
    shapes = [(weight.shape, bias.shape) for weight, bias in network]
    for name, widths in networks.items():
        if shapes == [((b, a), (b,)) for a, b in zip(widths, widths[1:], strict=False)]:
            return name, network
    got = ", ".join(str(weight.shape) for weight, _ in network)
    names = ", ".join(ARCHITECTURES)
    raise NotASubmission(
        f"expected {into} numbers in, {out} out and the widths of one of {names}; got weights of {got}"
    )


def _place(file):
    """(layer, "weight" or "bias") of a name such as 1.weight.npy; weight.npy alone is of layer 0."""
    match = MADE_OF.fullmatch(file.filename)
    if not match:
        raise NotASubmission(f"an array is called 1.weight or 1.bias, as torch names them; got {quoted(file.filename)}")
    return int(match[1] or 0), match[2]


def _array(archive, file, largest):
    """One array in float64. Its header is read first, by numpy without pickle; then exactly the bytes that it promises."""
    if file.flag_bits & 1 or file.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise NotASubmission("expected arrays as numpy.savez or numpy.savez_compressed writes them")
    with archive.open(file) as content:  # decompressed piece by piece, and never further than asked for
        content = io.BytesIO(content.read(HEADER_BYTES + 8 * largest + 1))
    try:
        version = np.lib.format.read_magic(content)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, by_columns, dtype = read(content, max_header_size=HEADER_BYTES)
    except Exception:  # whatever else a header may hold
        raise NotASubmission(f"{cut(file.filename)} is no array that numpy wrote") from None
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise NotASubmission(f"{cut(file.filename)} holds {cut(str(dtype))}; expected float32 or float64")
    if len(shape) not in (1, 2) or any(not 1 <= n <= 4096 for n in shape) or np.prod(shape) > largest:
        raise NotASubmission(f"{cut(file.filename)} has shape {cut(str(shape))}; expected that of a listed network")
    values = content.read()
    if len(values) != np.prod(shape) * dtype.itemsize:
        raise NotASubmission(f"{cut(file.filename)} holds more or fewer numbers than its shape {shape} says")
    array = np.frombuffer(values, dtype).reshape(shape, order="F" if by_columns else "C").astype(np.float64)
    if not np.isfinite(array).all():
        raise NotASubmission(f"{cut(file.filename)} holds NaN or infinity; did the training diverge?")
    return array


def answer(network, x):
    """The answers of a network of linear layers with ReLUs between: x (N, 64) -> (N, 10)."""
    with np.errstate(over="ignore", invalid="ignore"):
        for i, (weight, bias) in enumerate(network):
            x = (np.maximum(x, 0) if i else x) @ weight.T + bias
    if not np.isfinite(x).all():
        raise NotASubmission("the weights are so large that the answers overflow; expected those of a trained network")
    return x
