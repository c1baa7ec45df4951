"""What is kept with a measurement."""

import pytest
import torch

from course_lib.measure import record


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91900)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_record_made_on_a_gpu_says_whether_float32_convolutions_may_round_to_tf32(allowed, gpu, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    assert record.surroundings()["tf32"] is allowed


def test_a_record_says_it_where_convolutions_alone_were_set(gpu):
    """torch refuses to read allow_tf32 then."""
    conv = torch.backends.cudnn.conv
    before, conv.fp32_precision = conv.fp32_precision, "ieee"
    try:
        assert record.surroundings()["tf32"] is False
    finally:
        conv.fp32_precision = before


def test_a_record_made_without_a_gpu_has_no_such_setting(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert record.surroundings()["tf32"] is None


def test_every_record_of_one_measurement_is_found_by_its_kind(tmp_path):
    for name, speed in (("lesson_05_cpu", 1), ("lesson_05_gpu", 2), ("lesson_06_cpu", 3)):
        record.write(tmp_path / f"{name}.json", {"speed": speed})
    assert record.every(tmp_path, "lesson_05") == {"cpu": {"speed": 1}, "gpu": {"speed": 2}}
    assert record.every(tmp_path / "none", "lesson_05") == {}
