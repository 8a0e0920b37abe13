"""The report in a browser: it renders, sorts, complains of nothing, asks for nothing, and text stays text."""

import base64
import copy
import re
from dataclasses import replace

import pytest
import torch
from browser import CHROMIUM, Browser
from helpers import gaussian, perturbed

import nfa
from nfa.report import compare, write

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

HOSTILE = (
    "<img src=x onerror=alert`1`>",
    "</script><script>document['title']=1</script>",
    "\"'onmouseover='alert(1)",
    "{{ 7 * 7 }}&amp;$x^2$",
    "</svg></text></table>",
)


class Named(torch.nn.Module):
    """Layers one after the other, under any names."""

    def __init__(self, names, width=5):
        super().__init__()
        for name in names:
            self.add_module(name, torch.nn.Linear(width, width))

    def forward(self, x):
        for layer in self.children():
            x = torch.tanh(layer(x))
        return x


@pytest.fixture(scope="module")
def browser():
    made = Browser()
    yield made
    made.close()


@pytest.fixture(scope="module")
def hostile():
    """An audit in which every string that a user gives is hostile."""
    net = Named(HOSTILE)
    data = nfa.Dataset(
        gaussian(60, 5, dtype=torch.float32).numpy(),
        (torch.arange(60) % 5).numpy(),
        name=HOSTILE[0],
        feature_names=HOSTILE,
    )
    audit = nfa.audit(net, data, perturbed(net), name=HOSTILE[1])
    skipped = (*audit.about.skipped, {"name": HOSTILE[1], "kind": HOSTILE[2]})
    return replace(audit, about=replace(audit.about, notes=(*audit.about.notes, HOSTILE[0]), skipped=skipped))


@pytest.fixture(scope="module")
def folder(hostile, tmp_path_factory):
    made = tmp_path_factory.mktemp("pages")
    write(hostile, made)
    compare({HOSTILE[0]: hostile, HOSTILE[1]: hostile}, made)
    return made


def column(browser, number):
    script = f"[...document.querySelectorAll('#layers tbody tr')].map(row => row.cells[{number}].textContent)"
    return browser.evaluate(script)


@pytest.mark.parametrize("name", ["report.html", "compare.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_asks_for_nothing_and_complains_of_nothing(browser, folder, name, scheme):
    browser.open(folder / name, scheme=scheme)
    browser.click("th[aria-sort] button")
    assert browser.complaints() == []
    assert browser.requests() == []


@pytest.mark.parametrize("name", ["report.html", "compare.html"])
def test_hostile_strings_stay_text(browser, folder, name):
    browser.open(folder / name)
    assert browser.evaluate("document.title").endswith(HOSTILE[1] if name == "report.html" else "2 audits")
    assert browser.evaluate("document.querySelectorAll('img, [onerror], [onmouseover]').length") == 0
    assert browser.evaluate("document.scripts.length") == 1
    names = browser.evaluate("[...document.querySelectorAll('#layers tbody th')].map(cell => cell.textContent)")
    assert names == list(HOSTILE)
    # In the figures too, cut in the middle to the room there is, and no formula.
    drawn = browser.evaluate("[...document.querySelectorAll('svg text')].map(text => text.textContent)")
    assert [text for text in drawn if text.startswith("<img s")]
    assert [text for text in drawn if text.endswith("amp;$x^2$")]


def test_the_policy_of_the_page_stops_what_might_escape(browser, folder):
    browser.open(folder / "report.html")
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=\"http://127.0.0.1:9/x\" onerror=\"window.ran = 1\">')"
    )
    browser.evaluate("new Promise(done => setTimeout(done, 200))")
    assert browser.evaluate("window.ran") is None
    assert "Content Security Policy" in str(browser.complaints())


def test_a_click_sorts_and_a_second_one_turns_round(browser, folder, hostile):
    browser.open(folder / "report.html")
    number = list(hostile.to_frame().columns).index("cosine")
    heading = f"#layers th[data-column='{number}']"
    ascending = [f"{value:.4g}" for value in sorted(layer["cosine"] for layer in hostile)]
    for order, expected in (("ascending", ascending), ("descending", ascending[::-1]), ("ascending", ascending)):
        browser.click(f"{heading} button")
        assert column(browser, number) == expected
        assert browser.evaluate(f'document.querySelector("{heading}").ariaSort') == order
    assert (
        browser.evaluate("document.querySelectorAll('#layers th[aria-sort=\"none\"]').length")
        == len(hostile.to_frame().columns) - 1
    )
    assert browser.evaluate("document.getElementById('said').textContent") == "Sorted by cosine, ascending."


@pytest.mark.parametrize(("key", "code"), [("Enter", 13), (" ", 32)])
def test_the_keyboard_sorts_too(browser, folder, key, code):
    browser.open(folder / "report.html")
    browser.click("button.toggle")
    browser.evaluate("document.querySelector('#layers th[data-column=\"0\"] button').focus()")
    browser.press(key, code)
    browser.press(key, code)
    assert column(browser, 0) == ["4", "3", "2", "1", "0"]


def test_what_is_not_known_comes_last_either_way(browser, tmp_path):
    net = nfa.MLP(5, [6, 4], n_outputs=3)
    audit = nfa.audit(net, gaussian(30, 5, dtype=torch.float32), copy.deepcopy(net))
    browser.open(write(audit, tmp_path))
    columns = list(audit.to_frame().columns)
    number = columns.index("cosine_centered")
    browser.click("button.toggle")
    for _ in range(2):
        browser.click(f"#layers th[data-column='{number}'] button")
        assert column(browser, number)[-1] == "–"


def test_columns_that_were_left_out_come_at_a_click(browser, folder):
    browser.open(folder / "report.html")
    shown = "[...document.querySelectorAll('#layers th[aria-sort]')].filter(cell => cell.offsetWidth > 0).length"
    few = browser.evaluate(shown)
    browser.click("button.toggle")
    assert few == 10
    assert browser.evaluate(shown) == len(nfa.features.columns.names())


@pytest.mark.parametrize("name", ["report.html", "compare.html"])
def test_a_phone_need_not_scroll_sideways(browser, folder, name):
    browser.open(folder / name, width=360)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360


def test_figures_take_ink_and_ground_of_the_page(browser, folder):
    for scheme, ink in (("light", "rgb(31, 35, 40)"), ("dark", "rgb(230, 232, 235)")):
        browser.open(folder / "report.html", scheme=scheme)
        colours = "[...document.querySelectorAll('svg text')].map(text => getComputedStyle(text).fill)"
        assert set(browser.evaluate(colours)) == {ink}


def test_no_two_parts_of_a_page_have_one_id(browser, folder):
    for name in ("report.html", "compare.html"):
        browser.open(folder / name)
        ids = browser.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))


def test_what_is_folded_is_printed(browser, folder):
    browser.open(folder / "report.html")
    browser.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert browser.evaluate("document.querySelectorAll('details:not([open])').length") == 0
    browser.evaluate("dispatchEvent(new Event('afterprint'))")
    assert browser.evaluate("document.querySelectorAll('details[open]').length") == 0


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The page of a network of the demo's sizes."""
    data = nfa.load_data("digits").divide(test=0.2)
    net = nfa.MLP(64, 128, 3, 10)
    audit = nfa.audit(net, data, perturbed(net), samples=200)
    return audit.report(tmp_path_factory.mktemp("demo"), data.X[0])


def printed(browser, page):
    """The page as PDF on A4, in bytes."""
    browser.open(page)
    paper = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
    return base64.b64decode(browser.call("Page.printToPDF", **paper)["data"])


def test_the_demo_s_page_prints_on_three_sheets(browser, demo):
    assert len(re.findall(rb"/Type */Page[^s]", printed(browser, demo))) == 3


def test_nothing_of_a_comparison_is_cut_off_on_paper(browser, small, tmp_path):
    net, X = small
    audits = {f"audit {number}": nfa.audit(net, X, perturbed(net)) for number in range(4)}
    browser.open(compare(audits, tmp_path), width=700)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        wide = "[...document.querySelectorAll('table')].map(each => each.getBoundingClientRect().right)"
        assert max(browser.evaluate(wide)) <= 700
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def test_a_verdict_leads_to_its_layer_and_pairs_are_never_divided(browser, demo):
    browser.open(demo)
    browser.click(".chips li:nth-child(2) a")
    assert browser.evaluate("location.hash") == "#layer-1"
    rules = "[...document.querySelectorAll('.pair')].map(pair => getComputedStyle(pair).breakInside)"
    assert set(browser.evaluate(rules)) == {"avoid"}
    assert browser.evaluate(
        "[...document.querySelectorAll('.pair')].every(p => p.querySelectorAll('svg').length === 2)"
    )


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window_when_all_is_unfolded(browser, demo, width):
    browser.open(demo, width=width)
    browser.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [800, 1400])
def test_figures_beside_each_other_are_of_one_height(browser, demo, width):
    browser.open(demo, width=width)
    heights = (
        "[...document.querySelectorAll('.figures svg')].map(each => Math.round(each.getBoundingClientRect().height))"
    )
    assert len(set(browser.evaluate(heights))) == 1
