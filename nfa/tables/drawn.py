"""How columns are drawn: the words, colour, nulls and interval of each."""

from dataclasses import dataclass, field

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.features.columns import COLUMNS

NULLS = {
    "rotated": "by chance (gradients turned)",
    "untrained": "untrained network",
    "independent": "independent weights, k/(k+d)",
}
"""The nulls of similarities, and their names in legends."""


@dataclass(frozen=True)
class Drawn:
    """The drawing of a column.

    Args:
        label: What it compares, for the legend.
        axis: The label of its axis.
        role: The role whose colour it has (a key of `nfa.plots.ROLES`).
        nulls: Columns of its nulls, by kind (a key of `NULLS`).
        low: The column of the lower end of its interval over samples, or "".
        high: The column of the upper end.
        beside: The column that is drawn next to it, or "": the NFM against the initialisation's.
    """

    label: str
    axis: str
    role: str = "agop"
    nulls: dict[str, str] = field(default_factory=dict)
    low: str = ""
    high: str = ""
    beside: str = ""


def _published(name: str, label: str, axis: str, beside: str) -> Drawn:
    return Drawn(label, axis, nulls={"rotated": f"published_{name}_null"}, beside=beside)


_DRAWN = {
    "cosine": Drawn(
        "NFM and AGOP",
        "cosine",
        nulls={"rotated": "rotated_cosine", "untrained": "untrained_cosine"},
        low="ci_low",
        high="ci_high",
        beside="init_cosine",
    ),
    "alignment": Drawn(
        "alignment: WW' and S",
        "cosine",
        nulls={"rotated": "alignment_null", "untrained": "untrained_alignment"},
        low="alignment_low",
        high="alignment_high",
        beside="init_cosine",
    ),
    "cosine_sqrt": Drawn("NFM and √AGOP", "cosine", nulls={"untrained": "untrained_cosine_sqrt"}, beside="init_cosine"),
    "cosine_centered": Drawn("NFM and centered AGOP", "cosine", "centered", beside="init_cosine"),
    "pearson": Drawn("NFM and AGOP", "correlation of entries", beside="init_pearson"),
    "pearson_sqrt": Drawn("NFM and √AGOP", "correlation of entries", beside="init_pearson"),
    "init_cosine": Drawn("NFM and init's NFM", "cosine", "init", nulls={"independent": "init_cosine_null"}),
    "init_pearson": Drawn("NFM and init's NFM", "correlation of entries", "init"),
    "delta_alignment": Drawn("alignment: dWdW' and S", "cosine", nulls={"rotated": "delta_alignment_null"}),
    "subspace_overlap": Drawn(
        "leading eigenvectors", "overlap of NFM and AGOP", nulls={"independent": "subspace_overlap_null"}
    ),
    "published_cosine": _published("cosine", "dW'dW and AGOP", "cosine", "init_cosine"),
    "published_pearson_sqrt": _published("pearson_sqrt", "dW'dW and √AGOP", "correlation of entries", "init_pearson"),
    "published_pearson_sqrt_centered": _published(
        "pearson_sqrt_centered", "dW'dW and √centered AGOP", "correlation of entries", "init_pearson"
    ),
}

_OWN_NULL = {"independent"}
"""Nulls that a column has whatever null is asked for, since they need only the sizes of the layer."""


def drawn(column: str) -> Drawn:
    """Return how a column of numbers is drawn.

    Raises:
        InputError: there is no such column, or it holds no numbers.

    >>> drawn("cosine").nulls["rotated"], drawn("moved").axis
    ('rotated_cosine', 'moved')
    """
    numbers = [name for name, each in COLUMNS.items() if each.kind in (float, int) and name != "layer"]
    if column in COLUMNS and column not in numbers:
        raise InputError("column", f"{column} is no measured number: there is nothing to draw")
    one_of("column", column, numbers)
    words = column.replace("_", " ")
    role = "nfm" if column.startswith("nfm_") else "init" if COLUMNS[column].needs_init else "agop"
    return _DRAWN.get(column) or Drawn(words, words, role)


def null_of(column: str, null: str | None) -> tuple[str, str]:
    """Return the kind and the column of a column's null, ("", "") where it has none of the kind.

    Raises:
        InputError: no such kind of null.
    """
    if null is None:
        return "", ""
    one_of("null", null, [each for each in NULLS if each not in _OWN_NULL])
    nulls = drawn(column).nulls
    for kind in (null, *_OWN_NULL):
        if kind in nulls:
            return kind, nulls[kind]
    return "", ""


def every_null() -> set[str]:
    """Return the columns that are nulls of others; they are shown beside these."""
    return {null for look in _DRAWN.values() for null in look.nulls.values()}


def missing(column: str, where: str) -> InputError:
    """Return the error that an audit does not have a column."""
    group = COLUMNS[column].group
    hint = {"published": "; published=True (--published) adds it", "fact": "; loss= (--loss) adds it"}.get(group, "")
    if COLUMNS[column].needs_init and not hint:
        hint = "; init= (--init), the network before training, gives it"
    return InputError("audits", f"{where} is without {column}{hint}")
