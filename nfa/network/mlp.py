"""Fully connected networks with the paper's settings."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfa.common.checks import one_of, positive
from nfa.common.errors import InputError
from nfa.common.numerals import NUMBER

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "sine": torch.sin,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "identity": lambda z: z,
}


def parse_init(init: str) -> tuple[str, float]:
    """Return the kind of an initialisation and its number.

    Raises:
        InputError: `init` is not "default", "factor:NUMBER" or "first-normal:NUMBER" with a number above 0.

    >>> parse_init("factor:0.1")
    ('factor', 0.1)
    """
    kind, _, number = init.partition(":")
    one_of("init", kind, ("default", "factor", "first-normal"))
    if kind == "default" and not number:
        return kind, 1.0
    value = float(number) if NUMBER.fullmatch(number) else math.nan
    if kind == "default" or not (0 < value < math.inf):
        raise InputError("init", f"got {init!r}, expected 'default', 'factor:0.1' or 'first-normal:0.01'")
    return kind, value


class MLP(nn.Module):
    """A fully connected network: `depth` hidden layers, then a linear head.

    h_1 = x,  z_l = W_l h_l + b_l,  h_(l+1) = activation(z_l),  output = z_(depth+1).

    Args:
        d: Entries of an input row.
        width: Units of every hidden layer, or a list with one number for each.
        depth: Hidden layers; 0 makes a single linear layer.
        n_outputs: Entries of the output.
        activation: A name of `ACTIVATIONS`.
        bias: Whether layers have biases; the paper's have none.
        init: "default" (torch's: U(-1/sqrt(d), 1/sqrt(d)), d the layer's inputs), "factor:A" (the default
            times A in all layers), or "first-normal:S" (N(0, S^2) in the first layer, as in the authors'
            experiments; the default elsewhere). Biases are drawn as torch draws them, times A.
        seed: The weights are a function of the other arguments and this number.

    Raises:
        InputError: a size below 1, widths that disagree with `depth`, an unknown activation or init.

    Source: arXiv:2212.13881, section "Deep neural feature ansatz", and its appendix on training.

    >>> net = MLP(64, 32, 2, 10)
    >>> net(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        d: int,
        width: int | Sequence[int] = 256,
        depth: int | None = None,
        n_outputs: int = 1,
        activation: str = "relu",
        bias: bool = False,
        init: str = "default",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if isinstance(width, int):
            widths = [width] * (3 if depth is None else positive("depth", depth, least=0))
        else:
            widths = list(width)
            if depth is not None and depth != len(widths):
                raise InputError("depth", f"got {depth}, but {len(widths)} widths are given")
        sizes = [positive("d", d), *(positive("width", w) for w in widths), positive("n_outputs", n_outputs)]
        self.activation = one_of("activation", activation, ACTIVATIONS)
        self.init = init
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out, bias=bias, device="meta") for fan_in, fan_out in itertools.pairwise(sizes)
        ).to_empty(device="cpu")
        kind, value = parse_init(init)
        generator = torch.Generator().manual_seed(seed)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.Linear)
            bound = 1 / math.sqrt(layer.in_features) * (value if kind == "factor" else 1.0)
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)
            if kind == "first-normal" and number == 0:
                nn.init.normal_(layer.weight, 0.0, value, generator=generator)

    @property
    def architecture(self) -> dict[str, object]:
        """The arguments that build a network of the same shape."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        outs = [int(layer.out_features) for layer in self.layers if isinstance(layer, nn.Linear)]
        return {
            "d": first.in_features,
            "width": outs[:-1],
            "n_outputs": outs[-1],
            "activation": self.activation,
            "bias": first.bias is not None,
            "init": self.init,
        }

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (n x c) for rows x (n x d, or further axes that are flattened)."""
        h = x.flatten(1)
        activation = ACTIVATIONS[self.activation]
        for layer in self.layers[:-1]:
            h = activation(layer(h))
        output: Tensor = self.layers[-1](h)
        return output
