"""Save and restore an estimator that chose its parameters: its tables, and the machine that it chose."""

from typing import Any

import torch

from nfa.common.checks import one_of
from nfa.rfm.saving.header import Header, from_json, table_from_json, table_to_json, to_json, typed
from nfa.rfm.saving.registry import Tensors
from nfa.rfm.saving.single import fitted_header, fitted_tensors, kept_parameters, restored, unfitted


def search_parts(model: Any) -> tuple[Header, Tensors]:
    """Return the header and the tensors of a fitted `RFMRegressorCV` or `RFMClassifierCV`."""
    best = model.best_estimator_
    search = {
        "best_params": {name: to_json(value) for name, value in model.best_params_.items()},
        "best_score": to_json(model.best_score_),
        "cv_results": table_to_json(model.cv_results_),
        "loo_results": table_to_json(model.loo_results_),
    }
    header = {"parameters": kept_parameters(model), "search": search, "fitted": fitted_header(best)}
    return header, fitted_tensors(best)


def restored_search(kind: Any, header: Header, tensors: Tensors, place: torch.device, device: Any) -> Any:
    """Return the estimator of the parts that `search_parts` gave."""
    search, inner = typed(header, "search", dict), typed(header, "fitted", dict)
    model = unfitted(kind, header, device)
    best = restored(unfitted(kind.searched, inner, device), inner, tensors, place)
    chosen = typed(search, "best_params", dict)
    for key in chosen:
        one_of("best_params", key, best.get_params())
    model.best_params_ = {key: from_json(value) for key, value in chosen.items()}
    model.best_score_ = from_json(typed(search, "best_score", float, int, dict))
    model.cv_results_, model.loo_results_ = (table_from_json(search, key) for key in ("cv_results", "loo_results"))
    model.best_estimator_ = best
    return model
