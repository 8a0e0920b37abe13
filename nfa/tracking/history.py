"""The history of a training's audits: a tidy table, its cost, and the file that holds it."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from nfa.audits.about import null_for_nan
from nfa.common.checks import existing_file, output_folder
from nfa.common.errors import InputError
from nfa.common.writing import replacing, write_tensors
from nfa.features.columns import COLUMNS
from nfa.tracking.same_data import check_known

if TYPE_CHECKING:
    import pandas as pd

FILE = "tracker.safetensors"

SCHEMA = 1
"""The version of the file. A reader ignores keys that it does not know, so new keys need no new version."""

RUN = ("score", "score_baseline")
"""Columns of the table that are about the whole network: its score, and that of a constant answer."""

TAKEN = frozenset({"epoch", "step", *RUN, *COLUMNS})
"""Names that a user's own values cannot have."""


@dataclass(frozen=True)
class Cost:
    """The cost of a training's audits.

    Args:
        audits: How many.
        seconds: Wall time of all together.
    """

    audits: int
    seconds: float


@dataclass(frozen=True)
class Moment:
    """One audit of a network in training.

    Args:
        epoch: The epoch, or None.
        step: The step, or None.
        run: Numbers about the whole network, by name: those of `RUN`, and what the user recorded.
        layers: The columns of each layer.
        seconds: What the audit took.
    """

    epoch: int | None
    step: int | None
    run: dict[str, float]
    layers: list[dict[str, Any]]
    seconds: float

    def flat(self) -> dict[str, float]:
        """Return the numbers of the audit by one name each, such as "nfa/layers.0/cosine"; NaN is undefined."""
        found = {f"nfa/{name}": self.run[name] for name in RUN if name in self.run}
        for layer in self.layers:
            for name, value in layer.items():
                if COLUMNS[name].kind is float:
                    found[f"nfa/{layer['name']}/{name}"] = value
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON types: NaN as None, infinity as "inf", which a loss may be."""
        layers = [{name: null_for_nan(value) for name, value in each.items()} for each in self.layers]
        return asdict(self) | {"run": {name: _as_json(value) for name, value in self.run.items()}, "layers": layers}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Moment":
        """Return what `to_json` wrote.

        Raises:
            AttributeError, KeyError, TypeError: something is missing or of another kind.
        """
        when = (saved["epoch"], saved["step"])
        if not all(each is None or type(each) is int for each in when):
            raise TypeError(f"got {when}, expected an epoch and a step")
        numbers = {None: math.nan, "inf": math.inf, "-inf": -math.inf}
        run = {str(name): numbers.get(value, value) for name, value in saved["run"].items()}
        if not all(type(value) in (int, float) for value in (*run.values(), saved["seconds"])):
            raise TypeError("expected numbers")
        layers = [{name: COLUMNS[name].from_json(value) for name, value in each.items()} for each in saved["layers"]]
        return cls(*when, run, layers, saved["seconds"])


def _as_json(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return str(value) if isinstance(value, float) and math.isinf(value) else null_for_nan(value)


@dataclass
class History:
    """The audits of one training.

    Args:
        settings: How they were made, as JSON types: `columns`, `outputs`, `samples`, `probes`, `seed`, `layers`;
            and `data`, what the rows are known by (see `nfa.tracking.same_data.known_by`).
        moments: In the order of time.
    """

    settings: dict[str, Any]
    moments: list[Moment] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        """The number of audits, and their time."""
        return Cost(len(self.moments), sum(each.seconds for each in self.moments))

    def to_frame(self) -> "pd.DataFrame":
        """Return the tidy table: for each audit a row for the whole network and one for each layer.

        Columns: `epoch` and `step` (missing where they were not given); `layer` and `name` (missing and "" in rows of
        the whole network); those of the audit; `score`, `score_baseline` and what else was recorded (missing in rows of
        layers).

        Raises:
            InputError: nothing was audited yet.
        """
        import pandas as pd

        if not self.moments:
            raise InputError("tracker", "empty: no audit was due yet; tracker.record(epoch=0) makes one now")
        rows: list[dict[str, Any]] = []
        for moment in self.moments:
            when = {"epoch": moment.epoch, "step": moment.step}
            rows.append(when | {"name": "", "note": ""} | moment.run)
            rows.extend(when | layer for layer in moment.layers)
        own = [name for name in self.settings["columns"] if name not in ("layer", "name")]
        values = dict.fromkeys(name for moment in self.moments for name in moment.run)
        frame = pd.DataFrame(rows, columns=["epoch", "step", "layer", "name", *own, *values])
        whole = ["epoch", "step", "layer", *(name for name in own if COLUMNS[name].kind is int)]
        return frame.astype(dict.fromkeys(whole, "Int64"))

    def save(self, folder: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> None:
        """Write the history, and tensors that belong to it, into one file in a folder.

        Raises:
            InputError: the file cannot be written; an older one stays as it was.
        """
        whole = {
            "schema": SCHEMA,
            "settings": self.settings,
            "moments": [moment.to_json() for moment in self.moments],
        }
        with replacing("folder", output_folder("folder", folder) / FILE) as (new,):
            write_tensors(new, tensors, {"tracker": json.dumps(whole, allow_nan=False)})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "History":
        """Read what `Tracker.save` wrote into a folder; no network is needed.

        Raises:
            InputError: there is no such file, or it is damaged or of another schema.
        """
        return _read(folder)[0]


def load_with_tensors(folder: str | os.PathLike[str]) -> tuple[History, dict[str, Tensor]]:
    """Return a history, and the tensors that were saved with it; raises as `History.load` does."""
    return _read(folder)


def _read(folder: str | os.PathLike[str]) -> tuple[History, dict[str, Tensor]]:
    file = existing_file("tracker", Path(folder) / FILE)
    try:
        with safe_open(str(file), framework="pt") as opened:
            whole = json.loads(opened.metadata()["tracker"])
            if whole["schema"] != SCHEMA:
                raise InputError("tracker", f"{file} has schema {whole['schema']}, expected {SCHEMA}")
            settings = dict(whole["settings"])
            if unknown := set(settings["columns"]) - set(COLUMNS):
                raise KeyError(*unknown)
            settings["data"] = {**settings.get("data", {})}
            check_known(settings["data"])
            moments = [Moment.from_json(each) for each in whole["moments"]]
            return History(settings, moments), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (json.JSONDecodeError, SafetensorError, AttributeError, KeyError, TypeError) as error:
        raise InputError("tracker", f"{file} is damaged, or no tracker's; tracker.save(folder) writes one") from error
