"""Make the formulas of pages into MathML when the site is built, so that a page fetches nothing to show them."""

import html
import re
from typing import Any

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
"""What the extension arithmatex makes of a formula: inline between \\( and \\), or a block between \\[ and \\]."""


def drawn(page: str) -> str:
    r"""Return a page with MathML in the place of its formulas.

    >>> print(drawn(r'<span class="arithmatex">\(k\)</span>'))
    <math xmlns="http://www.w3.org/1998/Math/MathML" display="inline"><mrow><mi>k</mi></mrow></math>
    """
    from latex2mathml.converter import convert

    def mathml(found: re.Match[str]) -> str:
        return convert(html.unescape(found[2]), display="block" if found[1] == "div" else "inline")

    return FORMULA.sub(mathml, page)


def on_page_content(content: str, **kwargs: Any) -> str:
    """Draw the formulas of a page; called by MkDocs."""
    return drawn(content)
