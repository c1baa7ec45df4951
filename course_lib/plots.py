"""The house style; one colour and one marker per role."""

import matplotlib
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from course_lib.measure import Estimate

ROLE = {  # role: (colour, marker); told apart without colour, and dark enough to read as text on white
    "teacher": ("#1a1a1a", "s"),
    "student": ("#0072b2", "o"),
    "alone": ("#c44e00", "^"),
    "copy": ("#a0458a", "D"),
    "label smoothing": ("#00795c", "v"),
    "control": ("#6b6b6b", "X"),
}
OTHERS = (("#8a6100", "P"), ("#5b4bb5", "p"), ("#1f6f78", "h"), ("#8c2d3a", "*"), ("#4d6b1f", "<"), ("#30507a", ">"))
SYNONYMS = {"distilled": "student", "smooth": "label smoothing", "shuffled": "control", "random": "control"}
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
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


def look(name, taken=()):
    """(colour, marker) of a name: that of the role named in it, else a free one."""
    role = name if name in ROLE else SYNONYMS.get(name)
    for word in (*ROLE, *SYNONYMS):
        if role is None and word in name.lower():
            role = SYNONYMS.get(word, word)
    if role and ROLE[role] not in taken:
        return ROLE[role]
    return next((one for one in OTHERS if one not in taken), OTHERS[-1])


def looks(names):
    found = []
    for name in names:
        found.append(look(name, found))
    return dict(zip(names, found, strict=True))


def probabilities(probs, classes, ax=None):
    """Bars of a distribution over the classes. probs (C,)."""
    ax = figure()[1] if ax is None else ax
    ax.bar([str(c) for c in classes], torch.as_tensor(probs).tolist(), color=ROLE["student"][0])
    ax.set(xlabel="class", ylabel="probability", ylim=(0, 1))
    return ax


def estimates(named, xlabel, ax=None):
    """A dot with its interval for each {name: Estimate}, one row per name."""
    ax = figure(height=1.2 + 0.45 * len(named))[1] if ax is None else ax
    for row, (name, (colour, marker)) in enumerate(looks(named).items()):
        one = named[name]
        ax.plot([one.low, one.high], [row, row], color=colour, linewidth=2)
        ax.plot([one.value], [row], marker=marker, color=colour, markersize=8)
    ax.set_yticks(range(len(named)), list(named))
    ax.invert_yaxis()
    ax.set_xlabel(f"{xlabel} (95% interval)")
    return ax


def lines(x, named, xlabel, ylabel, ax=None):
    """A line per {name: [Estimate or float]} over x, with its interval as a band, labelled at its end."""
    ax = figure()[1] if ax is None else ax
    for name, (colour, marker) in looks(named).items():
        ys = named[name]
        value = [y.value if isinstance(y, Estimate) else float(y) for y in ys]
        ax.plot(x, value, color=colour, marker=marker, markersize=5)
        if any(isinstance(y, Estimate) for y in ys):
            low = [y.low if isinstance(y, Estimate) else float(y) for y in ys]
            high = [y.high if isinstance(y, Estimate) else float(y) for y in ys]
            ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.annotate(f" {name}", (x[-1], value[-1]), color=colour, va="center")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return ax


def reliability(named, ax=None):
    """Accuracy against confidence for each {name: Calibration}; on the diagonal, confidence is honest."""
    ax = figure(5, 4.5)[1] if ax is None else ax
    ax.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1)
    for name, (colour, marker) in looks(named).items():
        one = named[name]
        seen = one.count > 0
        ax.plot(one.confidence[seen], one.accuracy[seen], color=colour, marker=marker, label=name)
    ax.legend(frameon=False)
    ax.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    return ax


def pictures(x, titles=None, columns=10):
    """A grid of pictures x (N, channels, h, w) in [0, 1]; returns the figure."""
    columns = min(columns, len(x))
    rows = -(-len(x) // columns)
    fig = Figure(figsize=(columns * 0.9, rows * (1.2 if titles is not None else 0.9)), layout="constrained")
    FigureCanvasAgg(fig)
    for i, picture in enumerate(x):
        ax = fig.add_subplot(rows, columns, i + 1)
        ax.imshow(picture.permute(1, 2, 0).squeeze(-1), cmap="gray_r", vmin=0, vmax=1)
        ax.set_axis_off()
        if titles is not None:
            ax.set_title(str(titles[i]), fontsize=9)
    return fig


def heatmap(matrix, row_labels, column_labels, label, ax=None):
    """A matrix (R, C) as colours with its numbers written in; label names the numbers and their unit."""
    matrix = torch.as_tensor(matrix, dtype=torch.float)
    ax = figure(6.5, 5)[1] if ax is None else ax
    ax.grid(False)
    image = ax.imshow(matrix, cmap="Blues", aspect="auto")
    ax.set_xticks(range(matrix.shape[1]), [str(c) for c in column_labels])
    ax.set_yticks(range(matrix.shape[0]), [str(r) for r in row_labels])
    for r, row in enumerate(matrix.tolist()):
        for c, value in enumerate(row):
            dark = value > (matrix.min() + matrix.max()) / 2
            ax.text(c, r, f"{value:.2g}", ha="center", va="center", fontsize=8, color="white" if dark else "black")
    ax.figure.colorbar(image, ax=ax, label=label)
    return ax
