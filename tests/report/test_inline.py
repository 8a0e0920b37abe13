"""Figures as parts of a page."""

from xml.etree import ElementTree

import pytest

from nfa.plots import figure, literal, themed
from nfa.plots.theme import INK
from nfa.report.inline import inline


def drawn(text="a", alt="what it shows", number=1):
    with themed():
        fig, ax = figure()
        ax.plot([0, 1], [0, 1], clip_on=True)
        ax.set_title(literal(text))
    return inline(fig, alt, number)


def test_it_is_one_svg_that_names_itself_and_takes_the_room_it_gets():
    root = ElementTree.fromstring(drawn(alt='a "b" <c>'))
    assert root.tag.endswith("}svg")
    assert (root.get("role"), root.get("aria-label")) == ("img", 'a "b" <c>')
    assert root.get("viewBox")
    assert root.get("width") is None


def test_ink_and_ground_are_those_of_the_page():
    svg = str(drawn())
    assert "currentColor" in svg
    assert INK.lower() not in svg
    assert "#ffffff" not in svg


def test_references_stay_within_their_figure():
    root = ElementTree.fromstring(drawn(number=7))
    ids = {each.get("id") for each in root.iter() if each.get("id")}
    assert all(each.startswith("f7-") for each in ids)
    used = [each.get("{http://www.w3.org/1999/xlink}href") for each in root.iter()]
    used += [value[4:-1] for each in root.iter() for value in each.attrib.values() if value.startswith("url(")]
    used = [each for each in used if each]
    assert used
    assert {each.lstrip("#") for each in used} <= ids


def test_the_same_figure_is_the_same_text():
    assert drawn() == drawn()


@pytest.mark.filterwarnings("ignore:Glyph .* missing")  # as older matplotlib says of its own fonts
@pytest.mark.parametrize("text", ['id="x"', "url(#a)", "#262626", "</text><script>", "日本", "a & b"])
def test_text_comes_through_as_it_is(text):
    root = ElementTree.fromstring(drawn(text))
    assert text in [each.text for each in root.iter() if each.tag.endswith("}text")]
