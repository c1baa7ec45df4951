"""Pictures with alt text, and sliders over them that also read well where nothing is live."""

import base64
import html
import io

import ipywidgets as widgets
from IPython.display import display


def show(fig, alt):
    """Put a figure on the page with an alt text that says what the picture shows."""
    display({"text/html": _picture(fig, alt), "text/plain": alt}, raw=True)


def explore(draw, **sliders):
    """Sliders above a picture that follows them. draw(**values) -> (figure, alt text).

    Where nothing is live (an exported page, a stored notebook) the first picture is shown with its alt text.
    """
    view = widgets.HTML()

    def update(_=None):
        try:
            fig, alt = draw(**{name: slider.value for name, slider in sliders.items()})
            view.value = _picture(fig, alt)
        except Exception as error:  # an error in a callback would vanish in a log; show it where the picture was
            alt = f"The picture could not be drawn: {type(error).__name__}: {error}"
            view.value = f'<p role="alert">{html.escape(alt)}</p>'
        return alt

    alt = update()
    for slider in sliders.values():
        slider.observe(update, "value")
    box = widgets.VBox([*sliders.values(), view])
    still = view.value + "<p><em>Run this cell in Jupyter to move the sliders.</em></p>"
    display({**box._repr_mimebundle_(), "text/plain": alt, "text/html": still}, raw=True)


def slider(label, low, high, value, step=0.1):
    """A slider that the keyboard moves; its label is read aloud by a screen reader."""
    return widgets.FloatSlider(
        description=label, min=low, max=high, value=value, step=step, style={"description_width": "initial"}
    )


def _picture(fig, alt):
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=96, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure style="margin:0"><img style="max-width:100%" alt="{html.escape(alt, quote=True)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )
