"""Options that several commands take, and functions that read them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nfa.common.errors import InputError

if TYPE_CHECKING:
    from nfa.network import Model

_DATA = (
    "A built-in set (digits, fashion-mnist, mnist, cifar10, svhn, stl10, celeba), "
    "or a .npz, .npy, .csv or .parquet file."
)

DataOption = Annotated[str, typer.Option("--data", metavar="DATA", help=_DATA)]
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write to.")]
TargetOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that is y, in a table.")]
FolderOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where a picture set lies.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download a picture set that is not there.")]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--max-memory",
        metavar="GIB",
        help="What the data of a file may take; by default 64 times its size, at least 0.25, at most half of the "
        "memory.",
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(metavar="LABELS", help="The labels in the order of the network's outputs, with commas between."),
]
SeedOption = Annotated[int, typer.Option(help="The only source of randomness.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps, ...")]


def load_network(
    source: str, argument: str, activation: str | None, architecture: str | None, classes: str | None = None
) -> "Model":
    """Load a network; some options are only for files of weights."""
    from nfa.formats import load
    from nfa.formats.readers import takes

    if argument == "init" and not takes(source, "activation"):
        return load(source, argument=argument)
    labels = None if classes is None else [label.strip() for label in classes.split(",")]
    return load(source, activation=activation, model=architecture, classes=labels, argument=argument)


def move(net: Any, device: str) -> Any:
    """Move a network to a device, and return it."""
    try:
        if device == "meta":
            raise InputError("device", "'meta' computes nothing")
        return net.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            "device", f"cannot use {device!r} here (cpu works anywhere, cuda where there is a GPU)"
        ) from error
