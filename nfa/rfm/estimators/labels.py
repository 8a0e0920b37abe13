"""Which targets beside a network's outputs are classes, and their labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.rfm.estimators.tables import as_host


def labels_of(y: Any, n_outputs: int) -> NDArray[Any] | None:
    """Return targets as labels where they are classes, as `nfa.network.score` decides; None for real targets.

    Classes are text, truth values, whole numbers and one-hot rows; for a network of several outputs, whole numbers kept
    as real ones too.

    Args:
        y: Shape (n,) or (n, c).
        n_outputs: Of the network.

    >>> labels_of([[0.0, 1.0], [1.0, 0.0]], 2).tolist()
    [1, 0]
    >>> labels_of([0.5, 1.0], 1) is None
    True
    """
    values = np.asarray(as_host(y))
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    kind = values.dtype.kind
    if values.ndim == 2:
        wide = values.shape[1] == n_outputs > 1 and kind not in "US"
        one_hot = wide and np.isin(values, (0, 1)).all() and (values.sum(1) == 1).all()
        return values.argmax(1) if one_hot else None
    if kind != "f":
        few = kind not in "iu" or n_outputs > 1 or set(np.unique(values)) <= {0, 1}
        return values if values.ndim == 1 and few else None
    return values.astype(np.int64) if n_outputs > 1 and (values == values.round()).all() else None
