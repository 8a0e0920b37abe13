"""A chain of Keras layers as a torch network; rows keep Keras' own order of axes, channels last."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfa.common.checks import check_finite
from nfa.common.errors import Place
from nfa.common.shown import shown
from nfa.formats.keras.config import CONVOLUTIONS, ONNX, SILENT, LayerConfig

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "exponential": torch.exp,
    "mish": F.mish,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
}
"""By Keras' name."""

ENDINGS = ("softmax", "sigmoid")


class KerasNet(nn.Module):
    """Runs layers one after the other.

    Args:
        layers: The layers.
        arrays: By layer, its arrays in Keras' order.
        where: How messages begin.

    Raises:
        InputError: arrays are missing or of another shape, a setting is not read.
    """

    def __init__(self, layers: list[LayerConfig], arrays: dict[str, list[Tensor]], where: Place) -> None:
        super().__init__()
        self._steps: list[Callable[[Tensor], Tensor]] = []
        self.ending: str | None = None
        for number, layer in enumerate(layers):
            if layer.kind in SILENT:
                continue
            place = where.within(shown(layer.name))
            last = all(each.kind in SILENT for each in layers[number + 1 :])
            for array in arrays.get(layer.name, []):
                check_finite(place, array)
            if layer.kind in CONVOLUTIONS or layer.kind == "Dense":
                module = _linear(layer, arrays.get(layer.name, []), place)
                self._add(layer.name, module, place)
                self._steps.append(_sliding(layer, module, place) if layer.kind in CONVOLUTIONS else module)
            elif layer.kind == "BatchNormalization":
                norm = _norm(layer, arrays.get(layer.name, []), place)
                self._add(layer.name, norm, place)
                self._steps.append(norm)
            elif layer.kind == "Flatten":
                if layer.settings.get("data_format") == "channels_first":
                    raise place.error(f"has channels first; {ONNX}")
                self._steps.append(lambda x: x.flatten(1))
            activation = _activation(layer, place)
            if last and activation in ENDINGS:
                self.ending = activation
            else:
                self._steps.append(_function(layer, activation))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of n rows."""
        for step in self._steps:
            x = step(x)
        return x

    def _add(self, name: str, module: nn.Module, place: Place) -> None:
        try:
            self.add_module(name.replace(".", "_"), module)
        except KeyError as error:
            raise place.error("has a name that no layer can have") from error


class _Norm(nn.Module):
    """Batch normalisation along the last axis, by kept statistics."""

    mean: Tensor
    variance: Tensor

    def __init__(self, parts: list[Tensor], eps: float, axis: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(parts[0]), nn.Parameter(parts[1])
        self.register_buffer("mean", parts[2])
        self.register_buffer("variance", parts[3])
        self.eps, self.axis = eps, axis

    def forward(self, x: Tensor) -> Tensor:
        """Return x normalised."""
        if self.axis not in (-1, x.ndim - 1):
            raise ValueError(f"a norm along axis {self.axis}, expected the last one")
        return (x - self.mean) / (self.variance + self.eps).sqrt() * self.weight + self.bias


def _linear(layer: LayerConfig, arrays: list[Tensor], place: Place) -> nn.Module:
    """Return a dense layer or convolution with its weights; Keras keeps outputs last."""
    axes, bias = CONVOLUTIONS.get(layer.kind, 0), bool(layer.settings.get("use_bias", True))
    if (
        len(arrays) != 1 + bias
        or arrays[0].ndim != axes + 2
        or any(each.shape != arrays[0].shape[-1:] for each in arrays[1:])
    ):
        raise place.error(f"has arrays of shapes {[tuple(each.shape) for each in arrays]}, not those of a {layer.kind}")
    W = arrays[0].movedim((-1, -2), (0, 1)).contiguous()
    if not axes:
        module: nn.Module = nn.Linear(W.shape[1], W.shape[0], bias)
    else:
        groups, kernel = int(layer.settings.get("groups", 1)), layer.settings.get("kernel_size")
        if groups < 1 or len(W) % groups or list(kernel or ()) != list(W.shape[2:]):
            raise place.error(f"has a kernel of shape {tuple(W.shape[2:])} in {groups} groups, not {kernel}")
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
        module = kind(W.shape[1] * groups, len(W), W.shape[2:], groups=groups, bias=bias)  # type: ignore[arg-type]
    module.weight, module.bias = nn.Parameter(W), nn.Parameter(arrays[1]) if bias else None  # type: ignore[assignment]
    return module


def _sliding(layer: LayerConfig, conv: Any, place: Place) -> Callable[[Tensor], Tensor]:
    """Return what applies a convolution to rows with channels last, padded as Keras does."""
    axes = CONVOLUTIONS[layer.kind]
    strides, dilation = (_sizes(layer.settings.get(name, 1), axes, place) for name in ("strides", "dilation_rate"))
    padding = layer.settings.get("padding", "valid")
    causal = padding == "causal" and axes == 1
    if layer.settings.get("data_format", "channels_last") != "channels_last" or not (
        causal or padding in ("valid", "same")
    ):
        raise place.error(f"has data_format {layer.settings.get('data_format')!r} and padding {padding!r}; {ONNX}")
    conv.stride, conv.dilation = strides, dilation

    def run(x: Tensor) -> Tensor:
        x = x.movedim(-1, 1)
        if padding != "valid":
            pads: list[int] = []
            for size, q, stride, step in zip(x.shape[2:], conv.kernel_size, strides, dilation, strict=True):
                reach = (q - 1) * step + 1
                total = reach - 1 if causal else max(0, (math.ceil(size / stride) - 1) * stride + reach - size)
                pads = [total if causal else total // 2, 0 if causal else total - total // 2, *pads]
            x = F.pad(x, pads)
        z: Tensor = conv(x)
        return z.movedim(1, -1)

    return run


def _sizes(value: Any, axes: int, place: Place) -> tuple[int, ...]:
    sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,) * axes
    if len(sizes) != axes or not all(type(size) is int and size > 0 for size in sizes):
        raise place.error(f"has sizes {shown(value)}, expected {axes} whole numbers")
    return sizes


def _norm(layer: LayerConfig, arrays: list[Tensor], place: Place) -> nn.Module:
    axis = layer.settings.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    if type(axis) is not int:
        raise place.error(f"normalises along {shown(axis)}, expected one axis; {ONNX}")
    scale, center = (bool(layer.settings.get(name, True)) for name in ("scale", "center"))
    if len(arrays) != 2 + scale + center or any(each.ndim != 1 or each.shape != arrays[0].shape for each in arrays):
        raise place.error(f"has arrays of shapes {[tuple(each.shape) for each in arrays]}, not those of its settings")
    rest = list(arrays)
    gamma = rest.pop(0) if scale else torch.ones_like(rest[0])
    beta = rest.pop(0) if center else torch.zeros_like(rest[0])
    return _Norm([gamma, beta, *rest], float(layer.settings.get("epsilon", 1e-3)), axis)


def _activation(layer: LayerConfig, place: Place) -> str:
    """Return the name of what a layer applies to its result."""
    own = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "Softmax": "softmax"}
    given = own.get(layer.kind) or layer.settings.get("activation") or "linear"
    if layer.kind == "Softmax" and layer.settings.get("axis", -1) not in (-1, [-1]):
        raise place.error(f"is a softmax along axis {shown(layer.settings['axis'])}, expected the last one; {ONNX}")
    bounds = [layer.settings.get(name) or None for name in ("negative_slope", "threshold")]
    # A bound of 0 is one too.
    if layer.kind == "ReLU" and [layer.settings.get("max_value"), *bounds] != [None] * 3:
        raise place.error(f"is a ReLU with a bound, a slope or a threshold, which is not read; {ONNX}")
    if not isinstance(given, str) or given not in ACTIVATIONS:
        # A function of one's own is kept with its name as "config", a layer with its class.
        kept = [given.get(key) for key in ("config", "class_name")] if isinstance(given, dict) else [given]
        name = next((each for each in kept if isinstance(each, str)), given)
        raise place.error(f"has the activation {shown(name)}, which is not read; {ONNX}")
    return given


def _function(layer: LayerConfig, activation: str) -> Callable[[Tensor], Tensor]:
    if layer.kind == "LeakyReLU":
        slope = float(layer.settings.get("negative_slope", layer.settings.get("alpha", 0.3)))
        return lambda x: F.leaky_relu(x, slope)
    if layer.kind == "ELU":
        alpha = float(layer.settings.get("alpha", 1.0))
        return lambda x: F.elu(x, alpha)
    return ACTIVATIONS[activation]
