"""The record of an audit: what was measured, on which data, and how."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nfa.audits.verdict import CONVENTIONS, Thresholds
from nfa.data.drawing import Drawn
from nfa.features.columns import ALWAYS, COLUMNS, GROUPS, names
from nfa.network.scoring import Score, rows_in_words


@dataclass(frozen=True)
class About:
    """Everything in `audit.json` but the layers and what concerns the files themselves.

    Args:
        nfa_version: Of the package that measured.
        torch_version: Of torch.
        model: What the network is called.
        notes: What was assumed or done on the way, in sentences.
        data: What the data are called.
        split: Which rows were measured: "train", "val", "test" or "all".
        feature_names: Of the inputs; empty where they have none.
        feature_shape: Of a row that is a picture; else empty.
        classes: The labels in the order of the outputs; empty where it is not known.
        n_outputs: How many outputs the gradients are of.
        outputs: Which outputs, by name.
        probes: Random probes for each row; None for exact sweeps.
        seed: Of the rows drawn and of the probes.
        skipped: Name and kind of every module with weights that was not measured.
        score: Of the network, where the data have targets.
        init_score: Of the network before training, where there is one.
        n_samples: How many samples were measured.
        drawn: How they were chosen from that part of the data; None for all of it.
        columns: Which columns were measured (see `features/columns.py`), in order.
        loss: The loss of the training, where the columns of "fact" were requested.
        thresholds: By which the verdicts were given.
    """

    nfa_version: str
    torch_version: str
    model: str
    notes: tuple[str, ...]
    data: str
    split: str
    feature_names: tuple[str, ...]
    feature_shape: tuple[int, ...]
    classes: tuple[str, ...]
    n_outputs: int
    outputs: str
    probes: int | None
    seed: int
    skipped: tuple[dict[str, str], ...]
    score: Score | None
    init_score: Score | None
    n_samples: int
    drawn: Drawn | None = None
    columns: tuple[str, ...] = names()
    loss: str | None = None
    thresholds: Thresholds = CONVENTIONS

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of which columns were measured, in order."""
        found = {COLUMNS[name].group for name in self.columns}
        return tuple(group for group in GROUPS if group in found)

    @property
    def of_first_version(self) -> bool:
        """Whether version 0.1.0 measured it, which gives no verdicts and has all columns of its groups."""
        return self.nfa_version == "0.1.0" and self.columns == names(_first_groups(self.loss))

    @property
    def rows(self) -> str:
        """Which rows were measured, in words."""
        return rows_in_words(self.n_samples, self.split, self.drawn)

    @property
    def rows_of_data(self) -> str:
        """Which rows of which data were measured, in words."""
        return rows_in_words(self.n_samples, self.split, self.drawn, self.data)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON types, NaN as None; `loss` only where there is one."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Score):
                value = {key: null_for_nan(each) for key, each in value.to_dict().items()}
            elif isinstance(value, (Thresholds, Drawn)):
                value = asdict(value)
            found[field.name] = list(value) if isinstance(value, tuple) else value
        if self.loss is None:
            del found["loss"]
        return found | {"groups": list(self.groups)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "About":
        """Return what `to_json` wrote, in this version or an earlier one; other keys are ignored.

        Raises:
            KeyError: a field is missing that every version has.
            TypeError: a value is of another kind.
        """
        known = dict(_EARLIER) | dict(saved)
        if "groups" not in known:
            known["groups"] = _first_groups(known["loss"])
        if "columns" not in known:
            known["columns"] = list(names(known["groups"]))
        if unknown := set(known["columns"]) - set(COLUMNS):
            raise KeyError(*unknown)
        return cls(**{field.name: _READERS[field.type](known[field.name]) for field in fields(cls)})


_EARLIER: dict[str, Any] = {
    "feature_names": [],
    "feature_shape": [],
    "classes": [],
    "drawn": None,
    "loss": None,
    "thresholds": asdict(CONVENTIONS),
}
"""The values of fields that a file does not have."""


def _first_groups(loss: str | None) -> list[str]:
    """Return the groups of an audit of 0.1.0, which does not name them; it gives no verdicts."""
    return [*(each for each in ALWAYS if each not in ("verdict", "alignment")), *([] if loss is None else ["fact"])]


def _one(*kinds: type) -> Callable[[Any], Any]:
    """Return a check that a value is of one of these kinds; a truth value is no number."""

    def read(value: Any) -> Any:
        if type(value) not in kinds:
            raise TypeError(f"got {value!r}, expected {' or '.join(kind.__name__ for kind in kinds)}")
        return value

    return read


def _several(kind: type) -> Callable[[Any], tuple[Any, ...]]:
    """Return a check that a value is a list of values of one kind; it returns them as a tuple."""

    def read(value: Any) -> tuple[Any, ...]:
        return tuple(_one(kind)(each) for each in _one(list)(value))

    return read


def _shape(value: Any) -> tuple[int, ...]:
    shape = _several(int)(value)
    if not all(size > 0 for size in shape):
        raise TypeError(f"got the shape {shape}")
    return shape


def _skipped(value: Any) -> tuple[dict[str, str], ...]:
    return tuple({key: _one(str)(each[key]) for key in ("name", "kind")} for each in _several(dict)(value))


def _score(value: Any) -> Score | None:
    if value is None:
        return None
    given = _one(dict)(value)
    found = Score(
        metric=_one(str)(given["metric"]),
        value=math.nan if given["value"] is None else _finite(given["value"]),
        baseline=_finite(given["baseline"]),
        n=_one(int)(given["n"]),
        rows=_one(str)(given["rows"]),
        constant=_one(bool)(given["constant"]),
        samples=_one(int, type(None))(given.get("samples")),
        n_effective=None if given.get("n_effective") is None else _finite(given["n_effective"]),
        drawn=_drawn(given.get("drawn")),
    )
    if any(each is not None and each < 1 for each in (found.n, found.samples, found.n_effective)):
        raise TypeError(f"got a score of {found.n} rows")
    return found


def _drawn(value: Any) -> Drawn | None:
    return None if value is None else Drawn(_one(int, type(None))(_one(dict)(value)["of"]))


def _finite(value: Any) -> float:
    number = float(_one(float, int)(value))
    if not math.isfinite(number):
        raise TypeError(f"got {value!r}, expected a finite number")
    return number


def _thresholds(value: Any) -> Thresholds:
    given = _one(dict)(value)
    return Thresholds(**{field.name: _one(float, int)(given[field.name]) for field in fields(Thresholds)})


def null_for_nan(value: Any) -> Any:
    """Return a value as JSON can hold it: None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


_READERS: dict[Any, Callable[[Any], Any]] = {
    str: _one(str),
    int: _one(int),
    str | None: _one(str, type(None)),
    int | None: _one(int, type(None)),
    tuple[str, ...]: _several(str),
    tuple[int, ...]: _shape,
    tuple[dict[str, str], ...]: _skipped,
    Score | None: _score,
    Drawn | None: _drawn,
    Thresholds: _thresholds,
}
"""The check of a field's value in `audit.json`, by the field's type."""
