"""The settings of an audit: the caller's choices, and which columns they ask for."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from nfa.audits.rows import Rows
from nfa.audits.verdict import CONVENTIONS, DECIDING, Thresholds
from nfa.common.checks import number, positive, text, truth
from nfa.common.errors import InputError
from nfa.data.batches import Batch
from nfa.features.columns import ALWAYS, COLUMNS, ON_REQUEST, names
from nfa.features.measuring import Measured, measure
from nfa.features.published import published_columns
from nfa.features.rounding import REMEASURED_ROWS
from nfa.features.row import BY_GROUP
from nfa.network.forward import Forward, ForwardArgs
from nfa.network.model import Model
from nfa.probe import BATCH_SIZE, Layer, Probe, Select

_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "probes": positive,
    "batch_size": positive,
    "weight_decay": number,
    "published": truth,
    "groups": truth,
    "name": text,
}
"""The checks of settings that may be None; others are checked where they are used, beside the network or the data."""


@dataclass(frozen=True)
class Settings:
    """The parameters of `audit` that are neither networks nor data.

    `asked` are the columns that are wanted; None stands for all. About `again` rows are measured in another precision
    too.

    Raises:
        InputError: a value is out of range or of another kind; a column is asked for without `loss` or `published`,
            which it needs.
    """

    outputs: str | Select = "logits"
    forward_args: ForwardArgs | None = None
    head: str | int | None = None
    layers: str | None = None
    probes: int | None = None
    seed: int = 0
    batch_size: int = BATCH_SIZE
    loss: str | None = None
    weight_decay: float | None = None
    published: bool = False
    groups: bool = False
    asked: tuple[str, ...] | None = None
    thresholds: Thresholds = CONVENTIONS
    name: str | None = None
    again: int = REMEASURED_ROWS

    def __post_init__(self) -> None:
        """Check the values, and that every column that is asked for can be had."""
        for name, check in _CHECKS.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check(name, getattr(self, name)))
        if not isinstance(self.thresholds, Thresholds):
            raise InputError(
                "thresholds",
                f"got {type(self.thresholds).__name__}, expected nfa.audits.Thresholds(z=, excess=, moved=)",
            )
        there = {"fact": self.loss is not None, "published": self.published}
        for name in self.asked or ():
            group = COLUMNS[name].group
            if not there.get(group, True):
                raise InputError("columns", f"{name!r} is of the group {group!r}: give {ON_REQUEST[group]} too")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns of the audit; a verdict brings those that it is made from."""
        if self.asked is not None:
            wanted = {*self.asked, *(DECIDING if "verdict" in self.asked else ())}
            return tuple(name for name in COLUMNS if name in wanted)
        there = {"fact": self.loss is not None, "published": self.published}
        return names([*ALWAYS, *(group for group in ON_REQUEST if there[group])])

    def needs(self, columns: Collection[str]) -> bool:
        """Return whether at least one of these columns is computed."""
        return not set(self.columns).isdisjoint(columns)

    @property
    def outputs_name(self) -> str:
        """The name of the choice of outputs."""
        given = self.outputs
        return given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)

    def forward(self, model: Model, rows: Rows) -> Forward:
        """Return a network as a function of the rows."""
        outputs = self.outputs if callable(self.outputs) else None
        return Forward(model, self.forward_args, self.head, rows.feature_shape, outputs)

    def measure(
        self,
        probe: Probe,
        layers: list[Layer],
        *,
        whole: bool,
        label: str,
        seen: Callable[[Tensor, Batch], None] | None = None,
    ) -> Iterator[Measured]:
        """Yield the sums behind each layer's AGOP; if `whole`, by group, and with some rows in another precision.

        `seen` is called with the network's outputs for each batch.
        """
        return measure(
            probe,
            layers,
            grouped=whole and self.needs(BY_GROUP),
            again=self.again if whole else 0,
            batch_size=self.batch_size,
            probes=self.probes,
            seed=self.seed,
            label=label,
            seen=seen,
        )

    def published_columns(self, probe: Probe, layer: Layer, init: Layer) -> dict[str, float]:
        """Return a layer's published numbers."""
        return published_columns(
            probe, layer, init.weight, batch_size=self.batch_size, probes=self.probes, seed=self.seed
        )
