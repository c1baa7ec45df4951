"""The measurements in bench/: who does what, whether it is the same work, and the arithmetic of the ratios; no speed."""

import importlib
import json
import sys
from pathlib import Path

import psutil
import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from course_lib.answers import Cached
from tests.vault.world import World

LEANEST = "lean loop, fused Adam"  # of the bench's three forms
BENCH = Path(__file__).resolve().parents[2] / "bench"


def load(name):
    """A script of bench/: they import one another as a script's neighbours do."""
    if str(BENCH) not in sys.path:
        sys.path.insert(0, str(BENCH))
    return importlib.import_module(name)


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---- fit_many ----


@pytest.fixture(scope="module")
def bench():
    return load("fit_many")


class Operations(TorchDispatchMode):
    """Counts what torch is asked to compute, however long each takes."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        self.count += 1
        return function(*arguments, **(named or {}))


def test_sixteen_students_at_once_take_less_than_a_quarter_of_the_leanest_loops_operations(bench, one_thread):
    """How much faster that is, the bench tells; a network so small takes as long as starting its operations takes."""
    counted = {}
    for name in (bench.OURS, LEANEST):
        with Operations() as operations:
            bench.contenders(F.cross_entropy, epochs=1)[name]()
        counted[name] = operations.count
    assert 0 < 4 * counted[bench.OURS] < counted[LEANEST]


def test_the_gate_sees_a_student_that_was_trained_otherwise(bench, monkeypatch, one_thread):
    monkeypatch.setattr(bench, "LR", 3e-3)
    right = bench.lean
    monkeypatch.setattr(
        bench, "lean", lambda x, target, loss, epochs, **adam: right(x, target, loss, epochs + 1, **adam)
    )
    with pytest.raises(AssertionError, match="other students"):
        bench.measure(F.cross_entropy, epochs=1, blocks=1, names=[bench.OURS, LEANEST])


# ---- what all measurements share ----


@pytest.fixture(scope="module")
def harness():
    return load("harness")


@pytest.mark.parametrize("name", ["fit_many", "distil_loop"])
def test_a_record_replaces_what_stood_between_the_marks(harness, tmp_path, name):
    page = tmp_path / "README.md"
    before = (BENCH / "README.md").read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    harness.record(name, "first", page)
    harness.record(name, "second", page)
    text = page.read_text(encoding="utf-8")
    assert "second" in text and "first\n" not in text
    head, tail = before.split(f"<!-- {name}: written")[0], before.split(f"<!-- {name}: end -->")[1]
    assert text.startswith(head) and text.endswith(tail)


def test_a_record_without_its_marks_on_the_page_is_refused_in_words(harness, tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Measurements\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for the record of fit_many"):
        harness.record("fit_many", "text", page)
    assert page.read_text(encoding="utf-8") == "# Measurements\n"


def test_in_every_block_each_works_once_another_one_begins_and_every_second_goes_the_other_way(harness):
    turns = []
    runs = {name: lambda name=name: turns.append(name) for name in "abc"}
    (times,) = harness.in_blocks(runs, least=4)
    assert "".join(turns) == "abc" + "bac" + "cab" + "acb"
    assert {name: len(taken) for name, taken in times.items()} == {"a": 4, "b": 4, "c": 4}


def test_who_works_twice_in_a_block_is_given_the_mean_of_both(harness):
    now, takes = [0.0], iter([1.0, 3.0, 3.0, 1.0])

    def passes(seconds):
        now[0] += seconds

    runs = {"uneven": lambda: passes(next(takes)), "even": lambda: passes(5.0)}
    (times,) = harness.in_blocks(runs, least=2, twice=("uneven",), clocks=(lambda: now[0],))
    assert times == {"uneven": [2.0, 2.0], "even": [5.0, 5.0]}


def test_blocks_go_on_until_the_time_is_over_and_their_preparation_is_not_timed(harness):
    now = [0.0]

    def passes(seconds):
        now[0] += seconds

    runs = {"quick": lambda: passes(1.0), "slow": lambda: passes(2.0)}
    clocks = (lambda: now[0], lambda: now[0] / 4)  # the second one goes slower
    before = {"before": lambda: passes(100.0)}
    times, slower = harness.in_blocks(runs, least=1, seconds=300.0, **before, clocks=clocks)
    assert times == {"quick": [1.0] * 2, "slow": [2.0] * 2}  # a block lasts 203 seconds, all in all
    assert slower == {"quick": [0.25] * 2, "slow": [0.5] * 2}


@pytest.mark.parametrize(
    "working, ours, share",
    [(1.0, 1.0, 0.0), (3.0, 1.0, 0.5), (0.9, 1.0, 0.0)],  # the last: two clocks that tick a little apart
)
def test_what_others_use_is_what_works_without_us_as_a_share_of_all(harness, working, ours, share):
    first = harness.Processors(100.0, 50.0, 7.0)
    then = harness.Processors(104.0, 50.0 + working, 7.0 + ours)
    assert harness.others(first, then) == pytest.approx(share)


def test_a_busy_machine_is_refused_in_words_after_a_sample_of_two_seconds(harness):
    looks, slept = iter([harness.Processors(0, 0, 0), harness.Processors(4.0, 1.5, 0.02)]), []
    with pytest.raises(SystemExit, match=r"Other programs use 37% of the processors.*--busy"):
        harness.refuse_if_busy(lambda: next(looks), slept.append)
    assert slept == [2.0]


def test_a_quiet_machine_is_not_refused(harness):
    looks = iter([harness.Processors(0, 0, 0), harness.Processors(4.0, 0.1, 0.02)])
    assert harness.refuse_if_busy(lambda: next(looks), lambda seconds: None) == pytest.approx(0.02)


def test_the_processors_count_this_process_among_what_works(harness):
    first = harness.processors()
    while (then := harness.processors()).ours - first.ours < 0.3:
        pass
    assert then.all - first.all >= then.working - first.working >= 0.2


def test_the_peak_of_memory_remembers_what_has_been_given_back(harness):
    if harness.peak_memory() is None:
        pytest.skip("this system does not say")
    held = torch.ones(20_000_000)
    in_use = psutil.Process().memory_info().rss
    del held
    assert harness.peak_memory() > 0.99 * in_use > 79_000_000


# ---- distil_loop ----


@pytest.fixture(scope="module")
def loop():
    return load("distil_loop")


@pytest.fixture
def small(loop, monkeypatch):
    """A pair that takes a moment, and pictures for it."""
    monkeypatch.setattr(loop.tasks, "PAIRS", {"small": ("resnet14", "resnet8")})
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return "small", x, torch.randint(0, 10, (8,), generator=generator)


def test_all_contenders_take_the_references_first_step(loop, small):
    pytest.importorskip("torchdistill")
    found = loop.gate.check(*small)
    assert list(found) == ["the limit", "ours, cached", "ours, online", "torchdistill", "common loop"]
    assert max(max(off) for off in found.values()) < 1e-12  # far below the 1e-6 that is allowed


def half(logits):
    return logits.half().double()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda logits: logits.roll(1, dims=1), id="the next picture's answers"),
        pytest.param(lambda logits: logits.flip(0), id="the other view's answers"),
        pytest.param(half, id="answers in half precision"),
    ],
)
def test_the_gate_sees_a_cache_that_is_wrong(loop, small, fault):
    def faulty(task, student):
        return loop.contenders.ours(task, student, Cached(fault(task.answers.logits), task.views))

    with pytest.raises(AssertionError, match="faulty does other work than the reference: with small, its first loss"):
        loop.gate.check(*small, runs={"faulty": faulty})


def test_the_gate_sees_a_contender_that_forgets_t_squared(loop, small, monkeypatch):
    monkeypatch.setattr(loop.contenders, "SOFT", loop.tasks.SOFT / loop.tasks.T**2)
    for name in (loop.CACHED, loop.COMMON):
        with pytest.raises(AssertionError, match=f"{name} does other work than the reference"):
            loop.gate.check(*small, runs={name: loop.contenders.ALL[name]})


def test_the_gate_sees_a_contender_that_trains_the_teacher(loop, small):
    def careless(task, student):
        run = loop.contenders.common(task, student)

        def steps_and_more():
            heard = run()
            task.teacher.train()(task.x)  # batch normalisation learns from what it sees in this mode
            return heard

        return steps_and_more

    with pytest.raises(AssertionError, match="careless changes the teacher of small"):
        loop.gate.check(*small, runs={"careless": careless})


def test_the_gate_sees_transforms_that_make_other_pictures(loop, small, monkeypatch):
    _, x, y = small
    loop.gate.check_pictures(x, y)
    right = loop.tasks.Stored.usual
    monkeypatch.setattr(loop.tasks.Stored, "usual", lambda self, picture: right(picture) * 0.99)
    with pytest.raises(AssertionError, match="none of our views"):
        loop.gate.check_pictures(x, y)


def test_the_bound_is_what_the_teacher_and_the_loader_cost_beside_the_student(loop):
    assert loop.bound(teacher=2.0, limit=1.0) == 3.0  # an online step takes 3 s, a student alone 1 s
    assert loop.bound(teacher=2.0, limit=1.0, loader=0.5) == 3.5
    assert loop.bound(teacher=0.0, limit=1.0) == 1.0


def times(loop, limit, cached, online, common, torchdistill, teacher, loader, stored):
    names = loop.LIMIT, loop.CACHED, loop.ONLINE, loop.COMMON, loop.TORCHDISTILL, loop.TEACHER, loop.LOADER
    seconds = dict(zip(names, (limit, cached, online, common, torchdistill, teacher, loader), strict=True))
    return {name: [value] for name, value in {**seconds, loop.COMMON + loop.STORED: stored}.items()}


def test_ratios_of_a_block_by_hand(loop):
    block = times(loop, limit=1, cached=1.25, online=3, common=3.3, torchdistill=3.6, teacher=2, loader=0.6, stored=3.9)
    found = {name: value for name, (value,) in loop.ratios(block).items()}
    assert found == pytest.approx(
        {
            "bound": 3.0,
            "cached_over_limit": 0.8,
            "cached_over_torchdistill": 2.88,
            "cached_over_torchdistill_share_of_bound": 0.96,
            "cached_over_common": 2.64,
            "online_over_common": 1.1,
            "end_to_end_bound": 3.6,
            "end_to_end": 3.12,
            "end_to_end_share_of_bound": 3.12 / 3.6,
        }
    )


def test_ratios_are_taken_within_a_block_so_a_slow_block_changes_none_of_them(loop):
    quiet = times(loop, limit=1, cached=1.25, online=3, common=3.3, torchdistill=3.6, teacher=2, loader=0.6, stored=3.9)
    both = {name: [seconds[0], 7 * seconds[0]] for name, seconds in quiet.items()}
    for name, (first, second) in loop.ratios(both).items():
        assert first == pytest.approx(second), name


def test_a_pair_is_measured_from_its_first_step_to_its_row(loop, small, tmp_path, one_thread):
    pytest.importorskip("torchdistill")
    name, x, y = small
    task = loop.tasks.make(name, x, y, 4, tmp_path / "answers")
    row = loop.summary(*loop.measure(task, least=2), len(x))
    assert row["blocks"] == 2 and set(loop.BARS) < set(row["ratios"]) == set(row["ratios_of_processor_time"])
    for speed in row["images_per_second"].values():
        assert 0 < speed["min"] <= speed["median"] <= speed["max"]
    assert json.loads(json.dumps(row)) == row


def test_contenders_that_start_with_different_losses_are_not_timed(loop):
    runs = {name: lambda: [1.0] for name in loop.contenders.ALL}
    runs[loop.CACHED] = lambda: [1.02]
    with pytest.raises(AssertionError, match="ours, cached starts with a loss of 1.02, not 1.0"):
        loop.warm_up(runs, lambda: None)


def test_the_smaller_of_two_pairs_stands_at_the_top(loop):
    def pair(value):
        return {"threads": {"1": {"ratios": {name: {"median": value} for name in loop.BARS}}}}

    assert loop.smaller({"one": pair(0.97), "other": pair(0.91)}, "1") == dict.fromkeys(loop.BARS, 0.91)


def test_each_bar_has_a_verdict_with_one_thread_and_with_two(loop):
    found = dict.fromkeys(loop.BARS, 0.96)
    table = loop.bars_table({**found, "two_threads": {**found, "cached_over_limit": 0.932}})
    assert "| cached_over_limit | 0.95 | 0.960 | met | 0.932 | not met |" in table
    assert "| online_over_common | 0.97 | 0.960 | not met | 0.960 | not met |" in table
    alone = loop.bars_table({**found, "two_threads": {}})  # a machine of one core
    assert "| cached_over_limit | 0.95 | 0.960 | met |  |  |" in alone
    page = (BENCH / "README.md").read_text(encoding="utf-8")
    assert table.splitlines()[0] in page and loop.JUDGED in page


def test_where_cifar10_is_not_the_digits_take_its_place(loop, monkeypatch, tmp_path):
    monkeypatch.setattr(loop.tasks.files, "data_folder", lambda: tmp_path)
    monkeypatch.setattr(loop.tasks.files, "keep_folder", lambda: tmp_path)
    x, y, what = loop.tasks.pictures(5)
    assert x.shape == (5, 3, 32, 32) and x.dtype == torch.uint8 and y.shape == (5,)
    assert "digits" in what and "CIFAR-10 is not here" in what


def test_a_process_of_its_own_tells_the_memory_of_a_contender(loop, monkeypatch, tmp_path):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=generator)
    task = loop.tasks.make("resnet56 to resnet20", x, torch.arange(4), 4, tmp_path / "answers")
    monkeypatch.setattr(loop.contenders, "ALL", {loop.CACHED: None})  # the process has a list of its own
    found = loop.memory.measure("resnet56 to resnet20", task, tmp_path / "answers")
    assert 1e6 < found[loop.CACHED] < 1e9


def test_growth_finds_the_line_and_the_point_off_it(loop):
    growth = loop.growth
    slope, start, off = growth.line([(32, 1.5), (64, 2.5), (128, 4.5)])
    assert (slope, start, off) == pytest.approx((1 / 32, 0.5, 0), abs=1e-9)
    assert growth.line([(1, 1.0), (2, 2.0), (3, 4.0)])[2] == pytest.approx(1 / 3 / 4)  # the middle lies 1/3 s below


def test_growth_is_measured_drawn_and_told(loop, small, one_thread):
    growth, (_, x, y) = loop.growth, small
    found = growth.measure(x, y, blocks=1, examples=(8, 16), depths=(8, 14))
    assert [n for n, *_ in found["examples"]] == [8, 16]
    assert found["parameters"][0][0] < found["parameters"][1][0] and all(s > 0 for _, s, *_ in found["parameters"])
    growth.picture(found)
    assert "ms more per example" in growth.sentence(found) and "16 examples" in growth.alt(found)


# ---- the vault's ----


def test_a_question_that_was_charged_under_two_names_is_doubled(tmp_path):
    load_bench = load("vault_load")
    world = World(tmp_path)
    token = world.key("client-00")
    for name in ("a", "b", "b"):
        world.ask(3, name, token)
    assert load_bench.doubled(load_bench.in_the_ledger(tmp_path / "vault.db"), 2, 6) == 0
    world.ask(3, "b once more", token)
    found = load_bench.in_the_ledger(tmp_path / "vault.db")
    world.service.close()
    assert load_bench.doubled(found, 2, 6) == 3 and found["names"] == {"a", "b", "b once more"}


def test_the_load_bench_fails_where_a_bar_is_missed_or_a_client_goes_without():
    load_bench = load("vault_load")
    good = {"single_per_s": 1500.0, "single_p99_ms": 80.0, "batch_rows_per_s": 20000.0} | dict.fromkeys(
        load_bench.NONE, 0
    )
    assert load_bench.missed(good) == []
    (short,) = load_bench.missed(good | {"single_per_s": 1499.0})
    assert short == "single_per_s is 1,499.0, wanted at least 1,500"
    assert load_bench.missed(good | {"single_p99_ms": 81.0, "refused": 2}) == [
        "single_p99_ms is 81.0, wanted at most 80",
        "refused is 2, wanted 0",
    ]
