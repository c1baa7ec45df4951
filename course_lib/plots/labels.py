"""Names at the right ends of lines, moved up or down where two would stand on each other."""

import textwrap

import matplotlib
from matplotlib.text import Annotation


class _Label(Annotation):
    """A name to the right of its line's last point; it moves up or down at drawing time to keep clear of the others."""

    others = ()  # all labels of one plot, this one too

    def update_positions(self, renderer):
        wanted = sorted((one.axes.transData.transform(one.xy)[1], i, one) for i, one in enumerate(self.others))
        scale = self.figure.dpi / 72
        heights = [14 * scale * (1 + one.get_text().count("\n")) for *_, one in wanted]
        places = _spread([at for at, *_ in wanted], heights, self.axes.bbox.y0, self.axes.bbox.y1)
        for (at, _, one), place in zip(wanted, places, strict=True):
            one.xyann = (10, (place - at) / scale)
            one.arrow_patch.set_visible(abs(place - at) > 4 * scale)  # a thin line back to the point it was moved from
        super().update_positions(renderer)


def label(ax, ends):
    """Write each (name, colour, (x, y)) beside its point, in its colour."""
    labels = []
    for name, colour, point in ends:
        one = _Label(
            "\n".join(textwrap.fill(line, 26) for line in name.split("\n")),
            point,
            xytext=(10, 0),
            textcoords="offset points",
            color=colour,
            fontsize=11,
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 4,
            },
        )
        one.set_transform(matplotlib.transforms.IdentityTransform())
        labels.append(ax.add_artist(one))
        one.set_clip_on(False)
    for one in labels:
        one.others = labels


def _spread(wanted, heights, low, high):
    """Places as near as can be to those wanted (sorted), no two nearer than their heights allow, between low and high."""
    room = [0.0]
    for below, above in zip(heights, heights[1:], strict=False):
        room.append(room[-1] + (below + above) / 2)
    blocks = []  # [mean, size]: neighbours that touch move as one block (isotonic regression)
    for at, shift in zip(wanted, room, strict=True):
        blocks.append([at - shift, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one, n), (two, m) = blocks[-2:]
            blocks[-2:] = [[(one * n + two * m) / (n + m), n + m]]
    low, high = low + heights[0] / 2, high - heights[-1] / 2 - room[-1]
    means = [max(low, min(mean, high)) for mean, size in blocks for _ in range(size)]
    return [mean + shift for mean, shift in zip(means, room, strict=True)]
