"""A pipeline that ends in a machine as a header and tensors, and back."""

import hashlib
import json
import warnings
from typing import Any

import sklearn
import torch
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import Pipeline

from nfa.common.checks import one_of
from nfa.common.errors import InputError
from nfa.rfm.saving.formats import upgraded
from nfa.rfm.saving.header import Header, expect, typed
from nfa.rfm.saving.registry import ENTRIES, Tensors, kept_in_files
from nfa.rfm.saving.steps import Builder, Keeper


def pipeline_parts(model: Pipeline) -> tuple[Header, Tensors]:
    """Return a fitted `Pipeline` as what goes into the header, and tensors.

    Raises:
        InputError: a step of another class, or one that keeps a function; or the last step is no machine.
    """
    last, machines = type(model.steps[-1][1]), machines_kept()
    if machines.get(last.__name__) is not last:
        raise InputError("model", f"the pipeline ends in a {last.__name__}, expected {', '.join(machines)}")
    keeper = Keeper()
    header = {"pipeline": keeper.header(model), "sklearn_version": sklearn.__version__}
    return header | {"sha256": _digest(header["pipeline"], keeper.tensors)}, keeper.tensors


def restored_pipeline(kind: Any, header: Header, tensors: Tensors, place: torch.device, device: Any) -> Any:
    """Return the pipeline of the parts that `pipeline_parts` gave."""
    found, version = typed(header, "pipeline", dict), typed(header, "sklearn_version", str)
    # What is wrong in a step's state would show only in its answers.
    expect(typed(header, "sha256", str) == _digest(found, tensors), "the pipeline's parts do not fit their hash")
    if version != sklearn.__version__:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name="Pipeline",
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=version,
            ),
            stacklevel=2,
        )

    def machine(part: Header, own: Tensors) -> Any:
        entry = ENTRIES[one_of("class", typed(part, "class", str), machines_kept())]
        return entry.restore(entry.kind, *upgraded(part | {"format": header["format"]}, own), place, device)

    model = Builder(tensors, machine).value(found)
    expect(isinstance(model, kind), "holds no pipeline")
    return model


def machines_kept() -> dict[str, type]:
    """Return the classes of machines that a file keeps, by name."""
    return {name: entry.kind for name, entry in sorted(ENTRIES.items()) if entry.kind is not Pipeline}


def _digest(header: Header, tensors: Tensors) -> str:
    """Return the hash of steps and tensors."""
    found = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        values = tensors[name].detach().cpu().contiguous().numpy()
        found.update(f"{name} {values.dtype} {values.shape}".encode())
        found.update(values.tobytes())
    return found.hexdigest()


kept_in_files(pipeline_parts, restored_pipeline)(Pipeline)
