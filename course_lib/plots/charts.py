"""Charts: plain numbers in, axes out; one colour and marker per role, intervals drawn, labels at the lines."""

import math

import matplotlib
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib.files import quoted
from course_lib.measure import Estimate
from course_lib.plots.labels import label

ROLE = {  # role: (colour, marker), told apart without colour, and dark enough to read as text on white
    "teacher": ("#1a1a1a", "s"),
    "student": ("#0072b2", "o"),
    "alone": ("#c44e00", "^"),
    "copy": ("#a0458a", "D"),
    "label smoothing": ("#00795c", "v"),
    "control": ("#6b6b6b", "X"),
}
ALSO = {"the teacher": "teacher", "distilled": "student", "shuffled": "control", "random": "control"}
OTHERS = ("#8a6100", "#5b4bb5", "#8c2d3a", "#1f6f78", "#4d6b1f", "#30507a")  # names that play no role
MARKERS = "osv^DXPp*h<>"
PLAIN = "#4a6580"  # bars of no role in particular
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
}


def figure(width=7, height=3.5, columns=(1,)):
    """A new figure and its axes, width and height in inches; no global state.

    columns are relative widths: columns=(1, 3) gives two axes side by side, and returns (figure, [left, right]).
    """
    with matplotlib.rc_context(STYLE):
        fig = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(fig)
        axes = list(fig.subplots(1, len(columns), width_ratios=columns, squeeze=False)[0])
        return fig, axes[0] if len(axes) == 1 else axes


def look(name):
    """(colour, marker) of a name: those of the role it begins with, as "student, T=4" does; else of no role."""
    for word in (*ROLE, *ALSO):
        if name.lower().startswith(word):
            return ROLE[ALSO.get(word, word)]
    return OTHERS[0], MARKERS[0]


def looks(names):
    """{name: (colour, marker)}, no two markers alike; names of one role share its colour."""
    found, markers, others = {}, list(MARKERS), list(OTHERS)
    for name in names:
        colour, marker = look(name)
        if colour == OTHERS[0]:
            colour = others.pop(0) if len(others) > 1 else others[0]
            marker = next(m for m in reversed(markers))
        elif marker not in markers:
            marker = markers[-1]
        if len(markers) > 1:
            markers.remove(marker)
        found[name] = colour, marker
    return found


def probabilities(probs, classes, ax=None):
    """Bars of one answer over the classes. probs (C,)."""
    ax = figure()[1] if ax is None else ax
    ax.bar([str(c) for c in classes], torch.as_tensor(probs).tolist(), color=PLAIN)
    ax.grid(False, axis="x")
    ax.set(xlabel="class", ylabel="probability", ylim=(0, 1))
    return ax


def estimates(named, xlabel, ax=None):
    """A dot with its interval for each {name: Estimate}, one row per name."""
    ax = figure(height=1 + 0.4 * len(named))[1] if ax is None else ax
    for row, (name, (colour, marker)) in enumerate(looks(named).items()):
        one = named[name]
        ax.plot([one.low, one.high], [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
        ax.plot([one.value], [row], marker=marker, color=colour, markersize=9, markeredgecolor="white")
    ax.set_yticks(range(len(named)), list(named))
    ax.set_ylim(len(named) - 0.4, -0.6)
    ax.grid(False, axis="y")
    ax.locator_params(axis="x", nbins=7)
    ax.set_xlabel(f"{xlabel}\n{_kind(named.values())}")
    return ax


def bars(panels, xlabel, limit=None):
    """Lying bars with their intervals, a panel for each {title: {name: Estimate}}; returns the figure.

    Names stand at the left, numbers at the right, clear of the bars. Each panel has a scale of its own. The name that is
    the limit is no bar but a dotted line; a name that a panel lacks is an empty row in it.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel if name != limit))
    fig, axes = figure(2.6 + 3.6 * len(panels), 1.4 + 0.42 * len(names), columns=(1,) * len(panels))
    for ax, (title, panel) in zip([axes] if len(panels) == 1 else axes, panels.items(), strict=True):
        for row, one in [(names.index(name), one) for name, one in panel.items() if name != limit]:
            ax.barh(row, one.value, 0.7, color=PLAIN)
            ax.errorbar(one.value, row, xerr=[[one.value - one.low], [one.high - one.value]], color="black", capsize=3)
            ax.text(1.03, row, f"{one.value:,.0f}", transform=ax.get_yaxis_transform(), va="center")
        if limit in panel:
            ax.axvline(panel[limit].value, color="black", linestyle=":")
            words = f"{limit} {panel[limit].value:,.0f}"
            ax.text(panel[limit].value, 1.01, words, transform=ax.get_xaxis_transform(), ha="center", va="bottom")
        left = ax is fig.axes[0]
        ax.set_yticks(range(len(names)) if left else [], names if left else [])
        ax.set(ylim=(len(names) - 0.5, -0.5), xlim=(0, 1.1 * max(one.high for one in panel.values())))
        ax.set_title(title, loc="left", pad=22)
        ax.locator_params(axis="x", nbins=5)
        ax.grid(False, axis="y")
        ax.set_xlabel(f"{xlabel}\n{_kind(panel.values())}")
    return fig


def lines(x, named, xlabel, ylabel, ax=None):
    """A line per {name: [Estimate or float]} over x, intervals as bands, each name at its line's right end."""
    ax = figure()[1] if ax is None else ax
    x, colours, ends, given = [float(one) for one in x], [], [], []
    for name, (colour, marker) in looks(named).items():
        ys = list(named[name])
        if len(ys) != len(x):
            raise ValueError(f"expected one number for each of the {len(x)} values of x; {quoted(name)} has {len(ys)}")
        value = [float(getattr(y, "value", y)) for y in ys]
        line = "--" if colour in colours else "-"
        colours.append(colour)
        few = "" if len(x) > 25 else marker  # markers help to follow a line only while they stand apart
        ax.plot(x, value, line, color=colour, marker=few, markersize=7, markeredgecolor="white")
        found = [y for y in ys if isinstance(y, Estimate)]
        given += found
        if found:
            low, high = ([float(getattr(y, end, y)) for y in ys] for end in ("low", "high"))
            ax.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        seen = [point for point in zip(x, value, strict=True) if math.isfinite(point[1])]
        ends.append((name, colour, max(seen)))
    label(ax, ends)
    ax.set(xlabel=f"{xlabel}\nshaded: {_kind(given)}" if given else xlabel, ylabel=ylabel)
    return ax


def reliability(named, ax=None):
    """Accuracy against confidence for each {name: Calibration}; on the diagonal a model is right as often as sure."""
    ax = figure(7, 4.5)[1] if ax is None else ax
    ax.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1)
    ends = []
    for name, (colour, marker) in looks(named).items():
        one = named[name]
        x, y, low, high = (
            values[one.count > 0].tolist() for values in (one.confidence, one.accuracy, one.low, one.high)
        )
        ax.vlines(x, low, high, color=colour, linewidth=1.5, alpha=0.5)
        ax.plot(x, y, color=colour, marker=marker, markersize=7, markeredgecolor="white")
        ends.append((f"{name}\nECE {one.ece.value:.1%}", colour, (1.0, y[-1])))  # beside the axes, clear of the points
    label(ax, ends)
    ax.set(
        xlabel="confidence\nbars: 95% interval of the bin's accuracy", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.01)
    )
    return ax


def picture(x, title="", ax=None):
    """One picture x (channels, h, w) in [0, 1]; with one channel, ink is dark."""
    ax = figure(2, 2)[1] if ax is None else ax
    ax.imshow(torch.as_tensor(x).permute(1, 2, 0).squeeze(-1).cpu().numpy(), cmap="gray_r", vmin=0, vmax=1)
    ax.set_axis_off()
    ax.set_title(str(title), fontsize=10)
    return ax


def pictures(x, titles=None, columns=10, size=0.95, outline=False):
    """A grid of pictures x (N, channels, h, w) in [0, 1]; returns the figure.

    size: inches of a picture's side. outline: a thin line around each, where its border matters.
    """
    if titles is not None and len(titles) != len(x):
        raise ValueError(f"expected one title for each of the {len(x)} pictures; got {len(titles)}")
    columns = min(columns, len(x))
    rows = -(-len(x) // columns)
    titles = [""] * len(x) if titles is None else [str(title) for title in titles]
    above = max(0.25 * (1 + title.count("\n")) * bool(title) for title in titles)  # inches
    fig = Figure(figsize=(columns * size, rows * (size + above)), layout="constrained")
    FigureCanvasAgg(fig)
    for i, one in enumerate(x):
        ax = picture(one, titles[i], fig.add_subplot(rows, columns, i + 1))
        if outline:
            ax.set_axis_on()
            ax.set(xticks=[], yticks=[])
    return fig


def heatmap(matrix, row_labels, column_labels, label, ax=None):
    """A matrix (R, C) as colours with its numbers written in; label names the numbers and their unit."""
    matrix = torch.as_tensor(matrix).detach().cpu()
    expected = (len(row_labels), len(column_labels))
    if tuple(matrix.shape) != expected:
        raise ValueError(f"expected a matrix {expected}, one row and column per label; got {tuple(matrix.shape)}")
    ax = figure(1.8 + 0.55 * expected[1], 1.1 + 0.42 * expected[0])[1] if ax is None else ax
    top = float(matrix.abs().max()) or 1.0
    signed = bool((matrix < 0).any())  # orange below zero, white at zero, purple above
    image = ax.imshow(
        matrix.numpy(), cmap="PuOr" if signed else "Blues", vmin=-top if signed else 0, vmax=top, aspect="auto"
    )
    ax.grid(False)
    ax.set_xticks(range(expected[1]), [str(c) for c in column_labels])
    ax.set_yticks(range(expected[0]), [str(r) for r in row_labels])
    spec = ",.0f" if bool((matrix == matrix.round()).all()) else ".2f"  # whole numbers stay whole
    for r, row in enumerate(matrix.tolist()):
        for c, value in enumerate(row):
            red, green, blue, _ = image.to_rgba(value)
            ink = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.5 else "black"
            ax.text(c, r, f"{value:{spec}}", ha="center", va="center", fontsize=9, color=ink)
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax


def _kind(found):
    """What the intervals of these Estimates are, and their n where it is the same for all."""
    kinds, counts = dict.fromkeys(one.kind for one in found), {one.n for one in found}
    return " or ".join(kinds) + (f", n={counts.pop()}" if len(counts) == 1 else "")
