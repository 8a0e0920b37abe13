"""The command line: argument parsing and printing, nothing else."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nfa.common.errors import InputError

if TYPE_CHECKING:
    from nfa.audited import Audit
    from nfa.data import Dataset
    from nfa.network import Model

app = typer.Typer(
    help="Look inside trained fully connected networks: what each layer has learned, measured against its nulls.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

_DATA = (
    "A built-in set (digits, fashion-mnist, mnist, cifar10, svhn, stl10, celeba), "
    "or a .npz, .npy, .csv or .parquet file."
)

DataOption = Annotated[str, typer.Option("--data", metavar="DATA", help=_DATA)]
DataArgument = Annotated[str, typer.Argument(metavar="DATA", help=_DATA)]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for what is written.")]
TargetOption = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column that is y, in a table.")]
FolderOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Where a picture set lies.")]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download a picture set that is not there.")]
SeedOption = Annotated[int, typer.Option(help="The only source of randomness.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps, ...")]


@app.command("audit")
def audit_command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A network: a .safetensors, .pt, .pth, .ckpt, .pt2, .onnx or .skops file, or package.module:factory.",
        ),
    ],
    data: DataOption,
    out: OutOption,
    init: Annotated[str | None, typer.Option(metavar="MODEL0", help="The network before training.")] = None,
    activation: Annotated[
        str | None, typer.Option(help="What stands between the linear layers that a file of weights holds.")
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option("--model", metavar="FACTORY", help="package.module:factory, into which a file's weights go."),
    ] = None,
    outputs: Annotated[str, typer.Option(help="logits, output:K, predicted, margin or probabilities.")] = "logits",
    head: Annotated[
        str | None, typer.Option(metavar="KEY", help="Which output, where the network has several.")
    ] = None,
    layers: Annotated[str | None, typer.Option(metavar="PATTERN", help="Layers by name, as in 'layers.*'.")] = None,
    target: TargetOption = None,
    split: Annotated[str, typer.Option(help="train, val, test or all.")] = "train",
    samples: Annotated[int | None, typer.Option(metavar="N", help="Measure N rows, drawn at random.")] = None,
    probes: Annotated[
        int | None, typer.Option(metavar="P", help="P random probes instead of a sweep per output.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="mse, onehot_mse or cross_entropy: adds the fact_ columns.")] = None,
    folder: FolderOption = None,
    download: DownloadOption = False,
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html.")] = True,
) -> None:
    """Measure what every layer of a network has learned; write the tables to DIR and print them."""
    from nfa.auditing import audit
    from nfa.common.checks import output_folder
    from nfa.data import load_data

    output_folder("out", out)
    loaded = _load(model, "model", activation, architecture)
    before = None if init is None else _load(init, "init", activation, architecture)
    rows = load_data(data, target, folder, download)
    for each in (loaded, before):
        if each is not None:
            _move(each.net, device)
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
    )
    _finish(result, out, report)


@app.command("train")
def train_command(
    data: DataArgument,
    out: OutOption,
    width: Annotated[str, typer.Option(help="Units of each hidden layer, or widths such as 256,128.")] = "256",
    depth: Annotated[int | None, typer.Option(help="Hidden layers; 3 by default.")] = None,
    activation: Annotated[
        str, typer.Option(help="relu, leaky_relu, sigmoid, tanh, sine, gelu, silu, elu or identity.")
    ] = "relu",
    bias: Annotated[bool, typer.Option("--bias/--no-bias", help="Biases; the paper has none.")] = False,
    init: Annotated[str, typer.Option(help="default, factor:A or first-normal:S.")] = "default",
    loss: Annotated[
        str | None, typer.Option(help="mse, onehot_mse or cross_entropy; by default onehot_mse for classes.")
    ] = None,
    optimizer: Annotated[str, typer.Option(help="sgd, adam or adamw.")] = "adam",
    lr: Annotated[float, typer.Option(help="Step size.")] = 1e-3,
    epochs: Annotated[int, typer.Option(help="Passes over the training rows.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Rows in a mini-batch.")] = 128,
    weight_decay: Annotated[float, typer.Option(help="As the optimizer understands it.")] = 0.0,
    keep: Annotated[str, typer.Option(help="last weights, or the best on the val rows.")] = "last",
    scaling: Annotated[
        str | None, typer.Option(help="none, max or standard; by default max for pictures, else standard.")
    ] = None,
    test: Annotated[float, typer.Option(help="Share of the rows held out for testing.")] = 0.2,
    val: Annotated[float, typer.Option(help="Share of the rows held out for validation.")] = 0.0,
    target: TargetOption = None,
    folder: FolderOption = None,
    download: DownloadOption = False,
    device: DeviceOption = "cpu",
    seed: SeedOption = 0,
) -> None:
    """Train a fully connected network; write net.safetensors, init.safetensors and history.csv to DIR.

    The same call goes on where an interrupted one stopped.
    """
    from nfa.data import load_data

    sizes = _widths(width)
    rows = load_data(data, target, folder, download)
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
    _train(rows, out, network, settings, scaling, {"test": test, "val": val, "seed": seed}, device)


@app.command("demo")
def demo_command(
    data: DataArgument = "digits",
    out: OutOption = Path("runs/demo"),
    folder: FolderOption = None,
    download: DownloadOption = False,
    seed: SeedOption = 0,
) -> None:
    """Train a network on a built-in set, audit it against its initialisation, and say what it learned."""
    from nfa.auditing import audit
    from nfa.data import load_data

    rows = load_data(data, None, folder, download)
    network = {"width": 128, "depth": 3, "activation": "relu", "bias": False, "init": "factor:0.1"}
    settings = {"loss": "onehot_mse", "optimizer": "adam", "lr": 1e-3, "batch_size": 64, "keep": "last"}
    # About 150,000 samples seen, whatever the set's size: enough to leave so small an initialisation.
    settings |= {"epochs": max(3, 150_000 // rows.n), "weight_decay": 0.0}
    trained, before, prepared = _train(
        rows, out, network, settings, None, {"test": 0.2, "val": 0.0, "seed": seed}, "cpu"
    )
    _finish(audit(trained, prepared, before, seed=seed, name=str(out / "net.safetensors")), out, report=True)


def _load(source: str, argument: str, activation: str | None, architecture: str | None) -> "Model":
    """Load a network; what is said of weights alone concerns only files of weights."""
    from nfa.network import load
    from nfa.network.loading import WEIGHTS

    if argument == "init" and Path(source).suffix.lower() not in WEIGHTS:
        return load(source, argument=argument)
    return load(source, activation=activation, model=architecture, argument=argument)


def _train(
    rows: "Dataset",
    out: Path,
    network: dict[str, Any],
    settings: dict[str, Any],
    scaling: str | None,
    split: dict[str, Any],
    device: str,
) -> Any:
    """Divide, scale, build, train and save; return the network, its initialisation and the prepared data."""
    from nfa.common.checks import output_folder
    from nfa.data import Scaling
    from nfa.network import MLP, Model, save_model, train

    output_folder("out", out)
    if settings["loss"] == "mse":
        rows = rows.with_real_targets()
    divided = rows.divide(**split)
    training_rows = divided.part("train")
    fitted = Scaling.fit(scaling or ("standard" if rows.feature_shape is None else "max"), training_rows.X)
    prepared = divided.scaled(fitted)
    seed = split["seed"]
    net = _move(MLP(rows.d, n_outputs=max(1, rows.n_outputs), seed=seed, **network), device)
    loss = settings.pop("loss") or ("onehot_mse" if rows.is_classification else "mse")
    done = train(net, prepared, loss=loss, seed=seed, checkpoint=out / "checkpoint.pt", **settings)
    for name, each in (("net", done.net), ("init", done.init)):
        known = (split | {"rows": rows.n}, rows.feature_names, rows.class_names, done.settings)
        save_model(out / f"{name}.safetensors", Model(each, name, fitted, *known))
    done.history.to_csv(out / "history.csv", index=False)
    last = done.history.iloc[-1]
    _say(
        f"Trained {len(done.history)} epochs on {training_rows.n} rows of {rows.name}: loss {last['train_loss']:.4g}, "
        f"train score {last['train_score']:.4g}. Wrote {out / 'net.safetensors'} and {out / 'init.safetensors'}."
    )
    return done.net, done.init, prepared


def _finish(result: "Audit", out: Path, report: bool) -> None:
    """Save an audit, print its table, then its sentences."""
    from nfa.report import sentences, write

    result.save(out)
    written = ["audit.json", "features.safetensors"]
    if report:
        written.append(write(result, out).name)
    for note in result.about["notes"]:
        _say(note)
    _table(result)
    if result.skipped:
        _say("Not measured: " + ", ".join(f"{each['name']} ({each['kind']})" for each in result.skipped) + ".")
    for sentence in sentences(result):
        _say(sentence)
    _say(f"Wrote {', '.join(written)} to {out}.")


def _table(result: "Audit") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # Headings and the way from a row to each cell.
    shown: dict[str, Callable[[dict[str, Any]], str]] = {
        "layer": lambda row: row["name"],
        "d": lambda row: str(row["d_in"]),
        "k": lambda row: str(row["d_out"]),
        "cosine": lambda row: _number(row["cosine"]),
        "95 %": lambda row: f"{_number(row['ci_low'])} {_number(row['ci_high'])}",
        "untrained": lambda row: _number(row["untrained_cosine"]),
        "k/(k+d)": lambda row: _number(row["d_out"] / (row["d_out"] + row["d_in"])),
        "centered": lambda row: _number(row["cosine_centered"]),
        "sqrt": lambda row: _number(row["cosine_sqrt"]),
        "best alpha": lambda row: f"{_number(row['cosine_alpha_best'])} at {_number(row['alpha_best'])}",
        "with init": lambda row: _number(row["init_cosine"]),
        "overlap": lambda row: _number(row["subspace_overlap"]),
        "": lambda row: "trivial" if row["trivial"] else "",
    }
    about = result.about
    table = Table(
        title=escape(f"NFM against AGOP of {about['model']}, {result.rows} of {about['data']}"),
        caption="untrained and k/(k+d): nulls of cosine; with init: NFM against init's",
    )
    for heading in shown:
        table.add_column(heading, justify="left" if heading in ("layer", "") else "right")
    for layer in result:
        table.add_row(*(escape(cell(layer.row)) for cell in shown.values()))
    Console(width=None if sys.stdout.isatty() else 150, highlight=False).print(table)


def _number(value: float) -> str:
    return "–" if value != value else f"{value:.2f}"


def _say(sentence: str) -> None:
    typer.echo(sentence)


def _widths(text: str) -> int | list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"width: got {text!r}, expected a number or numbers with commas between") from error
    return sizes if "," in text else sizes[0]


def _move(net: Any, device: str) -> Any:
    try:
        if device == "meta":
            raise InputError("device: 'meta' computes nothing")
        return net.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device: cannot use {device!r} here (cpu works anywhere, cuda where there is a GPU)"
        ) from error


# The base of all that typer raises on a wrong call; its home moved between versions.
_CallError: Any = typer.BadParameter.__mro__[2]


INTERRUPTED = 130
"""What typer returns after Ctrl-C."""


def main() -> None:
    """Run the command line: status 0 done, 2 unusable input or call (one line on standard error), 1 anything else."""
    try:
        status = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except _CallError as error:
        _fail(error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    if status == INTERRUPTED:
        typer.echo("nfa: interrupted; a training goes on from its last epoch when called again", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    typer.echo("nfa: " + " ".join(message.split()), err=True)
    sys.exit(2)
