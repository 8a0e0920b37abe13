"""What estimators inherit to be kept in files."""

import os
from typing import Any, Self

from nfa.rfm.saving.reading import load
from nfa.rfm.saving.writing import save


class Saved:
    """An estimator that can be kept in a file."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a safetensors file: parameters, training rows, coefficients, M.

        The rows are in the coordinates of M, in the dtype of the computation. Of the parameters, those are kept that
        JSON can hold, and neither `M_init` nor `device`; the others will have their default values. An estimator that
        chose its parameters is kept with its tables and the machine it chose.

        Raises:
            InputError: another class, labels or categories of a type that is not kept, or the file cannot be written.
        """
        save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: Any = None) -> Self:
        """Read what `save` wrote; see `nfa.rfm.load`.

        Raises:
            InputError: as `nfa.rfm.load`; or the file holds another class.
        """
        found: Self = load(path, device, cls.__name__)
        return found
