"""How fast is the AGOP of convolutions? Times the sweep against its floor, in processor seconds of one thread.

    python -m analyses.benchmark_convolutions [--rows 64] [--rounds N]

Pictures of 3 x 32 x 32, 10 outputs, float32. *Residual*: a convolution of 32 channels, then six residual blocks of two
(32, 64, 128 channels, batch norm, 3 x 3), mean over positions, a linear head. *Plain*: 64, 64, 128, 128, 256, 256
channels (3 x 3) with max pooling after every second one, a hidden linear layer of 256 units, a head.

- *torch*: one forward pass in batches as the sweep has them, and a backward pass for each output, to z of the first
  convolution: all deltas are computed on the way, and no gradient of a weight.
- *sums*: delta'delta at every position, k^2 / 2 multiply-adds by symmetry, at the rate of a matrix product of
  2048 x 2048, measured right before.
- *sweep*: everything from the network to S of all layers, kept by group as the interval needs.
- *ratio*: sweep / (torch + sums), the median over rounds, in each of which all are taken one after the other. Rounds of
  more pictures are longer and fewer, so that a call takes a minute or two.
"""

import argparse
import statistics
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from analyses.benchmark_audit import sweep
from analyses.processor import processor_seconds, product_rate
from nfa.probe import BATCH_SIZE, Probe

OUTPUTS, PIXELS = 10, 32

FEW, MANY = 8, 320
"""Pictures that warm up, and that all rounds together have where `--rounds` is not given."""


class Residual(nn.Module):
    """Two convolutions with batch norm, and a way around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        alike = before == after and stride == 1
        self.around = nn.Identity() if alike else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways, above 0."""
        return torch.relu(self.inner(x) + self.around(x))


def residual() -> nn.Sequential:
    """A small residual network."""
    blocks = [Residual(32, 32, 1), Residual(32, 32, 1), Residual(32, 64, 2), Residual(64, 64, 1)]
    blocks += [Residual(64, 128, 2), Residual(128, 128, 1)]
    start = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    return nn.Sequential(*start, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, OUTPUTS))


def plain() -> nn.Sequential:
    """A small network of convolutions one after the other."""
    layers: list[nn.Module] = []
    before = 3
    for width in (64, 128, 256):
        for last in (False, True):
            layers += [nn.Conv2d(before, width, 3, 1, 1), nn.ReLU(), *([nn.MaxPool2d(2)] if last else [])]
            before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 16, 256), nn.ReLU(), nn.Linear(256, OUTPUTS))


NETWORKS: dict[str, Callable[[], nn.Sequential]] = {"residual": residual, "plain": plain}


def torch_alone(net: nn.Sequential, X: Tensor) -> None:
    """One forward pass, and a backward pass for each output, to z of the first convolution."""
    for x in X.split(BATCH_SIZE):
        z = net[0](x).detach().requires_grad_()
        f = net[1:](z)
        for column in range(OUTPUTS):
            torch.autograd.grad(f[:, column].sum(), z, retain_graph=column < OUTPUTS - 1)


def sum_operations(net: nn.Sequential, X: Tensor) -> float:
    """Multiply-adds of delta'delta over all rows, positions and outputs."""
    with Probe(net, X[:2]) as probe:
        sizes = [
            (delta.shape[1], delta.shape[2]) for each in probe.sweeps() if not each.column for _, delta in each.deltas
        ]
    return len(X) * OUTPUTS * sum(positions * k * k / 2 for positions, k in sizes)


def compare(name: str, rows: int, rounds: int) -> list[float]:
    """Return seconds of torch, of the sums and of the sweep, and their ratio; medians."""
    torch.manual_seed(0)
    net, X = NETWORKS[name]().eval(), torch.randn(rows, 3, PIXELS, PIXELS)
    operations = sum_operations(net, X)
    found = []
    torch_alone(net, X[:FEW])
    sweep(net, X[:FEW])
    for _ in range(rounds):
        floor = processor_seconds(lambda: torch_alone(net, X))
        sums = operations / product_rate()
        found.append((floor, sums, processor_seconds(lambda: sweep(net, X))))
    columns = [statistics.median(each) for each in zip(*found, strict=True)]
    return [*columns, statistics.median(ours / (floor + sums) for floor, sums, ours in found)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=64, help="pictures (%(default)s)")
    parser.add_argument(
        "--rounds", type=int, help="how often; by default as often as 320 pictures allow, twice at least"
    )
    call = parser.parse_args()
    rounds = max(2, MANY // call.rows) if call.rounds is None else call.rounds
    torch.set_num_threads(1)
    table = Table("network", "torch", "sums", "sweep", "ratio", title=f"{call.rows} pictures, processor seconds")
    for name in NETWORKS:
        floor, sums, ours, ratio = compare(name, call.rows, rounds)
        table.add_row(name, f"{floor:.2f}", f"{sums:.2f}", f"{ours:.2f}", f"{ratio:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
