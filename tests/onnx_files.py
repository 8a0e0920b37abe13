"""ONNX files for tests: exported by torch, or written node by node; and the comparison of two audits."""

import contextlib
import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from helpers import assert_same_table
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import nfa


def skip_old_exporter():
    """Skip what torch 2.6's own exporter cannot write: some norms, and products of parameters with their names."""
    if torch.__version__.startswith("2.6."):
        pytest.skip("torch 2.6 cannot export it")


def same_tables(net, model, rows, names=None):
    """The audit of a file's network has the numbers of the module's own, layer by layer."""
    expected, got = nfa.audit(net, rows), nfa.audit(model.net, rows)
    assert [layer["name"] for layer in got] == (names or [layer["name"] for layer in expected])
    assert_same_table(got, expected, names=False)


def exported(net, shape, path, dynamo=True, symbolic=True, count=2):
    """Write a module with one of torch's two exporters."""
    x = torch.rand(count, *shape).to(next(net.parameters()).dtype)
    options = {}
    if symbolic and dynamo:
        options["dynamic_shapes"] = ({0: torch.export.Dim("batch")},)
    elif symbolic:
        options["dynamic_axes"] = {"x": {0: "batch"}}
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters' own
        torch.onnx.export(
            net.eval(), (x,), path, dynamo=dynamo, input_names=["x"], external_data=False, verbose=False, **options
        )
    return path


def written(path, nodes, constants, shape, *outputs, dtype=TensorProto.FLOAT, opset=17):
    """Write a graph node by node; the constants are arrays by name."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(name, dtype, None) for name in outputs or ("y",)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) / shape[-1] ** 0.5


def node(operator, inputs, output, **attributes):
    return helper.make_node(operator, inputs.split(), [output], **attributes)


TWO_LAYERS = [node("MatMul", "x w1", "a"), node("Relu", "a", "b"), node("MatMul", "b w2", "y")]


TWO_WEIGHTS = {"w1": draw(6, 5), "w2": draw(5, 3, seed=1)}


def two_layers():
    """The module that `TWO_LAYERS` is."""
    net = nn.Sequential(nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 3, bias=False))
    net[0].weight.data = torch.from_numpy(TWO_WEIGHTS["w1"].T.copy())
    net[2].weight.data = torch.from_numpy(TWO_WEIGHTS["w2"].T.copy())
    return net


class Nested(nn.Module):
    """Blocks, an embedding put beside the rows, layers without names in the file."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(6, 6, bias=False), nn.Sequential(nn.Tanh(), nn.Linear(6, 6, bias=False)))
            for _ in range(2)
        )
        self.extra = nn.Parameter(torch.randn(1, 1, 6))
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = torch.cat([x, self.extra.expand(x.shape[0], -1, -1)], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))
