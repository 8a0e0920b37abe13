"""Writes a random network line by line, twice: as people write modules, and as formulas beside it."""

import random

SMOOTH = ("torch.tanh", "F.gelu", "F.silu", "torch.sigmoid", "F.softplus", "torch.sin")
KINKED = ("torch.relu", "F.leaky_relu", "F.elu")


class Writer:
    """Collects the lines of one program.

    Args:
        seed: Of all its choices.

    Attributes:
        r: Draws.
        dtype: Of the network.
        T: Positions of a sample; None for one row each.
        made, net, plain: Lines of `__init__`, of `forward`, and of the formulas.
        missing: Layers that are named in `skipped`.
        routed: Layers that only some rows reach.
        more: The second input's variable, n x (T x) 4 like the first one's; "" where there is none.
    """

    def __init__(self, seed):
        self.r, self.seed = random.Random(seed), seed
        self.made, self.net, self.plain = [], [], []
        self.missing, self.routed = set(), set()
        self.more, self._number = "", 0
        self.dtype = self.r.choices(["float32", "float64", "float16", "bfloat16"], [12, 6, 1, 1])[0]
        self.half = self.dtype in ("float16", "bfloat16")
        self.T = self.r.choice([None, None, 3, 4])
        self.activations = SMOOTH if self.half or self.r.random() < 0.3 else SMOOTH + KINKED

    def line(self, net, plain=None):
        """Write a line of the network, and the same in formulas where they differ."""
        self.net.append(net)
        self.plain.append(net if plain is None else plain)

    def make(self, line):
        """Write a line of `__init__`."""
        self.made.append(line)

    def fresh(self, letter="m"):
        """Return a name that nothing has."""
        self._number += 1
        return f"{letter}{self._number}"

    def parameter(self, name, *shape):
        """Make a parameter whose rows are of norm one, about."""
        scale = 1.0 / max(1, shape[-1]) ** 0.5 if len(shape) > 1 else 0.7
        self.make(f"self.{name} = nn.Parameter({scale:.3f} * torch.randn({', '.join(map(str, shape))}))")
