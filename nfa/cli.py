"""The command line: its commands, and its exit statuses."""

import gc
import importlib
import sys
from typing import Annotated, Any

import typer
import typer.core

from nfa.commands.audit import audit_command
from nfa.commands.compare import compare_command
from nfa.commands.demo import demo_command
from nfa.commands.figure import figure_command
from nfa.commands.info import info_command
from nfa.commands.seed import seed_command
from nfa.commands.train import train_command
from nfa.common.errors import InputError
from nfa.common.version import __version__


class _Plain:
    """Help without types: switches take no value, and an argument's name says what it is."""

    def get_params(self, ctx: Any) -> Any:
        found = super().get_params(ctx)  # type: ignore[misc]
        for each in found:
            if getattr(each, "is_flag", False):
                each.metavar = ""
            elif isinstance(each, typer.core.TyperArgument):
                each.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # typer has no option for it
        return found


class Command(_Plain, typer.core.TyperCommand):
    """A command with such help."""


class Group(_Plain, typer.core.TyperGroup):
    """The commands with such help."""


app = typer.Typer(
    cls=Group,
    help="Look inside trained networks: what each layer has learned, measured against its nulls.",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nfa {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _bare(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Look inside trained networks: what each layer has learned, measured against its nulls."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _name, _command in (
    ("info", info_command),
    ("audit", audit_command),
    ("compare", compare_command),
    ("figure", figure_command),
    ("train", train_command),
    ("demo", demo_command),
    ("seed", seed_command),
):
    app.command(_name, cls=Command)(_command)


USAGE = getattr(typer, "TyperException", None) or importlib.import_module("click").ClickException
"""What typer raises at a call that it cannot read: its own error, or click's where typer is older and needs click."""

INTERRUPTED = 130
"""The status that typer returns after Ctrl-C."""


COLLECTED = (10_000, 50, 10)
"""How many new objects the collector waits for (see `gc.set_threshold`).

The libraries are some million objects that stay. To look at them again and again takes a tenth of a short command.
"""


def main() -> None:
    """Run the command line: status 0 done, 2 unusable input or call (one line on standard error), 1 anything else."""
    gc.set_threshold(*COLLECTED)
    try:
        status = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except USAGE as error:
        # Of a call that is wrong, the command is known; of a file that cannot be opened, it is not.
        where = getattr(getattr(error, "ctx", None), "command_path", None)
        _fail(error.format_message() + (f" ({where} --help)" if where else ""))
    except (typer.Abort, KeyboardInterrupt):
        status = INTERRUPTED
    if status == INTERRUPTED:
        typer.echo("nfa: interrupted; a training goes on from its last epoch when called again", err=True)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    typer.echo("nfa: " + " ".join(message.split()), err=True)
    sys.exit(2)
