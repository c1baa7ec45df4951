"""Data sets are what torchvision and scikit-learn say they are; damage and wrong pictures are named."""

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from sklearn.datasets import load_digits

from course_lib import files
from course_lib.data import load, load_uint8, pictures, sources, stratified_split
from course_lib.files import DataError

REAL = Path(os.environ.get("COURSE_TEST_DATA") or Path(__file__).parents[2] / ".." / "shared" / "data").resolve()
MNIST = [REAL / "MNIST" / "raw" / stem for stem in sources.IDX["mnist"]["md5"]]
JPEG = REAL / "cifar10.tar.xz"
UNSET = f"not in {REAL}: set COURSE_TEST_DATA"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "HOME", tmp_path / "home")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    return tmp_path / "home"


# the digits


def test_the_digits_are_scikit_learns_each_in_one_part():
    data, digits = load(), load_digits()
    assert [len(x) for x in data[:-1]] == [1078, 1078, 360, 360, 359, 359]
    ours = torch.cat([data.x_train, data.x_val, data.x_test]).mul(16).flatten(1)
    labels = torch.cat([data.y_train, data.y_val, data.y_test])
    rows = {(tuple(x), y) for x, y in zip(ours.int().tolist(), labels.tolist(), strict=True)}
    assert rows == {(tuple(x), y) for x, y in zip(digits.data.astype(int).tolist(), digits.target, strict=True)}


def test_the_digits_are_split_as_the_lessons_expect():
    data = load()
    digest = hashlib.sha256(torch.cat([data.y_train, data.y_val, data.y_test]).numpy().astype("<i8")).hexdigest()
    assert digest[:16] == "8851d703d8c279b4"


def test_a_stratified_split_gives_each_class_its_share_and_each_row_once():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)[
        torch.randperm(100, generator=torch.Generator().manual_seed(1))
    ]
    parts = stratified_split(labels, (0.5, 0.3, 0.2), seed=3)
    assert torch.cat(parts).sort().values.tolist() == list(range(100))
    assert [labels[part].bincount().tolist() for part in parts] == [[25, 15, 10], [15, 9, 6], [10, 6, 4]]


# MNIST and Fashion-MNIST


def test_addresses_and_checksums_are_torchvisions():
    for name, theirs in (("mnist", torchvision.datasets.MNIST), ("fashion_mnist", torchvision.datasets.FashionMNIST)):
        assert [(f"{stem}.gz", md5) for stem, md5 in sources.IDX[name]["md5"].items()] == theirs.resources
        assert sources.IDX[name]["url"] in theirs.mirrors
    assert torchvision.datasets.FashionMNIST.classes == list(sources.IDX["fashion_mnist"]["classes"])
    assert sources.CIFAR10["md5"] == torchvision.datasets.CIFAR10.tgz_md5
    assert sources.CIFAR10["urls"][-1] == torchvision.datasets.CIFAR10.url


@pytest.fixture
def linked(tmp_path):
    """A data folder of this test's own, marked read-only, with links to the real MNIST, which nobody writes to."""
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in MNIST:
        (raw / path.name).symlink_to(path)
    (tmp_path / "data").chmod(0o555)
    yield tmp_path / "data"
    (tmp_path / "data").chmod(0o755)


@pytest.mark.skipif(not all(path.exists() for path in MNIST), reason=f"MNIST is {UNSET}")
def test_mnist_is_what_torchvision_reads(linked, home, capsys):
    data = load("mnist", linked)
    assert [len(x) for x in data[:-1]] == [54_000, 54_000, 6_000, 6_000, 10_000, 10_000]
    theirs = torchvision.datasets.MNIST(linked, train=False)
    assert data.x_test.mul(255).byte()[:, 0].equal(theirs.data) and data.y_test.equal(theirs.targets)
    theirs = torchvision.datasets.MNIST(linked, train=True)
    counts = theirs.targets.bincount()
    assert (data.y_train.bincount() + data.y_val.bincount()).equal(counts)
    assert (data.y_val.bincount() - counts / 10).abs().max() <= 0.5
    assert (data.x_train.sum() + data.x_val.sum()).item() == pytest.approx(theirs.data.sum().item() / 255, rel=1e-4)

    kept = next((home / "decoded").iterdir())  # the data folder is read-only, so the decoded copy is kept at home
    state = kept.stat().st_mtime_ns
    assert all(a.equal(b) for a, b in zip(load("mnist", linked)[:-1], data[:-1], strict=True))
    assert kept.stat().st_mtime_ns == state and capsys.readouterr().out == ""
    with open(kept, "r+b") as file:  # one bit falls over
        file.seek(20_000_000)
        byte = file.read(1)[0]
        file.seek(20_000_000)
        file.write(bytes([byte ^ 1]))
    assert load("mnist", linked).x_train.equal(data.x_train)
    assert f"{kept} is damaged" in capsys.readouterr().out
    assert load("mnist", linked).x_train.equal(data.x_train)
    assert capsys.readouterr().out == ""


def idx(values):
    return struct.pack(f">2xBB{values.ndim}I", 8, values.ndim, *values.shape) + values.tobytes()


@pytest.fixture
def mirror(tmp_path):
    """A web server on loopback that gives the files of tmp_path/mirror."""
    (tmp_path / "mirror").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "mirror"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_set_that_is_missing_or_damaged_is_downloaded_and_read(tmp_path, home, mirror, monkeypatch, capsys):
    checksums, given = {}, {}
    for part, rows in (("train", 60_000), ("t10k", 10_000)):
        y = (np.arange(rows) % 10).astype(np.uint8)
        x = np.broadcast_to(y[:, None, None], (rows, 28, 28))
        for stem, values in ((f"{part}-images-idx3-ubyte", x), (f"{part}-labels-idx1-ubyte", y)):
            packed = gzip.compress(idx(values), 1)
            (tmp_path / "mirror" / f"{stem}.gz").write_bytes(packed)
            checksums[stem], given[stem] = hashlib.md5(packed).hexdigest(), values
    monkeypatch.setitem(sources.IDX, "mnist", sources.IDX["mnist"] | {"url": mirror, "md5": checksums})
    raw = home / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte").write_bytes(idx(given["train-labels-idx1-ubyte"])[:-1])

    data = load_uint8("mnist")
    assert "train-labels-idx1-ubyte is damaged: 60,007 bytes where 60,008 were expected" in capsys.readouterr().out
    assert data.x_test.numpy()[:, 0].tobytes() == given["t10k-images-idx3-ubyte"].tobytes()
    assert data.y_train.bincount().tolist() == [5400] * 10 and data.x_train[:, 0, 5, 5].long().equal(data.y_train)
    assert {path.name for path in raw.iterdir()} == {f"{stem}.gz" for stem in checksums} | {"train-labels-idx1-ubyte"}


def test_offline_all_missing_files_are_named(mirror, monkeypatch, home):
    monkeypatch.setitem(sources.IDX, "mnist", sources.IDX["mnist"] | {"url": mirror})  # an empty folder
    with pytest.raises(
        DataError, match="404.*put the file here.*mnist still needs: train-.*, t10k-labels-idx1-ubyte.gz"
    ):
        load("mnist")


def test_offline_only_load_speaks_of_the_digits_as_a_setting_of_a_lesson(mirror, monkeypatch):
    monkeypatch.setitem(sources.IDX, "mnist", sources.IDX["mnist"] | {"url": mirror})
    for read, said in ((load, True), (load_uint8, False)):
        with pytest.raises(DataError) as error:
            read("mnist")
        assert ('set DATA = "digits"' in str(error.value)) is said


# CIFAR-10


def as_python_2_wrote_it(x, y):
    """The bytes of a CIFAR-10 file, opcode by opcode: {"data": array, "labels": list}, pickle protocol 2."""
    text = lambda word: b"U" + bytes([len(word)]) + word  # noqa: E731
    number = lambda n: b"J" + struct.pack("<i", n)  # noqa: E731
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\1\x87R(K\3" + text(b"|") + b"NNN" + 2 * number(-1) + b"K\0tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R(K\1"
    array += number(x.shape[0]) + number(x.shape[1]) + b"\x86" + dtype + b"\x89"
    array += b"T" + struct.pack("<i", x.nbytes) + x.tobytes() + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in y) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """A folder with cifar-10-batches-py as torchvision would have it, and the same packed."""
    folder = tmp_path_factory.mktemp("cifar")
    (folder / "cifar-10-batches-py").mkdir()
    y = (np.arange(10_000) % 10).astype(np.uint8)
    for number, name in enumerate(sources.BATCHES):
        x = (np.arange(3072, dtype=np.uint16) + 7 * y[:, None] + number).astype(np.uint8)
        (folder / "cifar-10-batches-py" / name).write_bytes(as_python_2_wrote_it(x, y))
    with tarfile.open(folder / "packed.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")
    return folder


def test_cifar10_unpacked_is_what_torchvision_reads(batches, tmp_path):
    class Unchecked(torchvision.datasets.CIFAR10):  # our batches are not the real ones: torchvision's md5 has to rest
        train_list, test_list = [[name, None] for name in sources.BATCHES[:5]], [["test_batch", None]]
        _load_meta = _check_integrity = lambda self: True

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar-10-batches-py").symlink_to(batches / "cifar-10-batches-py")
    data, theirs = load_uint8("cifar10", tmp_path / "data"), Unchecked(batches, train=False)
    assert data.x_test.permute(0, 2, 3, 1).numpy().tobytes() == theirs.data.tobytes()
    assert data.y_test.tolist() == theirs.targets
    assert data.y_train.bincount().tolist() == [4500] * 10 and data.y_val.bincount().tolist() == [500] * 10
    theirs = Unchecked(batches, train=True).data
    assert int(data.x_train.sum()) + int(data.x_val.sum()) == theirs.sum(dtype=np.int64)


def test_cifar10_is_downloaded_from_the_first_mirror_that_has_it(batches, tmp_path, home, mirror, monkeypatch):
    (tmp_path / "mirror" / "cifar.tgz").symlink_to(batches / "packed.tar.gz")
    md5 = hashlib.md5((batches / "packed.tar.gz").read_bytes()).hexdigest()
    urls = [mirror + "gone", mirror + "cifar.tgz"]
    monkeypatch.setattr(sources, "CIFAR10", sources.CIFAR10 | {"md5": md5, "urls": urls})
    data = load_uint8("cifar10")
    assert data.classes[3] == "cat" and data.x_test.shape == (10_000, 3, 32, 32)
    assert data.x_test[1, 0, 0, :3].tolist() == [12, 13, 14]  # 0, 1, 2 + 7 * label 1 + batch 5
    assert (home / "cifar-10-python.tar.gz").exists()


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in sources.BATCHES:
        (folder / name).write_bytes(pickle.dumps({"data": Evil()}, protocol=2))
    with pytest.raises(DataError, match="data_batch_1 is damaged .*it asks for"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(not JPEG.exists(), reason=f"CIFAR-10 as JPEG is {UNSET}")
def test_a_jpeg_copy_of_cifar10_is_what_image_folder_reads(tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    wanted = {f"cifar10/{part}/{label}": 20 for part in ("test", "train") for label in ("airplane", "automobile")}
    with tarfile.open(JPEG) as whole, tarfile.open(data / "cifar10.tar.xz", "w:xz", preset=0) as few:
        while any(wanted.values()):
            member = whole.next()
            folder = member.name.rpartition("/")[0]
            if member.isfile() and wanted.get(folder):
                wanted[folder] -= 1
                few.addfile(member, whole.extractfile(member))
    packed = load_uint8("cifar10", data)
    assert f"CIFAR-10 as JPEG, from {data / 'cifar10.tar.xz'}" in capsys.readouterr().out
    with tarfile.open(data / "cifar10.tar.xz") as tar:
        tar.extractall(data, filter="data")
    unpacked = load_uint8("cifar10", data)
    assert f"CIFAR-10 as JPEG, from {data / 'cifar10'}:" in capsys.readouterr().out
    assert all(a.equal(b) for a, b in zip(packed[:-1], unpacked[:-1], strict=True))

    theirs = torchvision.datasets.ImageFolder(data / "cifar10" / "test")
    rows = {(np.asarray(x).transpose(2, 0, 1).tobytes(), y) for x, y in theirs}
    assert packed.classes == tuple(theirs.classes)
    assert rows == {(x.numpy().tobytes(), int(y)) for x, y in zip(packed.x_test, packed.y_test, strict=True)}
    assert packed.y_train.bincount().tolist() == [18, 18] and packed.y_val.bincount().tolist() == [2, 2]


# your own pictures


def draw(path, size=(6, 4), colour=(250, 0, 0), mode="RGB", count=1):
    """`count` pictures of one colour, in path/000.png, path/001.png ..."""
    path.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", size, colour).convert(mode).save(path / f"{number:03}.png")


@pytest.fixture
def pets(tmp_path):
    for part, count in (("train", 10), ("test", 2)):
        draw(tmp_path / "pets" / part / "cat", colour=(250, 0, 0), count=count)
        draw(tmp_path / "pets" / part / "dog", colour=(0, 0, 250), count=count)
    return tmp_path / "pets"


def test_a_folder_of_pictures_is_a_data_set(pets):
    data = load(pets)
    assert data.classes == ("cat", "dog")
    assert data.x_train.shape == (18, 3, 4, 6) and data.y_val.bincount().tolist() == [1, 1]
    for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)):
        assert x[:, 0, 0, 0].equal(torch.where(y == 0, 250 / 255, 0.0))
        assert x[:, 2, 3, 5].equal(torch.where(y == 1, 250 / 255, 0.0))
    assert 0 < data.y_train[:9].sum() < 9  # mixed: the first rows are not all of one class


def test_hidden_files_and_other_files_are_no_pictures(pets):
    (pets / "train" / "cat" / "._000.png").write_bytes(b"what a Mac leaves on a stick")
    (pets / "train" / "cat" / "notes.txt").write_text("mine")
    draw(pets / "train" / ".ipynb_checkpoints")
    assert len(load(pets).x_train) == 18


def test_a_folder_in_the_data_folder_goes_by_its_name(pets):
    assert len(load("pets", pets.parent).x_train) == 18


def test_a_val_folder_is_used(pets):
    draw(pets / "val" / "dog", count=3)
    data = load(pets)
    assert data.y_val.tolist() == [1, 1, 1] and len(data.y_train) == 20


def test_a_new_picture_is_seen_and_the_old_copy_dropped(pets, home):
    load(pets)
    draw(pets / "test" / "cat", count=5)
    assert len(load(pets).y_test) == 7
    assert len([*(home / "decoded").iterdir()]) == 1


def test_grey_pictures_have_one_channel_until_one_has_colour(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / "x" / part / "a", mode="L", colour=(90, 90, 90), count=5)
    assert load(tmp_path / "x").x_train.shape == (4, 1, 4, 6)
    draw(tmp_path / "x" / "test" / "a", colour=(90, 0, 90))
    data = load(tmp_path / "x")
    assert data.x_train.shape == (4, 3, 4, 6) and data.x_train.mul(255).unique().tolist() == [90]


def test_size_cuts_the_middle_square(tmp_path):
    for part in ("train", "test"):
        draw(tmp_path / "x" / part / "a", size=(30, 10), count=5)
        for path in (tmp_path / "x" / part / "a").iterdir():
            image = Image.open(path)
            image.paste((0, 250, 0), (10, 0, 20, 10))
            image.save(path)
    data = load(tmp_path / "x", size=10)
    assert data.x_test.shape == (5, 3, 10, 10) and data.x_test[0, 1].unique().mul(255).tolist() == [250]


def refused(pets, words, **settings):
    with pytest.raises(DataError) as error:
        load(pets, **settings)
    for word in words:
        assert word in str(error.value)


def test_a_picture_of_another_size_is_named(pets):
    draw(pets / "train" / "dog", size=(9, 8))
    refused(pets, ["train/dog/000.png is 9 x 8 pixels", "cat/000.png is 6 x 4", "size=32"])
    assert load(pets, size=4).x_train.shape == (18, 3, 4, 4)


def test_a_file_that_is_no_picture_is_named(pets):
    (pets / "train" / "dog" / "001.png").write_text("not a picture")
    refused(pets, ["train/dog/001.png cannot be read as a picture", "delete"])


def test_a_truncated_picture_is_named(pets):
    whole = io.BytesIO()
    Image.effect_noise((6, 4), 50).save(whole, "png")
    (pets / "test" / "dog" / "001.png").write_bytes(whole.getvalue()[:-30])
    refused(pets, ["test/dog/001.png cannot be read as a picture"])


def test_a_picture_with_16_bits_is_refused(pets):
    Image.fromarray(np.full((4, 6), 40_000, dtype=np.uint16)).save(pets / "train" / "cat" / "000.png")
    refused(pets, ["train/cat/000.png", "8 bits"])


def test_a_class_that_train_lacks_is_named(pets):
    draw(pets / "test" / "bird")
    refused(pets, ["test/bird/000.png", "cat, dog"])


def test_a_class_with_too_few_pictures_for_val_is_named(pets):
    draw(pets / "train" / "bird", count=2)
    refused(pets, ["train/bird has too few pictures"])


def test_a_folder_without_test_says_what_is_missing(tmp_path):
    draw(tmp_path / "x" / "train" / "a", count=5)
    refused(tmp_path / "x", ["test/<class>/"])


def test_pictures_too_large_for_memory_are_refused_before_they_fill_it(pets, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 1000)
    refused(pets, ["24 pictures of 6 x 4 pixels need more than", "size=32"])


@pytest.mark.parametrize(("name", "words"), [("mnst", ["did you mean 'mnist'?", "cifar10"]), ("zebra", ["digits"])])
def test_an_unknown_name_says_what_there_is(name, words):
    refused(name, words)


def test_a_set_with_a_name_takes_no_size():
    refused("mnist", ["has a size of its own"], size=32)


def test_a_relative_course_data_starts_at_the_projects_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert files.data_folder() == Path(__file__).resolve().parents[2] / "elsewhere"
