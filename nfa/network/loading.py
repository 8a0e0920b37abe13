"""One call for every way to name a network: a file, or `package.module:factory`."""

import importlib
import inspect
import os
import sys
from pathlib import Path

from torch import nn

from nfa.common.errors import InputError
from nfa.network.files import Model, load_model_file

NOT_YET = (".pt", ".pth", ".ckpt", ".pt2", ".onnx", ".joblib", ".skops", ".pkl")
"""Formats of networks that are known but not read yet."""


def load_model(source: str | os.PathLike[str], argument: str = "model") -> Model:
    """Load a network from one of nfa's own safetensors files, or from a factory in the user's own code.

    Args:
        source: The path of a file, or `package.module:factory`, a function without arguments that returns
            a `torch.nn.Module`; the module is looked for in the current folder first. This is the only
            way by which code runs, and it is the user's own.
        argument: What messages call the source.

    Raises:
        InputError: the file cannot be used, its format is not read yet, or there is no such factory.
    """
    text = os.fspath(source)
    suffix = Path(text).suffix.lower()
    if suffix in NOT_YET:
        raise InputError(f"{argument}: {suffix} files are not yet read; use package.module:factory for {text}")
    if suffix == ".safetensors" or Path(text).exists() or ":" not in text:
        return load_model_file(text, argument)
    return _from_factory(text, argument)


def _from_factory(text: str, argument: str) -> Model:
    module_name, _, name = text.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        raise InputError(f"{argument}: cannot import {module_name!r} ({error})") from error
    finally:
        sys.path.pop(0)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise InputError(f"{argument}: {module_name} has no function {name!r}")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InputError(f"{argument}: {text} takes arguments ({error}); name a function without any") from error
    net = factory()
    if not isinstance(net, nn.Module):
        raise InputError(f"{argument}: {text} returned {type(net).__name__}, expected a torch.nn.Module")
    return Model(net.eval(), text)
