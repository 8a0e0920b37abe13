"""ONNX files: a graph of operators, run with torch functions; nothing in the file is executed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from torch import Tensor

from nfa.common.errors import InputError, Place
from nfa.formats.archive import content_of
from nfa.formats.graph.budget import GraphBudget
from nfa.formats.graph.check import CHECKED_ROWS, check_rows
from nfa.formats.graph.net import GraphNet
from nfa.formats.graph.node import NodeError
from nfa.formats.onnx.build import build
from nfa.formats.onnx.document import Document
from nfa.formats.onnx.fold import Folded, fold, one_row
from nfa.formats.onnx.node import Node
from nfa.formats.onnx.outputs import Output, choose_output, without_ending
from nfa.formats.rows import same_answers
from nfa.network.model import Model

GUESSES = (8, 32)
"""Sizes that are tried for axes that the file leaves open, besides those of the weights."""


def read_onnx(file: Path, argument: str) -> Model:
    """Read the network of an ONNX file.

    Weights keep the names of the file's initializers. One without a name is named after the module that its node came
    from. A final softmax or sigmoid is taken off.

    Args:
        file: An existing file. Its constants may lie in other files, in its folder or below.
        argument: What messages call it.

    Returns:
        The network, which takes batches of any size, whatever size the file was written for, or a single row.

    Raises:
        InputError: the file is damaged, needs operators that are not supported, has several inputs or several
            floating-point outputs, keeps constants outside its folder, or answers a batch otherwise than row
            by row.
    """
    proto = onnx.ModelProto()
    content = content_of(file, Place(argument, str(file)))
    try:
        proto.ParseFromString(content)
    except Exception as error:  # protobuf's errors are kinds of its own, which change with its version
        raise InputError(argument, f"cannot read {file} as ONNX: it is truncated or of another kind") from error
    document = Document(proto, file.parent, Place(argument, str(file)))
    whole = choose_output(document)
    chosen = without_ending(document, whole)
    net, answers = _network(document, chosen.value)
    if document.entry.single and chosen.axis >= 0:
        chosen = replace(chosen, axis=chosen.axis + 1)  # unlike the file's, the answers have an axis of samples
    if not _is_over_classes(chosen, answers):
        chosen = Output(whole, classes=chosen.classes)
        net, answers = _network(document, whole)
    notes: tuple[str, ...] = ()
    if chosen.ending is not None:
        notes = (f"The file's network ends in {chosen.ending.capitalize()}; logits are its input.",)
    outputs = answers[0].numel()
    if chosen.classes is not None and len(chosen.classes) != max(2, outputs):  # one output may have two sides
        raise document.error(f"names {len(chosen.classes)} classes for {outputs} outputs")
    return Model(net.eval(), file.name, classes=chosen.classes, ending=chosen.ending, notes=notes)


def _network(document: Document, output: str) -> tuple[GraphNet[Node], Tensor]:
    """Return the network and its answers to a few random rows, after checking that it takes batches of any size."""
    folded = fold(document, document.nodes(output))
    fixed = document.entry.batch or 1
    net = build(document, folded, output)
    with torch.no_grad():
        rows, expected = _first_answers(net, document, folded)
        if fixed == 1:
            return net, _any_batch(net, rows, document)
        net = build(document, one_row(folded, fixed), output)
        answers = _any_batch(net, rows[:CHECKED_ROWS], document)
        if not same_answers(net(rows[:fixed]), expected):
            raise _fixed(document, "its answers to a row depend on the others")
    return net, answers


def _any_batch(net: GraphNet[Node], rows: Tensor, document: Document) -> Tensor:
    """Return the answers to a few rows, after checking that they are the same for each row alone."""
    try:
        return check_rows(net, rows, document.where)
    except NodeError as error:
        if document.entry.single:
            raise
        raise _fixed(document, error.reason) from error


def _fixed(document: Document, reason: str) -> InputError:
    batch = document.entry.batch or 1
    return document.error(
        f"is fixed to a batch of {batch}, and takes no other ({reason}); export it with a dynamic batch axis"
    )


def _first_answers(net: GraphNet[Node], document: Document, folded: Folded) -> tuple[Tensor, Tensor]:
    """Return random rows, and the answers to a batch of the file's own size."""
    refusal = None
    entry = document.entry
    count = max(CHECKED_ROWS, entry.batch or 1)
    budget = GraphBudget.for_rows(sum(value.numel() for value in folded.constants.values()), count)
    for shape in _shapes(document, folded):
        draw = torch.Generator().manual_seed(0)
        if entry.dtype.is_floating_point:
            rows = torch.rand(count, *shape, generator=draw, dtype=torch.float64).to(entry.dtype)
        else:
            rows = torch.randint(0, 2, (count, *shape), generator=draw).to(entry.dtype)
        try:
            return rows, net(rows[: entry.batch or 1], budget)
        except InputError as error:
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _shapes(document: Document, folded: Folded) -> Iterator[tuple[int, ...]]:
    """Yield possible shapes of a row; where the file leaves sizes open, its weights suggest them."""
    shape = document.entry.shape
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
