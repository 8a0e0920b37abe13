"""`nfa audit`."""

from typing import Annotated

import typer

from nfa.commands.options import (
    DATA,
    MEASURED,
    RESULTS,
    ActivationOption,
    ArchitectureOption,
    ClassesOption,
    DataOption,
    DeviceOption,
    DownloadOption,
    FolderOption,
    InitOption,
    JsonOption,
    KeyOption,
    LayersOption,
    MemoryOption,
    ModelArgument,
    OutOption,
    OutputsOption,
    PrefixOption,
    QuietOption,
    SeedOption,
    TargetOption,
    Weights,
    WideOption,
    among,
    load_networks,
    move,
)
from nfa.commands.printing import Printer, check_page, finish
from nfa.common.errors import InputError


def audit_command(
    model: ModelArgument,
    *,
    init: InitOption = None,
    activation: ActivationOption = None,
    architecture: ArchitectureOption = None,
    key: KeyOption = None,
    prefix: PrefixOption = None,
    data: DataOption,
    target: TargetOption = None,
    classes: ClassesOption = None,
    split: Annotated[
        str,
        typer.Option(
            metavar="PART",
            help="train, val, test or all.",
            autocompletion=among("train", "val", "test", "all"),
            rich_help_panel=DATA,
        ),
    ] = "train",
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Measure N rows, drawn at random.", rich_help_panel=DATA)
    ] = None,
    folder: FolderOption = None,
    download: DownloadOption = False,
    max_memory: MemoryOption = None,
    outputs: OutputsOption = "logits",
    head: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Which output, where the network has several.", rich_help_panel=MEASURED),
    ] = None,
    layers: LayersOption = None,
    probes: Annotated[
        int | None,
        typer.Option(metavar="P", help="P random probes instead of a sweep per output.", rich_help_panel=MEASURED),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mse, onehot_mse or cross_entropy: adds the fact_ columns.",
            autocompletion=among("mse", "onehot_mse", "cross_entropy"),
            rich_help_panel=MEASURED,
        ),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Add the numbers that the authors' scripts print; needs --init.",
            rich_help_panel=MEASURED,
        ),
    ] = False,
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
    out: OutOption,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Write report.html.", rich_help_panel=RESULTS)
    ] = True,
    wide: WideOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
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
    finish(Printer(json, quiet), result, rows, out, report, wide=wide)
