"""`nfa info`."""

import shlex
from typing import TYPE_CHECKING

from nfa.commands.options import (
    ActivationOption,
    ArchitectureOption,
    JsonOption,
    KeyOption,
    ModelArgument,
    PrefixOption,
    QuietOption,
)
from nfa.commands.printing import WIDTH, Printer, cell
from nfa.common.shown import printable

if TYPE_CHECKING:
    from rich.table import Table

    from nfa.formats.contents import Contents, Part


def info_command(
    model: ModelArgument,
    activation: ActivationOption = None,
    architecture: ArchitectureOption = None,
    key: KeyOption = None,
    prefix: PrefixOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Say what a network's file holds, and what an audit of it still needs; no data are read."""
    from nfa.formats.contents import contents

    found = contents(model, activation=activation, model=architecture, key=key, prefix=prefix)
    printer = Printer(json, quiet)
    title = printable(f"{found.name}: {found.format}, {found.entries:,} weights")
    printer.show(_table(found), WIDTH, title)
    for word, what in found.said:
        printer.say(f"{word.capitalize()}: {what}.")
    for note in found.notes:
        printer.say(note)
    printer.say("An audit needs:")
    for each in found.missing:
        printer.say(f"  - {each}")
    given = {"--activation": activation, "--model": architecture, "--key": key, "--prefix": prefix}
    options = [part for name, value in given.items() if value is not None for part in (name, value)]
    call = shlex.join(["nfa", "audit", model, *options])
    if found.network:
        target = " --target NAME" if found.table else ""
        printer.say(f"Audit it: {call} --data DATA{target} --init MODEL0 --out DIR")
    printer.document(found.to_json())


def _table(found: "Contents") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("layer" if found.network else "tensor", "kind", "shapes"):
        table.add_column(heading, overflow="fold")
    table.add_column("weights", justify="right", no_wrap=True)
    for part in found.parts:
        table.add_row(cell(part.name), cell(part.kind), cell(_shapes(part)), f"{part.entries:,}")
    return table


def _shapes(part: "Part") -> str:
    """Return the shapes of a part's weights in words, such as "weight 128 x 64, bias 128"."""
    said = (f"{name} {' x '.join(map(str, shape)) or 'a number'}".strip() for name, shape in part.shapes.items())
    return ", ".join(said) + ("" if part.dtype == "float32" else f" ({part.dtype})")
