"""Fill a page's places with what commands print, so that every number in it has its command beside it.

    python -m analyses.fill docs/speed.md [--only TEXT] [--without TEXT]

A place is a line `<!-- fill: python -m analyses.benchmark_... -->`, then the command and what it printed when it was
last run, in a block of code, and a line `<!-- end -->`. `--only` runs commands that have this text in them,
`--without` those that have it not.
"""

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

PLACE = re.compile(r"(<!-- fill: python (?P<command>[^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)


def printed(command: str) -> str:
    """Return what `python COMMAND` prints.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    call = [sys.executable, *shlex.split(command)]
    return subprocess.run(call, check=True, text=True, stdout=subprocess.PIPE).stdout


def filled(text: str, wanted: Callable[[str], bool], run: Callable[[str], str] = printed) -> str:
    r"""Return a page with its places filled.

    >>> page = "<!-- fill: python -m a -->\n<!-- end -->\n<!-- fill: python -m b -->\nold\n<!-- end -->"
    >>> print(filled(page, lambda command: "-m a" in command, lambda command: "1 s\n"))
    <!-- fill: python -m a -->
    ```text
    $ python -m a
    1 s
    ```
    <!-- end -->
    <!-- fill: python -m b -->
    old
    <!-- end -->
    """

    def place(found: re.Match[str]) -> str:
        if not wanted(found["command"]):
            return found[0]
        output = "\n".join(line.rstrip() for line in run(found["command"]).strip("\n").splitlines())
        return f"{found[1]}```text\n$ python {found['command']}\n{output}\n```\n{found[3]}"

    return PLACE.sub(place, text)


def main() -> None:
    """Fill one page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", default="", metavar="TEXT", help="commands that have this text in them")
    parser.add_argument("--without", metavar="TEXT", help="no commands that have this text in them")
    call, console = parser.parse_args(), Console(stderr=True)

    def wanted(command: str) -> bool:
        return call.only in command and (call.without is None or call.without not in command)

    def run(command: str) -> str:
        console.print(f"python {command}", markup=False)
        return printed(command)

    call.page.write_text(filled(call.page.read_text(), wanted, run))


if __name__ == "__main__":
    main()
