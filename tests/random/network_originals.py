"""Whole files of networks of known content: small chains of random sizes, in every format."""

import copy
import io
import itertools
import json
import random
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import network_damage as damage
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.torch import save
from torch import Tensor, nn

Answers = Callable[[Tensor], Tensor | None]
"""From rows (n x d, float64) to a network's outputs in float64; None where there are none."""

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "identity": lambda x: x}


@dataclass(frozen=True)
class Original:
    """A whole file.

    Args:
        suffix: Of its name.
        content: Its bytes.
        options: What `nfa.load` is told beside.
        d: Entries of a row.
        answers: What the network that it was written from answers.
        change: Damage that knows the format: what it is called, and the bytes.
        reread: From damaged bytes to what an independent reader makes of them; None where it makes nothing.
    """

    suffix: str
    content: bytes
    options: dict[str, object]
    d: int
    answers: Answers
    change: Callable[[random.Random], tuple[str, bytes]]
    reread: Callable[[bytes], Answers | None]


def torch_file(draw: random.Random) -> Original:
    """A state dict, alone or in a checkpoint, as torch.save writes it now or wrote it before 1.6."""
    tensors, activation = _weights(draw)
    content: object = OrderedDict(tensors) if draw.random() < 0.5 else dict(tensors)
    container = draw.choice((None, None, "state_dict", "model_state_dict", "model"))
    if container:
        content = {container: content, "epoch": 3, "args": {"lr": 0.1, "sizes": [1, 2, (3,)]}}
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=draw.random() < 0.8)
    whole = stream.getvalue()

    def reread(damaged: bytes) -> Answers | None:
        try:
            found = torch.load(io.BytesIO(damaged), weights_only=True)
            for name in ("state_dict", "model_state_dict", "model"):
                found = found[name] if isinstance(found.get(name), dict) else found
            return chain({name: value for name, value in found.items() if isinstance(value, Tensor)}, activation)
        except Exception:  # an independent reader that fails reads nothing
            return None

    suffix = draw.choice((".pt", ".pth", ".ckpt"))
    change = damage.of_torch(whole, tensors)
    return Original(suffix, whole, {"activation": activation}, _d(tensors), chain(tensors, activation), change, reread)


def safetensors(draw: random.Random) -> Original:
    """Tensors by name, in a file of safetensors."""
    tensors, activation = _weights(draw)
    whole = save(tensors, draw.choice((None, {"format": "pt"}, {"author": "a\n b"})))

    def reread(damaged: bytes) -> Answers | None:
        try:
            return chain(_in_order(read_safetensors(damaged)), activation)
        except Exception:  # as above
            return None

    change = damage.of_safetensors(whole)
    return Original(
        ".safetensors", whole, {"activation": activation}, _d(tensors), chain(tensors, activation), change, reread
    )


def onnx_graph(draw: random.Random) -> Original:
    """A graph written node by node."""
    tensors, activation = _weights(draw, dtypes=(torch.float32,))
    nodes, constants, value = [], {}, "x"

    def add(operator: str, inputs: list[str], **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [f"v{len(nodes)}"], f"n{len(nodes)}", **attributes))
        return f"v{len(nodes) - 1}"

    names = [name.removesuffix(".weight") for name in tensors if name.endswith("weight")]
    for place, name in enumerate(names):
        weight, bias = tensors[f"{name}.weight"].numpy(), tensors.get(f"{name}.bias")
        how = draw.choice(("gemm", "matmul", "transpose"))
        constants[f"{name}.weight"] = weight.T.copy() if how == "matmul" else weight
        if bias is not None:
            constants[f"{name}.bias"] = bias.numpy()
        biases = [f"{name}.bias"] if bias is not None else []
        if how == "gemm":
            value = add("Gemm", [value, f"{name}.weight", *biases], transB=1)
        else:
            turned = add("Transpose", [f"{name}.weight"], perm=[1, 0]) if how == "transpose" else f"{name}.weight"
            value = add("MatMul", [value, turned])
            value = add("Add", [value, *biases]) if biases else value
        if place < len(names) - 1:
            value = add(activation.capitalize(), [value])
    soft = draw.random() < 0.3
    nodes.append(helper.make_node("Softmax" if soft else "Identity", [value], ["y"], **({"axis": 1} if soft else {})))
    d, batch = _d(tensors), draw.choice(("n", "n", 1, 4))
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, d])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(constant, name) for name, constant in constants.items()],
    )
    opset = draw.choice((13, 15, 17, 18))
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString()
    logits = chain(tensors, activation)
    answers: Answers = (lambda rows: logits(rows).softmax(1)) if soft else logits
    return Original(".onnx", whole, {}, d, answers, damage.of_onnx(whole), _by_reference)


def exported(draw: random.Random) -> Original:
    """A program of torch.export; one of a few, since exporting takes seconds."""
    return _exported(draw.randrange(4))


def skops_file(draw: random.Random) -> Original:
    """scikit-learn's perceptron, alone or behind a scaler; one of a few."""
    return _skops(draw.randrange(4))


def chain(tensors: dict[str, Tensor], activation: str) -> Answers:
    """Return the chain of linear layers that these tensors are, in float64."""
    weights = {name: value.double() for name, value in tensors.items()}
    layers = [name.removesuffix("weight") for name in weights if name.endswith("weight")]

    def answers(rows: Tensor) -> Tensor | None:
        h = rows
        for place, name in enumerate(layers):
            if h.shape[-1] != weights[f"{name}weight"].shape[-1]:
                return None
            h = h @ weights[f"{name}weight"].T + weights.get(f"{name}bias", 0.0)
            h = ACTIVATIONS[activation](h) if place < len(layers) - 1 else h
        return h

    return answers


def read_safetensors(content: bytes) -> dict[str, Tensor]:
    """Read a file by the letter of the format: every byte of its data belongs to one tensor."""
    length = int.from_bytes(content[:8], "little")
    pairs = json.loads(content[8 : 8 + length], object_pairs_hook=list)
    data = content[8 + length :]
    assert len({name for name, _ in pairs}) == len(pairs)
    found, ends = {}, [0]
    kinds = {"F32": np.float32, "F64": np.float64, "F16": np.float16}
    entries = [(name, dict(entry)) for name, entry in pairs if name != "__metadata__"]
    for name, entry in sorted(entries, key=lambda pair: pair[1]["data_offsets"]):
        first, last = entry["data_offsets"]
        assert first == ends[-1]
        ends.append(last)
        array = np.frombuffer(data[first:last], kinds[entry["dtype"]]).reshape(entry["shape"])
        found[name] = torch.from_numpy(array.copy())
    assert ends[-1] == len(data)
    return found


def _weights(
    draw: random.Random, dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float32, torch.float64, torch.float16)
) -> tuple[dict[str, Tensor], str]:
    sizes = [draw.randint(1, 8) for _ in range(draw.randint(2, 5))]
    bias, prefix, dtype = draw.random() < 0.7, draw.choice(("", "layers.", "net.body.")), draw.choice(dtypes)
    numbers = torch.Generator().manual_seed(draw.randrange(1 << 30))
    tensors = {}
    for place, (d, k) in enumerate(itertools.pairwise(sizes)):
        tensors[f"{prefix}{2 * place}.weight"] = torch.randn(k, d, generator=numbers).to(dtype)
        if bias:
            tensors[f"{prefix}{2 * place}.bias"] = torch.randn(k, generator=numbers).to(dtype)
    return tensors, draw.choice(("relu", "tanh", "sigmoid", "identity"))


def _d(tensors: dict[str, Tensor]) -> int:
    return next(iter(tensors.values())).shape[1]


def _in_order(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in the one order of layers in which numbers in names ascend and shapes follow one another."""
    weights = [name for name in tensors if name.endswith("weight")]

    def follow(order: tuple[str, ...]) -> bool:
        numbers = [int(found.group()) for name in order if (found := re.search("[0-9]+", name))]
        pairs = itertools.pairwise(order)
        return numbers == sorted(numbers) and all(len(tensors[a]) == tensors[b].shape[1] for a, b in pairs)

    (order,) = (order for order in itertools.permutations(weights) if follow(order))
    return {name: tensors[name] for name in order} | tensors


def _by_reference(content: bytes) -> Answers | None:
    """Run a graph with ONNX's own reference implementation, as many rows at a time as it takes."""
    model = onnx.load_from_string(content)
    _without_unused(model.graph)
    batch = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or None

    def answers(rows: Tensor) -> Tensor | None:
        try:
            run = ReferenceEvaluator(model)
            name = next(each.name for each in model.graph.input)
            given = rows.float().numpy()
            padded = np.concatenate([given, np.repeat(given[-1:], -len(given) % (batch or 1), axis=0)])
            parts = [padded] if batch is None else np.split(padded, len(padded) // batch)
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answers = np.concatenate([run.run(None, {name: part})[0] for part in parts])
            return torch.from_numpy(answers[: len(rows)].astype(np.float64))
        except Exception:  # an independent reader that fails reads nothing
            return None

    return answers


def _without_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output needs: what they say of themselves plays no part."""
    wanted = {each.name for each in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if wanted & {name for name in node.output if name}:
            wanted |= set(node.input)
            kept.append(node)
    constants = [each for each in graph.initializer if each.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def _by_export(content: bytes, batch: int | None) -> Answers | None:
    """Run a program as torch reads it, as many rows at a time as it takes."""

    def answers(rows: Tensor) -> Tensor | None:
        given = rows.float()
        more = given[-1:].expand(-len(given) % (batch or 1), -1)
        parts = torch.cat([given, more]).split(batch or len(given))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions
                net = torch.export.load(io.BytesIO(content)).module()
            return torch.cat([net(part) for part in parts])[: len(rows)].detach().double()
        except Exception:  # an independent reader that fails reads nothing
            return None

    return answers


@cache
def _exported(number: int) -> Original:
    torch.manual_seed(number)
    nets = [
        nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
        nn.Sequential(nn.Linear(4, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Linear(7, 2), nn.Softmax(1)),
        nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, 4), nn.GELU(), nn.Flatten(), nn.Linear(8, 2)),
        nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 5), nn.SiLU(), nn.Dropout(0.5), nn.Linear(5, 1), nn.Sigmoid()),
    ]
    net, d = nets[number].eval(), (6, 4, 6, 5)[number]
    shapes = ({0: torch.export.Dim("batch")},) if number % 2 else None
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.export.export(net, (torch.randn(2, d),), dynamic_shapes=shapes)
        torch.export.save(program, stream)
    exact = copy.deepcopy(net).double()
    return Original(
        ".pt2",
        stream.getvalue(),
        {},
        d,
        lambda rows: exact(rows).detach(),
        damage.of_exported(stream.getvalue()),
        partial(_by_export, batch=None if number % 2 else 2),
    )


@cache
def _skops(number: int) -> Original:
    import skops.io
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = np.random.default_rng(number)
    X = numbers.normal(size=(30, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few steps do not converge
        if number % 2:
            net, y = MLPRegressor(hidden_layer_sizes=(5, 3), activation="tanh", max_iter=3, random_state=0), X[:, :2]
        else:
            net, y = MLPClassifier((6,), max_iter=3, random_state=0), np.arange(30) % 3
        fitted = (net if number < 2 else make_pipeline(StandardScaler(), net)).fit(X, y)

    def answers(rows: Tensor) -> Tensor:
        predicted = fitted.predict(rows.numpy()) if number % 2 else fitted.predict_proba(rows.numpy())
        return torch.from_numpy(predicted)

    def reread(damaged: bytes) -> Answers | None:
        try:
            other = skops.io.loads(damaged, trusted=skops.io.get_untrusted_types(data=damaged))
            predict = other.predict if number % 2 else other.predict_proba
            return lambda rows: torch.from_numpy(predict(rows.numpy()))
        except Exception:  # an independent reader that fails reads nothing
            return None

    whole = skops.io.dumps(fitted)
    return Original(".skops", whole, {}, 4, answers, damage.of_skops(whole), reread)
