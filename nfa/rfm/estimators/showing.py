"""How an estimator shows itself: in a line or two, whatever its parameters are."""

from typing import Any

from sklearn.base import BaseEstimator

from nfa.audits.audit import LayerAudit


class Named:
    """Stands for a parameter of many lines where an estimator is shown.

    Args:
        words: What is shown.
    """

    def __init__(self, words: str) -> None:
        self.words = words

    def __repr__(self) -> str:
        """Show the words."""
        return self.words


def shown_parameters(estimator: BaseEstimator, most: int) -> str:
    """Return what scikit-learn shows of an estimator, with parameters of many lines named by type and shape.

    Args:
        estimator: The estimator.
        most: Characters, as `BaseEstimator.__repr__` takes them.

    >>> import numpy as np
    >>> from nfa.rfm import RFMRegressor
    >>> shown_parameters(RFMRegressor(M_init=np.eye(5)), 700)
    'RFMRegressor(M_init=<ndarray (5, 5)>)'
    """
    parameters = estimator.get_params(deep=False)
    short = type(estimator)(**{name: _short(value) for name, value in parameters.items()})
    return str(BaseEstimator.__repr__(short, most))


def _short(value: Any) -> Any:
    lines = repr(value).splitlines()
    if len(lines) <= 1:
        return value
    if isinstance(value, LayerAudit):
        return Named(f"<{lines[0]}>")
    shape = getattr(value, "shape", None)
    return Named(f"<{type(value).__name__}{'' if shape is None else f' {tuple(shape)}'}>")
