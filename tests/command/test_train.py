"""`course train` as it is typed: a teacher, its student, one alone; what goes wrong is said in a sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from course_lib import answers, machine, train
from course_lib.answers import read
from course_lib.command import cli
from course_lib.data import load, stratified_split
from course_lib.models import keep, network
from course_lib.train import predict
from tests.waiting import HANG

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--data", "digits", "--model", "resnet9-4", "--epochs", "1", "--examples", "200"]


def course(*arguments, processes=1):
    start, environment = [sys.executable, "-m"], dict(os.environ)
    if processes > 1:
        start += ["torch.distributed.run", "--nproc_per_node", str(processes), "--standalone", "-m"]
        environment["CUDA_VISIBLE_DEVICES"] = ""  # on the CPU: a machine may have fewer GPUs than processes
    command = [*start, "course_lib", "train", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3 * HANG)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    done = course("teacher", *QUICK, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_teacher_leaves_weights_and_a_result_with_all_that_it_has_to_be_read_with(teacher):
    result = json.loads((teacher / "result.json").read_text())
    assert (
        190 < result["n_train"] < 210 and result["seeds"] == 1 and len(result["seconds"]) == 1 and result["n_test"] == 0
    )
    assert 0 <= result["accuracy_val"]["low"] <= result["accuracy_val"]["value"] <= result["accuracy_val"]["high"] <= 1
    assert result["accuracy_val"]["over"] == "examples" and "accuracy_test" not in result
    assert {"date", "processor", "cores", "threads", "gpu", "python", "torch"} <= set(result)
    assert (teacher / "weights-0.pt").exists()


def test_a_student_learns_from_it_and_the_answers_are_asked_once(teacher, tmp_path):
    first = course("student", *QUICK, "--teacher", teacher, "--seeds", 2, "--test", "--out", tmp_path / "student")
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "student" / "result.json").read_text())
    assert result["seeds"] == 2 and result["n_test"] == 359
    assert {"accuracy_val", "accuracy_test", "agreement_val"} <= set(result)
    (answers,) = (file for file in (tmp_path / "answers").iterdir() if not file.suffix)
    written = answers.stat().st_mtime_ns
    again = course("student", *QUICK, "--teacher", teacher, "--seeds", 2, "--out", tmp_path / "student")
    assert again.returncode == 0 and answers.stat().st_mtime_ns == written
    second = json.loads((tmp_path / "student" / "result.json").read_text())
    for what in ("seconds", "seconds_asking_the_teacher"):  # what it all took, not what the second call took
        assert second[what] == result[what] and (min(result[what]) if what == "seconds" else result[what]) > 0


def test_the_answers_are_those_of_a_float32_teacher_whatever_the_student_trains_in(teacher, tmp_path):
    quick = [*QUICK, "--seeds", 1, "--views", 2, "--precision", "bfloat16", "--out", tmp_path / "student"]
    assert course("student", *quick, "--teacher", teacher).returncode == 0
    (path,) = (file for file in (tmp_path / "answers").iterdir() if not file.suffix)
    answers, pictures = read(path), load("digits")
    (rows,) = stratified_split(pictures.y_train, (200 / len(pictures.y_train),), seed=0)
    net = keep.load(teacher / "weights-0.pt", network("resnet9-4", 10, channels=1))
    fresh = predict(net, pictures.x_train[rows])  # the first view is the picture as it is
    torch.testing.assert_close(answers.logits[0].float(), fresh, rtol=2**-11 + 2**-18, atol=2**-20)


def test_two_processes_train_a_student_together_and_one_of_them_speaks(teacher, tmp_path):
    quick = [*QUICK, "--seeds", 1, "--precision", "bfloat16", "--out", tmp_path / "student"]
    done = course("student", *quick, "--teacher", teacher, processes=2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("seed 0: ") == 1
    assert json.loads((tmp_path / "student" / "result.json").read_text())["processes"] == 2


def test_another_temperature_in_the_same_folder_is_another_training(teacher, tmp_path):
    for T, code in ((4, 0), (1, 1)):
        done = course(
            "student", *QUICK, "--teacher", teacher, "--seeds", 1, "--views", 1, "--T", T, "--out", tmp_path / "s"
        )
        assert done.returncode == code, done.stderr
    assert "distill_loss, T=4, hard_weight=0.1 there, distill_loss, T=1, hard_weight=0.1 here" in done.stderr


def in_this_process(monkeypatch, error, *arguments):
    """`course train` up to its first optimiser, where the error is raised."""

    def broken(parameters, lr):
        raise error

    monkeypatch.setattr(train, "sgd", broken)
    return cli.main(["train", "alone", *QUICK, "--seeds", "1", *map(str, arguments)])


def test_an_interrupt_is_answered_by_the_command_not_by_the_notebooks_words(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cli, "into_environment", lambda *_: None)
    assert in_this_process(monkeypatch, KeyboardInterrupt(), "--out", tmp_path / "run") == 130
    said = capsys.readouterr()
    assert "Run the same command again" in said.err and "keeps what it has learned" not in said.out


@pytest.mark.parametrize(
    "batch, words", [(128, "Try --batch-size 64 in place of 128, or a smaller --model"), (1, "Try a smaller --model")]
)
def test_a_full_gpu_gets_options_to_try(monkeypatch, tmp_path, capsys, batch, words):
    monkeypatch.setattr(cli, "into_environment", lambda *_: None)
    full = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    assert in_this_process(monkeypatch, full, "--batch-size", batch, "--out", tmp_path / "run") == 1
    monkeypatch.setattr(machine, "device", lambda: exec("raise full", {"full": full}))  # before any training
    assert in_this_process(monkeypatch, full, "--batch-size", batch, "--out", tmp_path / "run") == 1
    assert capsys.readouterr().err.count(f"The GPU's memory is full. {words}") == 2


def test_a_smaller_batch_takes_less_memory_outside_of_training_too(monkeypatch, teacher, tmp_path):
    monkeypatch.setattr(cli, "into_environment", lambda *_: None)
    asked, predict, build = [], train.predict, answers.build

    def spy(function, at):
        return lambda *given, **named: (asked.append(given[at]), function(*given, **named))[1]

    monkeypatch.setattr(train, "predict", spy(predict, 2))
    monkeypatch.setattr(answers, "build", spy(build, 4))
    for batch, many in ((25, 100), (200, 512)):
        out = tmp_path / str(batch) / "run"
        quick = [*QUICK, "--seeds", "1", "--views", "1", "--batch-size", str(batch), "--out", str(out)]
        assert cli.main(["train", "student", *quick, "--teacher", str(teacher)]) == 0
        assert set(asked) == {many}
        asked.clear()


def test_a_training_that_diverges_gets_a_sentence(tmp_path):
    done = course("alone", *QUICK, "--seeds", 1, "--lr", "1e30", "--batch-size", 16, "--out", tmp_path / "run")
    assert done.returncode == 1 and "is not a finite number" in done.stderr and "Traceback" not in done.stderr


def test_a_folder_of_pictures_is_trained_on(tmp_path):
    for part, count in (("train", 10), ("test", 2)):
        for label, colour in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
            (tmp_path / "mine" / part / label).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (20, 16), colour).save(tmp_path / "mine" / part / label / f"{i}.png")
    quick = ["--model", "resnet9-4", "--epochs", 2, "--seeds", 1, "--out", tmp_path / "run"]
    done = course("alone", "--data", tmp_path / "mine", "--size", 16, *quick)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["classes"] == 2


WRONG = {
    "no teacher": (["student", *QUICK], "A student needs --teacher, the folder of a teacher's run; none came."),
    "no run": (
        ["student", *QUICK, "--teacher", "nowhere"],
        "it has no result.json. Train it: python -m course_lib train",
    ),
    "teacher alone": (["alone", *QUICK, "--teacher", "x"], "--teacher is for a student"),
    "no such model": (["alone", *QUICK, "--model", "resnet9_4"], "no network is called 'resnet9_4'; did you mean"),
    "no such data": (
        ["alone", "--data", "digit"],
        "no data set and no folder is called 'digit'; did you mean 'digits'?",
    ),
    "no epochs": (["alone", "--epochs", "0"], "argument --epochs: a whole number from 1 was expected; '0' came"),
    "T": (["alone", "--T", "-1"], "argument --T: a number above 0 was expected; '-1' came"),
    "weight": (["alone", "--hard-weight", "3"], "a number from 0 to 1 was expected; '3' came"),
    "another word": (["alone", "--epoch", "3"], "does not know --epoch 3"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(name):
    arguments, words = WRONG[name]
    done = course(*arguments)
    assert done.returncode and words in done.stderr and "Traceback" not in done.stderr


def test_a_teacher_of_other_pictures_is_refused(teacher, tmp_path):
    result = json.loads((teacher / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**result, "classes": 7}))
    done = course("student", *QUICK, "--teacher", tmp_path)
    assert (
        done.returncode == 1 and "knows 7 classes of pictures with 1 channels; these data have 10 and 1" in done.stderr
    )


def test_a_teacher_of_other_data_is_refused(teacher, tmp_path):
    result = json.loads((teacher / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**result, "data": "mnist"}))
    done = course("student", *QUICK, "--teacher", tmp_path)
    assert done.returncode == 1 and "learned mnist; these data are digits" in done.stderr


def test_another_training_in_the_same_folder_is_refused_and_nothing_is_overwritten(teacher):
    before = (teacher / "weights-0.pt").read_bytes()
    done = course("teacher", *QUICK, "--lr", "0.2", "--out", teacher)
    assert done.returncode == 1 and "belongs to another training (lr: 0.1 there, 0.2 here)" in done.stderr
    assert (teacher / "weights-0.pt").read_bytes() == before
