"""Plots draw what they are given, intervals too, and names that can be read. Asked of matplotlib's own drawing."""

import sys

import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from course_lib import measure, plots
from course_lib.measure import Estimate
from course_lib.plots import charts


def near(value, half=0.02):
    return Estimate(value, value - half, value + half, "16 seeds, 359 examples", "seeds and examples")


def drawn(ax):
    """The axes after a real drawing; overlaps and clipping are known only then."""
    ax.figure.savefig("/dev/null" if sys.platform != "win32" else "NUL", format="png", dpi=96)
    return ax


def boxes(ax):
    """Where the names stand, in pixels, without the thin lines back to their points."""
    renderer = ax.figure.canvas.get_renderer()
    return [Text.get_window_extent(text, renderer) for text in ax.texts]


def luminance(colour):
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("colour", [*(colour for colour, _ in plots.ROLE.values()), *charts.OTHERS, plots.PLAIN])
def test_every_colour_can_be_read_as_text_on_white(colour):
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5  # WCAG 2.2, success criterion 1.4.3


def test_every_name_of_a_plot_has_its_own_marker_and_a_role_its_colour():
    names = ["teacher", "distilled", "student, T=4", "alone", "random teacher", "shuffled teacher", "a", "b", "c"]
    found = plots.looks(names)
    assert len({marker for _, marker in found.values()}) == len(names)
    assert found["distilled"][0] == found["student, T=4"][0] == plots.ROLE["student"][0]
    assert found["random teacher"][0] == plots.ROLE["control"][0]
    assert plots.look("all pictures, teacher's answers") != plots.ROLE["teacher"]  # a student of it, not the teacher


def test_estimates_draws_each_interval_from_low_to_high():
    named = {"teacher": near(0.95), "alone": near(0.9, 0.01)}
    ax = plots.estimates(named, "accuracy")
    intervals = [list(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert intervals == [[one.low, one.high] for one in named.values()]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["teacher", "alone"]
    assert ax.get_xlabel() == "accuracy\n95% interval, n=16 seeds, 359 examples"


def test_lines_draws_its_intervals_as_bands():
    ys = [near(0.8), near(0.9), near(0.85)]
    ax = plots.lines([1, 2, 4], {"student": ys, "limit": [0.9, 0.9, 0.9]}, "temperature T", "accuracy")
    (band,) = ax.collections
    edges = {tuple(point) for point in band.get_paths()[0].vertices.round(6)}
    assert {(x, round(end, 6)) for x, y in zip((1, 2, 4), ys, strict=True) for end in (y.low, y.high)} <= edges
    assert "95% interval, n=16 seeds, 359 examples" in ax.get_xlabel() and ax.get_ylabel() == "accuracy"


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_names_at_the_lines_do_not_overlap_and_stay_on_the_picture(scale):
    named = {f"student {i}": [0.5, 0.9 + 0.001 * i] for i in range(5)}
    ax = plots.lines([1, 100], named, "x", "y")
    ax.set(xscale=scale, yscale=scale)
    found = boxes(drawn(ax))
    for i, one in enumerate(found):
        assert ax.figure.bbox.x1 >= one.x1 and ax.figure.bbox.y0 <= one.y0 and one.y1 <= ax.figure.bbox.y1
        assert not any(one.overlaps(other) for other in found[i + 1 :])
    assert [box.y0 for box in found] == sorted(box.y0 for box in found)  # in the order of their lines


def test_lines_says_which_line_has_too_few_numbers():
    with pytest.raises(ValueError, match="each of the 3 values of x; 'alone' has 2"):
        plots.lines([1, 2, 3], {"alone": [0.1, 0.2]}, "x", "y")


def test_reliability_draws_the_curve_its_intervals_and_the_ece():
    logits = 2 * torch.randn(3, 200, 10, generator=torch.Generator().manual_seed(0))
    found = measure.calibration(logits, torch.arange(200) % 10)
    ax = drawn(plots.reliability({"alone": found}))
    seen = found.count > 0
    diagonal, curve = ax.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert curve.get_ydata().tolist() == found.accuracy[seen].tolist()
    ends = [segment[:, 1].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == torch.stack([found.low, found.high], 1)[seen].tolist()
    assert ax.texts[0].get_text() == f"alone\nECE {found.ece.value:.1%}"


def test_probabilities_are_bars_of_that_height():
    ax = plots.probabilities(torch.tensor([0.5, 0.25, 0.25]), ("cat", "dog", "car"))
    assert [bar.get_height() for bar in ax.patches] == [0.5, 0.25, 0.25] and ax.get_ylim()[0] == 0


def test_heatmap_writes_every_number_in_ink_that_stands_out():
    matrix = torch.tensor([[0.25, -0.15, 0.0], [0.01, 0.2, -0.25]])
    ax = plots.heatmap(matrix, ["a", "b"], ["x", "y", "z"], "share")
    assert [text.get_text() for text in ax.texts] == ["0.25", "-0.15", "0.00", "0.01", "0.20", "-0.25"]
    for text, value in zip(ax.texts, matrix.flatten().tolist(), strict=True):
        behind, ink = luminance(ax.images[0].to_rgba(value)[:3]), luminance(text.get_color())
        assert (max(behind, ink) + 0.05) / (min(behind, ink) + 0.05) >= 4.5
    whole = plots.heatmap(torch.tensor([[51.0, 2.0]]), ["a"], ["x", "y"], "%")
    assert [text.get_text() for text in whole.texts] == ["51", "2"]
    with pytest.raises(ValueError, match=r"expected a matrix \(2, 2\)"):
        plots.heatmap(matrix, ["a", "b"], ["x", "y"], "share")


def test_pictures_shows_each_one_with_its_title_in_colour_too():
    fig = plots.pictures(torch.rand(12, 3, 8, 8), titles=list("abcdefghijkl"), columns=5)
    assert [ax.get_title() for ax in fig.axes] == list("abcdefghijkl")
    assert fig.axes[0].images[0].get_array().shape == (8, 8, 3)
    assert plots.pictures(torch.rand(1, 1, 8, 8)).axes[0].images[0].get_array().shape == (8, 8)


def test_no_figure_is_known_to_pyplot():
    from matplotlib import pyplot

    plots.figure(columns=(1, 2))
    plots.pictures(torch.rand(2, 1, 8, 8))
    assert pyplot.get_fignums() == []


def test_bars_draw_each_interval_and_no_number_meets_a_bar_or_the_line():
    panels = {
        "here": {"plain loop": near(500, 30), "cached": near(980, 30), "limit": near(1000, 5)},
        "recorded": {"plain loop": near(5000, 100), "compile": near(9000, 100), "limit": near(9500, 5)},
    }
    fig = plots.bars(panels, "pictures per second", "limit")
    here, recorded = fig.axes
    assert [bar.get_width() for bar in here.patches] == [500, 980]
    ends = [segment[:, 0].tolist() for container in here.containers for segment in _segments(container)]
    assert ends == [[470, 530], [950, 1010]]
    assert [label.get_text() for label in here.get_yticklabels()] == ["plain loop", "cached", "compile"]
    assert not recorded.get_yticklabels() and here.get_ylim() == recorded.get_ylim()
    for ax in fig.axes:
        (line,) = [line for line in ax.lines if line.get_linestyle() == ":"]
        assert line.get_xdata()[0] == panels[ax.get_title(loc="left")]["limit"].value
        for box in boxes(drawn(ax)):
            assert not box.overlaps(ax.get_window_extent()) and box.x1 <= fig.bbox.x1


def _segments(container):
    """The lines of an error bar's interval."""
    return [one for part in getattr(container, "lines", ((), (), ()))[2] for one in part.get_segments()]


def test_pictures_with_two_lines_of_title_and_an_outline():
    fig = plots.pictures(torch.rand(4, 1, 8, 8), ["1\ndown 2"] * 4, columns=2, size=1.5, outline=True)
    assert [round(inches, 2) for inches in fig.get_size_inches()] == [3, 4]
    assert all(ax.axison and not ax.get_xticks().size for ax in fig.axes)
