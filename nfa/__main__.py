"""The command `nfa`, also as `python -m nfa`."""

import sys

from nfa.common.errors import InputError
from nfa.common.extras import extra


def main() -> None:
    """Run the command line; where its packages are missing, say which in one line, with status 2."""
    try:
        with extra("cli", "nfa", "the command line needs"):
            from nfa import cli
    except InputError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    cli.main()


if __name__ == "__main__":
    main()
