"""The graph of an exported program, for any number of rows and in evaluation mode."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from nfa.common.errors import Place
from nfa.common.shown import few, shown
from nfa.formats.exported.operators import ASSERTIONS, DTYPES, TRAINED_NORMS, base_name, is_in_place, resolve
from nfa.formats.exported.running import run_step
from nfa.formats.exported.step import Known, Ref, Step, parse_step, sizes
from nfa.formats.graph.modules import put_all
from nfa.formats.graph.net import GraphNet
from nfa.formats.graph.node import Graph
from nfa.formats.names import uncompiled

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Buffers that only training changes."""

DROPOUTS = frozenset({"alpha_dropout", "dropout", "feature_alpha_dropout", "feature_dropout", "native_dropout"})
RESHAPES = frozenset({"_unsafe_view", "reshape", "view", "view_copy"})
EXPANDS = frozenset({"expand", "broadcast_to"})
FILLS = frozenset({"full", "new_full", "new_ones", "new_zeros", "ones", "zeros"})


@dataclass(frozen=True)
class Program:
    """A graph from rows to one output.

    Args:
        graph: What is computed from rows.
        tensors: The names of parameters and buffers in the network, by the name of the value in the graph.
        parameters: The names of those that are weights.
        sample: The shape of one row with the sizes that it was exported with.
        batch: The number of rows that the program was exported for; None where it takes any number.
        ending: "softmax" or "sigmoid" where the file's network ends so; it is left out here.
        notes: Sentences for whoever reads the results.
    """

    graph: Graph[Step]
    tensors: dict[str, str]
    parameters: frozenset[str]
    sample: tuple[int, ...]
    batch: int | None
    ending: str | None
    notes: tuple[str, ...]

    def network(self, tensors: dict[str, Tensor]) -> GraphNet[Step]:
        """Return the program as a network, always in evaluation mode.

        Args:
            tensors: Its weights, buffers and constants by name, and perhaps more. Weights that share their memory
                become one parameter.

        Raises:
            KeyError: a tensor is missing, or has a name that no module can have.
        """
        net = GraphNet(self.graph, run_step)
        named = {uncompiled(name): tensors[name] for name in self.tensors.values()}
        weights = {uncompiled(name) for name in self.parameters}
        put_all(net, named, weights, {uncompiled(step.module): step.kind for step in self.graph.nodes})
        for value, name in self.tensors.items():
            net.bind(value, uncompiled(name))
        for place, step in enumerate(self.graph.nodes):
            net.run_within(place, uncompiled(step.module))
        return net.eval()


def parse_program(module: dict[str, Any], where: Place) -> Program:
    """Return the program of a JSON's "graph_module".

    Raises:
        InputError: it takes several inputs or gives several outputs, changes its weights, or uses anything
            but known functions of tensors.
    """
    graph, signature = module["graph"], module["signature"]
    values = graph["tensor_values"]
    tensors, parameters, rows = _inputs(signature["input_specs"], where)
    dtype = DTYPES[values[rows]["dtype"]]
    if not dtype.is_floating_point:
        raise where.error(f"takes {dtype} as {shown(rows)}, expected floating-point rows")
    whole = sizes(values[rows])
    sample = tuple(size["as_int"] if "as_int" in size else _hint(size) for size in values[rows]["sizes"])
    # A program exported for a single vector has no axis of rows; most operators work with one in front, too.
    vector = len(whole) == 1 and whole[0] is not None
    batch = None if vector or not whole else whole[0]
    output = _output(signature["output_specs"], values, where)
    recorded = {name: sizes(meta) for name, meta in values.items()}
    steps, trained = _evaluated(graph["nodes"], tensors, where)
    if batch is not None:
        steps = _any_batch(steps, rows, batch, recorded)
    steps = _without_views(steps)
    output, ending = _ending(steps, output, recorded)
    notes = []
    if ending:
        notes.append(f"The file's network ends in {ending.capitalize()}; logits are its input.")
    if trained:
        notes.append("The program was exported in training mode; dropout and batch norm are run as in evaluation.")
    inner = slice(None) if vector else slice(1, None)
    graph = Graph(where, rows, whole[inner], dtype, _needed(steps, output), output)
    return Program(graph, tensors, parameters, sample[inner], batch, ending, tuple(notes))


def _inputs(specs: list[dict[str, Any]], where: Place) -> tuple[dict[str, str], frozenset[str], str]:
    """Return the names of all tensors by value, the names of the weights, and the value that is the rows."""
    tensors, parameters, users = {}, [], []
    for spec in specs:
        ((kind, value),) = spec.items()
        if kind in ("parameter", "buffer", "tensor_constant"):
            tensors[str(value["arg"]["name"])] = str(value[f"{kind}_name"])
            parameters.extend([str(value["parameter_name"])] if kind == "parameter" else [])
        elif kind == "user_input" and "as_tensor" in value["arg"]:
            users.append(str(value["arg"]["as_tensor"]["name"]))
        elif kind not in ("user_input", "constant_input"):
            raise where.error(f"takes more than tensors ({shown(kind)}); hand over the network itself")
    if len(users) != 1:
        raise where.error(f"takes {len(users)} inputs ({few(users)}), expected one: the rows")
    return tensors, frozenset(parameters), users[0]


def _output(specs: list[dict[str, Any]], values: dict[str, Any], where: Place) -> str:
    """Return the value that is the program's answer."""
    users = []
    for spec in specs:
        ((kind, value),) = spec.items()
        if kind == "user_output":
            users.extend([value["arg"]["as_tensor"]["name"]] if "as_tensor" in value["arg"] else [])
        elif kind == "buffer_mutation" and str(value["buffer_name"]).endswith(STATISTICS):
            continue
        elif kind != "user_input_mutation":
            raise where.error(f"changes more than its answer ({shown(kind)}); export it after net.eval()")
    real = [name for name in users if DTYPES[values[name]["dtype"]].is_floating_point]
    if len(real) != 1:
        raise where.error(f"gives {len(real)} floating-point outputs ({few(real)}); export it with one")
    return str(real[0])


def _evaluated(nodes: list[dict[str, Any]], tensors: dict[str, str], where: Place) -> tuple[list[Step], bool]:
    """Return the steps in evaluation mode, and whether any had to be changed for that."""
    steps, trained = [], False
    for node in nodes:
        if base_name(node["target"]) in ASSERTIONS:
            continue
        step = parse_step(node, where)
        base, given = base_name(step.target), step.given
        first = next(iter(given.values()), None)
        if is_in_place(step.target) and isinstance(first, Ref) and first.name in tensors:
            if not tensors[first.name].endswith(STATISTICS):
                raise where.error(f"changes its own {shown(tensors[first.name])}; hand over the network itself")
            trained = True
            continue
        switch = {"batch_norm": "training", "instance_norm": "use_input_stats", "rrelu": "training"}.get(base)
        if base in DROPOUTS:
            trained |= given.get("train") is not False
            step.given["train"] = False
        elif base == "scaled_dot_product_attention":
            trained |= given.get("dropout_p", 0.0) != 0.0
            step.given["dropout_p"] = 0.0
        elif base in TRAINED_NORMS:
            trained |= given.get("training") is True
            step = _frozen_norm(step, where)
        elif switch and given.get(switch) is True and (base == "rrelu" or given.get("running_mean") is not None):
            trained = True
            step.given[switch] = False
        steps.append(step)
    return steps, trained


def _frozen_norm(step: Step, where: Place) -> Step:
    """Return batch norm with the statistics that it has, which training would change."""
    target = "torch.ops.aten._native_batch_norm_legit_no_training.default"
    function = resolve(target)
    assert function is not None
    if not isinstance(step.given.get("running_mean"), Ref):
        raise where.error("normalises by the statistics of each batch, so that rows depend on one another")
    given = {name: value for name, value in step.given.items() if name != "training"}
    return Step(target, function, given, (*step.outputs[:3], *(None for _ in step.outputs[3:])), many=True)


def _any_batch(steps: list[Step], rows: str, batch: int, recorded: dict[str, tuple[int | None, ...]]) -> list[Step]:
    """Replace the number of rows that a program was exported with by the number that comes in."""
    depends = {rows}
    found = []
    for step in steps:
        base, given = base_name(step.target), dict(step.given)
        name = "size" if "size" in given else "shape"
        asked = given.get(name)
        if depends.intersection(step.inputs):
            depends.update(output for output in step.outputs if output)
            if base in RESHAPES:
                front, *others = recorded[step.outputs[0] or ""] or (None,)
                # The first axis holds the rows, perhaps together with others; its size is whatever is left.
                if front is not None and front % batch == 0 and None not in others:
                    given[name] = [-1, *others]
        if isinstance(asked, list) and asked[:1] == [batch] and (base in EXPANDS or (base in FILLS and batch > 1)):
            given[name] = [Known.BATCH, *asked[1:]]
        found.append(dataclasses.replace(step, given=given))
    return found


def _without_views(steps: list[Step]) -> list[Step]:
    """Reshape where a program views: memory may lie in another order here than where it was exported.

    Attention in torch 2.6 is such a place. Where nothing is written in place, a view is what a copy is.
    """
    if any(is_in_place(step.target) for step in steps):
        return steps
    target = "torch.ops.aten.reshape.default"
    function = resolve(target)
    assert function is not None
    return [
        dataclasses.replace(
            step, target=target, function=function, given={"self": step.given["self"], "shape": step.given["size"]}
        )
        if step.target == "torch.ops.aten.view.default"
        else step
        for step in steps
    ]


def _ending(steps: list[Step], output: str, recorded: dict[str, tuple[int | None, ...]]) -> tuple[str, str | None]:
    """Take out a final softmax along the classes, or sigmoid; return the value before it, and which it was."""
    last = next((step for step in steps if step.outputs == (output,)), None)
    if last is None or any(output in step.inputs for step in steps):
        return output, None
    base, logits = base_name(last.target), last.given.get("self")
    axes = len(recorded.get(output, ()))
    soft = base in ("softmax", "_softmax") and axes == 2 and last.given.get("dim") in (-1, 1)
    if not isinstance(logits, Ref) or not (soft or base == "sigmoid"):
        return output, None
    steps.remove(last)
    return logits.name, "softmax" if soft else "sigmoid"


def _needed(steps: Iterable[Step], output: str) -> tuple[Step, ...]:
    """Leave out the steps that the output does not depend on."""
    wanted = {output}
    kept = []
    for step in reversed(list(steps)):
        if is_in_place(step.target) or wanted.intersection(name for name in step.outputs if name):
            wanted.update(step.inputs)
            kept.append(step)
    return tuple(reversed(kept))


def _hint(size: dict[str, Any]) -> int:
    """Return the size that a varying one had when the program was exported; 2 where that is not recorded."""
    hint = size["as_expr"].get("hint") or {}
    return int(hint.get("as_int", 2))
