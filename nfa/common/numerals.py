"""Numbers as people write them: Python also takes "1_0", "infinity", and digits of any script."""

import re

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
WHOLE = re.compile(r"[-+]?\d+", re.ASCII)


def number_in(text: str) -> int | float | None:
    """Return the number that text is: a whole one exactly, of any size; None where it is none.

    >>> number_in("9007199254740993"), number_in("1e-3"), number_in("1_0"), number_in("nan")
    (9007199254740993, 0.001, None, None)
    """
    if WHOLE.fullmatch(text):
        try:
            return int(text)
        except ValueError:  # of more digits than Python reads
            return None
    return float(text) if NUMBER.fullmatch(text) else None
