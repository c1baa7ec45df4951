"""A submission is read as arrays of a listed network or refused in a sentence; it executes nothing and grows nowhere."""

import io
import pickle
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
import torch

from course_lib.models import mlp
from course_lib.vault.board import NotASubmission, submission
from course_lib.vault.board.submission import answer, unpack
from course_lib.vault.client import pack


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **{name.replace("_", "."): array for name, array in arrays.items()})
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(*members, compression=zipfile.ZIP_DEFLATED):
    """A zip of (name, bytes)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, content in members:
            made.writestr(name, content)
    return file.getvalue()


WEIGHT, BIAS = np.zeros((10, 64)), np.zeros(10)


@pytest.mark.parametrize("name", submission.ARCHITECTURES)
def test_a_packed_network_comes_out_with_its_name_and_torch_s_answers(name):
    model, x = mlp(64, *submission.ARCHITECTURES[name], 10).double(), torch.rand(7, 64, dtype=torch.float64)
    found, network = unpack(pack(model), 64, 10)
    assert found == name
    np.testing.assert_allclose(answer(network, x.numpy()), model(x).detach(), atol=1e-12)


def test_a_linear_layer_of_torch_s_or_of_numpy_s_is_a_network():
    assert unpack(pack(torch.nn.Linear(64, 10)), 64, 10)[0] == "linear"
    assert unpack(npz(weight=WEIGHT, bias=BIAS), 64, 10)[0] == "linear"
    assert unpack(npz(weight=np.asfortranarray(WEIGHT), bias=BIAS.astype(">f4")), 64, 10)[0] == "linear"


def test_other_pictures_have_networks_of_their_own_size():
    assert unpack(pack(mlp(784, 256, 10).double()), 784, 10)[0] == "mlp-256"


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


WRONG = {
    "no zip": (b"hello", "no whole one"),
    "empty": (b"", "no whole one"),
    "a pickle": (pickle.dumps(Evil()), "no whole one"),
    "cut short": (npz(weight=WEIGHT, bias=BIAS)[:-40], "no whole one"),
    "one byte flipped": (
        archive(("weight.npy", npy(WEIGHT)), compression=0).replace(b"\x93NUMPY", b"\x93NUMPX"),
        "got 1 arrays",
    ),
    "objects": (npz(weight=np.array([Evil()], dtype=object), bias=BIAS), "object; expected float32"),
    "whole numbers": (npz(weight=WEIGHT.astype(int), bias=BIAS), "int64; expected float32"),
    "half precision": (npz(weight=WEIGHT.astype(np.float16), bias=BIAS), "float16; expected float32"),
    "complex": (npz(weight=WEIGHT.astype(complex), bias=BIAS), "complex128"),
    "text": (npz(weight=np.array(["a"]), bias=BIAS), "<U1"),
    "NaN": (npz(weight=WEIGHT * np.nan, bias=BIAS), "NaN or infinity"),
    "infinity": (npz(weight=WEIGHT + np.inf, bias=BIAS), "NaN or infinity"),
    "turned": (npz(weight=WEIGHT.T, bias=BIAS), "got weights of (64, 10)"),
    "too wide": (npz(weight=np.zeros((10, 65)), bias=BIAS), "got weights of (10, 65)"),
    "unlisted": (pack(mlp(64, 17, 10)), "one of linear, mlp-16"),
    "no bias": (npz(weight=WEIGHT, weights=BIAS), "called 1.weight"),
    "biases alone": (npz(**{"1_bias": BIAS, "2_bias": BIAS}), "a weight and a bias for each layer"),
    "three arrays": (npz(weight=WEIGHT, bias=BIAS, **{"1_bias": BIAS}), "a weight and a bias for each layer"),
    "too many": (npz(**{f"{i}_bias": BIAS for i in range(9)}), "got 9 arrays"),
    "three dimensions": (npz(weight=WEIGHT[None], bias=BIAS), "shape (1, 10, 64)"),
    "no dimension": (npz(weight=np.array(1.0), bias=BIAS), "shape ()"),
    "a path": (archive(("../../weight.npy", npy(WEIGHT)), ("bias.npy", npy(BIAS))), "called 1.weight"),
    "twice": (archive(("bias.npy", npy(BIAS)), ("bias.npy", npy(BIAS))), "comes twice"),
    "bzip2": (
        archive(("weight.npy", npy(WEIGHT)), ("bias.npy", npy(BIAS)), compression=zipfile.ZIP_BZIP2),
        "as numpy.savez",
    ),
    "no header": (archive(("weight.npy", b"hello"), ("bias.npy", npy(BIAS))), "no array that numpy wrote"),
    "more numbers": (
        archive(("weight.npy", npy(WEIGHT) + b"12345678"), ("bias.npy", npy(BIAS))),
        "more or fewer numbers",
    ),
    "fewer numbers": (archive(("weight.npy", npy(WEIGHT)[:-8]), ("bias.npy", npy(BIAS))), "more or fewer numbers"),
    "too large": (bytes(submission.MAX_BYTES + 1), "at most 2,097,152 bytes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_network_is_refused_in_a_sentence(name):
    body, words = WRONG[name]
    with pytest.raises(NotASubmission) as error:
        unpack(body, 64, 10)
    assert words in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 200


def header(shape):
    """An array's header that claims a shape, and nothing behind it."""
    text = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_a_file_that_claims_or_unpacks_to_gigabytes_takes_few_megabytes():
    bomb = archive(("weight.npy", header((10, 64)) + bytes(300 << 20)), ("bias.npy", npy(BIAS)))
    assert len(bomb) < submission.MAX_BYTES
    claims = archive(("weight.npy", header((10**6, 10**6))), ("bias.npy", npy(BIAS)))
    negative = archive(("weight.npy", header((-1, 64))), ("bias.npy", npy(BIAS)))
    for body in (bomb, claims, negative):
        tracemalloc.start()
        with pytest.raises(NotASubmission):
            unpack(body, 64, 10)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 10 << 20


def test_a_header_that_is_deep_or_long_is_no_array():
    for text in ("(" * 400, "[" * 190 + "]" * 190, "{" + " " * 60000 + "}", "__import__('os').abort()"):
        raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"
        with pytest.raises(NotASubmission, match="no array that numpy wrote"):
            unpack(archive(("weight.npy", raw), ("bias.npy", npy(BIAS))), 64, 10)


def test_any_damage_to_a_submission_gives_a_network_or_a_sentence():
    whole, rng = bytearray(npz(weight=np.ones((10, 64)), bias=BIAS)), np.random.default_rng(0)
    refused = 0
    for _ in range(1500):
        body = bytearray(whole)
        for place in rng.integers(0, len(body), rng.integers(1, 8)):
            body[place] = rng.integers(256)
        try:
            assert unpack(
                bytes(body[: rng.integers(len(body) // 2, len(body) + 1)] if rng.random() < 0.2 else body), 64, 10
            )
        except NotASubmission:
            refused += 1
    assert refused > 1000  # each array carries a checksum


def test_weights_that_overflow_are_refused():
    network = unpack(npz(weight=np.full((10, 64), 1e308), bias=BIAS), 64, 10)[1]
    with pytest.raises(NotASubmission, match="overflow"):
        answer(network, np.ones((1, 64)))
