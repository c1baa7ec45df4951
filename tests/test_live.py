"""A picture never comes without an alt text, follows its controls, and is there where nothing is live."""

import base64
import re

import ipywidgets as widgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_lib import live
from course_lib.plots import figure

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def page():
    """What a call puts on the page: page(call) -> the bundle {kind: content}."""
    InteractiveShell.instance()
    try:

        def run(call):
            with capture_output() as captured:
                call()
            (output,) = captured.outputs
            return output.data

        yield run
    finally:
        InteractiveShell.clear_instance()


def draw(T):
    fig, ax = figure(3, 2)
    ax.bar([0, 1], [T, 1])
    return fig, f"T = {T:.1f}"


def shown(bundle):
    """The widget that a bundle shows, as the browser finds it: by its id."""
    return widgets.widgets.widget._instances[bundle[VIEW]["model_id"]]


def alt(text):
    return re.search(r'alt="(.*?)"', text)[1]


def test_show_puts_a_png_on_the_page_with_its_alt_text_escaped(page):
    bundle = page(lambda: live.show(figure()[0], 'p < 0.5 & "sure"'))
    assert bundle["text/plain"] == 'p < 0.5 & "sure"'
    assert alt(bundle["text/html"]) == "p &lt; 0.5 &amp; &quot;sure&quot;"
    png = base64.b64decode(re.search(r'src="data:image/png;base64,(.*?)"', bundle["text/html"])[1])
    assert png.startswith(b"\x89PNG") and 'width="672"' in bundle["text/html"]  # 7 inches of 96 CSS pixels


@pytest.mark.parametrize("nothing", ["", "  ", None])
def test_a_picture_without_an_alt_text_is_refused_in_words(nothing):
    with pytest.raises(ValueError, match="needs an alt text that says what it shows"):
        live.show(figure()[0], nothing)


def test_moving_the_slider_changes_the_picture_and_its_alt_text(page):
    knob = live.slider("temperature T", 0.5, 20, 1.0, 0.5)
    bundle = page(lambda: live.explore(draw, T=knob))
    control, view = shown(bundle).children
    before = view.value
    assert control is knob and alt(before) == "T = 1.0"
    knob.value = 5.0
    assert alt(view.value) == "T = 5.0" and view.value != before


def test_where_nothing_is_live_the_first_picture_is_there_with_its_alt_text(page):
    bundle = page(lambda: live.explore(draw, T=live.slider("T", 0, 20, 2.0)))
    assert set(bundle) == {VIEW, "text/html", "text/plain"}
    assert alt(bundle["text/html"]) == bundle["text/plain"] == "T = 2.0"
    assert "http" not in re.sub(r"base64,[^\"]*", "", bundle["text/html"])  # it asks no other host for anything


def test_an_error_while_sliding_is_shown_where_the_picture_was_and_the_next_move_mends_it(page):
    def fragile(T):
        if T > 3:
            raise ZeroDivisionError("<T> is too hot")
        return draw(T)

    knob = live.slider("T", 0, 20, 1.0)
    view = shown(page(lambda: live.explore(fragile, T=knob))).children[1]
    knob.value = 5.0
    assert 'role="alert"' in view.value and "ZeroDivisionError: &lt;T&gt; is too hot" in view.value
    knob.value = 2.0
    assert alt(view.value) == "T = 2.0"


def test_an_error_in_the_first_picture_is_the_cells_own():
    with pytest.raises(ZeroDivisionError):
        live.explore(lambda T: 1 / 0, T=live.slider("T", 0, 20, 1.0))
    with pytest.raises(TypeError, match=r"must return \(figure, alt text\)"):
        live.explore(lambda T: "only words", T=live.slider("T", 0, 20, 1.0))
    with pytest.raises(TypeError, match="T must be a control"):
        live.explore(draw, T=3)


def test_controls_have_labels_that_can_be_read(page):
    menu = widgets.Dropdown(options=[1, 2, 4])
    page(lambda: live.explore(draw, T=menu))
    assert menu.description == "T"
    knob = live.slider("temperature T", 0.5, 20, 1.0, 0.05)
    assert (knob.description, knob.readout_format, knob.style.description_width) == ("temperature T", ".2f", "initial")


def test_a_slider_of_whole_numbers_gives_whole_numbers():
    assert isinstance(live.slider("picture", 0, 99, 6, 1).value, int)
    assert isinstance(live.slider("T", 1, 16, 1, 0.5).value, float)
    with pytest.raises(ValueError, match="starts between its ends, 0 and 5; got 7"):
        live.slider("T", 0, 5, 7)
