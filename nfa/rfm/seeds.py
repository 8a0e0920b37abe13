"""Where an RFM's first M comes from: nothing, a matrix, or a layer of an audit."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfa.audits.audit import LayerAudit
from nfa.common.errors import InputError
from nfa.features.factored import FactoredMatrix
from nfa.rfm.metric import checked_matrix


def first_matrix(M_init: Any, d: int, diag: bool) -> Tensor:
    """Return M before the first update, float64.

    Args:
        M_init: None for the identity; a matrix (d, d) or a diagonal (d,), as array or tensor; a `FactoredMatrix`; a
            layer of an audit, for its AGOP.
        d: The number of features.
        diag: M stays diagonal, so that only the diagonal is taken.

    Raises:
        InputError: another size, not symmetric, not positive semidefinite, or 0.

    >>> first_matrix(None, 2, diag=True)
    tensor([1., 1.], dtype=torch.float64)
    """
    if M_init is None:
        return torch.ones(d, dtype=torch.float64) if diag else torch.eye(d, dtype=torch.float64)
    found = M_init.agop if isinstance(M_init, LayerAudit) else M_init
    if isinstance(found, FactoredMatrix):
        if found.d != d:
            raise InputError("M_init", f"a matrix of {found.d} features, expected {d} as in X")
        found = found.dense()
    M = checked_matrix("M_init", found if isinstance(found, Tensor) else _as_tensor(found), d).cpu()
    if not bool(M.any()):
        raise InputError("M_init", "is 0, so that every two rows would be equal")
    if diag:
        return M.diagonal().clone() if M.ndim == 2 else M
    return M if M.ndim == 2 else torch.diag(M)


def _as_tensor(values: Any) -> Tensor:
    try:
        if np.iscomplexobj(values):
            raise TypeError  # which numpy would only warn of
        found = np.array(values)  # a copy: what is read-only stays so
        # In the dtype that says how it was rounded.
        return torch.from_numpy(found if found.dtype in (np.float16, np.float32) else found.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise InputError("M_init", f"{type(values).__name__} is no matrix of numbers") from error
