"""The one exception of the package that means: your input, or your call, cannot be used."""


class InputError(ValueError):
    """The input or the call is unusable.

    The message is one line that names the argument, what was got and what was expected; the command
    line prints it as it is and exits with status 2.

    >>> raise InputError("data: empty, expected at least one row")
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: data: empty, expected at least one row
    """
