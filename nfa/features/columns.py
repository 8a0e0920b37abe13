"""The columns of an audit in one table: their names, what they mean and where they are shown."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nfa.common.checks import one_of
from nfa.common.errors import InputError

GROUPS = {
    "layer": "layer",
    "verdict": "verdict",
    "alignment": "W's left vectors and the gradients",
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
    "fact": "Features at Convergence Theorem",
    "published": "published numbers",
}
"""The groups of columns, in order, and their headings on the page."""

ON_REQUEST = {"fact": "loss=", "published": "published=True"}
"""Groups that an audit has only on request, and the argument of `nfa.audit` that requests them."""

ALWAYS = tuple(group for group in GROUPS if group not in ON_REQUEST)
"""Groups that every audit has."""

MISSING = "–"
"""Printed in the place of NaN."""


@dataclass(frozen=True)
class Printed:
    """The place of a column in the table that commands print.

    Args:
        heading: The heading in the table; columns of one heading share its cells.
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
        main: Whether the page shows it at first and in print, and not only among all columns.
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


def _published(name: str, what: str) -> tuple[Column, Column, Column]:
    """Return a published number and its null."""
    name = f"published_{name}"
    return (
        Column(name, "published", f"Of the network whose own layer is dW = W - W0, probed anew: {what}."),
        Column(f"{name}_null", "published", "The same with dW's left vectors turned at random, mean of 20 draws."),
        Column(f"{name}_null_high", "published", "The largest of these draws."),
    )


_TABLE = (
    Column("layer", "layer", "Number in forward order, from 0.", int),
    Column("name", "layer", "Path of the module, or name of the weight.", str, True, Printed("layer", 0)),
    Column("d_in", "layer", "d, the entries of the layer's input.", int, printed=Printed("d", 1)),
    Column("d_out", "layer", "k, the entries of its output.", int, printed=Printed("k", 2)),
    Column("rows", "layer", "Rows over which the AGOP is the mean.", int),
    Column(
        "verdict",
        "verdict",
        "What the numbers show, in a word: learned, moved, kept, aligned, unclear, trivial, dead or no score. By "
        "convention, aligned is z of 3 or more, excess of 0.05 or more and an interval further above chance than the "
        "untrained network; moved is 0.05 or more (thresholds= sets others).",
        str,
        True,
        Printed("verdict", 3),
    ),
    Column(
        "alignment",
        "alignment",
        "Cosine of C = WW' and S, the mean of delta'delta: whether W's left vectors lie where the gradients are.",
        main=True,
        printed=Printed("alignment", 4),
    ),
    Column(
        "alignment_low",
        "alignment",
        "Lower end of the 95 % interval of alignment over samples (infinitesimal jackknife over ten groups).",
        printed=Printed("95 %", 5),
    ),
    Column("alignment_high", "alignment", "Upper end of that interval.", printed=Printed("95 %", 6)),
    Column(
        "alignment_null",
        "alignment",
        "Mean of alignment with S turned at random (both spectra kept), exact.",
        main=True,
        printed=Printed("null", 7),
    ),
    Column("alignment_null_sd", "alignment", "Standard deviation of the same, exact."),
    Column(
        "alignment_z",
        "alignment",
        "(alignment - alignment_null) / alignment_null_sd: how far beyond chance.",
        main=True,
        printed=Printed("z", 8),
    ),
    Column(
        "alignment_excess",
        "alignment",
        "(alignment - null) / (1 - null): 0 is what the spectra give, 1 is C proportional to S.",
    ),
    Column("alignment_centered", "alignment", "Alignment of C and S with the gradients' mean over rows removed."),
    Column(
        "alignment_centered_z",
        "alignment",
        "Its z. The null is only near here: 7 to 11 % of the layers of untrained networks are above 1.96.",
    ),
    Column(
        "cosine",
        "similarity",
        "Cosine of NFM and AGOP. Read it beside rotated_cosine and untrained_cosine.",
        main=True,
        printed=Printed("cosine", 9),
    ),
    Column(
        "rotated_cosine",
        "similarity",
        "Null of cosine: what it is with S turned at random, so that the shared W and both spectra are left. A ratio "
        "of exact moments, it lies below the mean of draws.",
        main=True,
        printed=Printed("rotated", 10),
    ),
    Column("pearson", "similarity", "Correlation of the entries of NFM and AGOP: the cosine with both means removed."),
    Column(
        "cosine_centered",
        "similarity",
        "Cosine of NFM and centered AGOP (gradients minus their mean over rows).",
    ),
    Column("cosine_sqrt", "root", "Cosine of NFM and the square root of AGOP."),
    Column("pearson_sqrt", "root", "Correlation of NFM and the square root of AGOP."),
    Column(
        "ci_low",
        "interval",
        "Lower end of the 95 % interval of cosine over samples (infinitesimal jackknife over ten groups).",
        main=True,
    ),
    Column("ci_high", "interval", "Upper end of that interval.", main=True),
    Column("probe_error", "interval", "Standard error of cosine from random probes alone; empty without them."),
    Column(
        "alpha_best",
        "power",
        "The power alpha of AGOP, of 0.05, 0.10, ..., 2, that the NFM is most like.",
        printed=Printed("best alpha", 13, "at {}"),
    ),
    Column(
        "cosine_alpha_best",
        "power",
        "Cosine of NFM and AGOP to that power.",
        printed=Printed("best alpha", 12),
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
        printed=Printed("untrained", 11),
        needs_init=True,
    ),
    Column("untrained_cosine_sqrt", "null", "Null of cosine_sqrt: the same before training.", needs_init=True),
    Column("untrained_alignment", "null", "Alignment in the network before training.", needs_init=True),
    Column("untrained_alignment_null", "null", "Mean of the same with S turned at random.", needs_init=True),
    Column("untrained_alignment_z", "null", "untrained_alignment's z.", needs_init=True),
    Column(
        "init_cosine",
        "init",
        "Cosine of the NFM and the NFM before training: 1 where the layer has kept its features.",
        printed=Printed("with init", 14),
        needs_init=True,
    ),
    Column("init_pearson", "init", "Correlation of the same two.", needs_init=True),
    Column(
        "init_cosine_null",
        "init",
        "k/(k+d): init_cosine of two independent initialisations.",
        printed=Printed("k/(k+d)", 15),
    ),
    Column(
        "moved",
        "init",
        "(1 - init_cosine) / (1 - k/(k+d)): 0 as initialised, 1 as far as unrelated weights, more where the rank fell; "
        "empty for one input.",
        main=True,
        needs_init=True,
    ),
    Column("delta_norm", "change", "Norm of the weight's change over the norm of the weight.", needs_init=True),
    Column("delta_cosine", "change", "Cosine of the change's Gram matrix dW'dW and the AGOP.", needs_init=True),
    Column(
        "delta_alignment",
        "change",
        "Alignment of dW dW' and S: whether the change points where the output's gradients do.",
        needs_init=True,
    ),
    Column("delta_alignment_null", "change", "Mean of delta_alignment with S turned at random.", needs_init=True),
    Column("delta_alignment_z", "change", "delta_alignment's z.", needs_init=True),
    Column(
        "cnfa_cosine",
        "change",
        "The measure of arXiv:2402.05271, not the first paper's: dW in place of W in NFM and AGOP, with the same S.",
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
    ),
    Column("subspace_overlap_null", "subspace", "The same by chance, r/d."),
    Column(
        "trivial",
        "remark",
        "Whether the gradient is the same for every sample: then NFM and AGOP are alike by construction.",
        bool,
    ),
    Column("note", "remark", "What is undefined or unusual.", str),
    Column(
        "fact_cosine",
        "fact",
        "Features at Convergence Theorem (FACT): cosine of NFM and R = -(1/lambda) W' dL/dW, which are equal where "
        "training with weight decay rests.",
    ),
    Column("fact_lambda", "fact", "-<W, dL/dW> / |W|^2: the weight decay at which the weight would rest."),
    Column("fact_residual", "fact", "|NFM - R| / |NFM| for the weight decay of training, where it is known."),
    Column(
        "fact_rest",
        "fact",
        "|dL/dW + lambda W| / |lambda W|: 0 where training rests; above 0.3 the theorem says nothing.",
    ),
    Column(
        "pearson_sqrt_centered",
        "published",
        "Correlation of NFM and the square root of the centered AGOP, of the trained network itself.",
    ),
    *_published("cosine", "cosine of dW'dW and AGOP (first versions of the scripts)"),
    *_published("pearson_sqrt", "correlation of dW'dW and the square root of AGOP (later code)"),
    *_published("pearson_sqrt_centered", "the same with the centered AGOP (later code)"),
)

COLUMNS = {column.name: column for column in _TABLE}
"""Every column by name, in the order of the data frame, of `audit.json` and of the page."""


def columns(groups: Collection[str] = ALWAYS) -> tuple[Column, ...]:
    """Return the columns of some groups, in order.

    >>> [column.name for column in columns(["fact"])]
    ['fact_cosine', 'fact_lambda', 'fact_residual', 'fact_rest']
    """
    return tuple(column for column in _TABLE if column.group in groups)


def names(groups: Collection[str] = ALWAYS) -> tuple[str, ...]:
    """Return the names of the columns of some groups, in order.

    >>> names(["interval"])
    ('ci_low', 'ci_high', 'probe_error')
    """
    return tuple(column.name for column in columns(groups))


def printed(there: Collection[str] = tuple(COLUMNS)) -> dict[str, tuple[Column, ...]]:
    """Return the columns of a printed table by heading, in its order; columns of one heading share its cells.

    Args:
        there: The names of the columns that an audit has; a heading needs all of its own.

    >>> [column.name for column in printed()["95 %"]], list(printed(["name", "alignment", "alignment_low"]))
    (['alignment_low', 'alignment_high'], ['layer', 'alignment'])
    """
    cells: dict[str, tuple[Column, ...]] = {}
    for column in sorted(_TABLE, key=lambda each: each.printed.place if each.printed else -1):
        if column.printed is not None:
            cells[column.printed.heading] = (*cells.get(column.printed.heading, ()), column)
    return {heading: members for heading, members in cells.items() if all(each.name in there for each in members)}


def printed_cell(members: Collection[Column], row: Mapping[str, Any]) -> str:
    """Return a cell of a printed table: the columns of its heading in one layer's row."""
    return " ".join(each.in_print(row[each.name]) for each in members)


IN_EVERY = (*names(["layer"]), "trivial", "note")
"""Columns that every audit has: which layer it is, whether its similarities say anything, why a number is missing."""


def chosen(asked: Iterable[str]) -> tuple[str, ...]:
    """Return the columns asked for by name or by group, and those that every audit has, in the order of the table.

    Raises:
        InputError: nothing is asked for, or something that is neither a column nor a group.

    >>> chosen(["cosine", "interval"])[5:]
    ('cosine', 'ci_low', 'ci_high', 'probe_error', 'trivial', 'note')
    """
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        raise InputError("columns", f"got {asked!r}, expected a list of names of columns or groups")
    found = set(IN_EVERY)
    wanted = list(asked)
    if not wanted:
        raise InputError("columns", "empty, expected names of columns or groups")
    for name in wanted:
        # A few groups have the name of one of their columns, which then means the column; "layer" is always there.
        if name in COLUMNS:
            found.add(name)
        else:
            found |= set(names([one_of("columns", name, [*COLUMNS, *GROUPS])]))
    return tuple(name for name in COLUMNS if name in found)
