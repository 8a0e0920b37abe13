"""How long does an audit from a file take? Loads and audits one network from every format.

    python -m analyses.benchmark_loading

The network: 784 inputs, 6 hidden layers of width 256, relu, 10 outputs, float32; 1,000 rows. *First*: in a new process
with `nfa` and torch imported, so that whatever else the format needs is imported within the time. *Again*: the
second time in that process. *Help*: `nfa audit --help`, as a whole process.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import save_file
from torch import Tensor, nn

import nfa
from nfa.formats import save_model
from nfa.network import Model

D, WIDTH, DEPTH, OUTPUTS, ROWS, ROUNDS = 784, 256, 6, 10, 1000, 3
FORMATS = {"nfa": ".safetensors", "weights": ".safetensors", "state dict": ".pt", "exported": ".pt2", "onnx": ".onnx"}


def write(folder: Path) -> None:
    """Write one network in every format."""
    net = nfa.MLP(D, WIDTH, DEPTH, OUTPUTS, bias=True)
    save_model(folder / "nfa.safetensors", Model(net, "net"))
    save_file(net.state_dict(), folder / "weights.safetensors")
    torch.save(net.state_dict(), folder / "state dict.pt")
    layers = [part for layer in net.layers for part in (layer, nn.ReLU())][:-1]
    plain = nn.Sequential(*layers).eval()
    example = (torch.zeros(2, D),)
    shapes = ({0: torch.export.Dim("batch")},)
    with warnings.catch_warnings():  # of the exporters
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(plain, example, dynamic_shapes=shapes), folder / "exported.pt2")
        torch.onnx.export(plain, example, folder / "onnx.onnx", dynamic_shapes=shapes, verbose=False)


def rows() -> Tensor:
    """The data."""
    return torch.from_numpy(np.random.default_rng(0).normal(size=(ROWS, D)).astype(np.float32))


def once(path: str) -> float:
    """Seconds to load and audit a file."""
    started = time.perf_counter()
    activation = "relu" if Path(path).stem in ("weights", "state dict") else None
    audit = nfa.audit(nfa.load(path, activation=activation), rows())
    assert len(audit) == DEPTH + 1
    return time.perf_counter() - started


def in_new_process(*arguments: str) -> str:
    """Standard output of a Python process."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, check=True, text=True).stdout


def main() -> None:
    """Measure, print."""
    if len(sys.argv) > 1:
        sys.stdout.write(json.dumps([once(sys.argv[1]), once(sys.argv[1])]))
        return
    table = Table(title=f"load and audit {DEPTH} x {WIDTH} on {ROWS} rows of {D}: median of {ROUNDS} processes")
    for heading in ("file", "first", "again"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        for name, suffix in FORMATS.items():
            path = str(Path(folder) / f"{name}{suffix}")
            found = [json.loads(in_new_process("-m", "analyses.benchmark_loading", path)) for _ in range(ROUNDS)]
            first, again = (statistics.median(times) for times in zip(*found, strict=True))
            table.add_row(f"{name} {suffix}", f"{first:.2f} s", f"{again:.2f} s")
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        in_new_process("-m", "nfa", "audit", "--help")
        times.append(time.perf_counter() - started)
    table.add_row("nfa audit --help", f"{statistics.median(times):.2f} s", "")
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    main()
