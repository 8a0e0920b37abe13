"""Tensors of an ONNX file, also those that it keeps in other files."""

import math
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

DTYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT16: torch.uint16,
    TensorProto.INT16: torch.int16,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.UINT32: torch.uint32,
    TensorProto.UINT64: torch.uint64,
    TensorProto.BFLOAT16: torch.bfloat16,
}
"""The dtypes that are read, by ONNX's numbers for them."""


def read_tensor(tensor: TensorProto, folder: Path) -> Tensor:
    """Return a tensor of the file; its size is compared with its data before anything is allocated.

    Args:
        tensor: As the file describes it.
        folder: The folder of the file; data may lie there and below, nowhere else.

    Raises:
        ValueError: type or size do not fit, or its data are elsewhere or missing; one line.
    """
    if tensor.data_type not in DTYPES:
        raise ValueError(f"entries of ONNX type {tensor.data_type} are not supported")
    if tensor.HasField("segment"):
        raise ValueError("tensors in segments are not supported")
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape) or (0 in shape and len(shape) > 1):
        raise ValueError(f"shape {shape}")
    # Of bfloat16 only the bits are read: torch takes no such arrays, and older versions of onnx make float32 of them.
    bits = tensor.data_type == TensorProto.BFLOAT16
    kind = np.dtype(np.int16 if bits else helper.tensor_dtype_to_np_dtype(tensor.data_type))
    outside = tensor.data_location == TensorProto.EXTERNAL
    if outside or tensor.HasField("raw_data"):
        raw = _external(tensor, folder, math.prod(shape) * kind.itemsize) if outside else tensor.raw_data
        if len(raw) != math.prod(shape) * kind.itemsize:
            raise ValueError(f"shape {shape} of {kind} needs {math.prod(shape) * kind.itemsize} bytes, got {len(raw)}")
        array = np.frombuffer(raw, kind.newbyteorder("<") if kind.kind in "iuf" else kind).reshape(shape)
    else:
        count = len(getattr(tensor, helper.tensor_dtype_to_field(tensor.data_type)))
        if count != math.prod(shape):
            raise ValueError(f"shape {shape} needs {math.prod(shape)} entries, got {count}")
        array = np.array(tensor.int32_data, np.int32).reshape(shape) if bits else numpy_helper.to_array(tensor)
    found = torch.from_numpy(array.astype(kind.newbyteorder("="), copy=True))
    return found.view(torch.bfloat16) if bits else found


def _external(tensor: TensorProto, folder: Path, size: int) -> bytes:
    """Return the bytes of a tensor that lies in another file."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    if not location or "\0" in location or Path(location).is_absolute() or "\\" in location or ":" in location:
        raise ValueError(f"its data are said to lie at {location!r}, expected a path relative to the file's folder")
    # After links and ".." are followed: a file may name what its sender must not read.
    file = (folder / location).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ValueError(f"its data are said to lie at {location!r}, which is outside the file's folder")
    if not file.is_file():
        raise ValueError(f"its data are missing: there is no file {location!r} beside the model")
    offset = int(said.get("offset", 0))
    length = int(said.get("length", size))
    if offset < 0 or length != size or offset + length > file.stat().st_size:
        raise ValueError(f"{location!r} does not hold {size} bytes from byte {offset} on")
    with file.open("rb") as handle:
        handle.seek(offset)
        data: bytes = handle.read(length)
    return data
