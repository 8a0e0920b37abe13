"""How the documentation's pages are built: the tutorials as pages, and formulas that fetch nothing."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


def built_by(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / "building" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("tutorial", sorted((DOCS / "tutorials").glob("*.py")), ids=lambda path: path.stem)
def test_a_tutorial_is_a_page_with_every_line_of_its_code(tutorial):
    text = tutorial.read_text()
    page = built_by("tutorials").page(text, tutorial.name)
    assert page.startswith("# ")
    assert "jupytext:" not in page
    code = "\n\n".join(re.findall(r"```python\n(.*?)\n```", page, re.DOTALL))
    cells = [part.partition("\n")[2].strip() for part in re.split(r"^# %%", text, flags=re.MULTILINE)[1:]]
    assert code == "\n\n".join(cell for cell in cells if not cell.startswith("#"))
    assert f"tutorials/{tutorial.stem}.md" in (DOCS.parent / "mkdocs.yml").read_text()


def test_formulas_are_drawn_when_the_site_is_built():
    pytest.importorskip("latex2mathml")
    drawn = built_by("formulas").drawn(r'With <span class="arithmatex">\(d &lt; k\)</span>.')
    assert re.fullmatch(r"With <math [^>]*><mrow><mi>d</mi><mo>[^<]*</mo><mi>k</mi></mrow></math>\.", drawn)


def test_no_page_fetches_anything():
    assert "http" not in (DOCS.parent / "mkdocs.yml").read_text()
