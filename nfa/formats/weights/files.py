"""Weights alone, as networks: the one that the caller gives, or a chain of linear layers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from nfa.common.errors import Place
from nfa.formats.factory import from_factory
from nfa.formats.names import check_depth, without_prefixes
from nfa.formats.nfa_file import from_nfa, read_safetensors
from nfa.formats.readers import refuse_given
from nfa.formats.weights.places import state_dict_of, under
from nfa.formats.weights.state_dict import build, check_kinds
from nfa.formats.weights.torch_file import read_state_dict
from nfa.network.examinable import copied
from nfa.network.model import Model


def torch_weights(
    file: Path,
    argument: str,
    activation: str | None,
    model: str | nn.Module | None,
    key: str | None,
    prefix: str | None,
) -> Model:
    """Read a file of torch.save.

    Args:
        file: An existing file.
        argument: What messages call it.
        activation: The activation between the linear layers of a chain.
        model: The network that the weights belong to, or the factory that makes it.
        key: Where in the file they lie.
        prefix: The beginning of their names, under the key.

    Raises:
        InputError: the file cannot be used safely or at all, or its weights do not make a network.
    """
    net = given_network(model)
    tensors = read_state_dict(file, argument, key, None if net is None else net.state_dict())
    return _network(Place(argument, str(file)), file.name, tensors, activation, net, prefix, ordered=True)


def safetensors_weights(
    file: Path, argument: str, activation: str | None, model: str | nn.Module | None, prefix: str | None
) -> Model:
    """Read a safetensors file, as `torch_weights` does; one that nfa wrote describes its network itself.

    Raises:
        InputError: as `torch_weights`, or an option is given for a file that nfa wrote.
    """
    tensors, header = read_safetensors(file, argument)
    if "nfa" in header:
        refuse_given(
            {"activation": activation, "model": model, "prefix": prefix},
            f"{file} was written by nfa and says all of its network itself",
        )
        return from_nfa(file, tensors, header["nfa"], argument)
    # The format sorts its tensors by dtype and name.
    return _network(
        Place(argument, str(file)), file.name, tensors, activation, given_network(model), prefix, ordered=False
    )


def state_dict_weights(
    content: Mapping[Any, Any],
    argument: str,
    activation: str | None,
    model: str | nn.Module | None,
    key: str | None,
    prefix: str | None,
) -> Model:
    """Make a network of a state dict, or of a checkpoint that holds one, as `torch_weights` does of a file.

    Raises:
        InputError: its weights do not make a network.
    """
    net, where = given_network(model), Place(argument, "the state dict")
    tensors = state_dict_of(content, where, key, None if net is None else net.state_dict())[1]
    check_kinds(tensors, where)
    return _network(where, "a state dict", without_prefixes(tensors), activation, net, prefix, ordered=True)


def given_network(model: str | nn.Module | None) -> nn.Module | None:
    """Return a copy of the network that weights belong to, or what its factory makes.

    Raises:
        InputError: as `from_factory`.
    """
    # A copy: the same object may be named for a network's file and for that of its initialisation.
    if isinstance(model, nn.Module):
        return copied(model)
    return None if model is None else from_factory(model, "model")


def _network(
    where: Place,
    name: str,
    tensors: dict[str, Tensor],
    activation: str | None,
    net: nn.Module | None,
    prefix: str | None,
    ordered: bool,
) -> Model:
    check_depth(tensors, where)
    notes: tuple[str, ...] = ()
    if prefix is not None:
        tensors, notes = under(tensors, prefix, where)
    built, said = build(tensors, where, activation, net, ordered)
    return Model(built.eval(), name, notes=(*notes, *said))
