"""The house style. Plain numbers in, axes out; one colour and marker per role, intervals drawn, labels at the lines.

ax=None makes a new figure; ax.figure is what `show` puts on the page. No figure here is known to pyplot, so none is
shown twice, none leaks, and nothing has to be closed.

floor 0   labels  names at the right ends of lines
floor 1   charts  figures, bars, dots, lines, pictures
"""

from course_lib.plots.charts import (
    PLAIN,
    ROLE,
    bars,
    estimates,
    figure,
    heatmap,
    lines,
    look,
    looks,
    picture,
    pictures,
    probabilities,
    reliability,
)

__all__ = [
    "PLAIN",
    "ROLE",
    "bars",
    "estimates",
    "figure",
    "heatmap",
    "lines",
    "look",
    "looks",
    "picture",
    "pictures",
    "probabilities",
    "reliability",
]
