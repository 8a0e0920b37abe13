"""The one exception of the package that means: your input, or your call, cannot be used."""

from dataclasses import dataclass

from nfa.common.shown import printable


class InputError(ValueError):
    """The input or the call is unusable.

    The message is one line, "argument: problem"; the command line prints it as it is and exits with status 2.

    Args:
        argument: What the caller gave: a parameter's name, such as "data" or "net".
        problem: What was got and what was expected.

    >>> raise InputError("data", "empty, expected at least one row")
    Traceback (most recent call last):
    ...
    nfa.common.errors.InputError: data: empty, expected at least one row
    """

    def __init__(self, argument: str, problem: str) -> None:
        super().__init__(argument, problem)
        self.argument = argument
        self.problem = problem

    def __str__(self) -> str:
        """Return the message, as one line that a terminal shows as it is."""
        return printable(" ".join(f"{self.argument}: {self.problem}".splitlines()))


@dataclass(frozen=True)
class Place:
    """A part of an argument that an error is about, such as a tensor in a file.

    Args:
        argument: What the caller gave.
        part: The part, in words; empty for the whole argument.

    >>> str(Place("model", "net.pt").within("head.weight"))
    'model: net.pt: head.weight'
    """

    argument: str
    part: str = ""

    def __str__(self) -> str:
        """Return what messages begin with."""
        return f"{self.argument}: {self.part}" if self.part else self.argument

    def within(self, part: str) -> "Place":
        """Return a place inside this one."""
        return Place(self.argument, f"{self.part}: {part}" if self.part else part)

    def error(self, predicate: str) -> InputError:
        """Return an error that says what this place is, has or does.

        >>> Place("model", "net.pt").error("is empty")
        InputError('model', 'net.pt is empty')
        """
        return InputError(self.argument, f"{self.part} {predicate}" if self.part else predicate)

    def because(self, reason: str) -> InputError:
        """Return an error whose reason is a sentence of its own.

        >>> Place("model", "net.pt").because("two norms follow one another")
        InputError('model', 'net.pt: two norms follow one another')
        """
        return InputError(self.argument, f"{self.part}: {reason}" if self.part else reason)


def out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error means that memory ran out: Python's, or one of torch's.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    (True, True)
    >>> out_of_memory(RuntimeError("shapes cannot be multiplied"))
    False
    """
    # torch's for accelerators has a type of its own, the one for the CPU only its text.
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error))
    )
