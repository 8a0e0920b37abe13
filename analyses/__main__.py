"""`python -m analyses` lists the analyses; `python -m analyses NAME` runs one."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from analyses.analysis import Options, benchmarks, listed, names
from analyses.paper import plan
from analyses.running import run, show, table_of
from nfa.common import InputError


def arguments(given: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m analyses", description="Run an analysis, or list all.")
    parser.add_argument("name", nargs="?", help="which; `all` for one after the other")
    parser.add_argument("--dataset", help="which data sets, with commas (the analysis's own choice)")
    parser.add_argument("--folder", type=Path, help="where data sets lie that are not built in")
    parser.add_argument("--download", action="store_true", help="fetch a picture set that is not there")
    parser.add_argument("--quick", action="store_true", help="small, in seconds: to see that all works")
    parser.add_argument("--only", action="append", default=[], metavar="SETTING=VALUE,...", help="some cells alone")
    parser.add_argument("--out", type=Path, help="the table (analyses/results/NAME.csv)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--show", action="store_true", help="compute nothing, print what the table says")
    parser.add_argument("--paper", action="store_true", help="the authors' exact settings; only with --dry-run")
    parser.add_argument("--dry-run", action="store_true", help="compute nothing, print settings and what they cost")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Run what is asked for; return the exit status."""
    call, console = arguments(given), Console(highlight=False, soft_wrap=True)
    if call.name is None:
        console.print(listed(names()), markup=False)
        console.print("\nBenchmarks, each run by `python -m analyses.NAME`:\n", markup=False)
        console.print(listed(benchmarks()), markup=False)
        return 0
    datasets = None if call.dataset is None else tuple(call.dataset.split(","))
    options = Options(datasets, call.folder, call.download, call.quick)
    failed = 0
    try:
        if call.paper != call.dry_run:
            raise InputError("paper", "got one of --paper and --dry-run, expected both: settings are only printed")
        if call.paper:
            for name in names() if call.name == "all" else [call.name]:
                console.print("\n".join(plan(name)), markup=False)
            return 0
        only = dict(_setting(each) for each in call.only)
        for name in names() if call.name == "all" else [call.name]:
            if call.show:
                show(name, call.out or table_of(name, call.quick), console)
            else:
                failed += run(name, options, console, out=call.out, only=only, jobs=call.jobs)
    except InputError as error:
        Console(stderr=True).print(str(error), markup=False, style="red")
        return 2
    return 1 if failed else 0


def _setting(text: str) -> tuple[str, list[str]]:
    """Divide SETTING=VALUE,...

    >>> _setting("fold=0,1")
    ('fold', ['0', '1'])
    """
    name, found, values = text.partition("=")
    if not found:
        raise InputError("only", f"got {text!r}, expected SETTING=VALUE")
    return name, values.split(",")


if __name__ == "__main__":
    sys.exit(main())
