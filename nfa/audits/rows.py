"""Data as an audit reads them: prepared for the network, made into samples and checked once."""

from dataclasses import dataclass
from typing import Any

from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.data.dataset import Dataset
from nfa.data.inputs import in_words
from nfa.data.samples import Samples, as_samples
from nfa.network.model import Model
from nfa.network.preparing import prepare


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
    """

    name: str
    measured: Samples
    split: str
    scored: Samples
    scored_split: str
    feature_names: tuple[str, ...]
    feature_shape: tuple[int, ...] | None
    notes: tuple[str, ...]


def rows_of(model: Model, data: Any, split: str = "train", samples: int | None = None, seed: int = 0) -> Rows:
    """Return the rows of data that an audit measures and scores.

    Args:
        model: The network and what is known of its data.
        data: A `Dataset`, or anything that `nfa.data.as_samples` takes.
        split: Which rows of a divided `Dataset` are measured; of anything else all are.
        samples: That many rows of a `Dataset`, drawn at random; all by default.
        seed: Of `samples`.

    Raises:
        InputError: an unknown part, data that cannot be prepared or are no numbers.
    """
    one_of("split", split, (*Dataset.PARTS, "all"))
    positive("seed", seed, least=0)
    if samples is not None:
        positive("samples", samples)
    name, columns = in_words(data), _columns(model, data)
    prepared, notes = prepare(model, data)
    if not isinstance(prepared, Dataset):
        if samples is not None:
            raise InputError("samples", "only rows of an nfa.Dataset can be drawn; hand over fewer rows instead")
        whole = as_samples(prepared)
        return Rows(name, whole, "all", whole, "all", columns, None, tuple(notes))
    part = split if prepared.split or split not in ("train", "all") else "all"
    rows = prepared.part(part)
    measured = as_samples(rows if samples is None else rows.sample(samples, seed))
    scored, scored_part = measured, part
    if "test" in prepared.split and (part != "test" or samples is not None):
        scored, scored_part = as_samples(prepared.part("test")), "test"
    features = prepared.feature_names or ()
    return Rows(name, measured, part, scored, scored_part, features, prepared.feature_shape, tuple(notes))


def _columns(model: Model, data: Any) -> tuple[str, ...]:
    """Return the names of a data frame's columns in the order in which the network takes them; none of other data."""
    X = data[0] if isinstance(data, tuple) and len(data) == 2 else data
    if model.transform is not None or not hasattr(X, "columns"):
        return ()
    return tuple(str(name) for name in (X.columns if model.features is None else model.features))
