"""Options that several commands take, and functions that read them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nfa.common.errors import InputError
from nfa.common.progress import bars

if TYPE_CHECKING:
    from nfa.network import Model

_DATA = (
    "A built-in set (digits, fashion-mnist, mnist, cifar10, svhn, stl10, celeba), "
    "or a .npz, .npy, .csv, .tsv or .parquet file."
)

ACTIVATION_NAMES = ("relu", "leaky_relu", "sigmoid", "tanh", "sine", "gelu", "silu", "elu", "identity")
"""Activations, for the completion."""

NETWORK, DATA, MEASURED, TRAINING, RESULTS = "Network", "Data", "What is measured", "Training", "Results"
"""The groups of options in the help."""


def among(*words: str) -> Callable[[str], list[str]]:
    """Return a completion of an option's values: those of these words that begin as typed."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def _hush(ctx: typer.Context, quiet: bool) -> bool:
    """Leave progress bars out of a quiet command."""
    ctx.with_resource(bars(not quiet))
    return quiet


ModelArgument = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A network: a .safetensors, .pt, .pth, .ckpt, .pt2, .onnx, .skops, .keras, .h5 or .zip file, a folder "
        "of Hugging Face, or package.module:factory.",
    ),
]
InitOption = Annotated[
    str | None, typer.Option("--init", metavar="MODEL0", help="The network before training.", rich_help_panel=NETWORK)
]
DataOption = Annotated[str, typer.Option("--data", metavar="DATA", help=_DATA, rich_help_panel=DATA)]
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="The folder to write to.", rich_help_panel=RESULTS)
]
TargetOption = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="The column that is y, in a table.", rich_help_panel=DATA)
]
FolderOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where a picture set lies.", rich_help_panel=DATA)
]
DownloadOption = Annotated[
    bool, typer.Option("--download", help="Download a picture set that is not there.", rich_help_panel=DATA)
]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--max-memory",
        metavar="GIB",
        help="What the data of a file may take; by default 64 times its size, at least 0.25, at most half of the "
        "memory.",
        rich_help_panel=DATA,
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option(
        metavar="LABELS",
        help="The labels in the order of the network's outputs, with commas between.",
        rich_help_panel=DATA,
    ),
]
ActivationOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What stands between the linear layers that a file of weights holds, such as relu.",
        autocompletion=among(*ACTIVATION_NAMES),
        rich_help_panel=NETWORK,
    ),
]
ArchitectureOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FACTORY",
        help="package.module:factory, into which a file's weights go.",
        rich_help_panel=NETWORK,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="Where in a .pt, .pth or .ckpt file the network's tensors lie, such as net.",
        rich_help_panel=NETWORK,
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the names of the network's tensors begin with, such as actor.",
        rich_help_panel=NETWORK,
    ),
]
OutputsOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Gradients of what: logits, output:K, predicted, margin or probabilities.",
        autocompletion=among("logits", "output:0", "predicted", "margin", "probabilities"),
        rich_help_panel=MEASURED,
    ),
]
LayersOption = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="Layers by name, as in 'layers.*'.", rich_help_panel=MEASURED),
]
SeedOption = Annotated[int, typer.Option(metavar="N", help="The only source of randomness.", rich_help_panel=MEASURED)]
DeviceOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where to compute: cpu, cuda, cuda:1, mps, ...",
        autocompletion=among("cpu", "cuda", "mps"),
        rich_help_panel=MEASURED,
    ),
]
WideOption = Annotated[bool, typer.Option("--wide", help="Print more columns than fit 80.", rich_help_panel=RESULTS)]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document to standard output, and everything else to standard error.",
        rich_help_panel=RESULTS,
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print nothing but errors (and the document).", callback=_hush, rich_help_panel=RESULTS
    ),
]


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
