"""The operators that a program from a file may use: known functions of tensors alone."""

import operator
from collections.abc import Callable
from typing import Any

import torch

_ELEMENTWISE = """
abs add addcdiv addcmul asin asinh acos acosh atan atan2 atanh bitwise_and bitwise_not bitwise_or ceil clamp clamp_max
clamp_min clip copysign cos cosh div divide eq erf erfc exp exp2 expm1 floor floor_divide fmod ge gt hypot isfinite
isinf isnan le lerp log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor logit lt masked_fill
maximum minimum mul multiply nan_to_num ne neg negative positive pow reciprocal remainder round rsqrt rsub sgn sign
sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc where xlogy
"""
_ACTIVATIONS = """
_log_softmax _prelu_kernel _softmax celu elu gelu glu hardshrink hardsigmoid hardswish hardtanh leaky_relu log_sigmoid
log_sigmoid_forward log_softmax mish prelu relu relu6 rrelu selu sigmoid silu softmax softplus softshrink threshold
alpha_dropout dropout feature_alpha_dropout feature_dropout native_dropout
"""
_PRODUCTS = """
addbmm addmm addmv baddbmm bilinear bmm dot einsum linear matmul mm mv outer scaled_dot_product_attention
"""
_SHAPES = """
_reshape_alias _to_copy _unsafe_view alias broadcast_to cat chunk clone concat constant_pad_nd contiguous detach
diagonal expand expand_as flatten flip gather index index_select lift_fresh_copy movedim narrow numpy_T pad permute
repeat repeat_interleave reshape reshape_as roll select slice split split_with_sizes squeeze stack swapaxes sym_numel
sym_size
t tile to transpose tril triu type_as unbind unflatten unsafe_chunk unsafe_split unsqueeze view view_as view_copy
arange full full_like new_full new_ones new_zeros ones ones_like scalar_tensor zeros zeros_like copy fill zero
"""
_REDUCTIONS = """
all amax amin any argmax argmin cumsum linalg_vector_norm logsumexp max mean min norm prod std std_mean sum var var_mean
"""
_LAYERS = """
_adaptive_avg_pool2d _fused_rms_norm _native_batch_norm_legit_no_training _weight_norm _weight_norm_interface
adaptive_avg_pool1d adaptive_avg_pool2d avg_pool1d avg_pool2d batch_norm conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d convolution embedding group_norm instance_norm layer_norm max_pool1d max_pool2d
max_pool2d_with_indices native_group_norm native_layer_norm rms_norm
"""

FUNCTIONS = frozenset(f"{_ELEMENTWISE} {_ACTIVATIONS} {_PRODUCTS} {_SHAPES} {_REDUCTIONS} {_LAYERS}".split())
"""Operators of `torch.ops.aten` that draw nothing at random and touch nothing but tensors."""

ASSERTIONS = frozenset(
    {
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)
"""Statements of programs on their own sizes; they compute nothing."""

TRAINED_NORMS = frozenset({"_native_batch_norm_legit", "_native_batch_norm_legit_functional", "native_batch_norm"})
"""Batch norm that may update its statistics; here it runs as in evaluation."""

NUMBERS: dict[str, Callable[..., Any]] = {
    "_operator.add": operator.add,
    "_operator.sub": operator.sub,
    "_operator.mul": operator.mul,
    "_operator.truediv": operator.truediv,
    "_operator.floordiv": operator.floordiv,
    "_operator.mod": operator.mod,
    "_operator.neg": operator.neg,
    "_operator.eq": operator.eq,
    "_operator.ne": operator.ne,
    "_operator.lt": operator.lt,
    "_operator.le": operator.le,
    "_operator.gt": operator.gt,
    "_operator.ge": operator.ge,
    "_operator.and_": operator.and_,
    "_operator.or_": operator.or_,
    "torch.sym_max": torch.sym_max,
    "torch.sym_min": torch.sym_min,
    "torch.sym_not": torch.sym_not,
    "torch.sym_int": torch.sym_int,
    "torch.sym_float": torch.sym_float,
}
"""Arithmetic with sizes."""

DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""torch.export's numbers for dtypes."""

MEMORY_FORMATS = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}
"""torch.export's numbers for memory formats."""

_PREFIX = "torch.ops.aten."


def base_name(target: str) -> str:
    """Return an operator's name without its library, overload and the mark of working in place.

    >>> base_name("torch.ops.aten.relu_.default"), base_name("_operator.add")
    ('relu', '')
    """
    if not target.startswith(_PREFIX):
        return ""
    return target.removeprefix(_PREFIX).split(".")[0].removesuffix("_")


def is_in_place(target: str) -> bool:
    """Return whether an operator changes its first argument."""
    return target.startswith(_PREFIX) and target.split(".")[-2].endswith("_")


def resolve(target: str) -> Callable[..., Any] | None:
    """Return the function that a program's target names; None where it is not known.

    >>> resolve("torch.ops.aten.relu.default")
    <OpOverload(op='aten.relu', overload='default')>
    >>> resolve("torch.hub.load") is None
    True
    """
    if target in NUMBERS:
        return NUMBERS[target]
    parts = target.removeprefix(_PREFIX).split(".")
    if not target.startswith(_PREFIX) or len(parts) != 2 or base_name(target) not in FUNCTIONS | TRAINED_NORMS:
        return None
    packet = getattr(torch.ops.aten, parts[0], None)
    if packet is None or parts[1] not in packet.overloads():
        return None
    function: torch._ops.OpOverload = getattr(packet, parts[1])
    # Of overloads that write into an argument, only those are known whose name says so.
    silent = function._schema.is_mutable and not is_in_place(target) and base_name(target) not in TRAINED_NORMS
    return None if silent else function
