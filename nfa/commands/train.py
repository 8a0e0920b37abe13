"""`nfa train`, and the training that `nfa demo` shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nfa.commands.options import (
    ACTIVATION_NAMES,
    DATA,
    NETWORK,
    TRAINING,
    DataArgument,
    DeviceOption,
    DownloadOption,
    FolderOption,
    JsonOption,
    MemoryOption,
    OutOption,
    QuietOption,
    SeedOption,
    TargetOption,
    among,
    move,
)
from nfa.commands.printing import Printer, records
from nfa.common.errors import InputError
from nfa.common.numerals import number_in

if TYPE_CHECKING:
    import pandas as pd

    from nfa.data import Dataset


def train_command(
    data: DataArgument,
    *,
    width: Annotated[
        str,
        typer.Option(
            metavar="N", help="Units of each hidden layer, or widths such as 256,128.", rich_help_panel=NETWORK
        ),
    ] = "256",
    depth: Annotated[
        int | None, typer.Option(metavar="N", help="Hidden layers; 3 by default.", rich_help_panel=NETWORK)
    ] = None,
    activation: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="relu, leaky_relu, sigmoid, tanh, sine, gelu, silu, elu or identity.",
            autocompletion=among(*ACTIVATION_NAMES),
            rich_help_panel=NETWORK,
        ),
    ] = "relu",
    bias: Annotated[
        bool, typer.Option("--bias/--no-bias", help="Biases; the paper has none.", rich_help_panel=NETWORK)
    ] = False,
    init: Annotated[
        str, typer.Option(metavar="NAME", help="default, factor:A or first-normal:S.", rich_help_panel=NETWORK)
    ] = "default",
    loss: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="mse, onehot_mse or cross_entropy; by default onehot_mse for classes.",
            autocompletion=among("mse", "onehot_mse", "cross_entropy"),
            rich_help_panel=TRAINING,
        ),
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="sgd, adam or adamw.",
            autocompletion=among("sgd", "adam", "adamw"),
            rich_help_panel=TRAINING,
        ),
    ] = "adam",
    lr: Annotated[float, typer.Option(metavar="A", help="Step size.", rich_help_panel=TRAINING)] = 1e-3,
    epochs: Annotated[
        int, typer.Option(metavar="N", help="Passes over the training rows.", rich_help_panel=TRAINING)
    ] = 100,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Rows in a mini-batch.", rich_help_panel=TRAINING)] = 128,
    weight_decay: Annotated[
        float, typer.Option(metavar="A", help="As the optimizer understands it.", rich_help_panel=TRAINING)
    ] = 0.0,
    keep: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="last weights, or the best on the val rows.",
            autocompletion=among("last", "best"),
            rich_help_panel=TRAINING,
        ),
    ] = "last",
    scaling: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="none, max or standard; by default max for pictures, else standard.",
            autocompletion=among("none", "max", "standard"),
            rich_help_panel=DATA,
        ),
    ] = None,
    test: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the rows held out for testing.", rich_help_panel=DATA)
    ] = 0.2,
    val: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the rows held out for validation.", rich_help_panel=DATA)
    ] = 0.0,
    target: TargetOption = None,
    folder: FolderOption = None,
    download: DownloadOption = False,
    max_memory: MemoryOption = None,
    device: DeviceOption = "cpu",
    audit_at: Annotated[
        str | None,
        typer.Option(
            metavar="EPOCHS",
            help="Audit the network after these epochs, such as 0,1,3,10 (0 is before).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    seed: SeedOption = 0,
    out: OutOption,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a fully connected network; write net.safetensors, init.safetensors and history.csv to DIR.

    If it is interrupted, the same call continues the training.
    """
    from nfa.data import load_data

    sizes = _widths(width)
    rows = load_data(data, target, folder, download, max_memory)
    settings = {
        "loss": loss,
        "optimizer": optimizer,
        "lr": lr,
        "epochs": epochs,
        "batch_size": batch_size,
        "weight_decay": weight_decay,
        "keep": keep,
    }
    network = {"width": sizes, "depth": depth, "activation": activation, "bias": bias, "init": init}
    at = None if audit_at is None else _numbers("audit_at", audit_at)
    if at is not None and max(at) > epochs:
        raise InputError("audit_at", f"epoch {max(at)} is beyond the last, {epochs} (--epochs)")
    printer, split = Printer(json, quiet), {"test": test, "val": val, "seed": seed}
    done = train_network(printer, rows, out, network, settings, scaling, split, device, at)
    printer.document({"history": records(done.history), "written": done.written})


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, the same before training, the prepared rows, the history, and the files written."""

    net: Any
    init: Any
    rows: "Dataset"
    history: "pd.DataFrame"
    written: list[str]


def train_network(
    printer: Printer,
    rows: "Dataset",
    out: Path,
    network: dict[str, Any],
    settings: dict[str, Any],
    scaling: str | None,
    split: dict[str, Any],
    device: str,
    audit_at: list[int] | None = None,
) -> Trained:
    """Divide, scale, build, train, audit at some epochs, and save."""
    from nfa.common.checks import output_folder
    from nfa.common.writing import replacing
    from nfa.data import Scaling
    from nfa.formats import save_model
    from nfa.network import MLP, Model, train
    from nfa.tracking.history import FILE

    output_folder("out", out)
    if settings["loss"] == "mse":
        rows = rows.with_real_targets()
    divided = rows.divide(**split)
    training_rows = divided.part("train")
    fitted = Scaling.fit(scaling or ("standard" if rows.feature_shape is None else "max"), training_rows.X)
    prepared = divided.scaled(fitted)
    seed = split["seed"]
    net = move(MLP(rows.d, n_outputs=max(1, rows.n_outputs), seed=seed, **network), device)
    loss = settings.pop("loss") or ("onehot_mse" if rows.is_classification else "mse")
    checkpoint = out / "checkpoint.pt"
    watch = None if audit_at is None else _Watch(net, prepared, audit_at, seed, out, resumed=checkpoint.exists())
    done = train(net, prepared, loss=loss, seed=seed, checkpoint=checkpoint, after_epoch=watch, **settings)
    for name, each in (("net", done.net), ("init", done.init)):
        known = (split | {"rows": rows.n}, rows.feature_names, rows.class_names, done.settings)
        save_model(out / f"{name}.safetensors", Model(each, name, fitted, *known))
    with replacing("out", out / "history.csv") as (new,):
        done.history.to_csv(new, index=False)
    last, score = done.history.iloc[-1], "accuracy" if rows.is_classification else "R^2"
    printer.say(
        f"Trained {len(done.history)} epochs on {training_rows.n} rows of {rows.name} by {loss}: loss "
        f"{last['train_loss']:.4g}, {score} {last['train_score']:.4g} on them. "
        f"Wrote {out / 'net.safetensors'} and {out / 'init.safetensors'}."
    )
    written = ["net.safetensors", "init.safetensors", "history.csv"]
    if watch is not None:
        if watch.audited:
            printer.say(f"Audited at epochs {', '.join(map(str, watch.audited))}: {FILE}.")
            written.append(FILE)
        if missed := [str(epoch) for epoch in sorted(set(audit_at or ()) - set(watch.audited))]:
            printer.say(f"Not audited: epochs {', '.join(missed)}, which were over before.")
    return Trained(done.net, done.init, prepared, done.history, [str(out / name) for name in written])


class _Watch:
    """Audits the network after the requested epochs, and saves the tracker in the folder."""

    def __init__(self, net: Any, rows: "Dataset", audit_at: list[int], seed: int, out: Path, *, resumed: bool) -> None:
        from nfa.tracking import Tracker
        from nfa.tracking.history import FILE

        self.out, self.tracker = out, Tracker(net, rows, at=audit_at, seed=seed)
        if resumed and (out / FILE).exists():
            self.tracker.load(out)
        if not resumed and self.tracker.record(epoch=0) is not None:
            self.tracker.save(out)

    def __call__(self, row: dict[str, float]) -> None:
        """Audit after an epoch, given its row of the history."""
        if self.tracker.record(epoch=int(row["epoch"]), loss=row["train_loss"]) is not None:
            self.tracker.save(self.out)

    @property
    def audited(self) -> list[int]:
        """The epochs that were audited, by an earlier call too."""
        return [moment.epoch for moment in self.tracker.history.moments if moment.epoch is not None]


def _widths(text: str) -> int | list[int]:
    sizes = _numbers("width", text)
    return sizes if "," in text else sizes[0]


def _numbers(argument: str, text: str) -> list[int]:
    found = [number_in(part.strip()) for part in text.split(",")]
    numbers = [each for each in found if isinstance(each, int)]
    if len(numbers) < len(found):
        raise InputError(argument, f"got {text!r}, expected a number or numbers with commas between")
    return numbers
