"""Text from outside, such as names in a file or a user's module, made fit for a line on a terminal."""

SHOWN = 60
"""A message shows at most this many characters of a name from a file."""


def shown(text: object, most: int = SHOWN) -> str:
    """Return text from outside as part of one line: cut to `most` characters, with "?" for what does not print.

    >>> shown("layers.0" + chr(10) + "weight")
    'layers.0?weight'
    """
    whole = str(text)
    return printable(whole[:most]) + ("..." if len(whole) > most else "")


def printable(text: str) -> str:
    """Return text with "?" for what does not print: line ends, and sequences that would command a terminal.

    >>> printable(chr(27) + "[31mred")
    '?[31mred'
    """
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def printable_lines(text: str) -> str:
    r"""Return text of several lines with each of them printable.

    >>> printable_lines("one" + chr(10) + "two" + chr(27))
    'one\ntwo?'
    """
    return "\n".join(printable(line) for line in text.split("\n"))


def few(names: list[str], most: int = 3) -> str:
    """Return the first few of several names from a file, and how many more there are.

    >>> few(["a", "b", "c", "d"])
    'a, b, c and 1 more'
    """
    rest = len(names) - most
    return ", ".join(shown(name) for name in names[:most]) + (f" and {rest} more" if rest > 0 else "")


def writable(text: object) -> str:
    """Return text with "?" for half a surrogate pair, which neither a table nor a file can hold.

    >>> writable("a" + chr(0xD800))
    'a?'
    """
    return str(text).encode("utf-8", "replace").decode()
