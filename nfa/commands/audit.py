"""`nfa audit`."""

from typing import Annotated

import typer

from nfa.commands.options import (
    ActivationOption,
    ArchitectureOption,
    ClassesOption,
    DataOption,
    DeviceOption,
    DownloadOption,
    FolderOption,
    KeyOption,
    MemoryOption,
    OutOption,
    PrefixOption,
    SeedOption,
    TargetOption,
    Weights,
    load_networks,
    move,
)
from nfa.commands.printing import check_page, finish
from nfa.common.errors import InputError


def audit_command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A network: a .safetensors, .pt, .pth, .ckpt, .pt2, .onnx, .skops, .keras, .h5 or .zip file, a folder "
            "of Hugging Face, or package.module:factory.",
        ),
    ],
    data: DataOption,
    out: OutOption,
    init: Annotated[str | None, typer.Option(metavar="MODEL0", help="The network before training.")] = None,
    activation: ActivationOption = None,
    architecture: ArchitectureOption = None,
    key: KeyOption = None,
    prefix: PrefixOption = None,
    outputs: Annotated[str, typer.Option(help="logits, output:K, predicted, margin or probabilities.")] = "logits",
    head: Annotated[
        str | None, typer.Option(metavar="KEY", help="Which output, where the network has several.")
    ] = None,
    layers: Annotated[str | None, typer.Option(metavar="PATTERN", help="Layers by name, as in 'layers.*'.")] = None,
    target: TargetOption = None,
    classes: ClassesOption = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "train",
    samples: Annotated[int | None, typer.Option(metavar="N", help="Measure N rows, drawn at random.")] = None,
    probes: Annotated[
        int | None, typer.Option(metavar="P", help="P random probes instead of a sweep per output.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="mse, onehot_mse or cross_entropy: adds the fact_ columns.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="Add the numbers that the authors' scripts print; needs --init.")
    ] = False,
    folder: FolderOption = None,
    download: DownloadOption = False,
    max_memory: MemoryOption = None,
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
) -> None:
    """Measure what every layer of a network has learned; write the tables to DIR and print them."""
    from nfa.audits.run import audit
    from nfa.common.checks import output_folder
    from nfa.data import load_data

    if report:
        check_page()
    output_folder("out", out)
    loaded, before = load_networks(model, init, Weights(activation, architecture, key, prefix), classes)
    rows = load_data(data, target, folder, download, max_memory)
    for each in (loaded, before):
        if each is not None:
            move(each.net, device)
    try:
        result = audit(
            loaded,
            rows,
            before,
            outputs,
            head=head,
            layers=layers,
            split=split,
            samples=samples,
            probes=probes,
            seed=seed,
            loss=loss,
            published=published,
        )
    except InputError as error:
        # A table without y may have it among its columns, so that there is one too many.
        if error.argument != "data" or rows.y is not None or rows.feature_names is None:
            raise
        columns = f"without --target all {rows.d} columns of {rows.name} are features"
        raise InputError("data", f"{error.problem} ({columns})") from error
    finish(result, out, report)
