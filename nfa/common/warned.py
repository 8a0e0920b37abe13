"""The warnings of the package: a result is there, with something to know about it."""

import warnings

from sklearn import exceptions

SAID: set[str] = set()
"""The messages that `warn_once` has given in this process."""
EVERY_TIME = ("always", "all", "error")
"""Actions of filters that ask for every warning."""


def warn_once(message: str, category: type[Warning], stacklevel: int) -> None:
    """Warn, but give each message once in a process, unless a filter asks for every warning.

    That is what Python's own filters mean to do. But their record of what was said is cleared whenever a filter
    changes, as in each check of scikit-learn's, so that a cross-validation would say the same for every fold.

    Args:
        message: The message.
        category: Its class.
        stacklevel: As `warnings.warn` takes it; 1 is the caller.
    """
    fits = (f for f in warnings.filters if issubclass(category, f[2]) and (f[1] is None or f[1].match(message)))
    action = next((f[0] for f in fits), "default")
    if action in EVERY_TIME or message not in SAID:
        SAID.add(message)
        warnings.warn(message, category, stacklevel=stacklevel + 1)


class NfaWarning(UserWarning):
    """The base of all of them.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", NfaWarning)
    ...     warnings.warn("not shown", NfaWarning)
    """


class ConvergenceWarning(NfaWarning, exceptions.ConvergenceWarning):  # type: ignore[misc]  # it has no types
    """Conjugate gradients left a larger residual than expected; it is one of scikit-learn's too."""


class SingularKernelWarning(NfaWarning):
    """The kernel matrix plus ridge is singular to rounding; the message says what was done instead."""


class CategoryWarning(NfaWarning):
    """A column has so many categories that it is encoded by its targets, or categories that `fit` has not seen."""


class SharedNetworkWarning(NfaWarning):
    """A network cannot be copied, so that predictions follow it if it changes."""
