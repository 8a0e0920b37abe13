"""ONNX files: a graph of operators, translated to torch functions; nothing of the file is executed."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import onnx
import torch
from torch import Tensor

from nfa.common.errors import InputError, Place
from nfa.formats.onnx.build import build
from nfa.formats.onnx.fold import Allowance, Folded, fold, one_row
from nfa.formats.onnx.graph import Graph
from nfa.formats.onnx.net import OnnxNet
from nfa.formats.onnx.outputs import Output, choose_output, without_ending
from nfa.formats.rows import same_answers
from nfa.network.model import Model

WORK = 1 << 36
"""Multiply-adds that a few rows may take beside those that go with the size of the weights: a second or two."""

FOR_EACH = 1 << 17
"""How many more they may take for each entry of the constants: a weight may be applied at many places of a picture."""

GUESSES = (8, 32)
"""Sizes tried for axes that the file leaves open, beside those of the weights."""


def read_onnx(file: Path, argument: str) -> Model:
    """Read the network of an ONNX file.

    Weights keep the names of the file's initializers; one without a name is called after the module its node
    came from. A final softmax or sigmoid is taken off.

    Args:
        file: Exists. Its constants may lie in files beside it, in its folder or below.
        argument: What messages call it.

    Returns:
        The network, which takes batches of any size, whatever size the file was written for.

    Raises:
        InputError: the file is damaged, needs operators that are not supported, has several inputs or several
            floating-point outputs, keeps constants outside its folder, or answers a batch otherwise than row
            by row.
    """
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(file.read_bytes())
    except Exception as error:  # protobuf's errors are kinds of its own, which change with its version
        raise InputError(argument, f"cannot read {file} as ONNX: it is truncated or of another kind") from error
    graph = Graph(proto, file.parent, Place(argument, str(file)))
    whole = choose_output(graph)
    chosen = without_ending(graph, whole)
    net, answers = _network(graph, chosen.value)
    if not _is_over_classes(chosen, answers):
        chosen = Output(whole, classes=chosen.classes)
        net, answers = _network(graph, whole)
    notes: tuple[str, ...] = ()
    if chosen.ending is not None:
        notes = (f"The file's network ends in {chosen.ending.capitalize()}; logits are its input.",)
    outputs = answers[0].numel()
    if chosen.classes is not None and len(chosen.classes) != max(2, outputs):  # one output may have two sides
        raise graph.error(f"names {len(chosen.classes)} classes for {outputs} outputs")
    return Model(net.eval(), file.name, classes=chosen.classes, ending=chosen.ending, notes=notes)


def _network(graph: Graph, output: str) -> tuple[OnnxNet, Tensor]:
    """Return the network, and its answers to a few random rows, once it is known to take batches of any size."""
    folded = fold(graph, graph.nodes(output))
    fixed = graph.entry.batch or 1
    net = build(graph, folded, output)
    with torch.no_grad():
        rows, expected = _first_answers(net, graph, folded, max(3, fixed))
        if fixed > 1:
            net = build(graph, one_row(folded, fixed), output)
        try:
            together = net(rows[:3])
            apart = [net(row[None]) for row in rows[:3]]
            if fixed > 1 and not same_answers(net(rows[:fixed]), expected):
                raise graph.where.because("its answers to a row depend on the others")
        except InputError as error:
            reason = error.problem.removeprefix(f"{graph.where.part}: ")
            raise graph.error(
                f"is fixed to a batch of {fixed}, and takes no other ({reason}); export it with a dynamic batch axis"
            ) from error
        for answer, given in ((together, 3), *((each, 1) for each in apart)):
            if answer.ndim == 0 or len(answer) != given:
                raise graph.error(f"its output has shape {tuple(answer.shape)} for {given} rows, expected one each")
        if not same_answers(together, torch.cat(apart)):
            raise graph.error("mixes samples: it answers a batch otherwise than row by row")
    return net, together


def _first_answers(net: OnnxNet, graph: Graph, folded: Folded, count: int) -> tuple[Tensor, Tensor]:
    """Return random rows, and the answers to a batch of the file's own size."""
    refusal = None
    held = sum(value.numel() for value in folded.constants.values())
    spend = partial(Allowance(graph, WORK + FOR_EACH * held).spend, "takes too long for a network of its size")
    for shape in _shapes(graph, folded):
        draw = torch.Generator().manual_seed(0)
        if graph.entry.dtype.is_floating_point:
            rows = torch.rand(count, *shape, generator=draw, dtype=torch.float64).to(graph.entry.dtype)
        else:
            rows = torch.randint(0, 2, (count, *shape), generator=draw).to(graph.entry.dtype)
        try:
            return rows, net(rows[: graph.entry.batch or 1], spend)
        except InputError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _shapes(graph: Graph, folded: Folded) -> Iterator[tuple[int, ...]]:
    """Yield the shape of a row; where the file leaves sizes open, those that its weights suggest."""
    shape = graph.entry.shape
    known = [size for size in shape if size is not None]
    if len(known) == len(shape):
        yield tuple(known)
        return
    sizes = [size for value in folded.constants.values() if value.ndim == 2 for size in value.shape]
    for guess in dict.fromkeys((*sizes[:16], *GUESSES)):
        yield tuple(guess if size is None else size for size in shape)


def _is_over_classes(output: Output, logits: Tensor) -> bool:
    """Return whether a softmax that was taken off sums over all outputs of a sample."""
    if output.ending != "softmax":
        return True
    if not -logits.ndim <= output.axis < logits.ndim:
        return False
    axis = output.axis % logits.ndim
    along = logits.shape[axis:] if output.flat else logits.shape[axis : axis + 1]
    return axis > 0 and along.numel() == logits[0].numel()
