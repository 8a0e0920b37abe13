"""Files of weights alone, as networks: the one that the caller gives, or a chain of linear layers."""

import copy
from pathlib import Path

from torch import Tensor, nn

from nfa.common.errors import Place
from nfa.formats.factory import from_factory
from nfa.formats.names import check_depth
from nfa.formats.nfa_file import from_nfa, read_safetensors
from nfa.formats.readers import refuse_given
from nfa.formats.weights.state_dict import build
from nfa.formats.weights.torch_file import read_state_dict
from nfa.network.model import Model


def torch_weights(file: Path, argument: str, activation: str | None, model: str | nn.Module | None) -> Model:
    """Read a file of torch.save.

    Args:
        file: An existing file.
        argument: What messages call it.
        activation: The activation between the linear layers of a chain.
        model: The network that the weights belong to, or the factory that makes it.

    Raises:
        InputError: the file cannot be used safely or at all, or its weights do not make a network.
    """
    return _network(file, read_state_dict(file, argument), argument, activation, model, ordered=True)


def safetensors_weights(file: Path, argument: str, activation: str | None, model: str | nn.Module | None) -> Model:
    """Read a safetensors file, as `torch_weights` does; one that nfa wrote describes its network itself.

    Raises:
        InputError: as `torch_weights`, or an option is given for a file that nfa wrote.
    """
    tensors, header = read_safetensors(file, argument)
    if "nfa" in header:
        refuse_given(
            {"activation": activation, "model": model}, f"{file} was written by nfa and says all of its network itself"
        )
        return from_nfa(file, tensors, header["nfa"], argument)
    # The format sorts its tensors by dtype and name.
    return _network(file, tensors, argument, activation, model, ordered=False)


def _network(
    file: Path,
    tensors: dict[str, Tensor],
    argument: str,
    activation: str | None,
    model: str | nn.Module | None,
    ordered: bool,
) -> Model:
    check_depth(tensors, Place(argument, str(file)))
    # A copy: the same object may be given for the network's file and for that of its initialisation.
    net = from_factory(model, "model") if isinstance(model, str) else copy.deepcopy(model)
    built, notes = build(tensors, Place(argument, str(file)), activation, net, ordered)
    return Model(built.eval(), file.name, notes=notes)
