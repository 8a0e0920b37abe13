"""Data as an audit reads them: prepared for the network, made into samples and checked once."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.data.dataset import Dataset
from nfa.data.drawing import Drawn, drawn
from nfa.data.inputs import in_words
from nfa.data.libraries import known_names, known_shape, unpacked
from nfa.data.pairs import paired
from nfa.data.samples import ArraySamples, Samples, as_samples
from nfa.network.model import Model
from nfa.network.preparing import encoded, prepare


@dataclass(frozen=True, eq=False)
class Rows:
    """The samples that are measured, those that are scored, and what is known of both.

    Args:
        name: What the data are called.
        measured: The samples behind the AGOP.
        split: Which part of the data they are.
        scored: The samples that the network is scored on, held out where the data have such rows.
        scored_split: Which part they are.
        feature_names: Of the inputs; empty where they have none.
        feature_shape: Of a row that is a picture, or None.
        notes: What preparing did, in sentences.
        prepared: The data that the samples are of.
        few: How many rows of a `Dataset` are measured, and by which seed they were drawn; None for all.
        drawn: How the measured samples were chosen from their part; None for all of it.
    """

    name: str
    measured: Samples
    split: str
    scored: Samples
    scored_split: str
    feature_names: tuple[str, ...]
    feature_shape: tuple[int, ...] | None
    notes: tuple[str, ...]
    prepared: Any
    few: tuple[int, int] | None
    drawn: Drawn | None

    @property
    def scored_drawn(self) -> Drawn | None:
        """How the scored samples were chosen from their part; None for all of it."""
        return self.drawn if self.scored is self.measured else None

    @property
    def has_targets(self) -> bool:
        """Whether there are targets to read; a loader may have some."""
        return not isinstance(self.measured, ArraySamples) or self.measured.y is not None

    def with_targets(self, model: Model, n_outputs: int, positions: int = 1) -> "Rows":
        """Return the same rows with their targets as class numbers or numbers; inputs are not checked again.

        Raises:
            InputError: the targets do not fit the outputs.
        """
        data, said = encoded(model, self.prepared, n_outputs, positions)
        if isinstance(data, Dataset):
            measured = _with_targets(self.measured, _measured_set(data, self.split, self.few).y)
            apart = self.scored is not self.measured
            scored = _with_targets(self.scored, data.part(self.scored_split).y) if apart else measured
        else:
            in_memory = isinstance(self.measured, ArraySamples)
            measured = scored = _with_targets(self.measured, paired(data)[1]) if in_memory else as_samples(data)
        return replace(self, measured=measured, scored=scored, notes=(*self.notes, *said), prepared=data)


def rows_of(
    model: Model,
    data: Any,
    split: str = "train",
    samples: int | None = None,
    seed: int = 0,
    feature_shape: Sequence[int] | None = None,
) -> Rows:
    """Return the rows of data that an audit measures and scores, their targets as they were handed over.

    Args:
        model: The network and what is known of its data.
        data: A `Dataset`, or anything that `nfa.data.as_samples` takes.
        split: Which rows of a divided `Dataset` are measured; of anything else all are.
        samples: That many samples, drawn at random; all by default. Of a stream, the first ones.
        seed: Of `samples`.
        feature_shape: Of a row as a picture; by default what the data say.

    Raises:
        InputError: an unknown part, data that cannot be prepared or are no numbers, a shape that no row has.
    """
    one_of("split", split, (*Dataset.PARTS, "all"))
    positive("seed", seed, least=0)
    few = None if samples is None else (positive("samples", samples), seed)
    names, known = known_names(data), known_shape(data)
    data = unpacked(data)
    name, columns = in_words(data), _columns(model, data) or (names if model.transform is None else ())
    chosen = None
    if few is not None and not isinstance(data, Dataset):
        (data, chosen), few = drawn(data, *few), None
    prepared, notes = prepare(model, data)
    if not isinstance(prepared, Dataset):
        whole = as_samples(prepared)
        shape = _picture_shape(whole, known if feature_shape is None else feature_shape)
        return Rows(name, whole, "all", whole, "all", columns, shape, tuple(notes), prepared, None, chosen)
    part = split if prepared.split or split not in ("train", "all") else "all"
    measured = as_samples(_measured_set(prepared, part, few))
    if few is not None and (there := len(prepared.part(part).X)) > few[0]:
        chosen = Drawn(there)
    scored, scored_part = measured, part
    if "test" in prepared.split and (part != "test" or few is not None):
        scored, scored_part = as_samples(prepared.part("test")), "test"
    features = prepared.feature_names or ()
    shape = prepared.feature_shape if feature_shape is None else _picture_shape(measured, feature_shape)
    return Rows(name, measured, part, scored, scored_part, features, shape, tuple(notes), prepared, few, chosen)


def _picture_shape(samples: Samples, given: Sequence[int] | None) -> tuple[int, ...] | None:
    """Return the shape of a row as a picture: the one given, or that of rows n x c x h x w; None where it has none."""
    first = samples.first(1)
    row = tuple(first.shape[1:]) if isinstance(first, Tensor) else ()
    if given is None:
        return row if len(row) == 3 else None
    sizes = tuple(given) if isinstance(given, Iterable) and not isinstance(given, (str, bytes)) else ()
    if len(sizes) not in (2, 3):
        raise InputError("feature_shape", f"got {given!r}, expected (height, width) or (channels, height, width)")
    shape = tuple(positive("feature_shape", size) for size in sizes)
    if math.prod(shape) != math.prod(row):
        raise InputError("feature_shape", f"{shape} has {math.prod(shape)} entries, a row of the data {math.prod(row)}")
    return shape


def _measured_set(data: Dataset, part: str, few: tuple[int, int] | None) -> Dataset:
    rows = data.part(part)
    return rows if few is None else rows.sample(*few)


def _with_targets(samples: Samples, y: Any) -> Samples:
    return samples.with_targets(y) if isinstance(samples, ArraySamples) else samples


def _columns(model: Model, data: Any) -> tuple[str, ...]:
    """Return the names of a data frame's columns in the order in which the network takes them; none of other data."""
    X, _ = paired(data)
    if model.transform is not None or not hasattr(X, "columns"):
        return ()
    return tuple(str(name) for name in (X.columns if model.features is None else model.features))
