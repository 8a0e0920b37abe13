"""Options that several commands take, and functions that read them."""

from dataclasses import dataclass
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
ActivationOption = Annotated[
    str | None, typer.Option(help="What stands between the linear layers that a file of weights holds.")
]
ArchitectureOption = Annotated[
    str | None,
    typer.Option("--model", metavar="FACTORY", help="package.module:factory, into which a file's weights go."),
]
KeyOption = Annotated[
    str | None, typer.Option(help="Where in a .pt, .pth or .ckpt file the network's tensors lie, such as net.")
]
PrefixOption = Annotated[
    str | None, typer.Option(help="What the names of the network's tensors begin with, such as actor.")
]
SeedOption = Annotated[int, typer.Option(help="The only source of randomness.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps, ...")]


@dataclass(frozen=True)
class Weights:
    """The options for files of weights alone.

    Args:
        activation: The activation between the linear layers of a chain.
        architecture: package.module:factory, into which the weights go.
        key: The key under which the file has them.
        prefix: The beginning of their names.
    """

    activation: str | None = None
    architecture: str | None = None
    key: str | None = None
    prefix: str | None = None


def load_networks(
    source: str, init: str | None, said: Weights, classes: str | None = None
) -> "tuple[Model, Model | None]":
    """Load a network, and the same before training, whose weights alone go into a copy of the network."""
    from nfa.formats import load, load_init

    labels = None if classes is None else [label.strip() for label in classes.split(",")]
    loaded = load(
        source,
        activation=said.activation,
        model=said.architecture,
        key=said.key,
        prefix=said.prefix,
        classes=labels,
    )
    return loaded, None if init is None else load_init(init, loaded, key=said.key, prefix=said.prefix)


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
