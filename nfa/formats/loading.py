"""One call for every way to name a network: a file, a scikit-learn object, or `package.module:factory`."""

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from nfa.common.checks import LONGEST_PATH, existing_file
from nfa.common.errors import InputError
from nfa.formats.factory import from_factory
from nfa.formats.nfa_file import written_by_nfa
from nfa.formats.readers import Refusal, format_of, refuse_given, suffixes, takes
from nfa.network.model import Model

_log = logging.getLogger(__name__)


def load(
    source: Any,
    *,
    activation: str | None = None,
    model: str | nn.Module | None = None,
    key: str | None = None,
    prefix: str | None = None,
    classes: Iterable[Any] | None = None,
    argument: str = "model",
) -> Model:
    """Load a network, and what is known of it, from wherever people keep one.

    Args:
        source: The path of a file (`.safetensors`, `.pt`, `.pth`, `.ckpt`, `.pt2`, `.onnx`, `.skops`);
            `.zip` of Stable-Baselines3; a folder of Hugging Face;
            `package.module:factory`, a function of the user's without arguments that returns a
            `torch.nn.Module`; a `torch.nn.Module`; what `torch.export.export` returns; scikit-learn's
            `MLPClassifier` or `MLPRegressor`, also at the end of a `Pipeline`; a skorch net; a state dict.
        activation: The activation between the linear layers, for a file that holds only the weights of a plain chain.
        model: The network (or `package.module:factory`) that the weights of a file belong to, where it is no
            plain chain; a copy of it is filled.
        key: Where in a file of torch.save the network's tensors lie, as in `{"net": net.state_dict()}`; with a point
            between for a dict within a dict.
        prefix: The beginning of the names of the network's tensors, in a file that holds several networks.
        classes: The data's labels in the order of the network's outputs, where the source does not say it (for
            one output, the labels of its first and second side).
        argument: What messages call the source.

    Raises:
        InputError: the file cannot be used safely or at all, its format is unknown, the weights do not make a
            network, there is no such factory, the source is a class, or the labels are not those of the source.

    >>> load(nn.Linear(3, 2)).name
    'Linear'
    >>> load(nn.Linear(3, 2), classes=["spam", "ham"]).classes
    ('spam', 'ham')
    """
    found = _load(source, {"activation": activation, "model": model, "key": key, "prefix": prefix}, argument)
    _log.debug("loaded %s: %s", found.name, type(found.net).__name__)
    return found if classes is None else found.with_classes(classes)


def load_init(source: Any, net: Model, *, key: str | None = None, prefix: str | None = None) -> Model:
    """Load a network as it was before training; of weights alone, a copy of the network that has these.

    Args:
        source: What `load` takes, or a state dict or file of weights that fit the network by name and shape.
        net: The network.
        key: As for `load`.
        prefix: As for `load`.

    Raises:
        InputError: as `load`.

    >>> W0, b0 = (each.detach().zero_() for each in nn.Linear(3, 2).parameters())
    >>> load_init({"weight": W0, "bias": b0}, load(nn.Linear(3, 2))).net.weight.detach().max()
    tensor(0.)
    """
    alone = isinstance(source, Mapping)
    if isinstance(source, (str, os.PathLike)) and takes(os.fspath(source), "model"):
        file = existing_file("init", os.fspath(source))
        alone = file.suffix.lower() != ".safetensors" or not written_by_nfa(file, "init")
    if not alone:
        return load(source, argument="init")
    weights = load(source, model=net.net, key=key, prefix=prefix, argument="init")
    # The weights do not say what the network's file said of its outputs.
    return replace(weights, ending=net.ending, classes=net.classes)


def _load(source: Any, given: dict[str, Any], argument: str) -> Model:
    if isinstance(source, type):
        raise InputError(argument, f"got the class {source.__name__}: call it, {source.__name__}()")
    if isinstance(source, Mapping):
        from nfa.formats.weights.files import state_dict_weights

        return state_dict_weights(source, argument, **given)
    if not isinstance(source, (str, os.PathLike)):
        refuse_given(given, f"only for weights alone, not for {type(source).__name__}")
        return _from_object(source, argument)
    text = os.fspath(source)
    if _is_folder(text):
        from nfa.formats.huggingface import read_folder

        refuse_given(given, f"only for files of weights ({suffixes('activation')}), not for a folder")
        return read_folder(Path(text), argument)
    known = format_of(text)
    if isinstance(known, Refusal):
        raise known.error(text, argument)
    taken = {name: given.pop(name) for name in (known.takes if known else ())}
    for name, value in given.items():
        refuse_given({name: value}, f"only for files of weights ({suffixes(name)}), not for {text}")
    if known is not None:
        return known.read(existing_file(argument, text), argument, **taken)
    if ":" not in text or len(text) > LONGEST_PATH or Path(text).exists():
        existing_file(argument, text)
        raise InputError(argument, f"{text} is of no format that is read ({suffixes()}, or package.module:factory)")
    return Model(from_factory(text, argument).eval(), text)


def _is_folder(text: str) -> bool:
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _from_object(source: Any, argument: str) -> Model:
    if isinstance(source, Model):
        return source
    if type(source).__module__.startswith("torch.export"):
        source = source.module()
    if isinstance(source, nn.Module):
        return Model(source, type(source).__name__)
    from nfa.formats.sklearn.estimator import from_estimator

    return from_estimator(source, argument)
