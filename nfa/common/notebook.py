"""What notebooks show of a result: a few sentences and a table, as HTML with escaped text."""

from collections.abc import Sequence
from html import escape

ROWS_SHOWN = 40
"""A notebook or a terminal shows this many rows of a table; of a longer one, the first and the last."""


def html_table(
    first: str, headings: Sequence[str], rows: Sequence[Sequence[str]], sentences: Sequence[str] = ()
) -> str:
    """Return a sentence in bold, further sentences, and a table below.

    Args:
        first: What matters most.
        headings: Of the table's columns.
        rows: The cells' texts; the first of each row names it.
        sentences: What else is said above the table.

    >>> html_table("a < b", ["layer"], [["<x>"]]).count("<table>"), "&lt;x&gt;" in html_table("", ["layer"], [["<x>"]])
    (1, True)
    """
    said = [f"<p><strong>{_text(first)}</strong></p>", *(f"<p>{_text(each)}</p>" for each in sentences)]
    head = "".join(f'<th scope="col">{_text(each)}</th>' for each in headings)
    body = [_row(row) for row in rows]
    if len(body) > ROWS_SHOWN:
        left_out = f'<tr><td colspan="{len(headings)}">{len(body) - ROWS_SHOWN} more rows</td></tr>'
        body = [*body[: ROWS_SHOWN // 2], left_out, *body[-ROWS_SHOWN // 2 :]]
    return f"<div>{''.join(said)}<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"


def _row(cells: Sequence[str]) -> str:
    first, *rest = cells
    return f'<tr><th scope="row">{_text(first)}</th>{"".join(f"<td>{_text(each)}</td>" for each in rest)}</tr>'


def _text(text: str) -> str:
    # Notebooks set what stands between dollar signs as a formula.
    return escape(text).replace("$", "<span>$</span>")
