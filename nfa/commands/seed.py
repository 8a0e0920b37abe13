"""`nfa seed`."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from nfa.commands.options import (
    DATA,
    MEASURED,
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
    among,
    load_networks,
    move,
)
from nfa.commands.printing import Printer, cell, records
from nfa.common.errors import InputError
from nfa.common.shown import printable

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

TEST = 0.2
"""The share of rows held out where neither the network's file nor the data divide them."""


def seed_command(
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
            help="Which rows to fit to: train, val or test; tested on test (or train).",
            autocompletion=among("train", "val", "test"),
            rich_help_panel=DATA,
        ),
    ] = "train",
    folder: FolderOption = None,
    download: DownloadOption = False,
    max_memory: MemoryOption = None,
    features: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The first M: identity, nfm, agop, agop_centered, init_nfm or random.",
            autocompletion=among("identity", "nfm", "agop", "agop_centered", "init_nfm", "random"),
            rich_help_panel=MEASURED,
        ),
    ] = "agop",
    power: Annotated[
        float, typer.Option(metavar="A", help="The features are taken to this power.", rich_help_panel=MEASURED)
    ] = 1.0,
    updates: Annotated[
        int, typer.Option(metavar="N", help="RFM updates of every machine.", rich_help_panel=MEASURED)
    ] = 2,
    outputs: OutputsOption = "logits",
    layers: LayersOption = None,
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
    out: OutOption,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a kernel machine to every layer's inputs, started from the layer's features; write all to DIR."""
    from nfa.common.checks import output_folder, positive
    from nfa.common.writing import replacing
    from nfa.data import load_data
    from nfa.network.preparing import prepare
    from nfa.rfm.layerwise import LayerwiseRFM
    from nfa.rfm.layerwise.words import sentences

    printer = Printer(json, quiet)
    for name, value in {"updates": updates, "seed": seed}.items():
        positive(name, value, least=0)
    output_folder("out", out)
    loaded, before = load_networks(model, init, Weights(activation, architecture, key, prefix), classes)
    for each in (loaded, before):
        if each is not None:
            move(each.net, device)
    rows, notes = prepare(loaded, load_data(data, target, folder, download, max_memory))
    if rows.y is None:
        raise InputError("data", f"{rows.name} has no targets to fit machines to")
    as_in_training = loaded.split is not None and loaded.split["rows"] == rows.n and "test" in rows.split
    if "test" not in rows.split:
        rows = rows.divide(test=TEST, seed=seed)
        notes.append(f"Rows divided at random: {TEST:.0%} are held out as test rows.")
    doubt = _doubt(as_in_training, split)
    if doubt is not None:
        notes.append(doubt.sentence)
    fitted, held_out = rows.part(split), rows.part("train" if split == "test" else "test")
    # The machines' network assigns targets without names to outputs.
    bare = replace(loaded.bare(), classes=None if rows.class_names else loaded.classes)
    machines = LayerwiseRFM.from_network(
        bare,
        fitted.X,
        fitted.y,
        None if before is None else before.bare(),
        features=features,
        power=power,
        n_iters=updates,
        layers=layers,
        outputs=outputs,
        random_state=seed,
    )
    table = machines.score_frame(held_out.X, held_out.y)
    measured = machines.audit_
    notes.extend(machines.targets_.notes)
    about = replace(measured.about, notes=(*measured.about.notes, *notes), classes=loaded.classes or ())
    replace(measured, about=about).save(out)
    files = machines.save(out / "machines")
    with replacing("out", out / "seeding.csv") as (new,):
        (table if doubt is None else doubt.noted(table)).to_csv(new, index=False)
    for note in [*loaded.notes, *notes, *(f"{name}: {note}." for name, note in machines.notes_.items())]:
        printer.say(note)
    tested = f"{held_out.n} others tested" + ("" if doubt is None else f" ({doubt.short})")
    title = f"{table['metric'].iloc[0]} of kernel machines by layer: {fitted.n} rows of {rows.name} fitted, {tested}"
    printer.show(_table(table), None, printable(title), "with NFM, with AGOP: cosine of the last M")
    said = sentences(table, features, ordered=loaded.classes is not None)
    for sentence in said:
        printer.say(sentence)
    printer.say(f"Wrote seeding.csv, audit.json, features.safetensors and machines/ ({len(files)} machines) to {out}.")
    written = [*(out / name for name in ("seeding.csv", "audit.json", "features.safetensors")), *files]
    printer.document({"rows": records(table), "sentences": said, "written": [str(each) for each in written]})


@dataclass(frozen=True)
class _Doubt:
    """The doubt whether the tested rows are a test of the network: as a sentence, for a title, and for notes."""

    sentence: str
    short: str
    note: str

    def noted(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Return the table with the note in each of its rows."""
        return table.assign(note=[f"{note}; {self.note}" if note else self.note for note in table["note"]])


def _doubt(as_in_training: bool, fitted: str) -> _Doubt | None:
    """Return the doubt about the tested rows, if any, given whether rows are divided as in training."""
    if not as_in_training:
        return _Doubt(
            "It is not known which rows the network was trained on; it may know those that are tested here.",
            "the network may know them",
            "the network may have been trained on the rows tested",
        )
    if fitted == "test":
        return _Doubt(
            "The rows tested here are those that the network was trained on: its own error there is no test error.",
            "the network knows them",
            "the network was trained on the rows tested",
        )
    return None


def _table(table: "pd.DataFrame") -> "Table":
    """Return the errors for print: a row per layer and features, a column per number of updates."""
    from rich import box
    from rich.table import Table

    updates = sorted(table["n_iters"].unique())
    shown = Table(box=box.SIMPLE_HEAD)
    shown.add_column("layer")
    shown.add_column("from")
    for number in updates:
        shown.add_column("1 update" if number == 1 else f"{number} updates", justify="right")
    for heading in ("network", "constant", "with NFM", "with AGOP"):
        shown.add_column(heading, justify="right")
    for (name, kind), part in table.groupby(["name", "features"], sort=False):
        part, last = part.set_index("n_iters"), part.sort_values("n_iters").iloc[-1]
        cells = [*(part["error"][number] for number in updates), last["network_error"], last["constant_error"]]
        ends = [last["cosine_nfm"], last["cosine_agop"]]
        shown.add_row(cell(str(name)), str(kind), *(_number(each, 3) for each in cells), *(_number(c, 2) for c in ends))
    return shown


def _number(value: float, digits: int) -> str:
    return "–" if value != value else f"{value:.{digits}f}"
