"""Write a fitted estimator to a file, and read it back."""

import json
import os
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from nfa.common.checks import existing_file, one_of
from nfa.common.errors import InputError
from nfa.common.shown import shown
from nfa.common.version import __version__
from nfa.common.writing import replacing, write_tensors
from nfa.formats.nfa_file import read_safetensors
from nfa.rfm.estimators.tables import device_of
from nfa.rfm.saving.formats import FORMAT, upgraded
from nfa.rfm.saving.header import HeaderError, expect, typed
from nfa.rfm.saving.registry import ENTRIES

KEY = "rfm"
"""The key in the header of a safetensors file that holds the estimator's own header, as JSON."""


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to a safetensors file: parameters, training rows, coefficients, M.

    The rows are in the coordinates of M, in the dtype of the computation. Parameters are kept if JSON can hold them,
    but for `M_init` and `device`; the others get their default values. An estimator that chose its parameters is kept
    with its tables and the machine that it chose; a pipeline that ends in one, with its other steps.

    Args:
        model: An `RFMClassifier`, `RFMRegressor`, `RFMClassifierCV` or `RFMRegressorCV`, or a scikit-learn `Pipeline`
            of one behind scalers, encoders, imputers, PCA and the like (`nfa.rfm.saving.steps.STEPS`).
        path: The file.

    Raises:
        InputError: another class, also of a step; labels or categories of a type that is not kept; or the file cannot
            be written.
    """
    name = type(model).__name__
    if name not in ENTRIES or ENTRIES[name].kind is not type(model):
        best = type(getattr(model, "best_estimator_", None)).__name__
        instead = "save its best_estimator_, or pickle it" if best in ENTRIES else "pickle it"
        raise InputError("model", f"{name} is none of {', '.join(sorted(ENTRIES))}; {instead}")
    check_is_fitted(model)
    parts, tensors = ENTRIES[name].parts(model)
    header = {"format": FORMAT, "nfa_version": __version__, "class": name} | parts
    text = json.dumps(header, allow_nan=False)
    with replacing("path", Path(path)) as (new,):
        write_tensors(new, tensors, {KEY: text})


def load(path: str | os.PathLike[str], device: Any = None, expected: str | None = None) -> Any:
    """Read an estimator that `save` wrote, of any class; nothing in the file is executed.

    Its predictions are those of the estimator that was saved, to 1e-6 of the largest (in float32, to its rounding).

    Args:
        path: The file.
        device: The device to compute on, and the estimator's parameter; None for the CPU, wherever it was fitted.
        expected: The class it must be.

    Raises:
        InputError: the file is damaged, of another kind, or holds another class; or the device is not there.
    """
    file = existing_file("path", path)
    tensors, metadata = read_safetensors(file, "path")
    if KEY not in metadata:
        raise InputError("path", f"{file} holds no recursive feature machine; machine.save(path) writes one")
    place = device_of(None, device)
    try:
        header, tensors = upgraded(json.loads(metadata[KEY]), tensors)
        name = one_of("class", typed(header, "class", str), ENTRIES)
        expect(expected in (None, name), f"holds an {name}, expected an {expected}")
        entry = ENTRIES[name]
        return entry.restore(entry.kind, header, tensors, place, device)
    except (InputError, HeaderError) as error:
        raise InputError("path", f"{file}: {shown(error, 300)}") from error
    # A header of the wrong shape may raise any of these in numpy, pandas, scikit-learn or torch.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise InputError("path", f"the header of {file} does not fit its tensors") from error
