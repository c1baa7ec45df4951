"""Pictures with an alt text, and sliders over them that also read well where nothing is live.

Where there is no Jupyter at all (a lesson's source run as a script), the alt text is printed in the picture's place.
"""

import base64
import html
import io
import re
import sys
import types

__all__ = ["explore", "show", "slider"]

try:
    from IPython.display import display
except ImportError:  # a bare machine
    display = None
try:
    import ipywidgets as widgets
except ImportError:
    widgets = None

DPI = 144  # 1.5 dots per CSS pixel: sharp on most screens, and small in a stored notebook


def show(fig, alt):
    """Put a figure on the page with an alt text that says what the picture shows, its values too."""
    picture = _picture(fig, alt)
    if _as_script():
        print(alt)
    else:
        display({"text/html": picture, "text/plain": alt}, raw=True)


def _as_script():
    """True outside of IPython: nothing there shows a picture."""
    module = sys.modules.get("IPython")
    return module is None or module.get_ipython() is None


def explore(draw, **controls):
    """Controls above a picture that follows them. draw(**values) -> (figure, alt text).

    explore(draw, T=slider("temperature T", 0.5, 20, 1.0)); any widget with a value will do as a control (a dropdown, say).
    Where nothing is live (an exported page, a stored notebook) the first picture is shown with its alt text.
    """
    if widgets is None:
        print(draw(**{name: control.value for name, control in controls.items()})[1])
        return
    for name, control in controls.items():
        if not (hasattr(control, "value") and hasattr(control, "observe")):
            raise TypeError(
                f"{name} must be a control, such as slider('{name}', 0, 10, 1); got {type(control).__name__}"
            )
        control.description = control.description or name

    def page():
        answer = draw(**{name: control.value for name, control in controls.items()})
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise TypeError(f"draw must return (figure, alt text); it returned {type(answer).__name__}")
        return _picture(*answer), answer[1]

    first, alt = page()  # an error here is the cell's own error, and is shown as one
    view = widgets.HTML(first)

    def update(_):
        try:
            view.value = page()[0]
        except Exception as error:  # one in a callback would vanish in a log: show it where the picture was
            words = html.escape(f"The picture could not be drawn: {type(error).__name__}: {error}")
            view.value = f'<p role="alert">{words}</p>'

    for control in controls.values():
        control.observe(update, "value")
    box = widgets.VBox([*controls.values(), view])
    still = first + "<p><em>Run this cell in Jupyter to move the controls.</em></p>"
    display({**box._repr_mimebundle_(), "text/html": still, "text/plain": alt}, raw=True)


def slider(label, low, high, value, step=0.1):
    """A slider that mouse and arrow keys move; of whole numbers if low, high, value and step are."""
    if not low <= value <= high:
        raise ValueError(f"a slider starts between its ends, {low} and {high}; got {value}")
    if widgets is None:
        return types.SimpleNamespace(value=value)
    look = {"description": label, "tooltip": label, "style": {"description_width": "initial"}}
    look["layout"] = {"width": "36em", "max_width": "100%"}
    ends = {"min": low, "max": high, "value": value, "step": step}
    if all(isinstance(number, int) for number in ends.values()):
        return widgets.IntSlider(**ends, **look)
    decimals = len(f"{step:g}".partition(".")[2])
    return widgets.FloatSlider(**ends, **look, readout_format=f".{decimals}f")


WRAPPED = "<style>.course-choice{white-space:normal;text-align:left;line-height:1.4;padding:.4em .8em}</style>"


def choose(question, options, answer, line="", text="", page=""):
    """A question with a button for each option, and below them a line of HTML that says what came of the choice.

    question: HTML. answer(i) -> HTML for that line, when the button of options[i] is pressed; `line` is shown there before. Tab and
    Enter reach and press a button. (Not radio buttons: JupyterLab takes the arrow keys for itself.) Where nothing is
    live, `page` (HTML) stands in; `text` is printed where there is no Jupyter at all.
    """
    if widgets is None or _as_script():
        print(text)
        return
    said = widgets.HTML(line)

    def press(place):
        def on_click(_):
            try:
                said.value = answer(place)
            except Exception as error:  # one in a callback would vanish in a log
                words = html.escape(f"Your choice could not be answered: {type(error).__name__}: {error}")
                said.value = f'<p role="alert">{words}</p>'

        return on_click

    wide = {"width": "auto", "height": "auto", "max_width": "100%"}
    asked = "an answer to: " + html.unescape(re.sub(r"<[^>]*>", "", question))  # for who gets to a button by Tab alone
    buttons = [widgets.Button(description=option, tooltip=asked, layout=wide) for option in options]
    for place, button in enumerate(buttons):
        button.add_class("course-choice")
        button.on_click(press(place))
    column = widgets.VBox(buttons, layout={"align_items": "flex-start"})
    box = widgets.VBox([widgets.HTML(f'{WRAPPED}<p style="margin:.3em 0">{question}</p>'), column, said])
    display({**box._repr_mimebundle_(), "text/html": page, "text/plain": text}, raw=True)


def _picture(fig, alt):
    if not (isinstance(alt, str) and alt.strip()):
        raise ValueError(f"a picture needs an alt text that says what it shows, with its values; got {alt!r:.80}")
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure style="margin:0"><img style="max-width:100%" width="{96 * fig.get_figwidth():.0f}" '
        f'alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{data}"></figure>'
    )
