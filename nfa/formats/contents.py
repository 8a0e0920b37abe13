"""What a network's file holds, without data: layers and shapes, what it says of its data, what an audit still needs."""

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nfa.common.errors import InputError, Place
from nfa.common.shown import few
from nfa.data.files import TABLES
from nfa.formats.archive import content_of
from nfa.formats.loading import load
from nfa.formats.nfa_file import read_safetensors
from nfa.formats.readers import Reader, format_of
from nfa.formats.sb3 import agent_tensors
from nfa.formats.weights.places import every_tensor
from nfa.formats.weights.torch_file import load_pickled
from nfa.network.model import Model


@dataclass(frozen=True)
class Part:
    """A module with weights of its own, or a tensor of a file whose network is not known.

    Args:
        name: Its path in the network, or the tensor's name.
        kind: The module's class; "layer" where a reader made it, "tensor" where no network is known.
        shapes: Of its weights, by name.
        dtype: Of the first of them.
        entries: How many numbers they hold.
    """

    name: str
    kind: str
    shapes: dict[str, tuple[int, ...]]
    dtype: str
    entries: int


BUFFER = "buffer"
"""The kind of a tensor that is not trained."""

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""The names of batch norm's buffers."""


@dataclass(frozen=True)
class Contents:
    """What a network's file holds.

    Args:
        name: The file, folder or factory.
        format: Its format in words.
        parts: Modules with weights in the network's order, or the file's tensors.
        said: What is known of its data and training, in pairs of a word and what it is.
        notes: What was assumed in reading it, in sentences.
        missing: What an audit needs beside it, a sentence each; what a call must say comes first.
        network: Whether the file's network is known, so that data are all that an audit needs.
        table: Whether it was trained on a table, so that an audit needs the name of the target.
    """

    name: str
    format: str
    parts: tuple[Part, ...]
    said: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    network: bool
    table: bool = False

    @property
    def entries(self) -> int:
        """How many numbers the weights hold in all; buffers are none."""
        return sum(part.entries for part in self.parts if part.kind != BUFFER)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        parts = [asdict(part) | {"shapes": {name: list(shape) for name, shape in part.shapes.items()}}
                 for part in self.parts]  # fmt: skip
        return asdict(self) | {
            "parts": parts,
            "said": dict(self.said),
            "notes": list(self.notes),
            "missing": list(self.missing),
            "entries": self.entries,
        }


def contents(
    source: str,
    *,
    activation: str | None = None,
    model: str | None = None,
    key: str | None = None,
    prefix: str | None = None,
) -> Contents:
    """Return what a network's file, folder or factory holds; nothing in a file is executed.

    A file of weights alone that makes no network yet is told by its tensors, with what it needs to become one.

    Args:
        source: As `nfa.load` takes it, as text.
        activation: As `nfa.load` takes it.
        model: As `nfa.load` takes it.
        key: As `nfa.load` takes it.
        prefix: As `nfa.load` takes it.

    Raises:
        InputError: the source cannot be read at all.

    >>> import tempfile, torch
    >>> file = Path(tempfile.mkdtemp(), "net.pt")
    >>> torch.save({"0.weight": torch.ones(8, 4), "2.weight": torch.ones(1, 8)}, file)
    >>> [part.shapes for part in contents(str(file), activation="relu").parts]
    [{'weight': (8, 4)}, {'weight': (1, 8)}]
    >>> contents(str(file)).missing[0].partition(";")[0]
    'activation: the file holds weights alone'
    """
    try:
        loaded = load(source, activation=activation, model=model, key=key, prefix=prefix)
    except InputError as refusal:
        tensors = _tensors(source)
        if tensors is None:
            raise
        return Contents(source, _format(source), _listed(tensors), (), (), (str(refusal), *_DATA), network=False)
    return Contents(
        source,
        _format(source),
        _parts(loaded),
        _said(loaded),
        loaded.notes,
        _missing(loaded),
        network=True,
        table=_on_table(loaded),
    )


_DATA = ("data (--data): rows as the network takes them",)


def _format(source: str) -> str:
    known = format_of(source)
    if isinstance(known, Reader):
        return known.called
    return "a folder of Hugging Face" if Path(source).is_dir() else "a function that returns a network"


def _tensors(source: str) -> dict[str, Tensor] | None:
    """Return the tensors of a file of weights alone; None of any other source, or if they cannot be read."""
    known = format_of(source)
    if not (isinstance(known, Reader) and known.takes and Path(source).is_file()):
        return None
    file, where = Path(source), Place("model", source)
    try:
        if file.suffix.lower() == ".safetensors":
            return read_safetensors(file, "model")[0]
        if file.suffix.lower() == ".zip":
            return agent_tensors(file, where)
        content = content_of(file, where)
        return every_tensor(load_pickled(io.BytesIO(content), len(content), where)) or None
    except InputError:
        return None


def _listed(tensors: Mapping[str, Tensor]) -> tuple[Part, ...]:
    return tuple(
        _part(name, BUFFER if _is_buffer(name, tensor) else "tensor", {"": tensor}) for name, tensor in tensors.items()
    )


def _is_buffer(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor is none of the network's weights: one by its name, or one that has no gradient."""
    return name.rpartition(".")[2] in _BUFFERS or not (tensor.is_floating_point() or tensor.is_complex())


def _parts(loaded: Model) -> tuple[Part, ...]:
    """Return the modules with weights of their own, in the network's order."""
    found = []
    for name, module in loaded.net.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if own:
            # The modules that readers make of weights and graphs have no class that anybody knows.
            own_kind = type(module).__module__.startswith("nfa.formats.")
            kind = "layer" if own_kind else type(module).__name__
            found.append(_part(name or kind, kind, own))
    return tuple(found)


def _part(name: str, kind: str, weights: Mapping[str, Tensor]) -> Part:
    shapes = {each: tuple(weight.shape) for each, weight in weights.items()}
    dtype = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    return Part(name, kind, shapes, dtype, sum(math.prod(shape) for shape in shapes.values()))


def _said(loaded: Model) -> tuple[tuple[str, str], ...]:
    """Return what is known of a network's data and training."""
    found = {
        "inputs": few(list(loaded.features), 8) if loaded.features else "",
        "outputs": few(list(loaded.classes), 8) if loaded.classes else "",
        "ending": loaded.ending or "",
        "scaling of inputs": loaded.scaling.kind if loaded.scaling else "",
        "steps before the network": "those of its pipeline" if loaded.transform else "",
        "division of rows": _in_words(loaded.split or {}),
        "training": _in_words(loaded.settings),
    }
    return tuple((word, what) for word, what in found.items() if what)


def _in_words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _on_table(loaded: Model) -> bool:
    return Path(str(loaded.settings.get("data", ""))).suffix.lower() in TABLES


def _missing(loaded: Model) -> tuple[str, ...]:
    """Return what an audit needs beside a network that is known."""
    found = list(_DATA)
    if loaded.scaling is None and loaded.transform is None:
        found.append("the scaling of inputs: the file does not say one, so rows have to come as in training")
    if _on_table(loaded):
        found.append("the column of the table that is the target (--target)")
    if loaded.classes is None and loaded.settings.get("loss") != "mse":
        found.append("the order of labels that are text (--classes); whole numbers are the numbers of outputs")
    found.append("the network before training (--init): without it nothing shows whether a layer has moved")
    return tuple(found)
