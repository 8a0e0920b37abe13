"""`package.module:factory`: the only way in which loading runs code, which is the user's own."""

import importlib
import inspect
import sys
from pathlib import Path

from torch import nn

from nfa.common.errors import InputError


def from_factory(text: str, argument: str) -> nn.Module:
    """Call the function that `package.module:factory` names, without arguments, and return its network.

    The module is looked for in the current folder first.

    Raises:
        InputError: the text has not this form, there is no such function, it takes arguments, it fails, or it returns
            no `torch.nn.Module`.
    """
    module_name, colon, name = text.partition(":")
    if not (module_name and colon and name):
        raise InputError(argument, f"got {text!r}, expected package.module:factory, as in mypackage.nets:build")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (ModuleNotFoundError, ValueError, TypeError) as error:
        raise InputError(argument, f"cannot import {module_name!r} ({error})") from error
    finally:
        sys.path.pop(0)
    factory = getattr(module, name, None)
    if not callable(factory):
        raise InputError(argument, f"{module_name} has no function {name!r}")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InputError(argument, f"{text} takes arguments ({error}); name a function without any") from error
    try:
        net = factory()
    except Exception as error:  # of whatever kind: the function is the user's
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(argument, f"{text} raised {reason}") from error
    if not isinstance(net, nn.Module):
        raise InputError(argument, f"{text} returned {type(net).__name__}, expected a torch.nn.Module")
    return net
