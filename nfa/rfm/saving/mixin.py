"""The methods of estimators that can be kept in files: `save`, and `load` for the class."""

import os
from typing import Any, Self

from nfa.rfm.plain import put_together, taken_apart
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

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without torch's types, for pickle, and for skops, which knows NumPy's alone."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {name: taken_apart(value) for name, value in state.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the state."""
        super().__setstate__({name: put_together(value) for name, value in state.items()})  # type: ignore[misc]
