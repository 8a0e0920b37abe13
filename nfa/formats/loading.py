"""One call for every way to name a network: a file, a scikit-learn object, or `package.module:factory`."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import nn

from nfa.common.checks import LONGEST_PATH, existing_file
from nfa.common.errors import InputError
from nfa.formats.factory import from_factory
from nfa.formats.readers import Refusal, format_of, refuse_given, suffixes
from nfa.network.model import Model


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
        activation: The activation between the linear layers, for a file that holds only the weights of a plain chain.
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
    known = format_of(text)
    if isinstance(known, Refusal):
        raise known.error(text, argument)
    given = {"activation": activation, "model": model}
    if known is not None and known.takes:
        return known.read(existing_file(argument, text), argument, **given)
    refuse_given(given, f"only for files of weights ({suffixes('activation')}), not for {text}")
    if known is not None:
        return known.read(existing_file(argument, text), argument)
    if ":" not in text or len(text) > LONGEST_PATH or Path(text).exists():
        existing_file(argument, text)
        raise InputError(argument, f"{text} is of no format that is read ({suffixes()}, or package.module:factory)")
    return Model(from_factory(text, argument).eval(), text)


def _from_object(source: Any, argument: str) -> Model:
    if isinstance(source, Model):
        return source
    if type(source).__module__.startswith("torch.export"):
        source = source.module()
    if isinstance(source, nn.Module):
        return Model(source, type(source).__name__)
    from nfa.formats.sklearn.estimator import from_estimator

    return from_estimator(source, argument)
