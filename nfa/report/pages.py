"""The parts of every page: templates with escaped strings, one style, one script, cells and headings of tables."""

import base64
import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from nfa.common.checks import output_folder
from nfa.common.errors import InputError
from nfa.common.shown import printable_lines
from nfa.common.version import __version__
from nfa.common.writing import replacing

LONG = 8
"""A longer heading may be broken."""


@dataclass(frozen=True)
class Heading:
    """A heading of a table: its label, its meaning, how its cells sort, and its classes."""

    label: str
    meaning: str
    kind: str = "number"
    classes: str = ""

    @property
    def broken(self) -> Markup:
        """The label; a long one may be broken after underscores."""
        between = Markup("_") if len(self.label) < LONG else Markup("_<wbr>")
        return between.join(self.label.split("_"))


@dataclass(frozen=True)
class Cell:
    """A cell: its text, the value it sorts by ("" comes last), and whether it names its row."""

    text: str
    key: str
    heading: bool = False
    classes: str = ""


def cell(value: Any, classes: str = "", heading: bool = False) -> Cell:
    """Return a cell of a number, a truth value or a text.

    >>> cell(0.123456).text, cell(math.nan).text, cell(True).text
    ('0.1235', '–', 'yes')
    """
    if isinstance(value, bool):
        return Cell("yes" if value else "no", str(int(value)), heading, classes)
    if isinstance(value, float) and math.isnan(value):
        return Cell("–", "", heading, classes)
    if isinstance(value, float):
        return Cell(f"{value:.4g}", repr(value), heading, classes)
    return Cell(str(value), str(value), heading, classes)


def page(template: str, **content: Any) -> str:
    """Return a page from a template; every string of the content is escaped and printable."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("nfa.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )

    def own(name: str) -> Markup:
        assert environment.loader is not None
        return Markup(environment.loader.get_source(environment, name)[0])  # noqa: S704 (a file of this package)

    script = own("page.js")
    # No other script runs, and nothing is fetched, even if a string should ever escape into the markup.
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = environment.get_template(template).render(
        style=own("style.css"), script=script, script_hash=script_hash, version=__version__, **content
    )
    # Of the whole page: figures hold names too, and what is printable stays as it is.
    return printable_lines(text)


def page_path(argument: str, path: str | os.PathLike[str], name: str) -> Path:
    """Return where to write a page: an .html file as it is; any other path is a folder, in which it has this name.

    Raises:
        InputError: the folder cannot be written, or the file is a folder.
    """
    file = Path(path)
    if file.suffix.lower() in (".html", ".htm"):
        output_folder(argument, file.parent)
    else:
        file = output_folder(argument, file) / name
    if file.is_dir():
        raise InputError(argument, f"{file} is a folder, expected a file")
    return file


def write_page(text: str, path: Path) -> Path:
    """Write a page and return its path."""
    # A layer's name in a file may have half of a surrogate pair, which no encoding can write.
    with replacing("out", path) as (new,):
        new.write_bytes(text.encode("utf-8", "replace"))
    return path
