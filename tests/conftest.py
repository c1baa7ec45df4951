"""For every test: one thread each, so that workers side by side don't stand in each other's way, and nobody's progress."""

import os
import signal

import pytest

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores Ctrl-C; the tests send some
os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
for name in ("COURSE_PROGRESS", "COURSE_WORKSPACE", "COURSE_TIER"):
    os.environ.pop(name, None)
OWN = ["COURSE_DATA", "COURSE_WORKSPACE"]
OWN += ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """What the course keeps in data/ and workspace/, and Jupyter and IPython at home, is kept in folders of this run.

    They are the same for all its workers, so the vault's models are trained once.
    """
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    with pytest.MonkeyPatch.context() as patch:
        for name in OWN:
            (place / name).mkdir(exist_ok=True)
            patch.setenv(name, str(place / name))
        yield


@pytest.fixture
def world(tmp_path):
    """world(policy) makes a small vault, without a network, in a folder of its own; it is closed afterwards."""
    from tests.vault.world import World

    worlds = []

    def make(policy="", **settings):
        worlds.append(World(tmp_path, policy, **settings))
        return worlds[-1]

    yield make
    for one in worlds:
        one.service.close()


@pytest.fixture(scope="module")
def browser():
    """A Chromium for a module's tests. It ends with them: while Playwright runs, no other event loop can in this thread."""
    from tests.browser import chromium

    with chromium() as one:
        yield one
