"""The result of an audit: a tidy table, and the matrices behind it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from nfa.audits.about import About
from nfa.audits.files import INPUTS, from_parts, load_audit, save_audit, to_parts
from nfa.audits.methods import methods
from nfa.audits.verdict import VERDICTS, network_verdict
from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.common.notebook import ROWS_SHOWN, html_table
from nfa.common.shown import printable_lines
from nfa.features.columns import printed, printed_cell
from nfa.features.factored import FactoredMatrix
from nfa.features.second_moment import SecondMoment
from nfa.features.weight import Weight
from nfa.network.scoring import Score
from nfa.probe.patches import Patches

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class LayerAudit:
    """One layer of an audit: its row of the table, and the matrices behind it.

    Args:
        row: The columns that were measured, by name (see `features/columns.py`).
        weight: W, k x d.
        second: Mean of delta'delta, as a matrix or by its few rows.
        centered: The same for delta minus its mean over rows, output by output.
        init_weight: W before training, or None.
        row_shape: The shape in which the d entries of a row lie in the network: (c, q, q) under a convolution's kernel.
        one_hot: Whether the rows are one-hot, as of an embedding, whose d entries are those of its table.
        patches: How a convolution's rows are cut out of its input; None of other layers, and in older files.
    """

    row: dict[str, Any]
    weight: Tensor
    second: SecondMoment
    centered: SecondMoment
    init_weight: Tensor | None
    row_shape: tuple[int, ...]
    one_hot: bool = False
    patches: Patches | None = None

    def __getitem__(self, column: str) -> Any:
        """Return a column of the row."""
        return self.row[one_of("column", column, self.row)]

    def __repr__(self) -> str:
        """Show the leading columns, a line each."""
        return "\n".join([f"LayerAudit of {self['name']}", *(f"  {name}: {value}" for name, value in self._facts())])

    def _repr_html_(self) -> str:
        """Show the verdict, and the leading columns as a table."""
        said = self.row.get("verdict", "")
        reason = f"{self['name']}: {said}, {VERDICTS[said]}" if said in VERDICTS else str(self["name"])
        return html_table(reason, ("column", "value"), self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        shown = [(heading, printed_cell(members, self.row)) for heading, members in printed(self.row).items()]
        return shown + ([("note", self["note"])] if self["note"] else [])

    @property
    def S(self) -> Tensor:
        """Mean of delta'delta, k x k, float64; made when it is asked for where the layer has few rows."""
        return self.second.matrix

    @property
    def S_centered(self) -> Tensor:
        """The same for delta minus its mean over rows, output by output."""
        return self.centered.matrix

    @cached_property
    def nfm(self) -> FactoredMatrix:
        """The neural feature matrix W'W; its `Weight` is that of the layer's other matrices too."""
        return FactoredMatrix(Weight(self.weight))

    @cached_property
    def agop(self) -> FactoredMatrix:
        """The average gradient outer product W'SW."""
        return self.second.under(self.nfm.weight)

    @cached_property
    def agop_centered(self) -> FactoredMatrix:
        """The centered AGOP."""
        return self.centered.under(self.nfm.weight)

    @cached_property
    def init_nfm(self) -> FactoredMatrix | None:
        """The neural feature matrix before training, if known."""
        return None if self.init_weight is None else FactoredMatrix(self.init_weight)

    @property
    def chance(self) -> float:
        """k/(k+d), the cosine of two independent NFMs of this layer's sizes."""
        k, d = self.weight.shape
        return float(k / (k + d))

    def is_of(self, weight: Tensor) -> bool:
        """Return whether a layer's weight is the one that was audited, to 1e-6 of its norm.

        A weight that a network computes from its parameters differs between devices in its last bits.
        """
        if self.weight.shape != weight.shape:
            return False
        W, own = self.weight.double(), weight.detach().cpu().double()
        return float((W - own).norm()) <= 1e-6 * float(W.norm())


@dataclass(frozen=True, eq=False)
class Audit:
    """What a network has learned, layer by layer.

    Args:
        about: What was measured, on which data, and how.
        layers: In forward order.
    """

    about: About
    layers: tuple[LayerAudit, ...]

    def __getitem__(self, layer: str | int) -> LayerAudit:
        """Return a layer by name, or by number (the column `layer`); numbers below 0 count from the end."""
        if isinstance(layer, bool) or not isinstance(layer, (str, int, np.integer)):
            raise InputError("layer", f"got {layer!r}, expected a layer's name or its number")
        if not isinstance(layer, str) and -len(self) <= layer < 0:
            return self.layers[layer]
        for found in self.layers:
            if layer in (found["name"], found["layer"]):
                return found
        if not isinstance(layer, str):
            numbers = [found["layer"] for found in self.layers]
            raise InputError("layer", f"no layer {layer}; the audit has {numbers}, and audit[-1] is the last one")
        one_of("layer", layer, [found["name"] for found in self.layers])
        raise AssertionError("unreachable")

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[LayerAudit]:
        """Yield the layers in forward order."""
        return iter(self.layers)

    def __repr__(self) -> str:
        """Show what was audited, and the leading columns of every layer."""
        leading = [*("name", "d_in", "d_out", "verdict", "alignment", "alignment_z"), "cosine"]
        leading += ["rotated_cosine", "untrained_cosine", "init_cosine"]
        shown = [column for column in leading if column in self.about.columns]
        table = self.to_frame()[shown].rename(columns={"name": "layer"})
        written = table.to_string(index=False, float_format="{:.3f}".format, max_rows=ROWS_SHOWN // 2)
        return printable_lines(f"{self._head()}\n{written}")

    def _repr_html_(self) -> str:
        """Show what the network's score says, what was audited, and the printed table of every layer."""
        cells = printed(self.about.columns)
        rows = [[printed_cell(members, layer.row) for members in cells.values()] for layer in self]
        found = network_verdict(self.score, self.init_score, bool(self.about.classes))
        return html_table(found.reason, list(cells), rows, [self._head() + "."])

    def _head(self) -> str:
        """Return what was audited, its score, and what was left out."""
        head = f"Audit of {self.about.model} on {self.about.rows_of_data}"
        if self.score is not None:
            score = self.score
            rows = score.measured_on
            head += f"; {score.metric} {score.value:.4g} on {rows} (constant answer {score.baseline:.4g})"
        if self.skipped:
            head += "; not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in self.skipped)
        return head

    @property
    def score(self) -> Score | None:
        """The network's score, where the data have targets."""
        return self.about.score

    @property
    def init_score(self) -> Score | None:
        """The score of the network before training, where there is one."""
        return self.about.init_score

    @property
    def skipped(self) -> list[dict[str, str]]:
        """Name and kind of every module with weights that was not measured."""
        return list(self.about.skipped)

    @property
    def rows(self) -> str:
        """Which rows were measured, in words."""
        return self.about.rows

    def to_frame(self) -> "pd.DataFrame":
        """Return the table: a row for each layer, the columns that were measured."""
        import pandas as pd

        return pd.DataFrame([layer.row for layer in self.layers], columns=list(self.about.columns))

    def plot(self, column: str = "cosine", null: str | None = "rotated", *, ax: "Axes | None" = None) -> "Axes":
        """Draw a column of every layer beside its null: `nfa.plots.layers` of this audit.

        Args:
            column: Any column of numbers.
            null: "rotated" or "untrained", where the column has such a null; None for none.
            ax: Where to draw; by default the current axes of pyplot.

        Raises:
            InputError: an unknown column or null, or one that this audit does not have.
        """
        from nfa.plots.layers import layers  # figures are a room below; only this call needs them

        return layers(self, column, null, ax=ax)

    def sentences(self) -> list[str]:
        """Return what the network's score shows, then a sentence or two for each layer.

        >>> import nfa, torch
        >>> len(nfa.audit(torch.nn.Linear(3, 2), torch.eye(3)).sentences())
        2
        """
        from nfa.report.words import sentences  # a room below; only this call needs it

        return sentences(self)

    def report(self, path: str | os.PathLike[str], sample: Any = None) -> Path:
        """Write the page of this audit, and return its path.

        Args:
            path: An .html file; any other name is the folder in which `report.html` is written.
            sample: A row of the data, to draw beside the features of a first layer that takes pictures.

        Raises:
            InputError: the page cannot be written, or the sample does not fit the first layer.
        """
        from nfa.report.page import write  # a room below; only this call needs it

        return write(self, path, sample)

    def methods(self) -> str:
        """Return a methods paragraph for a paper, in LaTeX, and the BibTeX entries of what it cites.

        >>> import nfa, torch
        >>> audit = nfa.audit(torch.nn.Linear(3, 2), torch.eye(3))
        >>> "Haar" in audit.methods(), "@article{radhakrishnan" in audit.methods()
        (True, True)
        """
        return methods(self.about, any(layer.init_weight is not None for layer in self))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write `audit.json` and `features.safetensors` into a folder.

        Raises:
            InputError: the folder cannot be written; what was in it stays as it was.
        """
        matrices = [
            {"weight": layer.weight, "init_weight": layer.init_weight} | to_parts(layer.second, layer.centered)
            for layer in self.layers
        ]
        inputs = [{name: getattr(layer, name) for name in INPUTS} for layer in self.layers]
        save_audit(self.about, [layer.row for layer in self.layers], inputs, matrices, folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Audit":
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing, damaged, of another schema, or not of the same audit as the other one.
        """
        about, rows, inputs, matrices = load_audit(folder)
        layers = []
        for row, of_rows, parts in zip(rows, inputs, matrices, strict=True):
            second, centered = from_parts(parts)
            layers.append(LayerAudit(row, parts["weight"], second, centered, parts["init_weight"], **of_rows))
        return cls(about, tuple(layers))
