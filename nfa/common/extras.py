"""Packages that an installation may lack: an extra brings them, and one line says which."""

from collections.abc import Iterator
from contextlib import contextmanager

from nfa.common.errors import InputError

DISTRIBUTION = "neural-feature-ansatz"
"""What `pip` calls this package; `nfa` was taken."""


class MissingExtraError(InputError, ImportError):
    """A package that an extra brings is missing, too old or broken."""


@contextmanager
def extra(name: str, argument: str, needs: str) -> Iterator[None]:
    """Turn a failed import into an error that names the extra.

    Args:
        name: The extra.
        argument: What the message begins with.
        needs: Who needs the package, with the verb.

    Raises:
        MissingExtraError: the import failed.

    >>> with extra("plots", "out", "figures need"):
    ...     import nowhere
    Traceback (most recent call last):
    ...
    nfa.common.extras.MissingExtraError: out: figures need nowhere: pip install 'neural-feature-ansatz[plots]'
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        package = (error.name or name).partition(".")[0]
        if package == "nfa":
            raise
        # A package that is there may be too old, or a library that it needs may not load.
        found = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        raise MissingExtraError(argument, f"{needs} {package}{found}: {way(name)}") from error


def way(name: str) -> str:
    """Return the command that installs an extra.

    >>> way("onnx")
    "pip install 'neural-feature-ansatz[onnx]'"
    """
    return f"pip install '{DISTRIBUTION}[{name}]'"
