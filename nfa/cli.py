"""The command line: its commands, and its exit statuses."""

import importlib
import sys

import typer

from nfa.commands.audit import audit_command
from nfa.commands.compare import compare_command
from nfa.commands.demo import demo_command
from nfa.commands.figure import figure_command
from nfa.commands.seed import seed_command
from nfa.commands.train import train_command
from nfa.common.errors import InputError

app = typer.Typer(
    help="Look inside trained networks: what each layer has learned, measured against its nulls.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("audit")(audit_command)
app.command("compare")(compare_command)
app.command("figure")(figure_command)
app.command("train")(train_command)
app.command("demo")(demo_command)
app.command("seed")(seed_command)

USAGE = getattr(typer, "TyperException", None) or importlib.import_module("click").ClickException
"""What typer raises at a call that it cannot read: its own error, or click's where typer is older and needs click."""

INTERRUPTED = 130
"""The status that typer returns after Ctrl-C."""


def main() -> None:
    """Run the command line: status 0 done, 2 unusable input or call (one line on standard error), 1 anything else."""
    try:
        status = app(standalone_mode=False)
    except InputError as error:
        _fail(str(error))
    except USAGE as error:
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
