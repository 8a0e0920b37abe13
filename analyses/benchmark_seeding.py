"""What does `LayerwiseRFM.from_network` cost beside its parts? In seconds, and as a ratio.

    python -m analyses.benchmark_seeding

A network of 5 linear layers of width 512, 4,000 rows, AGOP, no updates. The parts: the audit, and for each layer the
fit of an `RFMClassifier`, seeded with the layer's AGOP, to that layer's inputs, which are handed to it. Whole and parts
are taken in turn; medians.
"""

import statistics

import torch
from rich.console import Console
from rich.table import Table

import nfa
from analyses.benchmark_audit import timed
from nfa.network import MLP
from nfa.network.forward import Forward
from nfa.probe import Probe, activations
from nfa.rfm import LayerwiseRFM, RFMClassifier

N, WIDTH, LAYERS, CLASSES, ROUNDS = 4000, 512, 5, 10, 3


def main() -> None:
    """Time whole and parts, and print them."""
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(N, WIDTH, generator=generator)
    y = (X @ torch.randn(WIDTH, CLASSES, generator=generator)).argmax(1)
    net = MLP(WIDTH, WIDTH, LAYERS - 1, CLASSES)
    audit = nfa.audit(net, X)
    with Probe(Forward(net), X) as probe:
        rows = activations(probe, [layer.name for layer in probe.layers]).rows

    def whole() -> None:
        LayerwiseRFM.from_network(net, X, y, features="agop", n_iters=0)

    def measured() -> None:
        nfa.audit(net, X)

    def fits() -> None:
        for layer in audit:
            RFMClassifier(n_iters=0, M_init=layer, ridge=1e-3, scale=None, temperature=None).fit(
                rows[layer["name"]][:, 0], y
            )

    rounds = [[timed(work, "cpu") for work in (whole, measured, fits)] for _ in range(ROUNDS)]
    seconds, audits, machines = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = statistics.median(each[0] / (each[1] + each[2]) for each in rounds)
    table = Table("from_network s", "audit", "kernel fits", "whole / parts")
    table.add_row(f"{seconds:.1f} s", f"{audits:.1f} s", f"{machines:.1f} s", f"{ratio:.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
