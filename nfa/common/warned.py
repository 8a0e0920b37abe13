"""The warnings of the package: a result is there, with something to know about it."""

from sklearn import exceptions


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
