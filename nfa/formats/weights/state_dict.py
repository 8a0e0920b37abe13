"""Weights alone: put into a network that the user gives, or rebuilt as a plain chain of linear layers."""

import torch
from torch import Tensor, nn

from nfa.common.checks import check_finite, one_of
from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.formats.names import without_prefixes
from nfa.formats.weights.chain import Chain, Link, dotted
from nfa.formats.weights.guesses import activation_first, chain_note, check_room
from nfa.formats.weights.ordering import ADVICE, Group, chained, in_some_order
from nfa.formats.weights.places import check_one_chain, fitting, left_out, under
from nfa.network.examinable import DEQUANTISE, REAL
from nfa.network.mlp import ACTIVATIONS

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""The dtypes in which networks compute."""

LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""The names that linear layers and norms give their tensors."""


def check_kinds(tensors: dict[str, Tensor], where: Place) -> None:
    """See that tensors are such as layers can be made of.

    Raises:
        InputError: one is quantized, complex, sparse or without values.
    """
    for name, tensor in tensors.items():
        if tensor.is_quantized:
            raise where.because(f"{shown(name)} is quantized; {DEQUANTISE}")
        if tensor.is_complex():
            raise where.because(f"{shown(name)} holds complex numbers; {REAL}")
        if tensor.layout != torch.strided or tensor.is_meta:
            raise where.because(f"{shown(name)} is no dense tensor of real numbers")


def build(
    tensors: dict[str, Tensor], where: Place, activation: str | None, net: nn.Module | None, ordered: bool = True
) -> tuple[nn.Module, tuple[str, ...]]:
    """Make a network of a file's tensors.

    With `net`, the weights go into it: the object itself gets them, and is returned. Without, the tensors
    must be those of a plain chain: linear layers, with at most one batch norm or layer norm in front of
    the first and between two of them (eps is taken to be torch's default, 1e-5), and `activation` between
    them, which the notes tell. A norm stands before the activation unless the numbers in the names tell otherwise.
    Where these leave room for an activation between some layers of one `Sequential` alone, nothing is guessed. Norms
    without any tensor cannot be seen in such a file, and a batch norm without statistics looks like a layer
    norm there.

    Args:
        tensors: By name; the prefixes of `DataParallel` and `torch.compile` are removed.
        where: What messages begin with, such as "model: net.pt".
        activation: A name of `ACTIVATIONS`: the activation between the linear layers.
        net: The network that the weights belong to.
        ordered: Whether the tensors come in the network's order; if not (safetensors), the numbers in the
            names and the shapes must tell it.

    Returns:
        The network, its parameters called as in the file, and sentences on what had to be assumed.

    Raises:
        InputError: the weights do not fit the network, or are those of no plain chain; the activation is
            missing or unknown; an entry is not finite.

    >>> weights = {"0.weight": torch.ones(4, 3), "2.weight": torch.ones(1, 4)}
    >>> net, notes = build(weights, Place("model", "net.pt"), "relu", None)
    >>> [name for name, _ in net.named_parameters()], notes
    (['0.weight', '2.weight'], ('Rebuilt as a chain: 0, 2, with relu after each but the last.',))
    """
    if activation is not None:
        one_of("activation", activation, ACTIVATIONS)
    for name, tensor in tensors.items():
        if tensor.dtype in DTYPES:
            check_finite(where.within(shown(name)), tensor)
    if net is not None:
        if activation is not None:
            raise InputError("activation", "only for a chain rebuilt from weights alone; the given network has its own")
        return net, _fill(net, tensors, where)
    tensors = without_prefixes(tensors)
    groups = _groups(tensors, where)
    check_one_chain(groups, where, ordered)
    found = chained(groups, where) if ordered else in_some_order(groups, where)
    if activation is None and sum(group.kind == "linear" for group in found) > 1:
        raise InputError(
            "activation",
            "the file holds weights alone; say what stands between the layers, "
            "e.g. --activation relu (activation='relu')",
        )
    check_room(found, where)
    links, notes = _links(found, activation)
    notes = (chain_note(found, activation), *notes)
    try:
        return Chain(_one_dtype(tensors), links), notes
    except KeyError as error:
        raise where.error(f"cannot be rebuilt: {shown(error.args[0])}; give the network with --model") from error


def _fill(net: nn.Module, tensors: dict[str, Tensor], where: Place) -> tuple[str, ...]:
    """Put the tensors into the network that they belong to, name by name; return sentences on what was left out."""
    own = {name: value for name, value in net.state_dict().items() if isinstance(value, Tensor)}
    # Wrappers around the saved network, or around the given one, do not matter.
    for given in (tensors, without_prefixes(tensors, tuple({name.split(".")[0] for name in tensors}))):
        for names in (own, without_prefixes(own)):
            if names.keys() == given.keys():
                _load(net, dict(zip(names, own, strict=True)), own, given, where)
                return ()
    # Beside the network a checkpoint may hold parts of its training: a loss with weights, a counter.
    prefix = fitting(tensors, own, where)
    if prefix is not None:
        given, _ = under(tensors, prefix, where)
        _load(net, {name: name for name in own}, own, given, where)
        return (left_out(prefix, [name for name in tensors if not name.startswith(f"{prefix}.")]),)
    problems = []
    for what, odd in (
        ("are missing", [name for name in own if name not in tensors]),
        ("are not the network's", [name for name in tensors if name not in own]),
    ):
        if odd:
            problems.append(f"{few(odd)} {what}")
    raise where.error(f"does not fit the network: {'; '.join(problems)}")


def _load(
    net: nn.Module, names: dict[str, str], own: dict[str, Tensor], tensors: dict[str, Tensor], where: Place
) -> None:
    odd = [name for name, tensor in tensors.items() if tensor.shape != own[names[name]].shape]
    if odd:
        shapes = [f"{name} {tuple(tensors[name].shape)} for {tuple(own[names[name]].shape)}" for name in odd]
        raise where.error(f"does not fit the network: {few(shapes)}")
    lazy = [name for name, tensor in own.items() if tensor.is_meta]
    net.load_state_dict({names[name]: tensor for name, tensor in tensors.items()}, assign=bool(lazy))


def _groups(tensors: dict[str, Tensor], where: Place) -> list[Group]:
    """Return the tensors layer by layer, in the order in which layers first appear."""
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, leaf = name.rpartition(".")
        layers.setdefault(prefix, {})[leaf] = tensor
    found: list[Group] = []
    odd: list[str] = []
    for prefix, parts in layers.items():
        group = _group(prefix, parts)
        if group is None:
            odd.extend(f"{dotted(prefix, leaf)} {tuple(tensor.shape)}" for leaf, tensor in parts.items())
        else:
            found.append(group)
    if odd:
        raise where.error(f"is no plain chain of linear layers ({few(odd)}); {ADVICE}")
    if not any(group.kind == "linear" for group in found):
        raise where.error(f"holds no linear layer, a weight with two axes; {ADVICE}")
    return found


def _group(prefix: str, parts: dict[str, Tensor]) -> Group | None:
    """Recognise a layer by the names and shapes of its tensors; None if it is of another kind."""
    vectors = [tensor for leaf, tensor in parts.items() if leaf not in ("weight", "num_batches_tracked")]
    weight = parts.get("weight")
    real = [tensor for leaf, tensor in parts.items() if leaf != "num_batches_tracked"]
    if not set(parts) <= set(LEAVES) or any(tensor.dtype not in DTYPES or tensor.numel() == 0 for tensor in real):
        return None
    if weight is not None and weight.ndim == 2:
        k, d = weight.shape
        fits = set(parts) <= {"weight", "bias"} and all(tensor.shape == (k,) for tensor in vectors)
        return Group("linear", prefix, d, k) if fits else None
    statistics = {"running_mean", "running_var"} <= set(parts)
    if not real or any(tensor.shape != real[0].shape or tensor.ndim != 1 for tensor in real):
        return None
    affine = {"weight", "bias"} <= set(parts)
    if not statistics and (not affine or len(parts) > 2):
        return None
    if statistics and not affine and ("weight" in parts or "bias" in parts):
        return None
    return Group("batch norm" if statistics else "layer norm", prefix, len(real[0]), len(real[0]))


def _links(groups: list[Group], activation: str | None) -> tuple[tuple[Link, ...], tuple[str, ...]]:
    """Put the activation between the linear layers, and note where that was a guess."""
    links: list[Link] = []
    guessed = []
    last = len(groups) - 1
    for place, group in enumerate(groups):
        links.append(Link(group.kind, group.name))
        if place == last or activation is None:
            continue
        act = Link("activation", activation)
        if group.kind == "linear" and groups[place + 1].kind == "linear":
            links.append(act)
        elif group.kind != "linear" and place > 0:
            first = activation_first(groups[place - 1].name, group.name, groups[place + 1].name)
            links.insert(-1 if first else len(links), act)
            if first is None:
                guessed.append(group.name)
    if not guessed:
        return tuple(links), ()
    note = f"The file does not tell whether {few(guessed)} stands before or after the activation; it was put before"
    return tuple(links), (f"{note}. Give the network itself (--model) where that is wrong.",)


def _one_dtype(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with all floating-point ones in the widest dtype among them."""
    widest: torch.dtype | None = None
    for tensor in tensors.values():
        if tensor.is_floating_point():
            widest = tensor.dtype if widest is None else torch.promote_types(widest, tensor.dtype)
    return {name: tensor.to(widest) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
