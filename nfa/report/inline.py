"""A figure inside a page: an SVG in the page's ink and on its ground, whose ids no other figure has."""

import io
import re
import warnings
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.figure import Figure

from nfa.plots.theme import INK, themed

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_WHITE = "#ffffff"
"""What is left white, such as the inside of a marker, is the page's ground."""
_REFERENCE = re.compile(r"url\(#")


@themed()
def inline(fig: Figure, alt: str, number: int) -> Markup:
    """Return a figure as SVG for HTML, for light and dark pages.

    Args:
        fig: The figure, drawn in the theme.
        alt: A description for those who do not see it.
        number: The figure's number on its page, so that ids stay unique.
    """
    written = io.StringIO()
    with warnings.catch_warnings():
        # Letters stay text, so the reader's fonts draw those that this font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        fig.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 (written in the line above)
    for parent in root.iter():
        for child in [each for each in parent if each.tag == f"{{{_SVG}}}metadata"]:
            parent.remove(child)
    prefix = f"f{number}-"
    for each in root.iter():
        for key, value in each.attrib.items():
            if key == "id":
                each.set(key, prefix + value)
            elif key == f"{{{_XLINK}}}href" and value.startswith("#"):
                each.set(key, "#" + prefix + value[1:])
            else:
                own = _REFERENCE.sub(f"url(#{prefix}", value).replace(INK.lower(), "currentColor")
                each.set(key, own.replace(_WHITE, "var(--ground)"))
    for size in ("width", "height"):
        del root.attrib[size]
    root.set("role", "img")
    root.set("aria-label", alt)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 (the writer escapes every string)
