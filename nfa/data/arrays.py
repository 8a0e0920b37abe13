"""Arrays by name from numpy's files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfa.common.errors import InputError


def arrays_of(file: Path, *needed: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file by name, or the one of a file that names none as "X"; nothing in it is executed.

    Args:
        file: A file that exists.
        needed: Names that must be there.

    Raises:
        InputError: the file is truncated, of another kind, holds Python objects, or lacks an array.
    """
    try:
        with file.open("rb") as handle:
            loaded = np.load(handle, allow_pickle=False)
            arrays = {"X": loaded} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except Exception as error:
        # Damaged archives make numpy and zipfile raise a dozen kinds of exception; every one means this.
        reason = "it holds Python objects" if "Object arrays" in str(error) else "it is truncated or of another kind"
        raise InputError("data", f"cannot read {file} as {file.suffix}: {reason}") from error
    for key in needed:
        if key not in arrays:
            raise InputError("data", f"{file} has no array {key!r} (it has: {', '.join(arrays) or 'none'})")
    return arrays
