"""The state of an estimator without torch's and pandas' types, so that others can keep it: pickle, joblib, skops."""

import dataclasses
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

TAG = "nfa"
"""The key that tells what a dict stands for."""
PLAIN: dict[str, type] = {}
"""Dataclasses that are taken apart, by name."""
T = TypeVar("T", bound=type)


def plain(kind: T) -> T:
    """Enter a dataclass into `PLAIN`; a decorator."""
    PLAIN[kind.__name__] = kind
    return kind


def taken_apart(value: Any) -> Any:
    """Return a value without tensors, devices, dtypes, data frames and the dataclasses of `PLAIN`.

    >>> taken_apart((torch.float32, 1))
    ({'nfa': 'dtype', 'name': 'float32'}, 1)
    """
    if isinstance(value, Tensor):
        return {TAG: "tensor", "values": value.detach().cpu().numpy(), "device": str(value.device)}
    if isinstance(value, torch.dtype):
        return {TAG: "dtype", "name": str(value).removeprefix("torch.")}
    if isinstance(value, torch.device):
        return {TAG: "device", "name": str(value)}
    if isinstance(value, pd.DataFrame):
        return {TAG: "table", "columns": {str(name): value[name].tolist() for name in value.columns}}
    if type(value) is tuple:
        return tuple(taken_apart(each) for each in value)
    if PLAIN.get(type(value).__name__) is type(value):
        parts = {each.name: taken_apart(getattr(value, each.name)) for each in dataclasses.fields(cast("Any", value))}
        return {TAG: type(value).__name__, "parts": parts}
    return value


def put_together(value: Any) -> Any:
    """Return what `taken_apart` was given.

    >>> put_together(taken_apart((torch.float32, torch.ones(1))))
    (torch.float32, tensor([1.]))
    """
    if type(value) is tuple:
        return tuple(put_together(each) for each in value)
    if not isinstance(value, dict) or TAG not in value:
        return value
    kind = value[TAG]
    if kind == "tensor":
        # Memory that cannot be written to, as of a mapped file, is copied.
        values = value["values"] if value["values"].flags.writeable else np.array(value["values"])
        return torch.from_numpy(values).to(value["device"])
    if kind == "dtype":
        dtype = getattr(torch, value["name"])
        if not isinstance(dtype, torch.dtype):
            raise TypeError(f"{value['name']} is no dtype")
        return dtype
    if kind == "device":
        return torch.device(value["name"])
    if kind == "table":
        return pd.DataFrame(value["columns"])
    return PLAIN[kind](**{name: put_together(each) for name, each in value["parts"].items()})
