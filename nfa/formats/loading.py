"""One call for every way to name a network: a file, a scikit-learn object, or `package.module:factory`."""

import copy
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nfa.common.checks import existing_file
from nfa.common.errors import InputError, Place
from nfa.formats.factory import from_factory
from nfa.network.model import Model

WEIGHTS = (".pt", ".pth", ".ckpt", ".safetensors")
"""Files of weights alone: which network they belong to must be said."""

PROGRAMS = (".pt2", ".onnx", ".skops")
"""Files that say what is computed from the weights."""

PICKLES = (".joblib", ".pkl", ".pickle")
"""Files that run code when they are opened."""


def load(
    source: Any,
    *,
    activation: str | None = None,
    model: str | nn.Module | None = None,
    classes: Iterable[Any] | None = None,
    argument: str = "model",
) -> Model:
    """Load a network, and what is known of it, from wherever people keep one.

    Args:
        source: The path of a file (`.safetensors`, `.pt`, `.pth`, `.ckpt`, `.pt2`, `.onnx`, `.skops`);
            `package.module:factory`, a function of the user's without arguments that returns a
            `torch.nn.Module`; a `torch.nn.Module`; what `torch.export.export` returns; scikit-learn's
            `MLPClassifier` or `MLPRegressor`, also at the end of a `Pipeline`; a skorch net.
        activation: What stands between the linear layers of a plain chain that a file of weights holds.
        model: The network (or `package.module:factory`) that the weights of a file belong to, where it is no
            plain chain; a copy of it is filled.
        classes: The data's labels in the order of the network's outputs, where the source does not say it (for
            one output, the labels of its first and second side).
        argument: What messages call the source.

    Raises:
        InputError: the file cannot be used safely or at all, its format is unknown, the weights do not make a
            network, there is no such factory, or the labels are not those of the source.

    >>> load(nn.Linear(3, 2)).name
    'Linear'
    >>> load(nn.Linear(3, 2), classes=["spam", "ham"]).classes
    ('spam', 'ham')
    """
    found = _load(source, activation, model, argument)
    return found if classes is None else found.with_classes(classes)


def _load(source: Any, activation: str | None, model: str | nn.Module | None, argument: str) -> Model:
    if not isinstance(source, (str, os.PathLike)):
        return _from_object(source, argument)
    text = os.fspath(source)
    suffix = Path(text).suffix.lower()
    if suffix in PICKLES:
        raise InputError(
            argument,
            f"{suffix} files run code when they are opened, so {text} is not read; in Python, hand over "
            "the object itself, or keep it with skops.io.dump(estimator, 'network.skops')",
        )
    if suffix in WEIGHTS:
        return _from_weights(existing_file(argument, text), argument, activation, model)
    _refuse_given(activation, model, f"only for files of weights ({', '.join(WEIGHTS)}), not for {text}")
    if suffix in PROGRAMS:
        return _from_program(existing_file(argument, text), argument)
    if Path(text).exists() or ":" not in text:
        existing_file(argument, text)
        raise InputError(
            argument,
            f"{text} is of no format that is read ({', '.join((*WEIGHTS, *PROGRAMS))}, or package.module:factory)",
        )
    return Model(from_factory(text, argument).eval(), text)


def _refuse_given(activation: str | None, model: str | nn.Module | None, why: str) -> None:
    """Refuse what is said of weights alone where the source says it itself."""
    for name, given in (("activation", activation), ("model", model)):
        if given is not None:
            raise InputError(name, f"{why}")


def _from_weights(file: Path, argument: str, activation: str | None, model: str | nn.Module | None) -> Model:
    from nfa.formats.nfa_file import from_nfa, read_safetensors
    from nfa.formats.weights.state_dict import build
    from nfa.formats.weights.torch_file import read_state_dict

    tensors: dict[str, Tensor]
    if file.suffix.lower() == ".safetensors":
        tensors, header = read_safetensors(file, argument)
        if "nfa" in header:
            _refuse_given(activation, model, f"{file} was written by nfa and says all of its network itself")
            return from_nfa(file, tensors, header["nfa"], argument)
    else:
        tensors = read_state_dict(file, argument)
    # A copy: the same object may be named for a network's file and for that of its initialisation.
    net = from_factory(model, "model") if isinstance(model, str) else copy.deepcopy(model)
    ordered = file.suffix.lower() != ".safetensors"  # which sorts its tensors by dtype and name
    built, notes = build(tensors, Place(argument, str(file)), activation, net, ordered)
    return Model(built.eval(), file.name, notes=notes)


def _from_program(file: Path, argument: str) -> Model:
    suffix = file.suffix.lower()
    if suffix == ".pt2":
        from nfa.formats.exported.file import read_pt2

        return read_pt2(file, argument)
    if suffix == ".onnx":
        from nfa.formats.onnx.file import read_onnx

        return read_onnx(file, argument)
    from nfa.formats.sklearn.skops_file import read_skops

    return read_skops(file, argument)


def _from_object(source: Any, argument: str) -> Model:
    if isinstance(source, Model):
        return source
    if type(source).__module__.startswith("torch.export"):
        source = source.module()
    if isinstance(source, nn.Module):
        return Model(source, type(source).__name__)
    from nfa.formats.sklearn.estimator import from_estimator

    return from_estimator(source, argument)
