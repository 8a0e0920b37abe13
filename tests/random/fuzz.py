"""Random cases against an oracle, for as long as one likes: `make fuzz MINUTES=30`.

A domain is a module with two functions. `check(seed)` makes one random case and compares it with an independent
oracle: it returns None where both agree, and the kind of refusal where the package refused the case; anything else
raises. `script(seed)` returns a program that shows the case by itself.
"""

import argparse
import importlib
import sys
import time
from collections import Counter
from collections.abc import Iterable
from types import ModuleType

DOMAINS: tuple[str, ...] = ("random_networks",)
"""Modules beside this one."""


class DisagreementError(AssertionError):
    """A case where the package and the oracle differ, or where it fails without a refusal."""


def run(domain: ModuleType, seeds: Iterable[int]) -> Counter[str]:
    """Check the cases with these seeds; return how many agreed ("agreed"), and how many were refused, by kind.

    Raises:
        DisagreementError: the first case that is wrong, with its seed and a program that shows it.
    """
    found: Counter[str] = Counter()
    for seed in seeds:
        try:
            found[domain.check(seed) or "agreed"] += 1
        except Exception as error:
            # Whatever it is: a call of the package either succeeds and is right, or is refused by name.
            raise DisagreementError(
                f"{domain.__name__}, seed {seed}: {type(error).__name__}: {error}\n{domain.script(seed)}"
            ) from error
    return found


def main() -> None:
    """Run new seeds of every domain until the time is up; exit with status 1 where one disagrees."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--first", type=int, default=1000, help="the first seed; tests run those below 1000")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS)
    call = parser.parse_args()
    domains = [importlib.import_module(name) for name in call.domains]
    tallies = {domain.__name__: Counter[str]() for domain in domains}
    end, seed, failed = time.monotonic() + 60 * call.minutes, call.first, 0
    while time.monotonic() < end:
        for domain in domains:
            try:
                tallies[domain.__name__] += run(domain, [seed])
            except DisagreementError as error:
                failed += 1
                print(error, file=sys.stderr)
        seed += 1
    for name, tally in tallies.items():
        print(
            f"{name}: seeds {call.first} to {seed - 1}: " + ", ".join(f"{n} {kind}" for kind, n in tally.most_common())
        )
    print(f"{failed} disagreements")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
