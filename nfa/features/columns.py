"""The columns of an audit: what each is called, what it means and where it is shown, in one table."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

GROUPS = {
    "layer": "layer",
    "similarity": "NFM against AGOP",
    "root": "against its square root",
    "interval": "how sure",
    "power": "power of AGOP",
    "null": "untrained network",
    "init": "against its initialisation",
    "change": "the weight's change",
    "size": "sizes",
    "subspace": "top eigenvectors",
    "remark": "remarks",
    "fact": "the exact rival",
}
"""The groups of columns, in order, and their headings on the page."""

ON_REQUEST = ("fact",)
"""Groups that an audit has only where they are asked for."""

ALWAYS = tuple(group for group in GROUPS if group not in ON_REQUEST)
"""Groups that every audit has."""

MISSING = "–"
"""What is printed in the place of NaN."""


@dataclass(frozen=True)
class Printed:
    """The place of a column in the table that commands print.

    Args:
        heading: Of the table's column; columns of one heading share its cells.
        place: Columns are printed in the order of these numbers.
        form: How a cell shows the value, which has two decimals.
    """

    heading: str
    place: int
    form: str = "{}"


@dataclass(frozen=True)
class Column:
    """One column of an audit.

    Args:
        name: As in the data frame and in `audit.json`.
        group: A key of `GROUPS`.
        meaning: One sentence for those who have not read the paper.
        kind: Type of the values; only numbers can be missing.
        main: Whether the page shows it at first and on paper, not only with all columns.
        printed: Its place in the printed table, if it has one.
        needs_init: Whether it is NaN without the network before training.

    >>> COLUMNS["cosine"].group, COLUMNS["cosine"].kind
    ('similarity', <class 'float'>)
    """

    name: str
    group: str
    meaning: str
    kind: type = float
    main: bool = False
    printed: Printed | None = None
    needs_init: bool = False

    def from_json(self, value: Any) -> Any:
        """Return a value of `audit.json`, where null stands for NaN.

        Raises:
            TypeError: a value of another kind.
        """
        if self.kind is float:
            value = math.nan if value is None else value
            if isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
        if not isinstance(value, self.kind) or (self.kind is int and isinstance(value, bool)):
            raise TypeError(self.name)
        return value

    def in_print(self, value: Any) -> str:
        """Return a value as the printed table shows it.

        >>> COLUMNS["alpha_best"].in_print(0.5), COLUMNS["cosine"].in_print(math.nan)
        ('at 0.50', '–')
        """
        form = self.printed.form if self.printed else "{}"
        if self.kind is bool:
            return form.format(self.name) if value else ""
        if self.kind is float:
            value = MISSING if math.isnan(value) else f"{value:.2f}"
        return form.format(value)


_TABLE = (
    Column("layer", "layer", "Number in forward order, from 0.", int, main=True),
    Column("name", "layer", "Path of the module, or name of the weight.", str, True, Printed("layer", 0)),
    Column("d_in", "layer", "d, the entries of the layer's input.", int, True, Printed("d", 1)),
    Column("d_out", "layer", "k, the entries of its output.", int, True, Printed("k", 2)),
    Column("rows", "layer", "Rows over which the AGOP is the mean.", int),
    Column(
        "cosine",
        "similarity",
        "Cosine of NFM and AGOP. Read it beside untrained_cosine and k/(k+d).",
        main=True,
        printed=Printed("cosine", 3),
    ),
    Column("pearson", "similarity", "Correlation of the entries of NFM and AGOP: the cosine with both means removed."),
    Column(
        "cosine_centered",
        "similarity",
        "Cosine of NFM and centered AGOP (gradients minus their mean over rows).",
        main=True,
        printed=Printed("centered", 8),
    ),
    Column("cosine_sqrt", "root", "Cosine of NFM and the square root of AGOP.", main=True, printed=Printed("sqrt", 9)),
    Column("pearson_sqrt", "root", "Correlation of NFM and the square root of AGOP."),
    Column("pearson_sqrt_centered", "root", "Correlation of NFM and the square root of the centered AGOP."),
    Column(
        "ci_low",
        "interval",
        "Lower end of the 95 % interval of cosine over samples (jackknife over ten groups).",
        main=True,
        printed=Printed("95 %", 4),
    ),
    Column("ci_high", "interval", "Upper end of that interval.", main=True, printed=Printed("95 %", 5)),
    Column("probe_error", "interval", "Standard error of cosine from random probes alone; empty without them."),
    Column(
        "alpha_best",
        "power",
        "The power alpha of AGOP, of 0.05, 0.10, ..., 2, that the NFM is most like.",
        main=True,
        printed=Printed("best alpha", 11, "at {}"),
    ),
    Column(
        "cosine_alpha_best",
        "power",
        "Cosine of NFM and AGOP to that power.",
        main=True,
        printed=Printed("best alpha", 10),
    ),
    Column(
        "alpha_linear",
        "power",
        "1 / (linear layers from this one to the output): the power that theory gives for deep linear networks.",
    ),
    Column("cosine_alpha_linear", "power", "Cosine of NFM and AGOP to that power."),
    Column(
        "untrained_cosine",
        "null",
        "Null of cosine: NFM and AGOP of the network before training.",
        main=True,
        printed=Printed("untrained", 6),
        needs_init=True,
    ),
    Column("untrained_cosine_sqrt", "null", "Null of cosine_sqrt: the same before training.", needs_init=True),
    Column(
        "init_cosine",
        "init",
        "Cosine of the NFM and the NFM before training: 1 where the layer has kept its features.",
        main=True,
        printed=Printed("with init", 12),
        needs_init=True,
    ),
    Column("init_pearson", "init", "Correlation of the same two.", needs_init=True),
    Column(
        "init_cosine_null",
        "init",
        "k/(k+d): init_cosine of two independent initialisations.",
        main=True,
        printed=Printed("k/(k+d)", 7),
    ),
    Column("delta_norm", "change", "Norm of the weight's change over the norm of the weight.", needs_init=True),
    Column("delta_cosine", "change", "Cosine of the change's Gram matrix dW'dW and the AGOP.", needs_init=True),
    Column(
        "cnfa_cosine",
        "change",
        "The authors' own measure: dW in place of W, in the NFM and in the AGOP.",
        needs_init=True,
    ),
    Column("cnfa_pearson", "change", "Correlation of the same two.", needs_init=True),
    Column("nfm_trace", "size", "Trace of the NFM: the squared norm of the weight."),
    Column("agop_trace", "size", "Trace of the AGOP: the mean squared norm of the gradient."),
    Column("nfm_effective_rank", "size", "trace^2 / norm^2 of the NFM."),
    Column("agop_effective_rank", "size", "trace^2 / norm^2 of the AGOP."),
    Column(
        "subspace_overlap",
        "subspace",
        "How far the top eigenvectors (ten at most) of NFM and AGOP span the same space: 0 to 1.",
        main=True,
        printed=Printed("overlap", 13),
    ),
    Column("subspace_overlap_null", "subspace", "The same by chance, r/d."),
    Column(
        "trivial",
        "remark",
        "Whether the gradient is the same for every row: then NFM and AGOP are alike by construction.",
        bool,
        printed=Printed("remark", 14),
    ),
    Column("note", "remark", "What is undefined or unusual.", str),
    Column(
        "fact_cosine",
        "fact",
        "Cosine of NFM and R = -(1/lambda) W' dL/dW; they are equal where training with weight decay rests.",
    ),
    Column("fact_lambda", "fact", "-<W, dL/dW> / |W|^2: the weight decay at which the weight would rest."),
    Column("fact_residual", "fact", "|NFM - R| / |NFM| for the weight decay of training, where it is known."),
)

COLUMNS = {column.name: column for column in _TABLE}
"""Every column by name, in the order of the data frame, of `audit.json` and of the page."""


def columns(groups: Collection[str] = ALWAYS) -> tuple[Column, ...]:
    """Return the columns of some groups, in order.

    >>> [column.name for column in columns(["fact"])]
    ['fact_cosine', 'fact_lambda', 'fact_residual']
    """
    return tuple(column for column in _TABLE if column.group in groups)


def names(groups: Collection[str] = ALWAYS) -> tuple[str, ...]:
    """Return the names of the columns of some groups, in order.

    >>> names(["interval"])
    ('ci_low', 'ci_high', 'probe_error')
    """
    return tuple(column.name for column in columns(groups))
