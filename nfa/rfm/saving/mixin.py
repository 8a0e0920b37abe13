"""The methods of estimators that can be kept in files: `save`, and `load` for the class."""

import os
from typing import Any, Self

from nfa.rfm.saving.files import load, save


class SavedMixin:
    """An estimator whose class is registered with `kept_in_files`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file; see `nfa.rfm.save`.

        Raises:
            InputError: as `nfa.rfm.save`.
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
