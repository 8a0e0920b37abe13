"""`nfa demo`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nfa.commands.options import (
    MEASURED,
    DataArgument,
    DownloadOption,
    FolderOption,
    JsonOption,
    MemoryOption,
    OutOption,
    QuietOption,
    SeedOption,
    TargetOption,
    WideOption,
)
from nfa.commands.printing import Printer, check_page, finish
from nfa.commands.train import train_network


def demo_command(
    data: DataArgument = "digits",
    target: TargetOption = None,
    folder: FolderOption = None,
    download: DownloadOption = False,
    max_memory: MemoryOption = None,
    track: Annotated[
        bool,
        typer.Option(
            "--track",
            help="Audit also before and during training, into tracker.safetensors.",
            rich_help_panel=MEASURED,
        ),
    ] = False,
    seed: SeedOption = 0,
    out: OutOption = Path("runs/demo"),
    wide: WideOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a network on a built-in set or a file, audit it beside its initialisation, and say what it learned."""
    from nfa.audits.run import audit
    from nfa.data import load_data

    check_page()
    rows = load_data(data, target, folder, download, max_memory)
    network = {"width": 128, "depth": 3, "activation": "relu", "bias": False, "init": "factor:0.1"}
    settings: dict[str, Any] = {"loss": None, "optimizer": "adam", "lr": 1e-3, "batch_size": 64, "keep": "last"}
    # About 150,000 samples in all, whatever the set's size: enough to leave so small an initialisation.
    settings |= {"epochs": max(3, 150_000 // rows.n), "weight_decay": 0.0}
    split = {"test": 0.2, "val": 0.0, "seed": seed}
    at = _doublings(settings["epochs"]) if track else None
    printer = Printer(json, quiet)
    trained = train_network(printer, rows, out, network, settings, None, split, "cpu", at)
    result = audit(trained.net, trained.rows, trained.init, seed=seed, name=str(out / "net.safetensors"))
    finish(printer, result, trained.rows, out, report=True, wide=wide)


def _doublings(epochs: int) -> list[int]:
    """Return 0, 1, 2, 4, ... and the last epoch: features are learned early."""
    return sorted({0, epochs, *(1 << power for power in range(epochs.bit_length()))})
